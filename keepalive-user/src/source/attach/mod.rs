//! From a loaded object to attached hooks. [`table`] declares the hooks, [`hook`] says what a row may
//! hold, [`order`] says when each is attached and why, [`programs`] attaches them, [`attached`] says what is
//! watched and what is missing.

pub mod attached;
pub mod hook;
pub mod order;
pub mod programs;
pub mod reentrancy_guards;
pub mod table;

use super::kernel_info::{functions::Functions, layout::KernelTypes};
use crate::event::Attach;

/// What decides which hooks are attached, and how.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// The backend.
    pub attach: Attach,
    /// What this kernel has.
    pub types: &'a KernelTypes,
    /// For trampolines.
    pub functions: &'a Functions<'a>,
    /// Also hook `tcp_write_err`, where it is a function and not inlined.
    pub write_err: bool,
    /// The user asked for `noticed` events.
    pub noticed: bool,
}
