//! The ring of records.

use std::{io, os::fd::AsRawFd};

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use tokio::{
    io::{
        Interest,
        unix::{AsyncFd, AsyncFdReadyMutGuard},
    },
    task::yield_now,
};

use super::fill::Fill;
use crate::source::{error::HostError, load::object};

/// The most records of one reading. Between two readings the caller writes and hears signals.
const BATCH: usize = 4096;

/// The ring, mapped and waited for.
pub struct Ring {
    ring: AsyncFd<RingBuf<MapData>>,
    bytes: u32,
    /// The last reading saw the ring empty.
    was_emptied: bool,
    /// `None` where the kernel does not let it be seen.
    fill: Option<Fill>,
}

/// What one reading of the ring gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Records handed over.
    pub records: usize,
    /// The ring was empty at the end. Otherwise the batch was full, and there may be more.
    pub emptied: bool,
}

impl Ring {
    /// Takes the ring out of the object and waits for it from now on. `bytes` is its size.
    ///
    /// # Errors
    ///
    /// The ring cannot be mapped, or not be waited for.
    pub fn take(ebpf: &mut Ebpf, bytes: u32) -> Result<Self, HostError> {
        let ring = object::take::<RingBuf<MapData>>(ebpf, "EVENTS")?;
        Ok(Self {
            fill: Fill::of(&ring).ok(),
            ring: wait_for(ring, "registering the ring for waiting")?,
            bytes,
            was_emptied: true,
        })
    }

    /// Waits until the ring holds something. Then hands records to `each` until the ring is empty or
    /// the batch is full.
    ///
    /// # Errors
    ///
    /// The ring's descriptor can no longer be waited for.
    pub async fn drain(&mut self, each: impl FnMut(&[u8])) -> Result<Drained, HostError> {
        let mut ready = next(&mut self.ring, self.was_emptied)
            .await
            .map_err(|source| HostError::Io {
                operation: "waiting for the ring",
                source,
            })?;
        if let Some(fill) = &mut self.fill {
            fill.look();
        }
        let records = hand_over(ready.get_inner_mut(), BATCH, each);
        let emptied = records < BATCH;
        if emptied {
            // Only after the ring was seen empty: a record that comes later makes it ready again.
            ready.clear_ready();
        }
        self.was_emptied = emptied;
        Ok(Drained { records, emptied })
    }

    /// Hands over what the ring holds, up to a full batch. Does not wait.
    pub fn drain_now(&mut self, each: impl FnMut(&[u8])) -> Drained {
        let records = hand_over(self.ring.get_mut(), BATCH, each);
        Drained {
            records,
            emptied: records < BATCH,
        }
    }

    /// Whether the ring is less than half full. False if that is not known.
    pub fn has_room(&self) -> bool {
        let used = self.fill.as_ref().map(Fill::used);
        used.is_some_and(|used| used < self.bytes as usize / 2)
    }

    /// Hands over all that is left, once nothing is attached any more. While programs write, it might
    /// not end.
    pub fn drain_rest(&mut self, each: impl FnMut(&[u8])) {
        hand_over(self.ring.get_mut(), usize::MAX, each);
    }

    /// The most bytes of the ring that were in use when it was read, and its size in bytes. `None`
    /// where the kernel does not let it be seen.
    pub fn most_filled(&self) -> Option<(usize, u32)> {
        Some((self.fill.as_ref()?.most(), self.bytes))
    }
}

/// Waits until the descriptor is ready. One that was not emptied is ready at once, and then tokio would neither
/// hear signals nor look at the clock for as long as it is filled faster than it is read: so those come first.
async fn next<T: AsRawFd>(
    fd: &mut AsyncFd<T>,
    was_emptied: bool,
) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
    if !was_emptied {
        yield_now().await;
    }
    fd.readable_mut().await
}

/// Hands over at most `most` records and counts them. Fewer means that the ring was seen empty.
fn hand_over(ring: &mut RingBuf<MapData>, most: usize, mut each: impl FnMut(&[u8])) -> usize {
    for taken in 0..most {
        match ring.next() {
            Some(record) => each(&record),
            None => return taken,
        }
    }
    most
}

/// Registers a descriptor with tokio.
///
/// # Errors
///
/// The kernel or tokio refuses to wait for it.
pub fn wait_for<T: AsRawFd>(ring: T, operation: &'static str) -> Result<AsyncFd<T>, HostError> {
    // SAFETY: the descriptor belongs to `ring`, which moves into the result and is never replaced
    // there, so it stays open for as long as it is registered.
    unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }.map_err(|error| {
        HostError::Io {
            operation,
            source: error.into(),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Write, pipe},
        time::{Duration, Instant},
    };

    use super::*;
    use crate::stop::at;

    #[test]
    fn a_ring_that_is_never_empty_lets_the_clock_be_heard() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(async {
            let (reader, mut writer) = pipe().unwrap();
            writer.write_all(b"it stays").unwrap();
            let mut fd = wait_for(reader, "registering").unwrap();
            let due = Instant::now() + Duration::from_millis(1);
            let mut batches: u64 = 0;
            loop {
                tokio::select! {
                    biased;
                    () = at(Some(due)) => break,
                    ready = next(&mut fd, batches == 0) => drop(ready.unwrap()),
                }
                batches += 1;
                assert!(batches < 1_000_000, "the clock was not looked at");
            }
        });
    }
}
