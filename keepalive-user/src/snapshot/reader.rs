//! Reading every socket, by whichever way the kernel allows.

use std::{collections::HashSet, sync::Arc};

use super::{
    Namespace, Row,
    diag::{self, Diag, Listed, options::Holders},
    facts::{Defaults, Facts},
    first::{self, First},
    iter,
    namespaces::{self, Place},
    rows::{Recent, Rows},
};
use crate::{
    enrich::FdIndex,
    event::Owner,
    settings::{Filters, ReaderChoice, SnapshotSettings},
    source::{HostError, SocketIterator, preflight},
};

/// Something that reads sockets, as often as wanted.
pub struct Reader {
    way: Way,
    filters: Filters,
    /// Why not the iterator, where it was wanted.
    pub refused: Option<HostError>,
}

enum Way {
    Iter(Box<SocketIterator>),
    Diag,
}

/// What a reading hands over.
pub trait Visitor {
    /// One socket; false ends the reading.
    fn row(&mut self, row: Row) -> bool;
    /// A namespace, before its sockets.
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
        let open = |way, refused| Self {
            way,
            filters: filters.clone(),
            refused,
        };
        match settings.reader {
            ReaderChoice::Iter => SocketIterator::load(&filters)
                .map(|iterator| open(Way::Iter(Box::new(iterator)), None)),
            ReaderChoice::Diag => {
                preflight::diag_privileges(filters.netns.is_none())?;
                Ok(open(Way::Diag, None))
            }
            ReaderChoice::Auto => match SocketIterator::load(&filters) {
                Ok(iterator) => Ok(open(Way::Iter(Box::new(iterator)), None)),
                Err(refused) => {
                    preflight::diag_privileges(filters.netns.is_none())?;
                    Ok(open(Way::Diag, Some(refused)))
                }
            },
        }
    }

    /// Hands over every socket that the filters let through, a namespace after the other, in the
    /// kernel's order.
    ///
    /// # Errors
    ///
    /// A namespace can be found but not read.
    pub fn read(&mut self, visitor: &mut impl Visitor) -> Result<(), HostError> {
        let Self { way, filters, .. } = self;
        let cgroups = cgroups(filters)?;
        let wanted = |place: &Place| filters.netns.is_none_or(|netns| netns == place.netns);
        let mut sockets = Sockets {
            directory: None,
            filters,
            cgroups: cgroups.as_ref(),
            visitor,
        };
        for place in namespaces::all().into_iter().filter(wanted) {
            let more = match way {
                Way::Iter(iterator) => sockets.iterate(&place, iterator)?,
                Way::Diag => sockets.diagnose(&place)?,
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}

/// Who holds what: by the kernel's own walk where it walks, which takes a fraction of the time that
/// /proc does.
fn walk(iterator: &mut SocketIterator) -> FdIndex {
    let mut found = Vec::new();
    if iterator.descriptors(|row| found.push((row.inode, row.tgid, row.fd))) {
        FdIndex::of(found)
    } else {
        FdIndex::read()
    }
}

/// The cgroups that `--cgroup` means, where sock_diag is to be held to them.
fn cgroups(filters: &Filters) -> Result<Option<HashSet<u64>>, HostError> {
    let family = filters.cgroup.map(diag::cgroup::family).transpose();
    family.map_err(|source| HostError::Io {
        operation: "walking the cgroups",
        source,
    })
}

/// Sockets on their way to whoever wants them.
struct Sockets<'a, V> {
    /// Read while the kernel makes the first rows.
    directory: Option<FdIndex>,
    filters: &'a Filters,
    /// Those that `--cgroup` means, for what sock_diag tells.
    cgroups: Option<&'a HashSet<u64>>,
    visitor: &'a mut V,
}

impl<V: Visitor> Sockets<'_, V> {
    /// Through the iterator; false when the visitor wants no more.
    fn iterate(&mut self, place: &Place, iterator: &mut SocketIterator) -> Result<bool, HostError> {
        let hz = iterator.hz;
        let netns = place.netns;
        // Before the first row is made: what it tells and the rows then lack was there.
        let opened =
            place.within(|| Ok((first::look(netns), iterator.open()?, place.defaults()?)))?;
        let Some((found, file, of)) = opened else {
            return Ok(true);
        };
        let mut first = First::of(&found);
        self.visitor.namespace(&of.namespace);
        let mut rows = Rows::of(file)?;
        let directory = self.directory.get_or_insert_with(|| walk(iterator));
        let mut recent = Recent::default();
        while let Some(bytes) = rows.next()? {
            let (of_netns, facts) =
                iter::facts(bytes, hz).map_err(|error| HostError::Row(error.to_string()))?;
            if of_netns != netns {
                let elsewhere = format!("it is of namespace {of_netns}, not {netns}");
                return Err(HostError::Row(elsewhere));
            }
            first.shown(&facts);
            if recent.has_or_takes(&facts) {
                continue;
            }
            let owner = owner(directory, &facts);
            if self.filters.want_owner(&owner) && !self.visitor.row(facts.row(&of, owner)) {
                return Ok(false);
            }
        }
        if first.is_empty() {
            return Ok(true);
        }
        let after = place.within(|| Ok(first::look(netns)))?;
        let mut holders = Holders::default();
        for listed in first.passed_over(after.unwrap_or_default()) {
            if !self.told(listed, &mut holders, &of)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Through sock_diag and the holders' descriptors; false when the visitor wants no more.
    fn diagnose(&mut self, place: &Place) -> Result<bool, HostError> {
        let opened = place.within(|| Ok((Diag::open(place.netns)?, place.defaults()?)))?;
        let Some((mut diag, of)) = opened else {
            return Ok(true);
        };
        self.visitor.namespace(&of.namespace);
        let mut holders = Holders::default();
        let mut more = true;
        diag.list(|listed| {
            more = self.told(listed, &mut holders, &of)?;
            Ok(more)
        })?;
        Ok(more)
    }

    /// A socket that sock_diag tells; false when the visitor wants no more.
    fn told(
        &mut self,
        listed: Listed,
        holders: &mut Holders,
        of: &Defaults,
    ) -> Result<bool, HostError> {
        let facts = listed.facts;
        let filters = self.filters;
        if !filters.want_ends(facts.family, facts.local, facts.peer) {
            return Ok(true);
        }
        if let Some(cgroups) = self.cgroups {
            let cgroup = listed.cgroup.ok_or(HostError::NoSocketCgroup)?;
            if !cgroups.contains(&cgroup) {
                return Ok(true);
            }
        }
        let owner = owner(self.directory.get_or_insert_with(FdIndex::read), &facts);
        if !filters.want_owner(&owner) {
            return Ok(true);
        }
        let facts = ask(facts, &owner, holders, of);
        Ok(self.visitor.row(facts.row(of, owner)))
    }
}

fn owner(directory: &FdIndex, facts: &Facts) -> Arc<Owner> {
    match facts.inode {
        Some(inode) => directory.owner(inode),
        None => Arc::default(),
    }
}

/// What sock_diag does not tell, as far as a holder's descriptor does.
fn ask(mut facts: Facts, owner: &Owner, holders: &mut Holders, of: &Defaults) -> Facts {
    let asked = facts
        .inode
        .and_then(|inode| holders.ask(inode, &owner.holders, &of.namespace));
    if let Some((keepalive, own)) = asked {
        facts.keepalive = Some(keepalive);
        facts.own = Some(own);
    }
    facts
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
        let mut sockets = Sockets {
            directory: None,
            filters: &filters,
            cgroups: None,
            visitor: &mut visitor,
        };
        // Of this namespace and this process: no privilege is asked for.
        let own = namespaces::all().remove(0);
        assert!(sockets.diagnose(&own).unwrap());
        let [row] = rows.as_slice() else {
            panic!("{rows:?}");
        };
        assert_eq!(row.keepalive, Some(true));
        assert_eq!(row.keepcnt.map(|set| set.value), Some(4));
        assert!(row.next_probe_ms.is_some() && row.detect_idle_ms.is_some());
    }
}
