//! `cargo xtask`: builds both halves of katrace, and boots, tests and shows them.

mod apt;
mod bench;
mod build;
mod cache;
mod cli;
mod deny;
mod fuzz;
mod host;
mod initramfs;
mod kernels;
mod picture;
mod proc;
mod programs;
mod progress;
mod qemu;
mod test;
mod toolchain;
mod version;
mod vm;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
