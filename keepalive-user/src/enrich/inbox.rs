//! The queue from the event loop to the thread that looks up owners. The loop never waits for it.

use std::{
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use super::messages::Message;

/// Changes of processes that may wait for the worker. Questions are bounded by who asks them.
const CHANGES: usize = 16_384;

/// Messages on their way to the thread.
#[derive(Default)]
pub struct Inbox {
    content: Mutex<Content>,
    filled: Condvar,
    /// The thread is to end.
    pub stop: Arc<AtomicBool>,
}

/// What the thread takes at once.
#[derive(Default)]
pub struct Content {
    pub messages: Vec<Message>,
    changes: usize,
    /// Changes were lost before these messages.
    pub lost: bool,
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

    /// Takes messages in, in this order, and empties the list. False if there was no room for the changes among them.
    pub fn put(&self, messages: &mut Vec<Message>) -> bool {
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

    /// Tells the thread to end.
    pub fn end(&self) {
        // Under the lock: else the thread could look at it just before and then wait for ever.
        let content = self.lock();
        self.stop.store(true, Ordering::Relaxed);
        drop(content);
        self.filled.notify_one();
    }

    /// Changes were lost before they came here.
    pub fn forget(&self) {
        self.lock().lose_changes();
        self.filled.notify_one();
    }

    /// Waits until there are messages or this moment has come; `None` when the thread is to end.
    pub fn take(&self, until: Option<Instant>) -> Option<Content> {
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
}
