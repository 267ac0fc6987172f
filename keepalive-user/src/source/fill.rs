//! What `--stats` asks of the source. How full the ring is tell the two positions that the kernel
//! shows of it.
//!
//! Documentation/bpf/ringbuf.rst of the kernel: the first page of the map holds the reader's
//! position, the second the writer's; both only grow, and what lies between them is taken.

use std::{
    io,
    os::fd::AsRawFd,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use memmap2::{MmapOptions, MmapRaw};
use rustix::param::page_size;

use super::Source;

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

    /// Looks once.
    pub fn look(&mut self) {
        // The reader's first: it never passes the writer's.
        let (reader, writer) = (position(&self.reader), position(&self.writer));
        self.most = self.most.max(writer.wrapping_sub(reader));
    }

    /// The most bytes that were taken whenever it was looked at, headers of records included.
    pub const fn most(&self) -> usize {
        self.most
    }
}

fn position(page: &MmapRaw) -> usize {
    // SAFETY: the page is mapped for as long as `page` lives, begins with an aligned `unsigned long`
    // that is only ever accessed atomically, and is only read here.
    unsafe { AtomicUsize::from_ptr(page.as_mut_ptr().cast()) }.load(Ordering::Acquire)
}

impl Source {
    /// Bytes of the ring that were taken at most when it was read, and its size; `None` without
    /// `--stats`.
    pub fn ring_most(&self) -> Option<(usize, u32)> {
        Some((self.fill.as_ref()?.most(), self.ring_bytes))
    }

    /// Time and runs of katrace's programs, as far as the kernel was counting; `None` if it does not
    /// tell. Only while attached.
    pub fn spent(&self) -> Option<(Duration, u64)> {
        self.ebpf
            .as_ref()?
            .programs()
            // Those of other backends were never loaded.
            .filter_map(|(_, program)| program.info().ok())
            .map(|info| (info.run_time(), info.run_count()))
            .reduce(|sum, more| (sum.0 + more.0, sum.1 + more.1))
    }
}
