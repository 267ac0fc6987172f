//! Writing what the sinks formatted, on a thread of its own: a reader that stops reading must not
//! stop the ring from being drained into it, nor a signal from being heard.

use std::{
    io::{self, Write},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, mpsc};

use crate::sinks::Buffers;

/// Batches that may wait for a slow reader before the ring has to hold them.
const WAITING: usize = 64;
/// How long the last batches may take at the end.
const GRACE: Duration = Duration::from_secs(2);

/// Both of the program's outputs.
pub struct Output {
    batches: Option<mpsc::Sender<Bytes>>,
    writer: JoinHandle<io::Result<()>>,
    ended: Arc<Notify>,
    /// What the writer has not taken yet.
    pending: BytesMut,
}

impl Output {
    /// Starts the writer.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn start() -> io::Result<Self> {
        let (batches, mut waiting) = mpsc::channel::<Bytes>(WAITING);
        let ended = Arc::new(Notify::new());
        let tell = ended.clone();
        let writer = std::thread::Builder::new()
            .name("katrace-out".into())
            .spawn(move || {
                let mut stdout = io::stdout().lock();
                let mut write = || -> io::Result<()> {
                    while let Some(batch) = waiting.blocking_recv() {
                        stdout.write_all(&batch)?;
                        stdout.flush()?;
                    }
                    Ok(())
                };
                let result = write();
                tell.notify_one();
                result
            })?;
        Ok(Self {
            batches: Some(batches),
            writer,
            ended,
            pending: BytesMut::new(),
        })
    }

    /// Sends what the sinks wrote and empties their buffers; waits when the reader is slow. Given up
    /// half-way it loses nothing: what was not sent goes out with the next call or the last.
    pub async fn send(&mut self, buffers: &mut Buffers) {
        to_stderr(buffers);
        self.pending.extend_from_slice(&buffers.out);
        buffers.out.clear();
        if self.pending.is_empty() {
            return;
        }
        if let Some(batches) = &self.batches
            // A writer that has ended says why in `finish`.
            && let Ok(place) = batches.reserve().await
        {
            place.send(self.pending.split().freeze());
        }
    }

    /// Resolves when the writer can write no more.
    pub async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Sends the last batch and waits for the writer, but not for ever. A closed pipe is a quiet
    /// success.
    ///
    /// # Errors
    ///
    /// Writing failed for another reason than the reader having gone.
    pub fn finish(mut self, buffers: &mut Buffers) -> io::Result<()> {
        to_stderr(buffers);
        let deadline = Instant::now() + GRACE;
        self.pending.extend_from_slice(&buffers.out);
        let mut last = Some(self.pending.split().freeze());
        while let (Some(batches), Some(batch)) = (&self.batches, last.take()) {
            match batches.try_send(batch) {
                Err(mpsc::error::TrySendError::Full(batch)) if Instant::now() < deadline => {
                    last = Some(batch);
                    std::thread::sleep(Duration::from_millis(10));
                }
                _ => {}
            }
        }
        self.batches = None;
        while !self.writer.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if !self.writer.is_finished() {
            return Ok(());
        }
        match self.writer.join() {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}

/// Writes all of it at once: data, then what is said about it. False when the reader has gone, which
/// is no fault.
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
    to_stderr(buffers);
    Ok(true)
}

fn to_stderr(buffers: &mut Buffers) {
    if !buffers.err.is_empty() {
        // If stderr is closed there is nobody to tell.
        let _ = io::stderr().write_all(&buffers.err);
        buffers.err.clear();
    }
}
