//! The compiled kernel half, and the types that it shares with user space.

use aya::{Ebpf, Pod, include_bytes_aligned, maps::Map};
use keepalive_ebpf::wire::{self, Config, Layout};

use crate::source::error::HostError;

/// Built by `cargo xtask build`; build.rs says where it is.
pub static OBJECT: &[u8] = include_bytes_aligned!(env!("KATRACE_EBPF_OBJECT"));

/// A type of the wire library that aya may copy to and from maps and globals.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Shared<T>(pub T);

/// What one CPU could not deliver or follow.
pub type LossesOfCpu = Shared<wire::Losses>;

// SAFETY: `repr(C)` of integers without padding, `Copy`, any bit pattern valid.
unsafe impl Pod for Shared<Layout> {}
// SAFETY: as above; its size is asserted where it is defined.
unsafe impl Pod for Shared<Config> {}
// SAFETY: as above.
unsafe impl Pod for Shared<wire::Losses> {}
// SAFETY: as above.
unsafe impl Pod for Shared<wire::Lineage> {}

/// Takes a map out of the object, so that it outlives the programs.
///
/// # Errors
///
/// There is no such map, or it is of another type.
pub fn take<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, HostError>
where
    T: TryFrom<Map, Error = aya::maps::MapError>,
{
    ebpf.take_map(name)
        .ok_or(HostError::Object(name))?
        .try_into()
        .map_err(HostError::map("opening", name))
}
