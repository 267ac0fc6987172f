//! Files of this host, read with a bound: other processes decide how long a file is, and what a path leads to.
//!
//! This room imports no other room.

mod elf;
pub mod mounts;

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

pub(crate) use elf::has_section;

/// Bytes that [`contains`] reads at once.
const PIECE: usize = 64 << 10;

/// Opens a file for reading and never waits: a FIFO without a writer opens at once, and a terminal does not become
/// the controlling one.
///
/// # Errors
///
/// As open(2).
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

/// Opens a regular file.
///
/// # Errors
///
/// As open(2); `InvalidInput` when the path leads to anything but a regular file (directory, FIFO, device).
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        let kind = io::ErrorKind::InvalidInput;
        Err(io::Error::new(kind, "not a regular file"))
    }
}

/// The whole of a regular file of at most `max` bytes.
///
/// # Errors
///
/// As [`open_regular`] and read(2); `FileTooLarge` when the file is longer.
pub(crate) fn read_regular(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    // One byte more than `max` is asked for: if it comes, the file is too long. The length that the file system
    // reports is not used, because it may change meanwhile.
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        let kind = io::ErrorKind::FileTooLarge;
        return Err(io::Error::new(kind, format!("longer than {max} bytes")));
    }
    Ok(bytes)
}

/// The first `max` bytes of a file of /proc, which tells no length before it is read.
///
/// # Errors
///
/// As open(2) and read(2).
pub(crate) fn read_start(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether `needle` stands within the first `max` bytes of a text. Holds only a piece of the text at a time, and
/// stops at the first find.
///
/// # Errors
///
/// As the reader's.
pub(crate) fn contains(text: impl Read, needle: &[u8], max: u64) -> io::Result<bool> {
    let mut text = text.take(max);
    let finder = memchr::memmem::Finder::new(needle);
    let mut piece = Vec::with_capacity(PIECE + needle.len());
    loop {
        let read = text.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        if finder.find(&piece).is_some() {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        // The needle may begin at the end of this piece.
        let kept = piece.len().min(needle.len().saturating_sub(1));
        piece.drain(..piece.len() - kept);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{ffi::CString, fs, io::Cursor, path::PathBuf};

    use super::*;

    /// A path of its own for each test, removed at the end.
    pub struct Scratch(PathBuf);

    impl Scratch {
        pub fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("katrace-{}-{name}", std::process::id()));
            let _ = fs::remove_file(&path);
            Self(path)
        }

        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_bound_and_refused_above() {
        let file = Scratch::new("bound");
        fs::write(file.path(), [7; 100]).unwrap();
        assert_eq!(read_regular(file.path(), 100).unwrap(), [7; 100]);
        let refused = read_regular(file.path(), 99).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_start(file.path(), 99).unwrap(), [7; 99]);
    }

    #[test]
    fn a_fifo_without_a_writer_and_a_device_are_refused_at_once() {
        let fifo = Scratch::new("fifo");
        let path = CString::new(fifo.path().as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: the path is a string that ends with NUL and outlives the call.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        // A test that waits here for ever has failed.
        for path in [fifo.path(), Path::new("/dev/zero"), Path::new("/proc")] {
            let refused = read_regular(path, 10).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
    }

    #[test]
    fn a_needle_is_found_across_pieces_and_not_beyond_the_bound() {
        let needle = b"/libpq.so";
        for at in [0, PIECE - 5, PIECE, 3 * PIECE - 1] {
            let mut text = vec![b'\xff'; 3 * PIECE + needle.len()];
            text[at..at + needle.len()].copy_from_slice(needle);
            let end = (at + needle.len()) as u64;
            assert!(contains(Cursor::new(&text), needle, end).unwrap(), "{at}");
            assert!(
                !contains(Cursor::new(&text), needle, end - 1).unwrap(),
                "{at}"
            );
        }
        assert!(!contains(Cursor::new(b""), needle, 100).unwrap());
    }
}
