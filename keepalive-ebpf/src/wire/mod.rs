//! The data that travels between the two halves, and the settings that the user half passes down.
//!
//! - through the ring: [`Record`] for an event, [`Noticed`] for an error that a process received, and
//!   [`Notice`] for a change that matters to whoever remembers the owners of sockets;
//! - from the iterators: [`Row`] for a socket, [`Descriptor`] for a file descriptor;
//! - in maps: [`Lineage`] and [`Losses`];
//! - in globals, set before the programs are loaded: [`Config`] and [`Layout`].

pub mod config;
mod descriptor;
pub mod kind;
mod layout;
mod losses;
mod notice;
mod noticed;
mod record;
pub mod row;
mod sixteen;

pub use config::Config;
pub use descriptor::{DESCRIPTOR_SIZE, Descriptor, Lineage};
pub use layout::{Field, Layout};
pub use losses::Losses;
pub use notice::{NOTICE_SIZE, Notice};
pub use noticed::{NOTICED_SIZE, Noticed, STACK_DEPTH, call};
pub use record::{AF_INET, AF_INET6, NEVER, NO_RTT, RECORD_SIZE, Record, flag, owner_from};
pub use row::{ROW_SIZE, Row, STOPPED};
pub use sixteen::{COMM_LEN, Sixteen};
