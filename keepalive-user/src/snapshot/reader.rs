//! Reads every socket, by the iterator where the kernel allows it, else by sock_diag.

use std::{collections::HashSet, sync::Arc};

use super::{
    Namespace, Row,
    diag::{self, Diag, DiagSocket, options::Holders},
    iter,
    iter_gap::{self, NotShown},
    namespaces::{self, Netns},
    raw_socket::{Defaults, RawSocket},
    rows::{Recent, Rows},
};
use crate::{
    enrich::FdIndex,
    event::Owner,
    settings::{Filters, ReaderChoice, SnapshotSettings},
    source::{HostError, SocketIterator, preflight},
};

/// Reads the sockets of this host, as often as wanted.
pub struct Reader {
    backend: Backend,
    filters: Filters,
    /// Why the kernel refused the iterator, where sock_diag took its place.
    pub refused: Option<HostError>,
}

enum Backend {
    Iter(Box<SocketIterator>),
    Diag,
}

/// Takes what a reading finds.
pub trait Visitor {
    /// One socket. False ends the reading.
    fn row(&mut self, row: Row) -> bool;
    /// A namespace, before its sockets come.
    fn namespace(&mut self, _namespace: &Namespace) {}
}

impl<F: FnMut(Row) -> bool> Visitor for F {
    fn row(&mut self, row: Row) -> bool {
        self(row)
    }
}

impl Reader {
    /// Asks this kernel what it allows.
    ///
    /// # Errors
    ///
    /// The host refuses: see [`HostError`].
    pub fn open(settings: &SnapshotSettings) -> Result<Self, HostError> {
        let filters = settings.filters.clone();
        let open = |backend, refused| Self {
            backend,
            filters: filters.clone(),
            refused,
        };
        match settings.reader {
            ReaderChoice::Iter => SocketIterator::load(&filters)
                .map(|iterator| open(Backend::Iter(Box::new(iterator)), None)),
            ReaderChoice::Diag => {
                preflight::diag_privileges(filters.netns.is_none())?;
                Ok(open(Backend::Diag, None))
            }
            ReaderChoice::Auto => match SocketIterator::load(&filters) {
                Ok(iterator) => Ok(open(Backend::Iter(Box::new(iterator)), None)),
                Err(refused) => {
                    preflight::diag_privileges(filters.netns.is_none())?;
                    Ok(open(Backend::Diag, Some(refused)))
                }
            },
        }
    }

    /// Hands over every socket that passes the filters, one namespace after the other, each in the kernel's order.
    ///
    /// # Errors
    ///
    /// A namespace exists but cannot be read.
    pub fn read(&mut self, visitor: &mut impl Visitor) -> Result<(), HostError> {
        let Self {
            backend, filters, ..
        } = self;
        let cgroups = filters.cgroup.map(diag::cgroup::subtree_ids);
        let wanted = |found: &Netns| filters.netns.is_none_or(|netns| netns == found.netns);
        let mut listing = Listing {
            fd_index: None,
            filters,
            cgroups: cgroups.as_ref(),
            visitor,
        };
        for netns in namespaces::all().into_iter().filter(wanted) {
            let more = match backend {
                Backend::Iter(iterator) => listing.iterate(&netns, iterator)?,
                Backend::Diag => listing.diagnose(&netns)?,
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}

/// Who holds which socket: by the kernel's iterator over descriptors where there is one, which takes a fraction of the
/// time that /proc takes.
fn read_descriptors(iterator: &mut SocketIterator) -> FdIndex {
    let mut found = Vec::new();
    if iterator.descriptors(|row| found.push((row.inode, row.tgid, row.fd))) {
        FdIndex::of(found)
    } else {
        FdIndex::read()
    }
}

/// One reading, with what it needs for every socket.
struct Listing<'a, V> {
    /// It is read once, and only after the iterator was opened: a thread reads rows ahead meanwhile.
    fd_index: Option<FdIndex>,
    filters: &'a Filters,
    /// The cgroups that `--cgroup` means. sock_diag cannot filter by them, the iterator does.
    cgroups: Option<&'a HashSet<u64>>,
    visitor: &'a mut V,
}

impl<V: Visitor> Listing<'_, V> {
    /// Reads a namespace by the iterator. False when the visitor wants no more.
    fn iterate(&mut self, netns: &Netns, iterator: &mut SocketIterator) -> Result<bool, HostError> {
        let hz = iterator.hz;
        // sock_diag is asked before the first row is made, so every socket in its answer existed when the iterator
        // began.
        let first_connections = || iter_gap::first_connections(netns.netns);
        let opened =
            netns.within(|| Ok((first_connections(), iterator.open()?, netns.defaults()?)))?;
        let Some((found, file, of)) = opened else {
            return Ok(true);
        };
        let mut not_shown = NotShown::new(&found);
        self.visitor.namespace(&of.namespace);
        let mut rows = Rows::of(file)?;
        let fd_index = self
            .fd_index
            .get_or_insert_with(|| read_descriptors(iterator));
        let mut recent = Recent::default();
        while let Some(bytes) = rows.next()? {
            let (row_netns, socket) =
                iter::raw_socket(bytes, hz).map_err(|error| HostError::Row(error.to_string()))?;
            if row_netns != netns.netns {
                let elsewhere = format!("it is of namespace {row_netns}, not {}", netns.netns);
                return Err(HostError::Row(elsewhere));
            }
            not_shown.shown(&socket);
            if recent.repeats(&socket) {
                continue;
            }
            let owner = owner(fd_index, &socket);
            if self.filters.want_owner(&owner) && !self.visitor.row(socket.row(&of, owner)) {
                return Ok(false);
            }
        }
        if not_shown.is_empty() {
            return Ok(true);
        }
        let after = netns.within(|| Ok(first_connections()))?;
        let mut holders = Holders::default();
        for found in not_shown.skipped(after.unwrap_or_default()) {
            if !self.visit(found, &mut holders, &of)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a namespace by sock_diag and the descriptors of holders. False when the visitor wants no more.
    fn diagnose(&mut self, netns: &Netns) -> Result<bool, HostError> {
        let opened = netns.within(|| Ok((Diag::open(netns.netns)?, netns.defaults()?)))?;
        let Some((mut diag, of)) = opened else {
            return Ok(true);
        };
        self.visitor.namespace(&of.namespace);
        let mut holders = Holders::default();
        let mut more = true;
        diag.list(|found| {
            more = self.visit(found, &mut holders, &of)?;
            Ok(more)
        })?;
        Ok(more)
    }

    /// Hands over a socket that sock_diag listed, if the filters want it. False when the visitor wants no more.
    fn visit(
        &mut self,
        found: DiagSocket,
        holders: &mut Holders,
        of: &Defaults,
    ) -> Result<bool, HostError> {
        let socket = found.socket;
        let filters = self.filters;
        if !filters.want_ends(socket.family, socket.local, socket.peer) {
            return Ok(true);
        }
        if let Some(cgroups) = self.cgroups {
            let cgroup = found.cgroup.ok_or(HostError::NoSocketCgroup)?;
            if !cgroups.contains(&cgroup) {
                return Ok(true);
            }
        }
        let owner = owner(self.fd_index.get_or_insert_with(FdIndex::read), &socket);
        if !filters.want_owner(&owner) {
            return Ok(true);
        }
        let socket = with_settings(socket, &owner, holders, of);
        Ok(self.visitor.row(socket.row(of, owner)))
    }
}

fn owner(fd_index: &FdIndex, socket: &RawSocket) -> Arc<Owner> {
    match socket.inode {
        Some(inode) => fd_index.owner(inode),
        None => Arc::default(),
    }
}

/// Adds the settings, which sock_diag does not tell, if a process that holds the socket can be asked.
fn with_settings(
    mut socket: RawSocket,
    owner: &Owner,
    holders: &mut Holders,
    of: &Defaults,
) -> RawSocket {
    let asked = socket
        .inode
        .and_then(|inode| holders.ask(inode, &owner.holders, &of.namespace));
    if let Some((keepalive, own)) = asked {
        socket.keepalive = Some(keepalive);
        socket.own = Some(own);
    }
    socket
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn this_process_is_listed_by_sock_diag_with_what_it_set() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        rustix::net::sockopt::set_socket_keepalive(&stream, true).unwrap();
        rustix::net::sockopt::set_tcp_keepcnt(&stream, 4).unwrap();
        let port = stream.local_addr().unwrap().port();
        let filters = Filters {
            lports: vec![port..=port],
            pids: vec![std::process::id()],
            ..Filters::default()
        };
        let mut rows = Vec::new();
        let mut visitor = |row| {
            rows.push(row);
            true
        };
        let mut listing = Listing {
            fd_index: None,
            filters: &filters,
            cgroups: None,
            visitor: &mut visitor,
        };
        // Its own namespace and its own process: that needs no privilege.
        let own = namespaces::all().remove(0);
        assert!(listing.diagnose(&own).unwrap());
        let [row] = rows.as_slice() else {
            panic!("{rows:?}");
        };
        assert_eq!(row.keepalive, Some(true));
        assert_eq!(row.keepcnt.map(|set| set.value), Some(4));
        assert!(row.next_probe_ms.is_some() && row.detect_idle_ms.is_some());
    }
}
