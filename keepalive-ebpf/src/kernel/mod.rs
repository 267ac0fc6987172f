//! The kernel's structures. Nothing else in katrace reads them.
//!
//! Almost everything is read with `bpf_probe_read_kernel`, because a hook may find a socket that is
//! freed already: then it reads stale bytes, and does not fault. A hook guards against stale bytes with
//! what it saw before.

mod cgroup;
mod ends;
mod file;
mod keepalive;
pub mod memory;
mod net;
mod process;
mod sock;
mod tcp;
mod timer;
mod trusted_sock;

pub use ends::Ends;
pub use process::{Process, Task};
pub use sock::{Sock, state};
pub use timer::Timer;
pub use trusted_sock::TrustedSock;
