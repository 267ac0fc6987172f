//! How full the ring is.
//!
//! The kernel lets two positions be mapped (Documentation/bpf/ringbuf.rst): the first page of the map
//! holds the reader's, the second the writer's. Both only grow. The bytes between them are in use.

use std::{
    io,
    os::fd::AsRawFd,
    sync::atomic::{AtomicUsize, Ordering},
};

use memmap2::{MmapOptions, MmapRaw};
use rustix::param::page_size;

/// A ring's positions.
pub struct Fill {
    reader: MmapRaw,
    writer: MmapRaw,
    most: usize,
}

impl Fill {
    /// Maps the positions of this ring.
    ///
    /// # Errors
    ///
    /// The kernel does not let them be mapped.
    pub fn of(ring: &impl AsRawFd) -> io::Result<Self> {
        let page = |offset: usize| {
            MmapOptions::new()
                .offset(offset as u64)
                .len(page_size())
                .map_raw_read_only(ring.as_raw_fd())
        };
        Ok(Self {
            reader: page(0)?,
            writer: page(page_size())?,
            most: 0,
        })
    }

    /// Compares the positions now.
    pub fn look(&mut self) {
        self.most = self.most.max(self.used());
    }

    /// Bytes in use now, headers of records included.
    pub fn used(&self) -> usize {
        // The reader's position first: it never passes the writer's, so the difference is not negative.
        let (reader, writer) = (position(&self.reader), position(&self.writer));
        writer.wrapping_sub(reader)
    }

    /// The most bytes that were in use at any look, headers of records included.
    pub const fn most(&self) -> usize {
        self.most
    }
}

fn position(page: &MmapRaw) -> usize {
    // SAFETY: the page is mapped for as long as `page` lives, begins with an aligned `unsigned long`
    // that is only ever accessed atomically, and is only read here.
    unsafe { AtomicUsize::from_ptr(page.as_mut_ptr().cast()) }.load(Ordering::Acquire)
}
