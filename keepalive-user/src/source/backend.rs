//! The choice of a backend: each is tried whole, from the object to the last hook, until the kernel
//! takes one.

use std::thread;

use aya::{
    Ebpf,
    maps::{Array, MapData},
};
use keepalive_ebpf::wire::config::{Config, TRACKED_SOCKETS};

use super::{
    attach::{Plan, attached::Attached, hook::Hook, order, reentrancy_guards},
    error::HostError,
    kernel_info::{functions::Functions, kallsyms::Search, layout::KernelTypes, preflight},
    load::{
        self, filters,
        loader::{Globals, Loader, MapSizes},
        object,
    },
    read::{
        fd_iter::FdIterator,
        log,
        process_tables::{self, Loaded},
    },
};
use crate::{
    event::{Attach, EventKind},
    settings::{AttachChoice, Scan, TraceSettings},
};

/// The map that holds the address of the keepalive timer's function.
const FUNCTION_MAP: &str = "KEEPALIVE_FN";

/// A backend that the kernel took.
pub struct Backend {
    /// Its programs; dropping them detaches every hook.
    pub ebpf: Ebpf,
    /// What is watched.
    pub attached: Attached,
    /// The hooks whose guards are still to be attached.
    pub guarded: Vec<&'static Hook>,
    /// What is loaded for the tables of processes.
    pub loaded: Loaded,
}

/// Tries the backends of the user's choice.
///
/// # Errors
///
/// A privilege or a type is missing, or the kernel refuses every backend.
pub fn open(settings: &TraceSettings) -> Result<Backend, HostError> {
    // Making a loader is fast only before any thread is started; `load/loader.rs` says why.
    let loader = Loader::new()?;
    preflight::privileges()?;
    preflight::lift_memlock();
    // The slow readings of the start run on several threads.
    let search = match settings.attach {
        AttachChoice::Only(Attach::Tracepoint) => Some(Search::start()?),
        AttachChoice::Only(_) | AttachChoice::Auto => None,
    };
    let types = KernelTypes::of_this_kernel()?;
    filters::check(&settings.filters, &types)?;
    let config = config(settings, &types);
    let functions = Functions::of(&types.functions);
    let candidates: &[Attach] = match &settings.attach {
        AttachChoice::Auto => &[Attach::Fentry, Attach::Kprobe, Attach::Tracepoint],
        AttachChoice::Only(attach) => std::slice::from_ref(attach),
    };
    thread::scope(|scope| {
        if candidates != [Attach::Tracepoint] {
            // The first trampoline needs this, and that comes late. Until then another CPU can read it.
            scope.spawn(|| functions.read());
        }
        let globals = [false, true].map(|write_err| {
            let write_err_hooked = u32::from(write_err);
            let config = Config {
                write_err_hooked,
                ..config
            };
            Globals::of(&types, config, settings.verbose)
        });
        let attempts = Attempts {
            settings,
            types: &types,
            functions: &functions,
            globals: &globals,
            loader,
            search,
        };
        attempts.first_taken(candidates)
    })
}

fn config(settings: &TraceSettings, types: &KernelTypes) -> Config {
    let mut config = load::config(types, &settings.filters);
    filters::apply_events(&settings.events, &mut config);
    config
}

/// What every attempt needs.
struct Attempts<'a> {
    settings: &'a TraceSettings,
    types: &'a KernelTypes,
    functions: &'a Functions<'a>,
    /// Without the hook of `tcp_write_err`, and with it.
    globals: &'a [Globals; 2],
    loader: Loader<'a>,
    /// The search for the address that the tracepoint backend needs, if it was started already.
    search: Option<Search>,
}

impl Attempts<'_> {
    fn first_taken(mut self, candidates: &[Attach]) -> Result<Backend, HostError> {
        let mut refused: Vec<(Attach, HostError)> = Vec::new();
        for attach in candidates {
            match self.with_or_without_write_err(*attach) {
                Ok(mut backend) => {
                    backend.attached.reason = reason(self.settings.attach, &refused);
                    return Ok(backend);
                }
                Err(error) => refused.push((*attach, error)),
            }
        }
        Err(all_refused(refused))
    }

    /// Trampolines and kprobes can say for sure which deaths are timeouts, where the kernel has the
    /// function and takes the hook.
    fn with_or_without_write_err(&mut self, attach: Attach) -> Result<Backend, HostError> {
        if self.types.has_write_err
            && attach != Attach::Tracepoint
            && let Ok(backend) = self.attempt(attach, true)
        {
            return Ok(backend);
        }
        self.attempt(attach, false)
    }

    /// Loads and attaches everything of one backend, or nothing.
    fn attempt(&mut self, attach: Attach, write_err: bool) -> Result<Backend, HostError> {
        let search = self.search_for(attach)?;
        let mut ebpf = self.load(write_err)?;
        let plan = Plan {
            attach,
            types: self.types,
            functions: self.functions,
            write_err,
            noticed: self.settings.events.has(EventKind::Noticed),
        };
        let mut function = object::take::<Array<MapData, u64>>(&mut ebpf, FUNCTION_MAP)?;
        // No timer's function is 0, so until then the tracepoint finds no timer to watch.
        let set_function = move || set_address(search, &mut function);
        let outcomes = order::attach(&mut ebpf, &plan, set_function)?;
        let guarded = reentrancy_guards::guarded(&outcomes);
        let mut attached = Attached::of(outcomes, &plan, String::new(), preflight::hz());
        let descriptors = self.fd_iterator(attach, &mut ebpf)?;
        attached.hooks.holders = Some(match descriptors {
            Some(_) => "iter/task_file".into(),
            None => "/proc".into(),
        });
        let writer = match attach {
            // Where the program cannot be had, user space writes the table itself.
            Attach::Kprobe => process_tables::load_writer(&mut ebpf).ok(),
            Attach::Fentry | Attach::Tracepoint => None,
        };
        Ok(Backend {
            ebpf,
            attached,
            guarded,
            loaded: Loaded {
                descriptors,
                writer,
            },
        })
    }

    /// The search for the address that the backend compares with, if it needs one.
    fn search_for(&mut self, attach: Attach) -> Result<Option<Search>, HostError> {
        match (attach, self.search.take()) {
            (Attach::Tracepoint, None) => Search::start().map(Some),
            (Attach::Tracepoint, started) => Ok(started),
            (Attach::Fentry | Attach::Kprobe, _) => Ok(None),
        }
    }

    /// The object with its settings, and nothing attached.
    fn load(&mut self, write_err: bool) -> Result<Ebpf, HostError> {
        let sizes = MapSizes {
            ring_bytes: self.settings.ring_bytes,
            sockets: TRACKED_SOCKETS,
        };
        let [without, with] = self.globals;
        let globals = if write_err { with } else { without };
        let mut ebpf = self.loader.load(sizes, globals)?;
        if self.settings.verbose {
            log::start(&mut ebpf)?;
        }
        filters::fill(&self.settings.filters, &mut ebpf)?;
        Ok(ebpf)
    }

    /// The iterator over descriptors; `None` where they are read from /proc.
    fn fd_iterator(
        &self,
        attach: Attach,
        ebpf: &mut Ebpf,
    ) -> Result<Option<FdIterator>, HostError> {
        match (self.settings.scan, attach) {
            (Scan::Iter, _) => FdIterator::load(ebpf, self.functions).map(Some),
            // The tracepoint backend is for kernels that refuse tracing programs. It uses none on other
            // kernels either, so it behaves the same everywhere.
            (Scan::Proc, _) | (Scan::Auto, Attach::Tracepoint) => Ok(None),
            (Scan::Auto, _) => Ok(FdIterator::load(ebpf, self.functions).ok()),
        }
    }
}

/// Tells the tracepoint that fires for every timer which one to watch.
fn set_address(search: Option<Search>, map: &mut Array<MapData, u64>) -> Result<(), HostError> {
    let Some(search) = search else { return Ok(()) };
    map.set(0, search.finish()?, 0)
        .map_err(HostError::map("writing", FUNCTION_MAP))
}

fn reason(choice: AttachChoice, refused: &[(Attach, HostError)]) -> String {
    match choice {
        AttachChoice::Only(_) => "asked for".into(),
        AttachChoice::Auto if refused.is_empty() => "first choice, allowed here".into(),
        AttachChoice::Auto => refusals(refused),
    }
}

/// The error where no backend was taken.
fn all_refused(mut refused: Vec<(Attach, HostError)>) -> HostError {
    if refused.len() == 1
        && let Some((_, only)) = refused.pop()
    {
        return only;
    }
    HostError::NoBackend {
        refusals: refusals(&refused),
        advice: refused
            .last()
            .map(|(_, error)| error.advice())
            .unwrap_or_default(),
        verifier_log: refused.iter().find_map(|(_, error)| error.verifier_log()),
    }
}

fn refusals(refused: &[(Attach, HostError)]) -> String {
    refused
        .iter()
        .map(|(attach, error)| format!("{} refused: {error}", attach.name()))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_is_its_own_error_and_several_are_listed() {
        let one = vec![(Attach::Kprobe, HostError::NoAddress)];
        assert!(matches!(all_refused(one), HostError::NoAddress));
        let two = vec![
            (Attach::Fentry, HostError::NoTrampolines),
            (Attach::Tracepoint, HostError::NoAddress),
        ];
        let error = all_refused(two);
        let text = error.to_string();
        assert!(text.contains("fentry refused: "), "{text}");
        assert!(text.contains("; tracepoint refused: "), "{text}");
        // The last backend needs the least, so its advice helps most.
        assert_eq!(error.advice(), HostError::NoAddress.advice());
    }
}
