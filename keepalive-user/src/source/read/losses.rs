//! What the kernel half could not deliver or follow.

use crate::source::{
    error::HostError,
    load::object::{self, LossesOfCpu, Shared},
};
use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray},
};

const MAP: &str = "LOSSES";

/// The map with the counts of each CPU.
pub struct Losses(PerCpuArray<MapData, LossesOfCpu>);

/// Counts since the start, of all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Records for which the ring had no room.
    pub lost: u64,
    /// Notices of changed processes and of sockets that are gone, for which the ring had no room.
    pub unheard: u64,
    /// Sockets and processes for which a table had no room.
    pub untracked: u64,
}

impl Losses {
    /// Takes the map out of the object.
    ///
    /// # Errors
    ///
    /// There is no such map.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, HostError> {
        object::take(ebpf, MAP).map(Self)
    }

    /// Reads the counts.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    pub fn read(&self) -> Result<Dropped, HostError> {
        let cpus = self.0.get(&0, 0).map_err(HostError::map("reading", MAP))?;
        Ok(cpus
            .iter()
            .fold(Dropped::default(), |sum, Shared(cpu)| Dropped {
                lost: sum.lost + cpu.lost(),
                unheard: sum.unheard + cpu.unheard(),
                untracked: sum.untracked + cpu.untracked(),
            }))
    }
}
