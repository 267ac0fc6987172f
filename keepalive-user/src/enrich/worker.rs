//! The thread that looks up owners. The event loop hands it messages and takes its answers, and waits for
//! neither.

use std::{
    io, mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    calls,
    inbox::Inbox,
    lookup::{Found, Lookup},
    messages::{Answer, Message, Request, Stage},
};
use crate::source::ProcessTables;

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

    /// Waits for answers and takes all that there are; `None` once the thread has ended.
    pub async fn answers(&mut self) -> Option<Vec<Answer>> {
        let mut answers = self.answers.recv().await?;
        while let Ok(more) = self.answers.try_recv() {
            answers.extend(more);
        }
        Some(answers)
    }

    /// How many descriptors the first pass has read so far.
    pub fn progress(&self) -> usize {
        self.progress.load(Ordering::Relaxed)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.inbox.end();
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
        self.desk.meet();
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

    /// Reads who the processes are that hold sockets.
    pub fn meet(&mut self) {
        self.lookup.meet();
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
        let (entry, stage) = match self.lookup.look(&request, false) {
            Found::All(entry) => (entry, Stage::Done),
            Found::NeedsPass(so_far) => {
                let is_far_off = self.lookup.is_pass_far_off(&so_far, Instant::now());
                let stage = if is_far_off {
                    Stage::PassIsFarOff
                } else {
                    Stage::PassComes
                };
                (so_far, stage)
            }
        };
        // Where nobody was found and a pass comes soon, there is nothing to tell yet.
        if stage != Stage::PassComes || entry.owner.is_some() {
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
