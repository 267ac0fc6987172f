//! The kernel half as seen from user space: opened, attached, and read as bytes.
//!
//! What leaves this room is raw records and counts; what they mean is `decode`'s to say.

mod attach;
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
mod walk;

use std::thread;

use aya::{
    Ebpf,
    maps::{Array, MapData, PerCpuArray, RingBuf},
};
use keepalive_ebpf::config::{Config, TRACKED_SOCKETS};
use tokio::io::unix::AsyncFd;

pub use self::{
    error::HostError, hooks::Attached, iterate::SocketIterator, kallsyms::names_of, memory::Memory,
};

use self::{
    attach::Programs, fill::Fill, functions::Functions, hooks::Plan, kallsyms::Search,
    layout::KernelTypes, memory::SharedEbpf, object::Shared, opened::Opened,
};
use crate::{
    event::{Attach, Hooks},
    settings::{AttachChoice, Scan, TraceSettings},
};

/// Records taken before the caller gets to act on them.
const BATCH: usize = 4096;

/// The kernel half, attached. Dropping it detaches every hook.
pub struct Source {
    ebpf: SharedEbpf,
    memory: Option<Memory>,
    ring: AsyncFd<RingBuf<MapData>>,
    drops: PerCpuArray<MapData, object::Drops>,
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
            map: "DROPS",
            source,
        })?;
        Ok(cpus
            .iter()
            .fold(Dropped::default(), |sum, Shared(cpu)| Dropped {
                lost: sum.lost + cpu.lost(),
                unheard: sum.unheard + cpu.unheard(),
                untracked: sum.untracked + cpu.0[keepalive_ebpf::wire::Drops::UNTRACKED],
            }))
    }
}

/// One way of attaching, tried whole.
struct Attempt<'a> {
    attach: Attach,
    settings: &'a TraceSettings,
    types: &'a KernelTypes,
    functions: &'a Functions<'a>,
    /// Also hook `tcp_write_err`, where it is a function of its own.
    write_err: bool,
}

impl Attempt<'_> {
    /// Loads and attaches everything this way, or nothing.
    fn open(&self, address: &mut Option<Search>) -> Result<Opened, HostError> {
        let Self {
            attach,
            settings,
            types,
            functions,
            write_err,
        } = *self;
        let mut config = Config {
            hz: preflight::hz(),
            ..Config::UNSET
        };
        types.apply(&mut config);
        filters::apply_events(&settings.events, &mut config);
        filters::apply(&settings.filters, &mut config);
        let address = match (attach, address.take()) {
            (Attach::Tracepoint, None) => Some(Search::start()?),
            (Attach::Tracepoint, started) => started,
            (Attach::Fentry | Attach::Kprobe, _) => None,
        };
        config.write_err_hooked = u32::from(write_err);

        let room = object::Room {
            ring_bytes: settings.ring_bytes,
            sockets: TRACKED_SOCKETS,
        };
        let mut ebpf = object::load(room, types, &config, settings.verbose)?;
        if settings.verbose {
            log::start(&mut ebpf)?;
        }
        filters::fill(&settings.filters, &mut ebpf)?;
        let mut attached = Attached {
            attach,
            reason: String::new(),
            hooks: Hooks::default(),
            missing: Vec::new(),
            hz: config.hz,
        };

        let mut timer = object::take::<Array<MapData, u64>>(&mut ebpf, "KEEPALIVE_FN")?;
        let mut programs = Programs::of(&mut ebpf);
        let mut others = programs.split_off(&["keepalive_", "noticed_", "passed_"]);
        let plan = Plan {
            attach,
            types,
            functions,
            write_err,
            noticed: settings.events.noticed,
        };
        // Alone: before 6.3 the kernel waits, at the first trampoline, for every task that is running
        // to stop once. That takes 38 ms, and over 140 ms while a program is being verified.
        attached.accept(&mut programs, &plan);
        // Two threads, since loading and attaching take most of the start.
        let (calls, passed) = thread::scope(|scope| {
            let other = scope.spawn(move || {
                attach::keepalive(&mut others, attach, functions)?;
                // No timer's function is 0, so until now the tracepoint found none to watch.
                tell_address(address, &mut timer)?;
                let calls = hooks::calls(&mut others, &plan);
                Ok((calls, hooks::passed(&mut others, &plan)))
            });
            attached.hook(&mut programs, &plan)?;
            other.join().unwrap_or(Err(HostError::Thread))
        })?;
        attached.watches(calls, passed);
        attached.hooks.keepalive = Some(match attach {
            Attach::Fentry => format!("fentry/fexit {}", attach::KEEPALIVE),
            Attach::Kprobe => format!("kprobe/kretprobe {}", attach::KEEPALIVE),
            Attach::Tracepoint => "timer:timer_expire_entry, timer:timer_expire_exit".into(),
        });
        let iterates = self.scan(&mut ebpf, &mut attached)?;
        Ok(Opened {
            ebpf,
            attached,
            iterates,
        })
    }
}

impl Attempt<'_> {
    /// Decides how descriptors are read; true for the kernel's own walk.
    fn scan(&self, ebpf: &mut Ebpf, attached: &mut Attached) -> Result<bool, HostError> {
        let load = match (self.settings.scan, self.attach) {
            (Scan::Iter, _) => true,
            (Scan::Proc, _) => false,
            // For kernels that refuse tracing programs, and tested as it runs there.
            (Scan::Auto, attach) => attach != Attach::Tracepoint,
        };
        let iterates = match (load, self.settings.scan) {
            (false, _) => false,
            (true, Scan::Iter) => walk::load(ebpf, self.functions).map(|()| true)?,
            (true, Scan::Auto | Scan::Proc) => walk::load(ebpf, self.functions).is_ok(),
        };
        let way = if iterates { "iter/task_file" } else { "/proc" };
        attached.hooks.holders = Some(way.into());
        Ok(iterates)
    }
}

/// What the tracepoint that fires for every timer compares with.
fn tell_address(search: Option<Search>, map: &mut Array<MapData, u64>) -> Result<(), HostError> {
    let Some(search) = search else { return Ok(()) };
    map.set(0, search.finish()?, 0)
        .map_err(|source| HostError::Map {
            map: "KEEPALIVE_FN",
            source,
        })
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
