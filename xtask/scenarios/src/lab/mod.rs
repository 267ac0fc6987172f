//! The laboratory: private network namespaces, the processes that own sockets in them, the
//! kernel's own counters, and katrace itself as a process under observation.

pub mod actor;
mod btf;
pub mod cgroup;
pub mod control;
pub mod counters;
pub mod crowd;
pub mod holders;
pub mod link;
pub mod many;
pub mod netns;
pub mod once;
pub mod output;
pub mod pair;
pub mod pidfd;
pub mod process;
pub mod programs;
pub mod root;
pub mod scene;
pub mod time;
pub mod tracer;

pub use actor::{Actor, Sock};
pub use control::{Control, Excuse};
pub use counters::Counters;
pub use netns::Netns;
pub use pair::Pair;
pub use root::{Root, Server};
pub use scene::{Scene, Short};
pub use tracer::{Katrace, Record, Start, Stopped, Tracer};
