//! The iterator's rows, read ahead by a thread of their own.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use keepalive_ebpf::wire::ROW_SIZE;

use super::raw_socket::{Key, RawSocket};
use crate::source::HostError;

/// Bytes of one read: as many as the kernel hands over at once.
const PIECE: usize = 32 << 10;
/// Pieces that wait to be taken, at most: 2 MB. They wait while the descriptors of all processes are read.
const AHEAD: usize = 64;

/// How many rows are remembered to find a socket that comes twice: more than a bucket of the kernel's table holds.
const RECENT: usize = 64;

/// Rows of a file, however many bytes each read of it returns.
pub struct Rows {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// Bytes that were taken and not handed out.
    held: Vec<u8>,
    /// Where the next row begins in `held`.
    at: usize,
}

impl Rows {
    /// Starts to read on a new thread, so that one CPU makes rows while another writes them out. The thread ends at the
    /// end of the file, or when the rows are dropped.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn of(mut file: impl Read + Send + 'static) -> Result<Self, HostError> {
        let (sender, pieces) = sync_channel(AHEAD);
        thread::Builder::new()
            .name("katrace-rows".into())
            .spawn(move || read(&mut file, &sender))
            .map_err(failed("starting a thread"))?;
        Ok(Self {
            pieces,
            held: Vec::new(),
            at: 0,
        })
    }

    /// The next row; `None` after the last.
    ///
    /// # Errors
    ///
    /// A read fails, or the file ends within a row.
    pub fn next(&mut self) -> Result<Option<&[u8; ROW_SIZE]>, HostError> {
        while self.held.len() - self.at < ROW_SIZE {
            self.held.drain(..self.at);
            self.at = 0;
            match self.pieces.recv() {
                Ok(Ok(piece)) if self.held.is_empty() => self.held = piece,
                Ok(Ok(piece)) => self.held.extend(piece),
                Ok(Err(error)) => return Err(failed("reading the iterator")(error)),
                Err(_) => {
                    return match self.held.len() {
                        0 => Ok(None),
                        left => Err(HostError::Row(format!("{left} bytes are left over"))),
                    };
                }
            }
        }
        let row = self.held[self.at..].first_chunk();
        self.at += ROW_SIZE;
        Ok(row)
    }
}

fn read(file: &mut impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let read = match file.read(&mut piece) {
            Ok(0) => return,
            Ok(read) => {
                piece.truncate(read);
                Ok(piece)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let was_error = read.is_err();
        if sender.send(read).is_err() || was_error {
            return;
        }
    }
}

fn failed(operation: &'static str) -> impl Fn(io::Error) -> HostError {
    move |source| HostError::Io { operation, source }
}

/// The last rows. Before 5.15 the kernel finds its way back into its table at each read by counting within the bucket.
/// If one more socket is in the bucket by then, the kernel shows the last one again.
#[derive(Default)]
pub struct Recent(VecDeque<Key>);

impl Recent {
    /// Whether the socket was among the last rows. If not, it is remembered.
    pub fn repeats(&mut self, socket: &RawSocket) -> bool {
        let key = socket.key();
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

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Seek, SeekFrom, Write},
    };

    use super::*;

    #[test]
    fn rows_come_whole_however_they_are_read_and_a_torn_one_is_refused() {
        let mut file = tempfile();
        let bytes: Vec<u8> = (0..ROW_SIZE * 1000)
            .map(|at| (at / ROW_SIZE) as u8)
            .collect();
        file.write_all(&bytes).unwrap();
        file.write_all(b"torn").unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut rows = Rows::of(file).unwrap();
        for at in 0..1000 {
            let row = rows.next().unwrap().unwrap();
            assert_eq!(row, &[at as u8; ROW_SIZE]);
        }
        assert!(rows.next().is_err());
    }

    /// A file without a name.
    fn tempfile() -> File {
        use rustix::fs::{MemfdFlags, memfd_create};
        File::from(memfd_create("rows", MemfdFlags::CLOEXEC).unwrap())
    }
}
