//! Writing what the sinks formatted, on threads of their own: a reader that stops reading must not keep the
//! ring from being drained, nor a signal from being heard.

#[cfg(test)]
mod tests;
mod writer;

use std::{
    io::{self, Write},
    os::fd::AsFd,
    pin::pin,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use self::writer::{Shared, Writer};
use crate::{sinks::Buffers, stop::Stop};

/// Bytes that may wait for a slow reader of stdout before the ring has to hold the events.
const WAITING: usize = 8 << 20;
/// Bytes that may wait for a slow reader of stderr. What is more is dropped, and counted.
const MESSAGES: usize = 256 << 10;
/// At the end, katrace no longer waits for a reader of stdout that has taken nothing for this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same for a reader of stderr.
const PATIENCE_FOR_MESSAGES: Duration = Duration::from_millis(500);
/// After a second signal, a reader that keeps up still gets what is in line: each stream has this long for it.
const HURRY: Duration = Duration::from_millis(100);

/// Both of the program's outputs.
pub struct Output {
    out: Writer,
    err: Writer,
    /// What was not put in line yet.
    pending: BytesMut,
    /// Bytes of messages that were dropped since the last message that was not.
    dropped: usize,
    patience: Duration,
    /// [`HURRY`], but in a test.
    hurry: Duration,
}

/// How the output ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything was written, or the reader has closed its end.
    Complete,
    /// The reader was given up. Stderr says what was not written.
    CutShort,
}

impl Output {
    /// Starts the writers of stdout and stderr.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn start() -> io::Result<Self> {
        Self::to(io::stdout(), io::stderr(), PATIENCE)
    }

    fn to(
        out: impl AsFd + Send + 'static,
        err: impl AsFd + Send + 'static,
        patience: Duration,
    ) -> io::Result<Self> {
        Ok(Self {
            out: Writer::start("katrace-out", out)?,
            err: Writer::start("katrace-err", err)?,
            pending: BytesMut::new(),
            dropped: 0,
            patience,
            hurry: HURRY,
        })
    }

    /// Puts what the sinks wrote in line and empties their buffers. It waits while too much is in line for
    /// stdout. If it is cancelled nothing is lost: the rest goes with the next call or the last.
    pub async fn send(&mut self, buffers: &mut Buffers) {
        let has_messages = !buffers.err.is_empty();
        self.say(&buffers.err);
        buffers.err.clear();
        self.pending.extend_from_slice(&buffers.out);
        buffers.out.clear();
        if self.pending.is_empty() {
            return;
        }
        let shared = self.out.shared();
        while shared.waiting() >= WAITING && !shared.has_ended() {
            shared.moved.notified().await;
        }
        // A banner stands before the first line of data.
        let after = has_messages.then_some(&self.err);
        self.out.push(self.pending.split().freeze(), after);
    }

    /// Puts a message in line for stderr.
    pub fn say(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if self.err.shared().waiting() + text.len() > MESSAGES {
            self.dropped += text.len();
            return;
        }
        if self.dropped > 0 {
            let note = format!("katrace: {} bytes of messages were dropped\n", self.dropped);
            self.dropped = 0;
            self.err.push(note.into(), None);
        }
        self.err.push(Bytes::copy_from_slice(text), None);
    }

    /// Resolves when stdout can be written to no more.
    pub async fn ended(&self) {
        self.out.shared().ended.notified().await;
    }

    /// Writes the last batch, then the last messages. It waits as long as the reader of stdout takes anything at
    /// all; a signal ends the wait, also one that has come already (`is_hurried`). A closed pipe is a quiet
    /// success.
    ///
    /// # Errors
    ///
    /// Writing failed for another reason than the reader having gone.
    pub async fn finish(
        self,
        buffers: &mut Buffers,
        stop: &mut Stop,
        is_hurried: bool,
    ) -> io::Result<Ended> {
        let hurry = async {
            if !is_hurried {
                stop.signal().await;
            }
        };
        self.finish_unless(buffers, hurry).await
    }

    async fn finish_unless(
        mut self,
        buffers: &mut Buffers,
        hurry: impl Future<Output = ()>,
    ) -> io::Result<Ended> {
        self.pending.extend_from_slice(&buffers.out);
        buffers.out.clear();
        self.out.push(self.pending.split().freeze(), None);
        self.out.close();
        let mut hurry = pin!(hurry);
        let out = self.out.shared();
        let is_hurried = drained_or(out, self.patience, self.hurry, hurry.as_mut()).await;
        let has_ended = out.has_ended();
        let unwritten = out.unwritten();
        // A thread that has written everything may not have ended yet.
        let is_complete = has_ended || unwritten.bytes == 0;
        if !is_complete {
            let note = format!(
                "katrace: output cut short: {} bytes in {} lines were not written\n",
                unwritten.bytes, unwritten.lines
            );
            buffers.err.extend_from_slice(note.as_bytes());
        }
        self.say(&buffers.err);
        buffers.err.clear();
        self.err.close();
        let err = self.err.shared();
        if is_hurried {
            drained_in_a_hurry(err, self.hurry).await;
        } else {
            drained_or(err, PATIENCE_FOR_MESSAGES, self.hurry, hurry).await;
        }
        match self.out.result() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ if is_complete => Ok(Ended::Complete),
            _ => Ok(Ended::CutShort),
        }
    }
}

/// Waits as [`drained`] does. When `signal` resolves, it waits no longer than `hurry` from then on; true if it did.
async fn drained_or(
    stream: &Shared,
    patience: Duration,
    hurry: Duration,
    signal: impl Future<Output = ()>,
) -> bool {
    tokio::select! {
        biased;
        () = drained(stream, patience) => return false,
        () = signal => {}
    }
    drained_in_a_hurry(stream, hurry).await;
    true
}

/// Gives a closed stream the time that is left after a second signal.
async fn drained_in_a_hurry(stream: &Shared, hurry: Duration) {
    // The caller looks whether it was long enough.
    let _ = tokio::time::timeout(hurry, drained(stream, hurry)).await;
}

/// Waits until a closed stream has taken everything, or has taken nothing for the time `patience`.
async fn drained(stream: &Shared, patience: Duration) {
    let mut written = stream.written();
    let mut since = Instant::now();
    while !stream.has_ended() {
        let left = patience.saturating_sub(since.elapsed());
        if left.is_zero() {
            return;
        }
        // Whichever comes first; both are looked at above.
        let _ = tokio::time::timeout(left, stream.moved.notified()).await;
        let now = stream.written();
        if now != written {
            (written, since) = (now, Instant::now());
        }
    }
}

/// Writes both buffers at once: first the data to stdout, then the messages to stderr. False when the reader
/// of stdout has gone, which is no error.
///
/// # Errors
///
/// Writing failed for another reason.
pub fn write(buffers: &mut Buffers) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(&buffers.out).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
        written => written?,
    }
    if !buffers.err.is_empty() {
        // If stderr is closed there is nobody to tell.
        let _ = io::stderr().write_all(&buffers.err);
        buffers.err.clear();
    }
    Ok(true)
}
