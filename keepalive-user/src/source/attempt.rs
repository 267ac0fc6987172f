//! One way of attaching, from the object to the last hook.

use std::thread;

use aya::{
    Ebpf,
    maps::{Array, MapData},
};
use keepalive_ebpf::wire::config::{Config, TRACKED_SOCKETS};

use super::{
    attach::{self, Programs},
    error::HostError,
    filters,
    functions::Functions,
    hooks::{self, Attached, Plan},
    kallsyms::Search,
    layout::KernelTypes,
    log,
    memory::Loaded,
    object,
    opened::Opened,
    preflight, walk,
};
use crate::{
    event::{Attach, Hooks},
    settings::{Scan, TraceSettings},
};

/// One way of attaching, tried whole.
pub(super) struct Attempt<'a> {
    pub attach: Attach,
    pub settings: &'a TraceSettings,
    pub types: &'a KernelTypes,
    pub functions: &'a Functions<'a>,
    /// Also hook `tcp_write_err`, where it is a function of its own.
    pub write_err: bool,
}

impl Attempt<'_> {
    /// Loads and attaches everything this way, or nothing.
    pub fn open(&self, address: &mut Option<Search>) -> Result<Opened, HostError> {
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
        let mut first = programs.split_off(&["accept_"]);
        let mut others = programs.split_off(&["keepalive_", "noticed_"]);
        let plan = Plan {
            attach,
            types,
            functions,
            write_err,
            noticed: settings.events.noticed,
        };
        // Two threads, since loading and attaching take most of the start. The first trampoline beside
        // short programs only: before 6.3 the kernel waits, at that one, for every task that is running
        // to stop once. That takes 38 ms, and over 140 ms while a long program is being verified.
        thread::scope(|scope| {
            let accept = scope.spawn(move || hooks::accept(&mut first, &plan));
            attached.lifetimes(&mut programs)?;
            attached.accepts(accept.join().unwrap_or(Err(HostError::Thread)));
            Ok::<(), HostError>(())
        })?;
        let calls = thread::scope(|scope| {
            let other = scope.spawn(move || {
                attach::keepalive(&mut others, attach, functions)?;
                // No timer's function is 0, so until now the tracepoint found none to watch.
                tell_address(address, &mut timer)?;
                Ok(hooks::calls(&mut others, &plan))
            });
            attached.hook(&mut programs, &plan)?;
            let getsockopt = hooks::getsockopt(&mut programs, &plan);
            let calls = other.join().unwrap_or(Err(HostError::Thread))?;
            Ok::<_, HostError>(calls.and(getsockopt))
        })?;
        attached.calls(calls, &plan);
        attached.hooks.keepalive = Some(match attach {
            Attach::Fentry => format!("fentry/fexit {}", attach::KEEPALIVE),
            Attach::Kprobe => format!("kprobe/kretprobe {}", attach::KEEPALIVE),
            Attach::Tracepoint => "timer:timer_expire_entry, timer:timer_expire_exit".into(),
        });
        let loaded = Loaded {
            walk: self.scan(&mut ebpf, &mut attached)?,
            // Where it cannot be had, the table is written from here.
            writer: attach == Attach::Kprobe && attach::load_writer(&mut ebpf).is_ok(),
        };
        Ok(Opened {
            ebpf,
            attached,
            loaded,
        })
    }

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
