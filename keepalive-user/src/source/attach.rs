//! Loading the kernel half's programs and attaching them, by trying.

use std::sync::OnceLock;

use aya::{
    Btf, BtfError, Ebpf, Endianness,
    programs::{FEntry, FExit, KProbe, Program, ProgramError, RawTracePoint},
};

use super::error::HostError;
use crate::event::Attach;

/// The function whose expiries are watched.
pub const KEEPALIVE: &str = "tcp_keepalive_timer";
const WRITE_ERR: &str = "tcp_write_err";

/// The kernel's functions by their numbers in BTF, read when first needed, by whoever needs them.
pub struct Functions<'a> {
    bytes: &'a [u8],
    read: OnceLock<Result<Btf, BtfError>>,
}

impl<'a> Functions<'a> {
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            read: OnceLock::new(),
        }
    }

    /// What aya loads trampolines by.
    pub fn read(&self) -> Result<&Btf, HostError> {
        self.read
            .get_or_init(|| Btf::parse(self.bytes, Endianness::default()))
            .as_ref()
            .map_err(|error| HostError::TrampolineBtf(error.to_string()))
    }
}

/// Attaches both ends of the keepalive timer. The exit first: an exit without its entry is ignored,
/// and an entry without its exit would go unseen.
pub fn keepalive(
    ebpf: &mut Ebpf,
    attach: Attach,
    functions: &Functions<'_>,
) -> Result<(), HostError> {
    match attach {
        Attach::Fentry => {
            fexit(ebpf, "keepalive_fexit", KEEPALIVE, functions)?;
            fentry(ebpf, "keepalive_fentry", KEEPALIVE, functions)
        }
        Attach::Kprobe => {
            kprobe(ebpf, "keepalive_kretprobe", KEEPALIVE)?;
            kprobe(ebpf, "keepalive_kprobe", KEEPALIVE)
        }
        Attach::Tracepoint => {
            raw_tracepoint(ebpf, "keepalive_expire_exit", "timer_expire_exit")?;
            raw_tracepoint(ebpf, "keepalive_expire_entry", "timer_expire_entry")
        }
    }
}

/// Attaches to `tcp_write_err` itself.
pub fn write_err(
    ebpf: &mut Ebpf,
    attach: Attach,
    functions: &Functions<'_>,
) -> Result<(), HostError> {
    match attach {
        Attach::Fentry => fentry(ebpf, "write_err_fentry", WRITE_ERR, functions),
        Attach::Kprobe | Attach::Tracepoint => kprobe(ebpf, "write_err_kprobe", WRITE_ERR),
    }
}

/// Attaches to the return of accept.
pub fn accept(ebpf: &mut Ebpf, functions: &Functions<'_>) -> Result<(), HostError> {
    fexit(ebpf, "accept_fexit", "inet_csk_accept", functions)
}

/// Attaches a program to a tracepoint, without tracefs.
pub fn raw_tracepoint(
    ebpf: &mut Ebpf,
    name: &'static str,
    tracepoint: &str,
) -> Result<(), HostError> {
    let program: &mut RawTracePoint = find(ebpf, name)?;
    program.load().map_err(|source| loading(name, source))?;
    program
        .attach(tracepoint)
        .map(drop)
        .map_err(|source| attaching(name, source))
}

fn fentry(
    ebpf: &mut Ebpf,
    name: &'static str,
    function: &str,
    functions: &Functions<'_>,
) -> Result<(), HostError> {
    let program: &mut FEntry = find(ebpf, name)?;
    program
        .load(function, functions.read()?)
        .map_err(|source| loading(name, source))?;
    program
        .attach()
        .map(drop)
        .map_err(|source| attaching(name, source))
}

fn fexit(
    ebpf: &mut Ebpf,
    name: &'static str,
    function: &str,
    functions: &Functions<'_>,
) -> Result<(), HostError> {
    let program: &mut FExit = find(ebpf, name)?;
    program
        .load(function, functions.read()?)
        .map_err(|source| loading(name, source))?;
    program
        .attach()
        .map(drop)
        .map_err(|source| attaching(name, source))
}

fn kprobe(ebpf: &mut Ebpf, name: &'static str, function: &str) -> Result<(), HostError> {
    let program: &mut KProbe = find(ebpf, name)?;
    program.load().map_err(|source| loading(name, source))?;
    program
        .attach(function, 0)
        .map(drop)
        .map_err(|source| attaching(name, source))
}

fn find<'a, T>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut T, HostError>
where
    &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or(HostError::Object(name))?
        .try_into()
        .map_err(|source| HostError::Program {
            operation: "finding",
            program: name,
            source,
        })
}

fn loading(program: &'static str, source: ProgramError) -> HostError {
    HostError::Program {
        operation: "loading",
        program,
        source,
    }
}

fn attaching(program: &'static str, source: ProgramError) -> HostError {
    HostError::Program {
        operation: "attaching",
        program,
        source,
    }
}
