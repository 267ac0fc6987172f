//! Between attaching and reading.

use std::{os::fd::AsRawFd, rc::Rc};

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray, RingBuf},
};
use tokio::io::{Interest, unix::AsyncFd};

use super::{
    Attached, HostError, Memory, Source,
    fill::Fill,
    memory::{Loaded, SharedEbpf},
    object,
};
use crate::settings::TraceSettings;

/// Attached, and nobody reads yet.
pub(super) struct Opened {
    pub ebpf: Ebpf,
    pub attached: Attached,
    pub loaded: Loaded,
}

impl Opened {
    /// Maps the ring and waits for it from now on.
    pub(super) fn watch(
        mut self,
        settings: &TraceSettings,
        reason: String,
    ) -> Result<Source, HostError> {
        self.attached.reason = reason;
        let ring = object::take::<RingBuf<MapData>>(&mut self.ebpf, "EVENTS")?;
        let drops = object::take::<PerCpuArray<MapData, object::Losses>>(&mut self.ebpf, "LOSSES")?;
        // Where it cannot be had, `--stats` leaves it out.
        let fill = settings.stats.then(|| Fill::of(&ring).ok()).flatten();
        let ring = watch(ring, "watching the ring")?;
        let shared = SharedEbpf::default();
        let memory = Memory::take(&mut self.ebpf, Rc::clone(&shared), self.loaded)?;
        shared.replace(Some(self.ebpf));
        Ok(Source {
            ebpf: shared,
            memory: Some(memory),
            ring,
            drops,
            fill,
            ring_bytes: settings.ring_bytes,
            attached: self.attached,
        })
    }
}

/// Puts a ring's descriptor under tokio's eye.
pub(super) fn watch<T: AsRawFd>(ring: T, operation: &'static str) -> Result<AsyncFd<T>, HostError> {
    // SAFETY: the descriptor belongs to `ring`, which moves into the result and is never replaced
    // there, so it stays open for as long as it is registered.
    unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }.map_err(|error| {
        HostError::Io {
            operation,
            source: error.into(),
        }
    })
}
