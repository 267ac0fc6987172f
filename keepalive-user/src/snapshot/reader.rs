//! Reading every socket, by whichever way the kernel allows.

use std::{
    collections::{HashSet, VecDeque},
    fs::File,
    io::Read,
    net::SocketAddr,
    sync::Arc,
};

use keepalive_ebpf::row::ROW_SIZE;

use super::{
    Namespace, Row,
    diag::{self, Diag, options::Holders},
    facts::{Defaults, Facts},
    iter,
    namespaces::{self, Place},
};
use crate::{
    enrich::Directory,
    event::Owner,
    settings::{Filters, ReaderChoice, SnapshotSettings},
    source::{HostError, SocketIterator, preflight},
};

/// Rows asked for at once; the kernel hands over 32 KiB at most.
const ROWS: usize = 512;

/// Rows among which a second showing is looked for: more than a bucket of the kernel's table holds.
const RECENT: usize = 64;

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
        let directory = Directory::read();
        let cgroups = match way {
            Way::Iter(_) => None,
            Way::Diag => cgroups(filters)?,
        };
        let wanted = |place: &Place| filters.netns.is_none_or(|netns| netns == place.netns);
        for place in namespaces::all().into_iter().filter(wanted) {
            let mut sockets = Sockets {
                directory: &directory,
                filters,
                visitor,
            };
            let more = match way {
                Way::Iter(iterator) => sockets.iterate(&place, iterator)?,
                Way::Diag => sockets.diagnose(&place, cgroups.as_ref())?,
            };
            if !more {
                break;
            }
        }
        Ok(())
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

/// The sockets of one namespace on their way to whoever wants them.
struct Sockets<'a, V> {
    directory: &'a Directory,
    filters: &'a Filters,
    visitor: &'a mut V,
}

impl<V: Visitor> Sockets<'_, V> {
    /// Through the iterator; false when the visitor wants no more.
    fn iterate(&mut self, place: &Place, iterator: &mut SocketIterator) -> Result<bool, HostError> {
        let hz = iterator.hz;
        let opened = place.within(|| Ok((iterator.open()?, place.defaults()?)))?;
        let Some((mut file, of)) = opened else {
            return Ok(true);
        };
        self.visitor.namespace(&of.namespace);
        let mut rows = Rows::default();
        let mut recent = Recent::default();
        while let Some(bytes) = rows.next(&mut file)? {
            let (netns, facts) =
                iter::facts(bytes, hz).map_err(|error| HostError::Row(error.to_string()))?;
            if netns != place.netns {
                let elsewhere = format!("it is of namespace {netns}, not {}", place.netns);
                return Err(HostError::Row(elsewhere));
            }
            if recent.has_or_takes(&facts) {
                continue;
            }
            let owner = self.owner(&facts);
            if self.filters.want_owner(&owner) && !self.visitor.row(facts.row(&of, owner)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Through sock_diag and the holders' descriptors; false when the visitor wants no more.
    fn diagnose(
        &mut self,
        place: &Place,
        cgroups: Option<&HashSet<u64>>,
    ) -> Result<bool, HostError> {
        let opened = place.within(|| Ok((Diag::open(place.netns)?, place.defaults()?)))?;
        let Some((mut diag, of)) = opened else {
            return Ok(true);
        };
        self.visitor.namespace(&of.namespace);
        let mut holders = Holders::default();
        let mut more = true;
        diag.list(|listed| {
            let facts = listed.facts;
            if !self
                .filters
                .want_ends(facts.family, facts.local, facts.peer)
            {
                return Ok(true);
            }
            if let Some(cgroups) = cgroups {
                let cgroup = listed.cgroup.ok_or(HostError::NoSocketCgroup)?;
                if !cgroups.contains(&cgroup) {
                    return Ok(true);
                }
            }
            let owner = self.owner(&facts);
            if self.filters.want_owner(&owner) {
                let facts = ask(facts, &owner, &mut holders, &of);
                more = self.visitor.row(facts.row(&of, owner));
            }
            Ok(more)
        })?;
        Ok(more)
    }

    fn owner(&self, facts: &Facts) -> Arc<Owner> {
        match facts.inode {
            Some(inode) => self.directory.owner(inode),
            None => Arc::default(),
        }
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

/// The last rows. Before 5.15 the kernel finds its way back into its table, at each read, by counting
/// within the bucket: one more socket in there, and it shows the last one again.
#[derive(Default)]
struct Recent(VecDeque<(Option<u64>, SocketAddr, SocketAddr)>);

impl Recent {
    fn has_or_takes(&mut self, facts: &Facts) -> bool {
        let key = (facts.inode, facts.local, facts.peer);
        if self.0.contains(&key) {
            return true;
        }
        if self.0.len() == RECENT {
            self.0.pop_front();
        }
        self.0.push_back(key);
        false
    }
}

/// Rows out of a file that hands over as many bytes as it likes.
struct Rows {
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            buffer: vec![0; ROWS * ROW_SIZE],
            at: 0,
            end: 0,
        }
    }
}

impl Rows {
    fn next(&mut self, file: &mut File) -> Result<Option<&[u8; ROW_SIZE]>, HostError> {
        while self.end - self.at < ROW_SIZE {
            self.buffer.copy_within(self.at..self.end, 0);
            self.end -= self.at;
            self.at = 0;
            let read = match file.read(&mut self.buffer[self.end..]) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(HostError::Io {
                        operation: "reading the iterator",
                        source,
                    });
                }
            };
            if read == 0 {
                return match self.end {
                    0 => Ok(None),
                    left => Err(HostError::Row(format!("{left} bytes are left over"))),
                };
            }
            self.end += read;
        }
        let row = self.buffer[self.at..].first_chunk();
        self.at += ROW_SIZE;
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Seek, SeekFrom, Write},
        net::{TcpListener, TcpStream},
    };

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
            directory: &Directory::read(),
            filters: &filters,
            visitor: &mut visitor,
        };
        // Of this namespace and this process: no privilege is asked for.
        let own = namespaces::all().remove(0);
        assert!(sockets.diagnose(&own, None).unwrap());
        let [row] = rows.as_slice() else {
            panic!("{rows:?}");
        };
        assert_eq!(row.keepalive, Some(true));
        assert_eq!(row.keepcnt.map(|set| set.value), Some(4));
        assert!(row.next_probe_ms.is_some() && row.detect_idle_ms.is_some());
    }

    #[test]
    fn rows_come_whole_however_they_are_read_and_a_torn_one_is_refused() {
        let mut file = tempfile();
        let bytes: Vec<u8> = (0..ROW_SIZE * 1000)
            .map(|at| (at / ROW_SIZE) as u8)
            .collect();
        file.write_all(&bytes).unwrap();
        file.write_all(b"torn").unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut rows = Rows::default();
        for at in 0..1000 {
            let row = rows.next(&mut file).unwrap().unwrap();
            assert_eq!(row, &[at as u8; ROW_SIZE]);
        }
        assert!(rows.next(&mut file).is_err());
    }

    /// A file without a name.
    fn tempfile() -> File {
        use rustix::fs::{MemfdFlags, memfd_create};
        File::from(memfd_create("rows", MemfdFlags::CLOEXEC).unwrap())
    }
}
