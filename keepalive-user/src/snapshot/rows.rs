//! The iterator's rows, read ahead of whoever takes them.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use keepalive_ebpf::wire::ROW_SIZE;

use super::facts::{Facts, Key};
use crate::source::HostError;

/// Bytes asked for at once: as much as the kernel hands over.
const PIECE: usize = 32 << 10;
/// Pieces that were read and nobody took yet, at most: 2 MB. Descriptors are walked meanwhile.
const AHEAD: usize = 64;

/// Rows among which a second showing is looked for: more than a bucket of the kernel's table holds.
const RECENT: usize = 64;

/// Rows out of a file that hands over as many bytes as it likes.
pub struct Rows {
    pieces: Receiver<io::Result<Vec<u8>>>,
    held: Vec<u8>,
    /// Where the next row begins in what is held.
    at: usize,
}

impl Rows {
    /// Reads on a thread of its own: one CPU makes rows while another writes them out. The thread
    /// ends with the file, or when nobody takes the rows any more.
    ///
    /// # Errors
    ///
    /// No thread can be had.
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

    /// The next row; nothing after the last.
    ///
    /// # Errors
    ///
    /// The kernel fails to read on, or ends within a row.
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

/// The last rows. Before 5.15 the kernel finds its way back into its table, at each read, by counting
/// within the bucket: one more socket in there, and it shows the last one again.
#[derive(Default)]
pub struct Recent(VecDeque<Key>);

impl Recent {
    /// It was among the last rows; if not, it is now.
    pub fn has_or_takes(&mut self, facts: &Facts) -> bool {
        let key = facts.key();
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
