//! A writer of the archive format that the kernel unpacks at boot ("newc").

use std::fmt::Write as _;

const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
    inode: u32,
}

impl Writer {
    pub fn directory(&mut self, name: &str) {
        self.entry(name, DIRECTORY | 0o755, (0, 0), &[]);
    }

    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(name, FILE | mode, (0, 0), content);
    }

    pub fn symlink(&mut self, name: &str, target: &str) {
        self.entry(name, SYMLINK | 0o777, (0, 0), target.as_bytes());
    }

    pub fn character_device(&mut self, name: &str, number: (u32, u32)) {
        self.entry(name, CHARACTER_DEVICE | 0o600, number, &[]);
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.inode += 1;
        let links = if mode & DIRECTORY != 0 { 2 } else { 1 };
        // The format has 32 bits for a size, and so does an initramfs that fits into a guest.
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let fields = [
            self.inode,
            mode,
            0, // owner
            0, // group
            links,
            0, // modification time: none, so that equal contents give equal archives
            size(content.len()),
            0, // device that holds the file, major
            0, // and minor
            device.0,
            device.1,
            size(name.len() + 1),
            0, // checksum: unused in this variant
        ];
        let mut header = String::from("070701");
        for field in fields {
            // Writing to a String cannot fail.
            let _ = write!(header, "{field:08X}");
        }
        self.bytes.extend(header.as_bytes());
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_entry_byte_by_byte() {
        let mut writer = Writer::default();
        writer.file("ab", 0o644, b"hello");
        let bytes = writer.finish();
        let header = "070701\
            00000001\
            000081A4\
            00000000\
            00000000\
            00000001\
            00000000\
            00000005\
            00000000\
            00000000\
            00000000\
            00000000\
            00000003\
            00000000";
        assert_eq!(&bytes[..110], header.as_bytes());
        // The name with its NUL ends at 113 and is padded to 116; the content to a multiple of four.
        assert_eq!(&bytes[110..124], b"ab\0\0\0\0hello\0\0\0");
        assert_eq!(&bytes[124..130], b"070701");
    }

    #[test]
    fn the_archive_ends_with_the_trailer() {
        let bytes = Writer::default().finish();
        assert!(bytes.windows(11).any(|bytes| bytes == b"TRAILER!!!\0"));
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn a_device_has_its_numbers() {
        let mut writer = Writer::default();
        writer.character_device("dev/console", (5, 1));
        let text = String::from_utf8_lossy(&writer.bytes).into_owned();
        assert_eq!(&text[78..94], "0000000500000001");
        assert_eq!(&text[14..22], "00002180");
    }
}
