//! Sections of an executable, read in a few bounded pieces.
//!
//! An executable of another process is never mapped: where it lies on NFS or FUSE its owner can shorten it while it
//! runs, and a read of the mapping beyond its new end ends this process (SIGBUS). A read(2) just comes back short.

use std::{
    fs::File,
    io::{Read, Seek},
    ops::Range,
    path::Path,
};

use object::{
    Endianness,
    elf::{FileHeader32, FileHeader64},
    read::{
        ReadCache, ReadRef,
        elf::{FileHeader, SectionHeader},
    },
};

use super::open_regular;

/// Bytes of one piece: 4,096 section headers, far more than a linker makes. The file header, the section headers and
/// their names are at most five pieces.
const PIECE: u64 = 256 << 10;

/// Whether an executable has a section of this name. It is false too where the file cannot be read, is no ELF file
/// or has more section headers than fit into one piece.
pub(crate) fn has_section(path: &Path, name: &str) -> bool {
    open_regular(path).is_ok_and(|file| file_has_section(file, name))
}

fn file_has_section(file: File, name: &str) -> bool {
    let cache = ReadCache::new(file);
    let pieces = Pieces(&cache);
    let found = names_section::<FileHeader64<Endianness>, _>(pieces, name)
        .or_else(|| names_section::<FileHeader32<Endianness>, _>(pieces, name));
    found.unwrap_or(false)
}

/// `None` for a file of another class, or a broken one.
fn names_section<'a, E, R>(data: R, wanted: &str) -> Option<bool>
where
    E: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    let header = E::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.section_headers(endian, data).ok()?;
    let index = usize::try_from(header.shstrndx(endian, data).ok()?).ok()?;
    let names = sections.get(index)?.data(endian, data).ok()?;
    Some(sections.iter().any(|section| {
        let name = usize::try_from(section.sh_name(endian)).ok();
        let rest = name
            .and_then(|at| names.get(at..))
            .and_then(|name| name.strip_prefix(wanted.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }))
}

/// A file of which only small pieces are read.
struct Pieces<'a, R: Read + Seek>(&'a ReadCache<R>);

impl<R: Read + Seek> Clone for Pieces<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Read + Seek> Copy for Pieces<'_, R> {}

impl<'a, R: Read + Seek> ReadRef<'a> for Pieces<'a, R> {
    fn len(self) -> Result<u64, ()> {
        self.0.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        if size > PIECE {
            return Err(());
        }
        self.0.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let end = range.end.min(range.start.saturating_add(PIECE));
        self.0.read_bytes_at_until(range.start..end, delimiter)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{self, SeekFrom},
        os::unix::fs::FileExt,
        sync::atomic::{AtomicU64, Ordering},
    };

    use super::{super::tests::Scratch, *};

    const GO: &str = ".go.buildinfo";
    /// Where the section headers of [`executable`] begin.
    const TABLE: usize = 128;

    /// The smallest 64-bit file with a section of the name, and one section for the names.
    fn executable() -> Vec<u8> {
        let mut file = vec![0; TABLE + 3 * 64];
        let mut put = |at: usize, part: &[u8]| file[at..at + part.len()].copy_from_slice(part);
        put(0, b"\x7fELF\x02\x01\x01");
        put(16, &2u16.to_le_bytes());
        put(20, &1u32.to_le_bytes());
        put(40, &(TABLE as u64).to_le_bytes());
        put(52, &64u16.to_le_bytes());
        put(58, &64u16.to_le_bytes());
        put(60, &3u16.to_le_bytes());
        put(62, &2u16.to_le_bytes());
        let names = b"\0.go.buildinfo\0.shstrtab\0";
        put(64, names);
        // sh_name and sh_type of the first real section; the same, offset and size of the names.
        put(TABLE + 64, &1u32.to_le_bytes());
        put(TABLE + 68, &1u32.to_le_bytes());
        put(TABLE + 128, &15u32.to_le_bytes());
        put(TABLE + 132, &3u32.to_le_bytes());
        put(TABLE + 152, &64u64.to_le_bytes());
        put(TABLE + 160, &(names.len() as u64).to_le_bytes());
        file
    }

    /// The same for 32 bits, big-endian.
    fn executable_32() -> Vec<u8> {
        let mut file = vec![0; TABLE + 3 * 40];
        let mut put = |at: usize, part: &[u8]| file[at..at + part.len()].copy_from_slice(part);
        put(0, b"\x7fELF\x01\x02\x01");
        put(16, &2u16.to_be_bytes());
        put(20, &1u32.to_be_bytes());
        put(32, &(TABLE as u32).to_be_bytes());
        put(40, &52u16.to_be_bytes());
        put(46, &40u16.to_be_bytes());
        put(48, &3u16.to_be_bytes());
        put(50, &2u16.to_be_bytes());
        let names = b"\0.go.buildinfo\0.shstrtab\0";
        put(64, names);
        put(TABLE + 40, &1u32.to_be_bytes());
        put(TABLE + 44, &1u32.to_be_bytes());
        put(TABLE + 80, &15u32.to_be_bytes());
        put(TABLE + 84, &3u32.to_be_bytes());
        put(TABLE + 96, &64u32.to_be_bytes());
        put(TABLE + 100, &(names.len() as u32).to_be_bytes());
        file
    }

    #[test]
    fn a_section_is_found_by_its_whole_name() {
        let file = Scratch::new("elf");
        for bytes in [executable(), executable_32()] {
            fs::write(file.path(), bytes).unwrap();
            assert!(has_section(file.path(), GO));
            assert!(has_section(file.path(), ".shstrtab"));
            for other in [".go.build", "go.buildinfo.", ".text"] {
                assert!(!has_section(file.path(), other), "{other}");
            }
        }
        let own = Path::new("/proc/self/exe");
        assert!(has_section(own, ".text") && !has_section(own, GO));
    }

    #[test]
    fn a_file_that_is_shortened_while_it_is_read_is_no_crash() {
        let whole = executable();
        for length in 0..whole.len() {
            let scratch = Scratch::new("short");
            fs::write(scratch.path(), &whole).unwrap();
            // Its length is asked once, at the beginning; what comes after is less.
            let file = Shortened {
                file: writable(scratch.path()),
                to: length as u64,
            };
            let cache = ReadCache::new(file);
            let found = names_section::<FileHeader64<Endianness>, _>(Pieces(&cache), GO);
            assert_eq!(found, None, "{length}");
        }
    }

    fn writable(path: &Path) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    /// A file that another process shortens after its length was asked.
    struct Shortened {
        file: File,
        to: u64,
    }

    impl Read for Shortened {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.file.read(into)
        }
    }

    impl Seek for Shortened {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            let at = self.file.seek(to)?;
            if matches!(to, SeekFrom::End(_)) {
                self.file.set_len(self.to)?;
            }
            Ok(at)
        }
    }

    #[test]
    fn sixteen_million_section_headers_cost_nothing() {
        const HEADERS: u64 = 16_000_000;
        let scratch = Scratch::new("many");
        let mut bytes = executable();
        // The number stands in the first section header where it does not fit the file header.
        bytes[60..62].copy_from_slice(&0u16.to_le_bytes());
        bytes[TABLE + 32..TABLE + 40].copy_from_slice(&HEADERS.to_le_bytes());
        fs::write(scratch.path(), &bytes).unwrap();
        let file = writable(scratch.path());
        // A hole: the file is as long as it says, and takes no room.
        file.set_len(TABLE as u64 + HEADERS * 64).unwrap();
        let read = AtomicU64::new(0);
        let cache = ReadCache::new(Counted(&file, &read));
        let found = names_section::<FileHeader64<Endianness>, _>(Pieces(&cache), GO);
        assert_eq!(found, None);
        assert!(read.load(Ordering::Relaxed) <= PIECE);
        // The same file is read when it tells a number that a linker makes.
        file.write_all_at(&3u64.to_le_bytes(), TABLE as u64 + 32)
            .unwrap();
        assert!(has_section(scratch.path(), GO));
    }

    /// Counts the bytes that are read.
    struct Counted<'a>(&'a File, &'a AtomicU64);

    impl Read for Counted<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(into)?;
            self.1.fetch_add(read as u64, Ordering::Relaxed);
            Ok(read)
        }
    }

    impl Seek for Counted<'_> {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }
}
