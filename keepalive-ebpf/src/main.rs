//! The kernel half: `kernel` ← `state` ← `filter` ← `emit` ← `hook`. No module imports from its right.
//!
//! - `kernel` reads the kernel's structures. It knows nothing else of katrace.
//! - `state` remembers sockets and processes between events, and counts what was lost.
//! - `filter` decides which sockets the user wants to see.
//! - `emit` asks the filter, fills a record and sends it. Nothing else writes to the ring.
//! - `hook` is where the kernel calls katrace. A hook decides what has happened and calls `emit`.
//!
//! All of them share `wire`, the library of this package.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod emit;
#[cfg(target_arch = "bpf")]
mod filter;
#[cfg(target_arch = "bpf")]
mod hook;
#[cfg(target_arch = "bpf")]
mod kernel;
#[cfg(target_arch = "bpf")]
mod state;

/// The workspace is built for the host as a whole. There this program does nothing.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
