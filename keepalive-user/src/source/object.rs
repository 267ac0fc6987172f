//! The compiled kernel half, and its globals and maps.

use aya::{Ebpf, EbpfLoader, Pod, VerifierLogLevel, include_bytes_aligned, maps::Map};
use keepalive_ebpf::wire::{self, Config, Layout};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{error::HostError, layout::KernelTypes};

/// Built by `cargo xtask build`; build.rs says where it is.
static OBJECT: &[u8] = include_bytes_aligned!(env!("KATRACE_EBPF_OBJECT"));

/// A type of the wire library in the hands of aya.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Shared<T>(pub T);

/// Counters of one CPU.
pub type Losses = Shared<wire::Losses>;

// SAFETY: `repr(C)` of integers without padding, `Copy`, any bit pattern valid.
unsafe impl Pod for Shared<Layout> {}
// SAFETY: as above; its size is asserted where it is defined.
unsafe impl Pod for Shared<Config> {}
// SAFETY: as above.
unsafe impl Pod for Shared<wire::Losses> {}
// SAFETY: as above.
unsafe impl Pod for Shared<wire::Lineage> {}

/// What the maps are to hold: creating them large takes time.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub ring_bytes: u32,
    /// Sockets that can be followed at once.
    pub sockets: u32,
}

/// Creates the maps and sets the globals. Programs are loaded one by one, as they are attached.
pub fn load(
    room: Room,
    types: &KernelTypes,
    config: &Config,
    verbose: bool,
) -> Result<Ebpf, HostError> {
    let (layout, config) = (Shared(types.layout), Shared(*config));
    let log_level = if verbose {
        aya_log::Level::Debug as u8
    } else {
        0
    };
    let mut loader = without_files(EbpfLoader::new)?;
    loader
        .btf(None)
        .verifier_log_level(VerifierLogLevel::DEBUG)
        .override_global("LAYOUT", &layout, true)
        .override_global("CONFIG", &config, true)
        .override_global(aya_log::LEVEL, &log_level, true)
        .map_max_entries("EVENTS", room.ring_bytes)
        .map_max_entries("SOCKETS", room.sockets)
        .load(OBJECT)
        .map_err(|error| HostError::from_load(error, room.ring_bytes))
}

/// Runs `make` while no file can be opened.
///
/// `EbpfLoader::new` reads and parses the kernel's whole BTF, and nothing asks it not to: most of
/// the time to the first record and of the memory katrace ever used went there, for relocations
/// that Rust programs do not have. It takes a BTF that cannot be opened for one that is not there.
/// Called before any other thread is started.
fn without_files<T>(make: impl FnOnce() -> T) -> Result<T, HostError> {
    let failed = |errno: rustix::io::Errno| HostError::Io {
        operation: "setting RLIMIT_NOFILE",
        source: errno.into(),
    };
    let limit = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(0),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, none).map_err(failed)?;
    let made = make();
    setrlimit(Resource::Nofile, limit).map_err(failed)?;
    Ok(made)
}

/// Takes a map out of the object, so that it outlives the programs.
pub fn take<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, HostError>
where
    T: TryFrom<Map, Error = aya::maps::MapError>,
{
    ebpf.take_map(name)
        .ok_or(HostError::Object(name))?
        .try_into()
        .map_err(|source| HostError::Map { map: name, source })
}
