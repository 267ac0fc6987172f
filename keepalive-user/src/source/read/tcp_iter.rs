//! The kernel's iterator over TCP sockets (`iter/tcp`): loaded once, opened in each network namespace.

use std::fs::File;

use aya::{
    Ebpf,
    programs::{Iter, Program, ProgramError, links::LinkError},
};
use keepalive_ebpf::wire::Descriptor;

use super::fd_iter::FdIterator;
use crate::{
    settings::Filters,
    source::{
        error::HostError,
        kernel_info::{functions::Functions, layout::KernelTypes, preflight},
        load::{
            self, filters,
            loader::{Globals, Loader, MapSizes},
        },
    },
};

/// The program.
pub const PROGRAM: &str = "tcp_iter";

/// The iterator, loaded.
pub struct SocketIterator {
    ebpf: Ebpf,
    /// The iterator over descriptors, where it can be had.
    descriptors: Option<FdIterator>,
    /// Jiffies per second, to read the rows by.
    pub hz: u32,
}

impl SocketIterator {
    /// Asks this kernel what it allows, and loads. The iterator applies the filters, except those by
    /// process and by name.
    ///
    /// On another thread than the first, it is faster after
    /// [`prepare_loader`](crate::source::prepare_loader).
    ///
    /// # Errors
    ///
    /// The host refuses: privilege, BTF, a kernel before 5.9, or one that allows no tracing programs.
    pub fn load(filters: &Filters) -> Result<Self, HostError> {
        // Making a loader is fast only before other threads are started; `load/loader.rs` says why.
        let mut loader = Loader::new()?;
        preflight::privileges()?;
        preflight::lift_memlock();
        let types = KernelTypes::of_this_kernel()?;
        if let Some(why) = types.no_iterator {
            return Err(HostError::NoIterator(why));
        }
        filters::check(filters, &types)?;
        let config = load::config(&types, filters);
        // A listing follows no socket and sends no event: the least that these maps can hold.
        let sizes = MapSizes {
            ring_bytes: u32::try_from(rustix::param::page_size()).unwrap_or(u32::MAX),
            sockets: 1,
        };
        let globals = Globals::of(&types, config, false);
        let mut ebpf = loader.load(sizes, &globals)?;
        filters::fill(filters, &mut ebpf)?;
        let functions = Functions::of(&types.functions);
        program(&mut ebpf)?
            .load("tcp", functions.read()?)
            .map_err(failed("loading"))?;
        Ok(Self {
            descriptors: FdIterator::load(&mut ebpf, &functions).ok(),
            ebpf,
            hz: config.hz,
        })
    }

    /// Hands over every descriptor of a TCP socket. False where the kernel half cannot iterate over
    /// descriptors; then nothing was handed over.
    pub fn descriptors(&mut self, each: impl FnMut(&Descriptor)) -> bool {
        self.descriptors
            .as_ref()
            .is_some_and(|iterator| iterator.read(each))
    }

    /// A file whose bytes are the rows of the calling thread's network namespace. Any thread may read
    /// it, in any namespace.
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
    HostError::program(operation, PROGRAM)
}
