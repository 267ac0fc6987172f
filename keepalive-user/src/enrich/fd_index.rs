//! The holders of every socket, by one reading of all descriptors. For listings, which need it once.

use std::{cell::RefCell, sync::Arc};

use super::{processes::Processes, table::Table};
use crate::event::{Holder, Owner, OwnerFrom};

/// The holders of every socket at one moment.
#[derive(Debug, Default)]
pub struct FdIndex {
    table: Table,
    /// Read as they are asked for.
    processes: RefCell<Processes>,
}

impl FdIndex {
    /// An index of what was found: inode, process and descriptor.
    pub fn of(found: impl IntoIterator<Item = (u64, u32, u32)>) -> Self {
        Self {
            table: Table::of(found),
            processes: RefCell::default(),
        }
    }

    /// Reads the descriptors of every process.
    pub fn read() -> Self {
        Self {
            table: Table::of_all_processes(),
            processes: RefCell::default(),
        }
    }

    /// The holders of a socket; none if no descriptor refers to it.
    pub fn owner(&self, inode: u64) -> Arc<Owner> {
        let mut processes = self.processes.borrow_mut();
        let mut oldest = None;
        let mut holders = Vec::new();
        for (pid, fd) in self.table.holders(inode) {
            // A listing is over before changes matter, so no process need be watched.
            let Some(known) = processes.get(pid, |_| true) else {
                continue;
            };
            let age = (known.start_ticks, pid);
            if oldest.as_ref().is_none_or(|(oldest, _)| age < *oldest) {
                oldest = Some((age, known.process.clone()));
            }
            holders.push(Holder {
                process: known.process,
                fd: Some(fd),
            });
        }
        let process = oldest.map(|(_, process)| process);
        Arc::new(Owner {
            from: process.as_ref().map(|_| OwnerFrom::Scan),
            process,
            holders,
        })
    }
}
