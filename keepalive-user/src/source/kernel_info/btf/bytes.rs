//! The bytes of the running kernel's BTF.

use std::{
    fs::File,
    io::{self, Read},
    ops::Deref,
};

use memmap2::{Mmap, MmapMut, MmapOptions};

use super::VMLINUX;

/// The bytes of [`VMLINUX`].
pub enum Bytes {
    /// Mapped from the file: Linux 6.16 and later allow it.
    Mapped(Mmap),
    /// Read, where it cannot be mapped: a system call for each of some fifteen hundred pages.
    ///
    /// In a mapping of its own, which goes back to the kernel at once. The allocator would keep
    /// memory that is needed only at the start.
    Read(MmapMut),
}

impl Bytes {
    /// Opens the file and maps or reads it.
    ///
    /// # Errors
    ///
    /// The kernel offers no BTF, or it cannot be read.
    pub fn of_this_kernel() -> io::Result<Self> {
        let file = File::open(VMLINUX)?;
        // SAFETY: the kernel's types never change while it runs, and nobody can write to them. A
        // private mapping, since the kernel refuses a shared one.
        match unsafe { MmapOptions::new().map_copy_read_only(&file) } {
            Ok(mapped) => Ok(Self::Mapped(mapped)),
            Err(_) => read(file).map(Self::Read),
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(mapped) => mapped,
            Self::Read(read) => read,
        }
    }
}

fn read(mut file: File) -> io::Result<MmapMut> {
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut memory = MmapMut::map_anon(size)?;
    file.read_exact(&mut memory)?;
    Ok(memory)
}
