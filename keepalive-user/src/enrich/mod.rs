//! Sockets to processes.
//!
//! The kernel half knows who connected, accepted, received or closed a socket; descriptor tables know who holds
//! it. What was found of a socket is used until something shows that it may be out of date: another count of
//! references to its file, another process that acts on it, a change of a holder, or age. docs/attribution.md
//! has the rules.
//!
//! The room has two halves. [`Resolver`] runs in the event loop and only uses memory. [`Worker`] is a thread
//! that reads /proc and the kernel's tables; one pass over all descriptors serves every socket that waits, and a
//! budget bounds what reading costs. They share nothing but messages.

mod budget;
mod calls;
pub(crate) mod cgroup;
mod changes;
mod clocks;
mod deaths;
mod descriptors;
mod evidence;
mod fd_index;
mod fixed_files;
mod identity;
mod inbox;
mod lookup;
mod messages;
mod owner_cache;
mod owner_rank;
mod proc;
mod processes;
mod resolver;
mod table;
#[cfg(test)]
mod tests;
mod worker;

pub use self::{
    deaths::{Deaths, Unnoticed},
    fd_index::FdIndex,
    messages::{Answer, Message},
    proc::pids,
    resolver::{Item, Resolved, Resolver},
    worker::{Desk, Worker},
};
