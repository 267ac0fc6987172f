//! Who holds which socket, by one reading of all descriptors.

use std::sync::Arc;

use super::table::Table;
use crate::event::{Holder, Owner, OwnerFrom};

/// The holders of every socket, as of one pass.
#[derive(Debug, Default)]
pub struct Directory(Table);

impl Directory {
    /// Reads the descriptors of every process.
    pub fn read() -> Self {
        Self(Table::of_all_processes())
    }

    /// The holders of a socket; nobody when no descriptor showed it.
    pub fn owner(&self, inode: u64) -> Arc<Owner> {
        let holders: Vec<Holder> = self
            .0
            .holders(inode)
            .map(|(known, fd)| Holder {
                process: known.process(),
                fd: Some(fd),
            })
            .collect();
        // The lowest pid: of a family of processes mostly the oldest.
        let process = holders
            .iter()
            .map(|holder| &holder.process)
            .min_by_key(|process| process.pid)
            .cloned();
        Arc::new(Owner {
            from: process.as_ref().map(|_| OwnerFrom::Scan),
            process,
            holders,
        })
    }
}
