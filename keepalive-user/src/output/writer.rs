//! A thread that writes to one stream, so that nothing else has to wait for whoever reads it.

use std::{
    collections::VecDeque,
    io,
    os::fd::AsFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::Notify;

/// A batch may have to follow text on another stream. It waits for that text no longer than this.
const ORDER: Duration = Duration::from_millis(100);
/// Bytes of one write. A write to a pipe returns only when the pipe has taken all of it. So small writes show sooner
/// that a reader takes something.
const PIECE: usize = 16 << 10;
/// A stream that others set to non-blocking is tried again this often.
const RETRY: Duration = Duration::from_millis(10);

/// The writing end of a stream.
pub struct Writer {
    shared: Arc<Shared>,
    thread: JoinHandle<io::Result<()>>,
}

/// What the thread and its user share.
pub struct Shared {
    state: Mutex<State>,
    /// There is something to write, or nothing more will come.
    filled: Condvar,
    /// Something was written.
    pub moved: Notify,
    /// The thread has ended.
    pub ended: Notify,
}

#[derive(Default)]
struct State {
    /// The first one is being written.
    batches: VecDeque<Batch>,
    /// Bytes of the first batch that were written.
    of_first: usize,
    /// Bytes in `batches`.
    bytes: usize,
    /// Bytes that were ever written.
    written: u64,
    is_closed: bool,
    has_ended: bool,
}

struct Batch {
    bytes: Bytes,
    /// It is written only after this many bytes of another stream.
    after: Option<(Arc<Shared>, u64)>,
}

/// What a stream did not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unwritten {
    pub bytes: u64,
    /// Ends of lines among them.
    pub lines: u64,
}

impl Writer {
    /// Starts the thread for a stream.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn start(name: &str, stream: impl AsFd + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            moved: Notify::new(),
            ended: Notify::new(),
        });
        let its_own = Arc::clone(&shared);
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            let result = its_own.write_all(&stream);
            its_own.end();
            result
        })?;
        Ok(Self { shared, thread })
    }

    /// Puts bytes in line. With `after`, they are written after everything that is in line for that stream now,
    /// unless that takes too long.
    pub fn push(&self, bytes: Bytes, after: Option<&Self>) {
        let after = after.map(|other| {
            let state = other.shared.lock();
            let end = state.written + (state.bytes - state.of_first) as u64;
            drop(state);
            (Arc::clone(&other.shared), end)
        });
        let mut state = self.shared.lock();
        // After the thread has ended nobody would take the bytes.
        if !state.has_ended && !bytes.is_empty() {
            state.bytes += bytes.len();
            state.batches.push_back(Batch { bytes, after });
            self.shared.filled.notify_one();
        }
    }

    /// What the thread shares with its user.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// No more will come.
    pub fn close(&self) {
        self.shared.lock().is_closed = true;
        self.shared.filled.notify_one();
    }

    /// The result of a thread that has ended. One that has not is left alone.
    ///
    /// # Errors
    ///
    /// Writing failed.
    pub fn result(self) -> io::Result<()> {
        // Not whether the thread is gone: it takes a moment to go after it has said that it ends.
        if !self.shared.has_ended() {
            return Ok(());
        }
        self.thread.join().unwrap_or(Ok(()))
    }
}

impl Shared {
    /// Bytes in line.
    pub fn waiting(&self) -> usize {
        self.lock().bytes
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.lock().written
    }

    /// Whether the thread has ended: it was closed and has written everything, or writing failed.
    pub fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    /// What is still in line.
    pub fn unwritten(&self) -> Unwritten {
        let state = self.lock();
        let mut skip = state.of_first;
        let mut unwritten = Unwritten::default();
        for batch in &state.batches {
            let rest = &batch.bytes[skip..];
            skip = 0;
            unwritten.bytes += rest.len() as u64;
            unwritten.lines += memchr::memchr_iter(b'\n', rest).count() as u64;
        }
        unwritten
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is done under the lock that could leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, stream: &impl AsFd) -> io::Result<()> {
        while let Some(Batch { bytes, after }) = self.next() {
            if let Some((other, end)) = after {
                other.reaches(end);
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                match rustix::io::write(stream, &rest[..rest.len().min(PIECE)]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(taken) => {
                        rest = &rest[taken..];
                        self.took(taken);
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(rustix::io::Errno::AGAIN) => thread::sleep(RETRY),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// The next batch, which stays first in line while it is written; `None` when no more will come.
    fn next(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            if let Some(batch) = state.batches.front_mut() {
                return Some(Batch {
                    bytes: batch.bytes.clone(),
                    after: batch.after.take(),
                });
            }
            if state.is_closed {
                return None;
            }
            let waited = self.filled.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn took(&self, bytes: usize) {
        let mut state = self.lock();
        state.written += bytes as u64;
        state.of_first += bytes;
        if let Some(first) = state.batches.front().map(|batch| batch.bytes.len())
            && state.of_first >= first
        {
            state.batches.pop_front();
            state.of_first = 0;
            state.bytes -= first;
        }
        drop(state);
        self.moved.notify_one();
    }

    fn end(&self) {
        self.lock().has_ended = true;
        self.ended.notify_one();
        self.moved.notify_one();
    }

    /// Waits until this many bytes were written, but no longer than [`ORDER`].
    fn reaches(&self, end: u64) {
        let began = Instant::now();
        while self.written() < end && !self.has_ended() && began.elapsed() < ORDER {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
