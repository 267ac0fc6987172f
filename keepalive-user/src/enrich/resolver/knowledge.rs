//! What the event loop knows of owners and calls, and what it has asked the worker.

use std::{collections::HashMap, sync::Arc};

use super::Item;
use crate::{
    cache::Cache,
    decode::{Act, Decoded, Notice, Received},
    enrich::{
        calls::Calls,
        changes::Changes,
        evidence,
        messages::{Answer, Message, Request, Stage},
        owner_cache::{Belief, OwnerCache},
    },
    event::{Owner, Process},
};

/// Questions that the worker may have at once.
pub const QUESTIONS: usize = 4_096;
/// Sockets without a holder whose last holder is remembered.
const LAST: usize = 1_024;

/// What the worker is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// Who holds the socket with this inode?
    Owner(u64),
    /// Who held it last?
    Last(u64),
    /// Where are the functions that stand for calls? The worker answers this unasked, once.
    Calls,
}

/// What is known of a question without an answer.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// The socket has ended meanwhile.
    has_ended: bool,
    /// What is known of the owner is still good: only an answer that is whole is better.
    is_refresh: bool,
}

/// Memory of owners and calls.
pub struct Knowledge {
    owners: OwnerCache,
    changes: Changes,
    calls: Calls,
    /// The last holders of sockets that nobody holds, by inode.
    last: Cache<u64, Option<Process>>,
    nobody: Arc<Owner>,
    /// Questions without an answer.
    open: HashMap<Question, Open>,
    /// On their way to the worker.
    pub messages: Vec<Message>,
}

impl Default for Knowledge {
    fn default() -> Self {
        Self {
            owners: OwnerCache::default(),
            changes: Changes::default(),
            calls: Calls::default(),
            last: Cache::new(LAST),
            nobody: Arc::default(),
            open: HashMap::from([(
                Question::Calls,
                Open {
                    has_ended: false,
                    is_refresh: false,
                },
            )]),
            messages: Vec::new(),
        }
    }
}

impl Knowledge {
    /// The owner of an event's socket, or the question to be answered first. With `at_once` it is the owner as
    /// far as that is known.
    pub fn owner(&mut self, decoded: &Decoded, at_once: bool) -> Result<Arc<Owner>, Question> {
        // A socket that was not accepted yet has no inode, and no process has it.
        let Some(inode) = decoded.socket.inode else {
            return Ok(Arc::clone(&self.nobody));
        };
        if decoded.orphan {
            return self.last_owner(inode, decoded, at_once).map(Arc::new);
        }
        // Without a file there is no descriptor: it is a socket of the kernel's own.
        if decoded.refs == 0 {
            return Ok(self.by_evidence(decoded));
        }
        let Some(entry) = self.owners.get(inode) else {
            return if at_once {
                Ok(self.by_evidence(decoded))
            } else {
                Err(Question::Owner(inode))
            };
        };
        let entry = Arc::clone(entry);
        match entry.belief(decoded, &self.changes) {
            Belief::Invalid if !at_once => return Err(Question::Owner(inode)),
            Belief::Aging if !at_once => drop(self.ask_owner(inode, decoded, true)),
            Belief::Valid | Belief::Aging | Belief::Invalid => {}
        }
        Ok(match &entry.owner {
            Some(owner) => Arc::clone(owner),
            None => self.by_evidence(decoded),
        })
    }

    /// The question to be answered before the call of an error received can be named, if there is one.
    pub fn unnamed(&self, received: &Received) -> Option<Question> {
        let is_unknown = self.calls.is_unknown(&received.kind);
        is_unknown.then_some(Question::Calls)
    }

    /// Names the call of an error received, as far as it is known.
    pub fn name(&self, received: &mut Received) {
        self.calls.name(&mut received.kind, &received.stack);
    }

    /// Asks a question for an item. False if it is asked already, or the worker has enough to answer.
    pub fn ask(&mut self, question: Question, item: &Item) -> bool {
        match (question, item) {
            (Question::Owner(inode), Item::Event(decoded)) => self.ask_owner(inode, decoded, false),
            (Question::Last(inode), Item::Event(_)) => {
                self.open(question, false) && self.tell(Message::Last(inode))
            }
            _ => false,
        }
    }

    /// Whether the worker has this question.
    pub fn is_asked(&self, question: Question) -> bool {
        self.open.contains_key(&question)
    }

    /// Whether the worker may be asked more.
    pub fn may_ask(&self) -> bool {
        self.open.len() < QUESTIONS
    }

    /// Takes in an answer.
    pub fn learn(&mut self, answer: Answer) {
        match answer {
            Answer::Passed => {}
            Answer::Owner {
                inode,
                mut entry,
                stage,
            } => {
                let question = Question::Owner(inode);
                let open = self.open.get(&question).copied();
                if stage == Stage::Done {
                    self.open.remove(&question);
                }
                entry.is_partial = stage == Stage::PassComes;
                // The inode of a socket that is gone may belong to another one by now.
                let is_no_better =
                    |open: Open| open.is_refresh && entry.is_partial && self.owners.contains(inode);
                let is_wanted = open.is_some_and(|open| !open.has_ended && !is_no_better(open));
                if is_wanted {
                    self.owners.insert(inode, entry);
                }
            }
            Answer::Last { inode, process } => {
                let open = self.open.remove(&Question::Last(inode));
                if open.is_some_and(|open| !open.has_ended) {
                    self.last.insert(inode, process);
                }
            }
            Answer::Calls(ranges) => {
                self.open.remove(&Question::Calls);
                self.calls.learn(ranges);
            }
        }
    }

    /// Takes in a change among holders.
    pub fn change(&mut self, notice: Notice) {
        match &notice {
            Notice::Forked { parent, child } => {
                self.changes.change(*parent);
                self.changes.change(*child);
            }
            Notice::Renamed { pid } | Notice::Exited { pid } => self.changes.change(*pid),
            // This goes in order with the events of the socket: `Item::Ended`.
            Notice::Ended { .. } => return,
        }
        self.tell(Message::Changed(notice));
    }

    /// The socket is gone.
    pub fn ended(&mut self, inode: u64) {
        self.owners.remove(inode);
        self.last.remove(&inode);
        for question in [Question::Owner(inode), Question::Last(inode)] {
            if let Some(open) = self.open.get_mut(&question) {
                open.has_ended = true;
            }
        }
    }

    /// Changes were lost: nothing that is remembered of owners can be trusted.
    pub fn forget(&mut self) {
        self.owners.clear();
        self.last.clear();
        self.changes.forget();
    }

    fn ask_owner(&mut self, inode: u64, decoded: &Decoded, is_refresh: bool) -> bool {
        let question = Question::Owner(inode);
        if !self.open(question, is_refresh) {
            if let Some(open) = self.open.get_mut(&question) {
                // Something speaks against what is known by now.
                open.is_refresh &= is_refresh;
            }
            return false;
        }
        let earlier = self.owners.get(inode).map(Arc::clone);
        let request = Request::of(inode, decoded, self.changes.stamp(), earlier);
        self.tell(Message::Owner(Box::new(request)))
    }

    fn open(&mut self, question: Question, is_refresh: bool) -> bool {
        let is_new = self.may_ask() && !self.is_asked(question);
        if is_new {
            let open = Open {
                has_ended: false,
                is_refresh,
            };
            self.open.insert(question, open);
        }
        is_new
    }

    fn tell(&mut self, message: Message) -> bool {
        self.messages.push(message);
        true
    }

    fn by_evidence(&self, decoded: &Decoded) -> Arc<Owner> {
        match &decoded.evidence {
            Some(evidence) => Arc::new(evidence::owner(Some(evidence))),
            None => Arc::clone(&self.nobody),
        }
    }

    /// Nobody holds the socket any more: who closed it, else the last process that is known to have held it.
    fn last_owner(
        &mut self,
        inode: u64,
        decoded: &Decoded,
        at_once: bool,
    ) -> Result<Owner, Question> {
        let evidence = decoded.evidence.as_ref();
        let acted = || evidence.map(evidence::process);
        let process = if evidence.is_some_and(|evidence| evidence.act == Act::Close) {
            acted()
        } else if let Some(owner) = self
            .owners
            .get(inode)
            .and_then(|entry| entry.owner.as_ref())
        {
            owner.process.clone().or_else(acted)
        } else if let Some(last) = self.last.get(&inode) {
            last.clone().or_else(acted)
        } else if at_once {
            acted()
        } else {
            return Err(Question::Last(inode));
        };
        Ok(Owner {
            from: process.as_ref().map(|_| crate::event::OwnerFrom::Last),
            process,
            holders: Vec::new(),
        })
    }
}
