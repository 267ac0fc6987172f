//! The thread that looks up owners. The event loop hands it messages and takes its answers, and waits for
//! neither.

use std::{
    io, mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    calls,
    lookup::{Found, Lookup},
    messages::{Answer, Message, Request, Stage},
};
use crate::source::ProcessTables;

/// Changes of processes that may wait for the worker. Questions are bounded by who asks them.
const CHANGES: usize = 16_384;
/// Answers are handed over at least this often while there is more to do.
const HAND_OVER: Duration = Duration::from_millis(5);

/// The event loop's side. Dropping it tells the thread to end, and does not wait for that.
pub struct Worker {
    inbox: Arc<Inbox>,
    answers: mpsc::UnboundedReceiver<Vec<Answer>>,
    progress: Arc<AtomicUsize>,
}

impl Worker {
    /// Starts the thread, which begins with the first pass over all descriptors. `has_stacks`: records tell calls by
    /// the addresses on a stack, so it is looked up where the functions are.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn start(tables: Option<ProcessTables>, has_stacks: bool) -> io::Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let progress = Arc::new(AtomicUsize::new(0));
        // As many answers as questions, and those are bounded by who asks them.
        let (sender, answers) = mpsc::unbounded_channel();
        let thread = Thread {
            inbox: Arc::clone(&inbox),
            answers: sender,
            progress: Arc::clone(&progress),
            has_stacks,
            desk: Desk::new(tables, Arc::clone(&inbox.stop)),
        };
        thread::Builder::new()
            .name("katrace-owner".into())
            .spawn(move || thread.run())?;
        Ok(Self {
            inbox,
            answers,
            progress,
        })
    }

    /// Hands over messages, in this order, and empties the list. False if there was no room for the changes
    /// of processes among them: then no change that the worker has not taken yet will reach it.
    pub fn send(&self, messages: &mut Vec<Message>) -> bool {
        messages.is_empty() || self.inbox.put(messages)
    }

    /// Changes of processes were lost: what the worker knows cannot be trusted.
    pub fn forget(&self) {
        self.inbox.forget();
    }

    /// Waits for answers; `None` once the thread has ended.
    pub async fn answers(&mut self) -> Option<Vec<Answer>> {
        self.answers.recv().await
    }

    /// How many descriptors the first pass has read so far.
    pub fn progress(&self) -> usize {
        self.progress.load(Ordering::Relaxed)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Under the lock: else the thread could look at it just before and then wait for ever.
        let content = self.inbox.lock();
        self.inbox.stop.store(true, Ordering::Relaxed);
        drop(content);
        self.inbox.filled.notify_one();
    }
}

/// Messages on their way to the thread.
#[derive(Default)]
struct Inbox {
    content: Mutex<Content>,
    filled: Condvar,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct Content {
    messages: Vec<Message>,
    changes: usize,
    /// Changes were lost before these messages.
    lost: bool,
}

impl Content {
    fn lose_changes(&mut self) {
        self.messages.retain(|message| !is_change(message));
        self.changes = 0;
        self.lost = true;
    }
}

fn is_change(message: &Message) -> bool {
    matches!(message, Message::Changed(_))
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Content> {
        // Nothing is done under the lock that could leave it half done.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, messages: &mut Vec<Message>) -> bool {
        let changes = messages.iter().filter(|message| is_change(message)).count();
        let mut content = self.lock();
        let fits = content.changes + changes <= CHANGES;
        if fits {
            content.changes += changes;
            content.messages.append(messages);
        } else {
            // Changes are of use only if none of them is missing.
            content.lose_changes();
            content
                .messages
                .extend(messages.drain(..).filter(|message| !is_change(message)));
        }
        drop(content);
        self.filled.notify_one();
        fits
    }

    fn forget(&self) {
        self.lock().lose_changes();
        self.filled.notify_one();
    }

    /// Waits until there are messages or this moment has come; `None` when the thread is to end.
    fn take(&self, until: Option<Instant>) -> Option<Content> {
        let mut content = self.lock();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            let now = Instant::now();
            if !content.messages.is_empty()
                || content.lost
                || until.is_some_and(|until| until <= now)
            {
                return Some(mem::take(&mut *content));
            }
            content = match until {
                Some(until) => {
                    let waited = self.filled.wait_timeout(content, until - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.filled.wait(content);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

/// The thread's side.
struct Thread {
    inbox: Arc<Inbox>,
    answers: mpsc::UnboundedSender<Vec<Answer>>,
    progress: Arc<AtomicUsize>,
    has_stacks: bool,
    desk: Desk,
}

impl Thread {
    fn run(mut self) {
        let progress = Arc::clone(&self.progress);
        self.desk.pass(&mut || {
            progress.fetch_add(1, Ordering::Relaxed);
        });
        // The loop may be gone: then `take` says so.
        let _ = self.answers.send(vec![Answer::Passed]);
        self.answer_calls();
        while let Some(content) = self.inbox.take(self.desk.next_pass()) {
            if content.lost {
                self.desk.forget();
            }
            let mut answers = Vec::new();
            let mut handed_over = Instant::now();
            for message in content.messages {
                self.desk.message(message, &mut answers);
                if handed_over.elapsed() > HAND_OVER {
                    self.hand_over(&mut answers);
                    handed_over = Instant::now();
                }
                if self.inbox.stop.load(Ordering::Relaxed) {
                    return;
                }
            }
            self.hand_over(&mut answers);
            self.desk.after_pass(&mut answers);
            self.hand_over(&mut answers);
        }
    }

    /// On a thread of its own, since owners must not wait for it.
    fn answer_calls(&self) {
        if self.has_stacks {
            let answers = self.answers.clone();
            let reader = thread::Builder::new()
                .name("katrace-calls".into())
                .spawn(move || answers.send(vec![Answer::Calls(calls::read())]));
            if reader.is_ok() {
                return;
            }
        }
        let _ = self.answers.send(vec![Answer::Calls(Vec::new())]);
    }

    fn hand_over(&self, answers: &mut Vec<Answer>) {
        if !answers.is_empty() {
            let _ = self.answers.send(mem::take(answers));
        }
    }
}

/// What the thread does, without the thread.
pub struct Desk {
    lookup: Lookup,
    /// Questions that only a pass can answer.
    for_pass: Vec<Request>,
    stop: Arc<AtomicBool>,
}

impl Desk {
    /// `tables` are the kernel half's, if there is one. Reading ends early once `stop` is true.
    pub fn new(tables: Option<ProcessTables>, stop: Arc<AtomicBool>) -> Self {
        Self {
            lookup: Lookup::new(tables, Arc::clone(&stop)),
            for_pass: Vec::new(),
            stop,
        }
    }

    /// Reads the descriptors of every process, calling `each` for every descriptor.
    pub fn pass(&mut self, each: &mut dyn FnMut()) {
        self.lookup.pass(each);
    }

    /// Changes were lost: nothing that was read can be trusted.
    pub fn forget(&mut self) {
        self.lookup.forget();
    }

    /// Takes one message, and answers it unless that needs a pass.
    pub fn message(&mut self, message: Message, answers: &mut Vec<Answer>) {
        match message {
            Message::Changed(notice) => self.lookup.change(&notice),
            Message::Owner(request) => self.owner(*request, answers),
            Message::Last(inode) => answers.push(Answer::Last {
                inode,
                process: self.lookup.last(inode),
            }),
        }
    }

    /// When a pass is to be made; `None` while nothing waits for one.
    pub fn next_pass(&self) -> Option<Instant> {
        (!self.for_pass.is_empty()).then(|| self.lookup.next_pass(Instant::now()))
    }

    /// Makes a pass if something waits for one and it may be made by now, and answers what waited.
    pub fn after_pass(&mut self, answers: &mut Vec<Answer>) {
        if self.next_pass().is_none_or(|next| next > Instant::now()) {
            return;
        }
        self.lookup.pass(&mut || ());
        for request in mem::take(&mut self.for_pass) {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            // The pass began after each of these events, so it answers all of these questions.
            if let Found::All(entry) = self.lookup.look(&request, true) {
                answers.push(Answer::Owner {
                    inode: request.inode,
                    entry,
                    stage: Stage::Done,
                });
            }
        }
    }

    fn owner(&mut self, request: Request, answers: &mut Vec<Answer>) {
        let (found, stage) = match self.lookup.look(&request, false) {
            Found::All(entry) => (Some(entry), Stage::Done),
            Found::NeedsPass(so_far) => {
                let is_far_off = self.lookup.is_pass_far_off(Instant::now());
                let stage = if is_far_off {
                    Stage::PassIsFarOff
                } else {
                    Stage::PassComes
                };
                (so_far, stage)
            }
        };
        if let Some(entry) = found {
            answers.push(Answer::Owner {
                inode: request.inode,
                entry,
                stage,
            });
        }
        if stage != Stage::Done {
            self.for_pass.push(request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Notice;

    fn change(pid: u32) -> Message {
        Message::Changed(Notice::Exited { pid })
    }

    fn text(content: &Content) -> Vec<String> {
        content.messages.iter().map(|m| format!("{m:?}")).collect()
    }

    #[test]
    fn messages_keep_their_order() {
        let inbox = Inbox::default();
        assert!(inbox.put(&mut vec![change(1), Message::Last(2)]));
        assert!(inbox.put(&mut vec![change(3)]));
        let content = inbox.take(None).unwrap();
        assert!(!content.lost);
        assert_eq!(
            text(&content),
            [
                "Changed(Exited { pid: 1 })",
                "Last(2)",
                "Changed(Exited { pid: 3 })"
            ]
        );
        assert!(
            inbox
                .take(Some(Instant::now()))
                .unwrap()
                .messages
                .is_empty()
        );
    }

    #[test]
    fn changes_without_room_are_lost_together_and_questions_are_kept() {
        let inbox = Inbox::default();
        let mut many: Vec<Message> = (0..CHANGES as u32).map(change).collect();
        many.push(Message::Last(1));
        assert!(inbox.put(&mut many));
        assert!(!inbox.put(&mut vec![change(7), Message::Last(2)]));
        // There is room again, and changes since are told.
        assert!(inbox.put(&mut vec![change(8)]));
        let content = inbox.take(None).unwrap();
        assert!(content.lost);
        assert_eq!(
            text(&content),
            ["Last(1)", "Last(2)", "Changed(Exited { pid: 8 })"]
        );
        assert!(!inbox.take(Some(Instant::now())).unwrap().lost);
    }

    #[test]
    fn a_dropped_worker_ends_its_thread() {
        let worker = Worker::start(None, false).unwrap();
        let inbox = Arc::downgrade(&worker.inbox);
        drop(worker);
        let began = Instant::now();
        while inbox.strong_count() > 0 && began.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(inbox.strong_count(), 0);
    }
}
