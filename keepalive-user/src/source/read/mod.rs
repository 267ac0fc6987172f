//! What user space reads from the kernel half and asks of it: the ring of records, counts of what was
//! lost, the tables of processes, the iterators.

pub mod cost;
pub mod fd_iter;
pub mod fill;
pub mod log;
pub mod losses;
pub mod process_tables;
pub mod ring;
mod syscalls;
pub mod tcp_iter;
