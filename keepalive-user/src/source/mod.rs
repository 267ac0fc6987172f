//! The kernel half as seen from user space: opened, attached, and read as bytes.
//!
//! What leaves this room is raw records and counts; what they mean is `decode`'s to say.

mod attach;
mod attempt;
pub mod btf;
mod error;
mod fill;
mod filters;
mod functions;
mod hooks;
mod iterate;
mod kallsyms;
mod layout;
mod log;
mod memory;
mod object;
mod opened;
pub mod preflight;
mod twins;
mod walk;

use std::thread;

use aya::maps::{MapData, PerCpuArray, RingBuf};
use tokio::io::unix::AsyncFd;

pub use self::{
    error::HostError, hooks::Attached, iterate::SocketIterator, kallsyms::names_of, memory::Memory,
};

use self::{
    attempt::Attempt, fill::Fill, functions::Functions, kallsyms::Search, layout::KernelTypes,
    memory::SharedEbpf, object::Shared,
};
use crate::{
    event::Attach,
    settings::{AttachChoice, TraceSettings},
};

/// Records taken before the caller gets to act on them.
const BATCH: usize = 4096;

/// The kernel half, attached. Dropping it detaches every hook.
pub struct Source {
    ebpf: SharedEbpf,
    memory: Option<Memory>,
    ring: AsyncFd<RingBuf<MapData>>,
    drops: PerCpuArray<MapData, object::Losses>,
    /// Only where `--stats` asks for it.
    fill: Option<Fill>,
    ring_bytes: u32,
    pub attached: Attached,
}

/// One reading of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    pub records: usize,
    /// The ring was seen empty; otherwise the batch was full and there may be more.
    pub emptied: bool,
}

/// Counts the kernel half keeps of what it could not do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Records that found no room in the ring.
    pub lost: u64,
    /// Notices of changes among holders that found no room in the ring.
    pub unheard: u64,
    /// Sockets and processes that found no room in a table.
    pub untracked: u64,
}

impl Source {
    /// Asks this kernel what it allows, and attaches.
    ///
    /// # Errors
    ///
    /// The host refuses: see [`HostError`].
    pub fn open(settings: &TraceSettings) -> Result<Self, HostError> {
        preflight::privileges()?;
        preflight::lift_memlock();
        // The slow readings of the start go side by side.
        let mut address = match settings.attach {
            AttachChoice::Only(Attach::Tracepoint) => Some(Search::start()?),
            AttachChoice::Only(_) | AttachChoice::Auto => None,
        };
        let types = KernelTypes::of_this_kernel()?;
        filters::check(&settings.filters, &types)?;
        // Needed for the first trampoline, after everything else: another CPU reads it until then.
        let functions = Functions::of(&types.functions);

        let candidates: &[Attach] = match &settings.attach {
            AttachChoice::Auto => &[Attach::Fentry, Attach::Kprobe, Attach::Tracepoint],
            AttachChoice::Only(attach) => std::slice::from_ref(attach),
        };
        let mut refused: Vec<(Attach, HostError)> = Vec::new();
        let opened = thread::scope(|scope| {
            if candidates != [Attach::Tracepoint] {
                scope.spawn(|| functions.read());
            }
            for attach in candidates {
                let mut attempt = Attempt {
                    attach: *attach,
                    settings,
                    types: &types,
                    functions: &functions,
                    // Trampolines and kprobes can say for sure which deaths are timeouts.
                    write_err: types.has_write_err && *attach != Attach::Tracepoint,
                };
                let mut result = attempt.open(&mut address);
                if result.is_err() && attempt.write_err {
                    attempt.write_err = false;
                    result = attempt.open(&mut address);
                }
                match result {
                    Ok(opened) => return Some(opened),
                    Err(error) => refused.push((*attach, error)),
                }
            }
            None
        });
        // Megabytes, and the ring is about to take some: both at once would be the most ever used.
        drop(functions);
        if let Some(opened) = opened {
            return opened.watch(settings, reason(settings.attach, &refused));
        }
        if refused.len() == 1
            && let Some((_, only)) = refused.pop()
        {
            return Err(only);
        }
        Err(HostError::NoBackend {
            refusals: refusals(&refused),
            advice: refused
                .last()
                .map(|(_, error)| error.advice())
                .unwrap_or_default(),
            verifier_log: refused.iter().find_map(|(_, error)| error.verifier_log()),
        })
    }

    /// Attaches what guards against the kernel's skipping programs; once, when all else is done.
    ///
    /// # Errors
    ///
    /// The kernel refuses a second program where it took the first.
    pub fn attach_twins(&self) -> Result<(), HostError> {
        self.ebpf
            .borrow_mut()
            .as_mut()
            .map_or(Ok(()), twins::attach)
    }

    /// The kernel half's memory of processes; once.
    pub fn take_memory(&mut self) -> Option<Memory> {
        self.memory.take()
    }

    /// Waits until the ring holds something, then hands records to `each` until it is empty or a
    /// batch is full: under a flood the caller must get to write, and to hear a signal.
    ///
    /// # Errors
    ///
    /// The ring's descriptor can no longer be waited for.
    pub async fn drain(&mut self, each: impl FnMut(&[u8])) -> Result<Drained, HostError> {
        let mut ready = self
            .ring
            .readable_mut()
            .await
            .map_err(|source| HostError::Io {
                operation: "waiting for the ring",
                source,
            })?;
        if let Some(fill) = &mut self.fill {
            fill.look();
        }
        let records = take(ready.get_inner_mut(), BATCH, each);
        let emptied = records < BATCH;
        if emptied {
            // After the ring was seen empty: what came since makes it ready again.
            ready.clear_ready();
        }
        Ok(Drained { records, emptied })
    }

    /// Detaches every hook, then hands over what the ring still holds.
    pub fn finish(&mut self, each: impl FnMut(&[u8])) {
        drop(self.ebpf.take());
        // Nothing is written any more, so this ends.
        take(self.ring.get_mut(), usize::MAX, each);
    }

    /// Runs of katrace's programs that the kernel skipped because the same program was already
    /// running on that CPU; `None` before 5.12, which does not count them. Only while attached.
    pub fn skipped(&self) -> Option<u64> {
        self.ebpf
            .borrow()
            .as_ref()?
            .programs()
            .filter_map(|(_, program)| attach::skipped(program))
            .reduce(|sum, skipped| sum + skipped)
    }

    /// What the kernel half could not deliver or follow since the start.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    pub fn dropped(&self) -> Result<Dropped, HostError> {
        let cpus = self.drops.get(&0, 0).map_err(|source| HostError::Map {
            map: "LOSSES",
            source,
        })?;
        Ok(cpus
            .iter()
            .fold(Dropped::default(), |sum, Shared(cpu)| Dropped {
                lost: sum.lost + cpu.lost(),
                unheard: sum.unheard + cpu.unheard(),
                untracked: sum.untracked + cpu.untracked(),
            }))
    }
}

/// Hands over at most `most` records and counts them; fewer means that the ring was seen empty.
fn take(ring: &mut RingBuf<MapData>, most: usize, mut each: impl FnMut(&[u8])) -> usize {
    for taken in 0..most {
        match ring.next() {
            Some(record) => each(&record),
            None => return taken,
        }
    }
    most
}

fn reason(choice: AttachChoice, refused: &[(Attach, HostError)]) -> String {
    match choice {
        AttachChoice::Only(_) => "asked for".into(),
        AttachChoice::Auto if refused.is_empty() => "first choice, allowed here".into(),
        AttachChoice::Auto => refusals(refused),
    }
}

fn refusals(refused: &[(Attach, HostError)]) -> String {
    refused
        .iter()
        .map(|(attach, error)| format!("{} refused: {error}", attach.name()))
        .collect::<Vec<_>>()
        .join("; ")
}
