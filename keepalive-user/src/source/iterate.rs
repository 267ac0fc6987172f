//! The kernel's iterator over TCP sockets, loaded once and opened in each namespace.

use std::fs::File;

use aya::{
    Ebpf,
    programs::{Iter, Program, ProgramError, links::LinkError},
};
use keepalive_ebpf::wire::{Config, Descriptor};

use super::{
    error::HostError,
    filters,
    functions::Functions,
    layout::KernelTypes,
    object::{self, Room},
    preflight, walk,
};
use crate::settings::Filters;

const PROGRAM: &str = "tcp_iter";

/// The listing follows no socket and sends no event: the least that these maps can hold.
const NOTHING: Room = Room {
    ring_bytes: 4096,
    sockets: 1,
};

/// The iterator, loaded.
pub struct SocketIterator {
    ebpf: Ebpf,
    /// The walk over descriptors is loaded too.
    walks: bool,
    /// Jiffies per second, to read the rows by.
    pub hz: u32,
}

impl SocketIterator {
    /// Asks this kernel what it allows, and loads. The filters, but for processes and names, are
    /// decided in the kernel.
    ///
    /// # Errors
    ///
    /// The host refuses: privilege, BTF, a kernel before 5.9, or one that allows no tracing programs.
    pub fn load(filters: &Filters) -> Result<Self, HostError> {
        preflight::privileges()?;
        preflight::lift_memlock();
        let types = KernelTypes::of_this_kernel()?;
        if let Some(why) = types.no_iterator {
            return Err(HostError::NoIterator(why));
        }
        filters::check(filters, &types)?;
        let mut config = Config {
            hz: preflight::hz(),
            ..Config::UNSET
        };
        types.apply(&mut config);
        filters::apply(filters, &mut config);
        let room = Room {
            ring_bytes: NOTHING.ring_bytes.max(rustix::param::page_size() as u32),
            ..NOTHING
        };
        let mut ebpf = object::load(room, &types, &config, false)?;
        filters::fill(filters, &mut ebpf)?;
        let functions = Functions::of(&types.functions);
        program(&mut ebpf)?
            .load("tcp", functions.read()?)
            .map_err(failed("loading"))?;
        Ok(Self {
            walks: walk::load(&mut ebpf, &functions).is_ok(),
            ebpf,
            hz: config.hz,
        })
    }

    /// Hands over every descriptor of a TCP socket; false where the kernel does not walk them, and
    /// then nothing was handed over.
    pub fn descriptors(&mut self, each: impl FnMut(&Descriptor)) -> bool {
        self.walks && walk::walk(&mut self.ebpf, each)
    }

    /// A file whose bytes are the rows of the calling thread's network namespace. Reading it may be
    /// done from anywhere.
    ///
    /// # Errors
    ///
    /// The kernel refuses to attach or to open the iterator.
    pub fn open(&mut self) -> Result<File, HostError> {
        let iter = program(&mut self.ebpf)?;
        let link = iter.attach().map_err(failed("attaching"))?;
        iter.take_link(link)
            .map_err(failed("attaching"))?
            .into_file()
            .map_err(|error| match error {
                LinkError::SyscallError(error) => HostError::Program {
                    operation: "opening",
                    program: PROGRAM,
                    source: ProgramError::SyscallError(error),
                },
                LinkError::InvalidLink | LinkError::UnknownLinkType(_) => {
                    HostError::Object(PROGRAM)
                }
            })
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Iter, HostError> {
    ebpf.program_mut(PROGRAM)
        .ok_or(HostError::Object(PROGRAM))
        .and_then(|program: &mut Program| program.try_into().map_err(failed("finding")))
}

fn failed(operation: &'static str) -> impl Fn(ProgramError) -> HostError {
    move |source| HostError::Program {
        operation,
        program: PROGRAM,
        source,
    }
}
