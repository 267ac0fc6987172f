//! Loading the kernel half's programs and attaching them, by trying.

use std::{
    collections::HashMap,
    os::fd::{AsFd, AsRawFd},
};

use aya::{
    Ebpf,
    programs::{FEntry, FExit, KProbe, Program, ProgramError, ProgramFd, RawTracePoint},
};

use super::{error::HostError, functions::Functions, process_tables};
use crate::event::Attach;

/// The function whose expiries are watched.
pub const KEEPALIVE: &str = "tcp_keepalive_timer";
const WRITE_ERR: &str = "tcp_write_err";

/// The kernel half's programs by name.
pub struct Programs<'a>(HashMap<&'a str, &'a mut Program>);

impl<'a> Programs<'a> {
    pub fn of(ebpf: &'a mut Ebpf) -> Self {
        Self(ebpf.programs_mut().collect())
    }

    /// Those whose names begin so, for another thread.
    pub fn split_off(&mut self, prefixes: &[&str]) -> Self {
        let is_wanted = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
        Self(self.0.extract_if(|name, _| is_wanted(name)).collect())
    }
}

/// Attaches both ends of the keepalive timer. The exit first: an exit without its entry is ignored,
/// and an entry without its exit would go unseen.
pub fn keepalive(
    programs: &mut Programs<'_>,
    attach: Attach,
    functions: &Functions<'_>,
) -> Result<(), HostError> {
    match attach {
        Attach::Fentry => {
            fexit(programs, "keepalive_fexit", KEEPALIVE, functions)?;
            fentry(programs, "keepalive_fentry", KEEPALIVE, functions)
        }
        Attach::Kprobe => {
            kprobe(programs, "keepalive_kretprobe", KEEPALIVE)?;
            kprobe(programs, "keepalive_kprobe", KEEPALIVE)
        }
        Attach::Tracepoint => {
            raw_tracepoint(programs, "keepalive_expire_exit", "timer_expire_exit")?;
            raw_tracepoint(programs, "keepalive_expire_entry", "timer_expire_entry")
        }
    }
}

/// Attaches to `tcp_write_err` itself.
pub fn write_err(
    programs: &mut Programs<'_>,
    attach: Attach,
    functions: &Functions<'_>,
) -> Result<(), HostError> {
    match attach {
        Attach::Fentry => fentry(programs, "write_err_fentry", WRITE_ERR, functions),
        Attach::Kprobe | Attach::Tracepoint => kprobe(programs, "write_err_kprobe", WRITE_ERR),
    }
}

/// A program on a kernel function, by trampoline.
#[derive(Clone, Copy, Debug)]
pub enum Trampoline {
    Entry,
    Return,
}

/// Attaches a program to a kernel function's entry or return.
pub fn trampoline(
    programs: &mut Programs<'_>,
    which: Trampoline,
    name: &'static str,
    function: &str,
    functions: &Functions<'_>,
) -> Result<(), HostError> {
    match which {
        Trampoline::Entry => fentry(programs, name, function, functions),
        Trampoline::Return => fexit(programs, name, function, functions),
    }
}

/// Finds, loads and attaches one program of a type; aya's types share no trait for it.
macro_rules! hook {
    ($programs:expr, $name:expr, $type:ty, load($($load:expr),*) $(, attach($($attach:expr),*))?) => {{
        let failed = |operation| {
            move |source| HostError::Program { operation, program: $name, source }
        };
        let program: &mut $type = find($programs, $name)?;
        program.load($($load),*).map_err(failed("loading"))?;
        $(program.attach($($attach),*).map_err(failed("attaching"))?;)?
        Ok(())
    }};
}

/// Attaches a program to a tracepoint, without tracefs.
pub fn raw_tracepoint(
    programs: &mut Programs<'_>,
    name: &'static str,
    tracepoint: &str,
) -> Result<(), HostError> {
    hook!(programs, name, RawTracePoint, load(), attach(tracepoint))
}

fn fentry(
    programs: &mut Programs<'_>,
    name: &'static str,
    function: &str,
    functions: &Functions<'_>,
) -> Result<(), HostError> {
    hook!(
        programs,
        name,
        FEntry,
        load(function, functions.read()?),
        attach()
    )
}

fn fexit(
    programs: &mut Programs<'_>,
    name: &'static str,
    function: &str,
    functions: &Functions<'_>,
) -> Result<(), HostError> {
    hook!(
        programs,
        name,
        FExit,
        load(function, functions.read()?),
        attach()
    )
}

fn kprobe(
    programs: &mut Programs<'_>,
    name: &'static str,
    function: &str,
) -> Result<(), HostError> {
    hook!(programs, name, KProbe, load(), attach(function, 0))
}

/// Loads a program for a kernel function's entry, to be attached later.
pub fn load_entry(
    programs: &mut Programs<'_>,
    name: &'static str,
    function: &str,
    functions: &Functions<'_>,
) -> Result<(), HostError> {
    hook!(programs, name, FEntry, load(function, functions.read()?))
}

/// Loads the program that writes down for user space which processes it names. User space runs it,
/// and no hook.
pub fn load_writer(ebpf: &mut Ebpf) -> Result<ProgramFd, HostError> {
    const WRITER: &str = process_tables::WRITER;
    let failed = |operation| {
        move |source| HostError::Program {
            operation,
            program: WRITER,
            source,
        }
    };
    let mut programs = Programs::of(ebpf);
    let program: &mut RawTracePoint = find(&mut programs, WRITER)?;
    program.load().map_err(failed("loading"))?;
    let fd = program.fd().map_err(failed("loading"))?;
    fd.try_clone()
        .map_err(|error| failed("duplicating the descriptor of")(ProgramError::IOError(error)))
}

/// How often the kernel skipped a loaded program, as its descriptor tells.
pub fn skipped(program: &Program) -> Option<u64> {
    let fd = program.fd().ok()?.as_fd().as_raw_fd();
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"))?
        .trim()
        .parse()
        .ok()
}

/// A program as one of its type.
pub fn find<'p, T>(
    programs: &'p mut Programs<'_>,
    name: &'static str,
) -> Result<&'p mut T, HostError>
where
    &'p mut T: TryFrom<&'p mut Program, Error = ProgramError>,
{
    let program = programs.0.get_mut(name).ok_or(HostError::Object(name))?;
    (&mut **program)
        .try_into()
        .map_err(|source| HostError::Program {
            operation: "finding",
            program: name,
            source,
        })
}
