//! Loading the kernel half's programs and attaching them, by trying.

use aya::{
    Btf, Ebpf,
    programs::{FEntry, FExit, KProbe, Program, ProgramError, RawTracePoint},
};

use super::error::HostError;
use crate::event::Attach;

/// The function whose expiries are watched.
pub const KEEPALIVE: &str = "tcp_keepalive_timer";
const WRITE_ERR: &str = "tcp_write_err";

/// Attaches both ends of the keepalive timer. The exit first: an exit without its entry is ignored,
/// and an entry without its exit would go unseen.
pub fn keepalive(ebpf: &mut Ebpf, attach: Attach, btf: Option<&Btf>) -> Result<(), HostError> {
    match (attach, btf) {
        (Attach::Fentry, Some(btf)) => {
            fexit(ebpf, "keepalive_fexit", KEEPALIVE, btf)?;
            fentry(ebpf, "keepalive_fentry", KEEPALIVE, btf)
        }
        (Attach::Fentry, None) => Err(HostError::Object("BTF of this kernel to attach fentry by")),
        (Attach::Kprobe, _) => {
            kprobe(ebpf, "keepalive_kretprobe", KEEPALIVE)?;
            kprobe(ebpf, "keepalive_kprobe", KEEPALIVE)
        }
        (Attach::Tracepoint, _) => {
            raw_tracepoint(ebpf, "keepalive_expire_exit", "timer_expire_exit")?;
            raw_tracepoint(ebpf, "keepalive_expire_entry", "timer_expire_entry")
        }
    }
}

/// Attaches to `tcp_write_err` itself.
pub fn write_err(ebpf: &mut Ebpf, attach: Attach, btf: Option<&Btf>) -> Result<(), HostError> {
    match (attach, btf) {
        (Attach::Fentry, Some(btf)) => fentry(ebpf, "write_err_fentry", WRITE_ERR, btf),
        _ => kprobe(ebpf, "write_err_kprobe", WRITE_ERR),
    }
}

/// Attaches to the return of accept.
pub fn accept(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), HostError> {
    fexit(ebpf, "accept_fexit", "inet_csk_accept", btf)
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

fn fentry(ebpf: &mut Ebpf, name: &'static str, function: &str, btf: &Btf) -> Result<(), HostError> {
    let program: &mut FEntry = find(ebpf, name)?;
    program
        .load(function, btf)
        .map_err(|source| loading(name, source))?;
    program
        .attach()
        .map(drop)
        .map_err(|source| attaching(name, source))
}

fn fexit(ebpf: &mut Ebpf, name: &'static str, function: &str, btf: &Btf) -> Result<(), HostError> {
    let program: &mut FExit = find(ebpf, name)?;
    program
        .load(function, btf)
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
