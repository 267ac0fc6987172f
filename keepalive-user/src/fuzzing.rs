//! Functions for the fuzz targets in `fuzz/`. They are not part of the library's interface.

use std::path::Path;

use keepalive_ebpf::wire;

use crate::{
    audit::{PathsError, Profiles},
    event::Place,
    source::kernel_info::{btf::BtfError, layout::KernelTypes},
};

pub use crate::cli::every_value::EveryValue;

/// Lengths of the records that the kernel half sends, in bytes. Bytes 2 and 3 of each repeat its length.
pub const RECORD_SIZES: [usize; 3] = [wire::RECORD_SIZE, wire::NOTICED_SIZE, wire::NOTICE_SIZE];

/// Reads bytes as the BTF of a kernel and looks up all that katrace looks up there.
///
/// # Errors
///
/// The bytes are not BTF, or something needed is missing.
pub fn kernel_types(btf: &[u8]) -> Result<(), BtfError> {
    KernelTypes::from_bytes(btf).map(drop)
}

/// Reads bytes as /proc/PID/cgroup.
pub fn cgroup_place(file: &[u8]) -> Option<Place> {
    crate::enrich::cgroup::place(file)
}

/// Reads a text as a file of path profiles, added to others.
///
/// # Errors
///
/// The text is not a valid file of path profiles.
pub fn path_profiles(built_in: Profiles, text: &str) -> Result<Profiles, PathsError> {
    built_in.with_toml(text, Path::new("fuzzed.toml"))
}
