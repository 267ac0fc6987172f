//! Both halves of katrace, from source.

mod ebpf;
mod user;

pub use ebpf::{build as kernel_half, control, floor, lint as lint_kernel_half};
pub use user::{Binaries, Profile, build as user_half, describe};

use anyhow::Result;

use crate::toolchain;

/// The whole program.
pub fn all(profile: Profile) -> Result<Binaries> {
    let toolchain = toolchain::ensure()?;
    let object = kernel_half(&toolchain)?;
    user_half(&toolchain.compiler, &object, profile)
}
