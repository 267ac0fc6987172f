//! Gives every event its owner and keeps the order of events: a state machine without clocks, threads or
//! files.
//!
//! An event whose owner is in the cache goes on at once. One whose owner must be looked up waits, and
//! everything behind it waits too. Its question goes to the worker thread; the answer goes into the cache,
//! and what waits is released from the front. No item waits longer than [`WAIT`], and no more than [`WAITING`]
//! wait at once: past either bound, the first in line goes on with what is known.

mod knowledge;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use self::knowledge::{Knowledge, Question};
use super::messages::{Answer, Message};
use crate::{
    decode::{Decoded, Notice, Received},
    event::{Owner, SocketEvent},
    settings::Filters,
};

/// No item waits longer than this.
pub const WAIT: Duration = Duration::from_secs(1);
/// Items that may wait at once.
pub const WAITING: usize = 32_768;
/// When more items than this wait, the caller should take in no more for a moment.
pub const CROWD: usize = 1_024;
/// At most this many questions are asked for one item. After that the last answer is used, even if something
/// has changed since.
const ASKS: u8 = 2;

// What waits has a bound in bytes too: beside this, an item has at most a name of 16 bytes.
const _: () = assert!(WAITING * size_of::<Waiting>() <= 16 << 20);

/// What goes through in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An event of a socket.
    Event(Decoded),
    /// A process received the error of a dead connection.
    Received(Received),
    /// The socket with this inode is gone.
    Ended(u64),
}

/// What comes out, in the same order.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolved {
    /// With its owner, as far as that is known.
    Event(SocketEvent),
    /// With its call named, as far as that is known.
    Received(Received),
    /// The socket with this inode is gone.
    Ended(u64),
}

/// An item that waits.
struct Waiting {
    item: Item,
    until: Instant,
    /// Questions that were asked for it.
    asked: u8,
}

/// Names the owners of sockets.
pub struct Resolver {
    filters: Filters,
    knowledge: Knowledge,
    waiting: VecDeque<Waiting>,
    /// How many items have left `waiting` so far: the number of its first one.
    gone: u64,
    /// The numbers of items whose questions the worker had no room for.
    unasked: VecDeque<u64>,
    /// Before the first pass everything waits.
    is_held: bool,
    undecided: u64,
}

impl Resolver {
    /// Holds everything back until [`Resolver::begin`]. Events of owners that the filters do not want are
    /// dropped.
    pub fn new(filters: &Filters) -> Self {
        Self {
            filters: filters.clone(),
            knowledge: Knowledge::default(),
            waiting: VecDeque::new(),
            gone: 0,
            unasked: VecDeque::new(),
            is_held: true,
            undecided: 0,
        }
    }

    /// What is to be sent to the worker, in this order.
    pub fn messages(&mut self) -> &mut Vec<Message> {
        &mut self.knowledge.messages
    }

    /// Events that a filter on owners left out although their owners could not be looked up in time.
    pub fn undecided(&self) -> u64 {
        self.undecided
    }

    /// Whether anything waits.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether nothing more should be taken in until the first pass is done.
    pub fn is_full(&self) -> bool {
        self.is_held && self.waiting.len() >= WAITING
    }

    /// Whether so much waits that it is better to take in no more for a moment.
    pub fn is_crowded(&self) -> bool {
        self.waiting.len() > CROWD
    }

    /// When [`Resolver::release`] is to be called even if no answer has come.
    pub fn deadline(&self) -> Option<Instant> {
        let front = self.waiting.front().filter(|_| !self.is_held);
        front.map(|waiting| waiting.until)
    }

    /// The first pass is done: what was held back goes on.
    pub fn begin(&mut self, now: Instant, out: &mut impl FnMut(Resolved)) {
        self.is_held = false;
        for waiting in &mut self.waiting {
            waiting.until = now + WAIT;
        }
        self.release(now, out);
        self.bound(out);
    }

    /// Takes in an item. `out` takes what is released.
    pub fn take(&mut self, item: Item, now: Instant, out: &mut impl FnMut(Resolved)) {
        if !self.is_waiting() && !self.is_held {
            match self.resolve(&item, false) {
                Ok(owner) => self.deliver(item, owner, out),
                Err(question) => self.wait(item, question, now),
            }
        } else {
            match self.resolve(&item, false) {
                // It waits for those before it. By its turn it may have a question.
                Ok(_) => self.push(item, now, 0),
                Err(question) => self.wait(item, question, now),
            }
        }
        self.bound(out);
    }

    /// Takes in a change among holders. It counts at once, also for what waits.
    pub fn change(&mut self, notice: Notice) {
        self.knowledge.change(notice);
    }

    /// Changes were lost: nothing that is remembered can be trusted.
    pub fn forget(&mut self) {
        self.knowledge.forget();
    }

    /// Takes in answers. `out` takes what is released.
    pub fn answer(&mut self, answers: Vec<Answer>, now: Instant, out: &mut impl FnMut(Resolved)) {
        for answer in answers {
            self.knowledge.learn(answer);
        }
        self.ask_unasked();
        self.release(now, out);
    }

    /// Releases what need not wait any longer.
    pub fn release(&mut self, now: Instant, out: &mut impl FnMut(Resolved)) {
        if self.is_held {
            return;
        }
        while let Some(mut front) = self.pop() {
            match self.resolve(&front.item, false) {
                Ok(owner) => self.deliver(front.item, owner, out),
                Err(question)
                    if front.until <= now
                        || front.asked >= ASKS && !self.knowledge.is_asked(question) =>
                {
                    self.deliver_as_known(front.item, out);
                }
                Err(question) => {
                    if self.knowledge.ask(question, &front.item) {
                        front.asked += 1;
                    }
                    self.waiting.push_front(front);
                    self.gone -= 1;
                    return;
                }
            }
        }
    }

    /// Releases everything with what is known by now.
    pub fn flush(&mut self, out: &mut impl FnMut(Resolved)) {
        while self.is_waiting() {
            self.force(out);
        }
    }

    /// Past the bound the first in line go on. Before the first pass nothing does, and the caller takes in no more
    /// once [`Resolver::is_full`].
    fn bound(&mut self, out: &mut impl FnMut(Resolved)) {
        while !self.is_held && self.waiting.len() > WAITING {
            self.force(out);
        }
    }

    /// Releases the first in line with what is known by now.
    fn force(&mut self, out: &mut impl FnMut(Resolved)) {
        let Some(front) = self.pop() else { return };
        match self.resolve(&front.item, false) {
            Ok(owner) => self.deliver(front.item, owner, out),
            Err(_) => self.deliver_as_known(front.item, out),
        }
    }

    /// Releases an item whose question has no answer yet.
    fn deliver_as_known(&mut self, item: Item, out: &mut impl FnMut(Resolved)) {
        if let Ok(owner) = self.resolve(&item, true) {
            let is_left_out = |owner| !self.filters.want_owner(owner);
            if owner.as_deref().is_some_and(is_left_out) {
                self.undecided += 1;
            }
            self.deliver(item, owner, out);
        }
    }

    fn pop(&mut self) -> Option<Waiting> {
        let front = self.waiting.pop_front()?;
        self.gone += 1;
        Some(front)
    }

    fn push(&mut self, item: Item, now: Instant, asked: u8) {
        self.waiting.push_back(Waiting {
            item,
            until: now + WAIT,
            asked,
        });
    }

    /// Puts an item in line and asks its question, so that one pass serves all that wait.
    fn wait(&mut self, item: Item, question: Question, now: Instant) {
        let is_asked = self.knowledge.ask(question, &item);
        if !is_asked && !self.knowledge.is_asked(question) {
            // Else this list would grow for as long as the worker has no room.
            while self.unasked.front().is_some_and(|first| *first < self.gone) {
                self.unasked.pop_front();
            }
            let number = self.gone + self.waiting.len() as u64;
            self.unasked.push_back(number);
        }
        self.push(item, now, u8::from(is_asked));
    }

    /// Asks for items whose questions the worker had no room for.
    fn ask_unasked(&mut self) {
        while self.knowledge.may_ask()
            && let Some(number) = self.unasked.pop_front()
        {
            let Some(at) = number.checked_sub(self.gone) else {
                // It has left.
                continue;
            };
            let Some(waiting) = usize::try_from(at)
                .ok()
                .and_then(|at| self.waiting.get_mut(at))
            else {
                continue;
            };
            if let Err(question) = resolve(&mut self.knowledge, &waiting.item, false)
                && self.knowledge.ask(question, &waiting.item)
            {
                waiting.asked += 1;
            }
        }
    }

    fn resolve(&mut self, item: &Item, at_once: bool) -> Result<Option<Arc<Owner>>, Question> {
        resolve(&mut self.knowledge, item, at_once)
    }

    fn deliver(&mut self, item: Item, owner: Option<Arc<Owner>>, out: &mut impl FnMut(Resolved)) {
        match item {
            Item::Event(decoded) => {
                let owner = owner.unwrap_or_default();
                if self.filters.want_owner(&owner) {
                    out(Resolved::Event(event(decoded, owner)));
                }
            }
            Item::Received(mut received) => {
                self.knowledge.name(&mut received);
                out(Resolved::Received(received));
            }
            Item::Ended(inode) => {
                self.knowledge.ended(inode);
                out(Resolved::Ended(inode));
            }
        }
    }
}

/// The owner if the item has one, or the question to be answered first. With `at_once` there is no question.
fn resolve(
    knowledge: &mut Knowledge,
    item: &Item,
    at_once: bool,
) -> Result<Option<Arc<Owner>>, Question> {
    match item {
        Item::Event(decoded) => knowledge.owner(decoded, at_once).map(Some),
        Item::Received(received) if !at_once => knowledge.unnamed(received).map_or(Ok(None), Err),
        Item::Received(_) | Item::Ended(_) => Ok(None),
    }
}

fn event(decoded: Decoded, owner: Arc<Owner>) -> SocketEvent {
    let Decoded {
        time, socket, kind, ..
    } = decoded;
    SocketEvent {
        time,
        socket,
        owner,
        kind,
    }
}
