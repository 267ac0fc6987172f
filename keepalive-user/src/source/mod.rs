//! The kernel half as seen from user space: opened, attached, and read as bytes.
//!
//! What leaves this room is raw records and counts. `decode` says what they mean.
//!
//! Inside, each room uses only rooms to its left:
//!
//! `error` ← `kernel_info` ← `load` ← `attach` ← `read` ← `backend` ← this file
//!
//! - `error`: [`HostError`], why this host refuses. `advice` beside it asks `kernel_info` what to do.
//! - `kernel_info`: what the kernel says about itself.
//! - `load`: the object with its settings and filters, nothing attached.
//! - `attach`: the table of hooks, and attaching them.
//! - `read`: the ring, losses, the tables of processes, the iterators.
//! - `backend`: tries one backend after the other, from the object to the last hook.

mod advice;
mod attach;
mod backend;
mod error;
pub(crate) mod kernel_info;
mod load;
mod read;

use std::time::Duration;

use aya::Ebpf;

pub use self::{
    attach::attached::Attached,
    error::HostError,
    kernel_info::{kallsyms::ranges_of, preflight},
    load::loader::prepare as prepare_loader,
    read::{
        losses::Dropped, process_tables::ProcessTables, ring::Drained, tcp_iter::SocketIterator,
    },
};

use self::{
    attach::{hook::Hook, reentrancy_guards},
    read::{cost, losses::Losses, ring::Ring},
};
use crate::settings::TraceSettings;

/// The kernel half, attached. Dropping it detaches every hook.
pub struct Source {
    /// `None` once detached.
    ebpf: Option<Ebpf>,
    guarded: Vec<&'static Hook>,
    process_tables: Option<ProcessTables>,
    ring: Ring,
    losses: Losses,
    /// What is watched, and how.
    pub attached: Attached,
}

impl Source {
    /// Asks this kernel what it allows, and attaches. Call it before other threads are started: it is
    /// about 150 ms faster then (`load/loader.rs` says why).
    ///
    /// # Errors
    ///
    /// The host refuses: see [`HostError`].
    pub fn open(settings: &TraceSettings) -> Result<Self, HostError> {
        let mut backend = backend::open(settings)?;
        let ebpf = &mut backend.ebpf;
        Ok(Self {
            ring: Ring::take(ebpf, settings.ring_bytes)?,
            losses: Losses::take(ebpf)?,
            process_tables: Some(ProcessTables::take(ebpf, backend.loaded)?),
            ebpf: Some(backend.ebpf),
            guarded: backend.guarded,
            attached: backend.attached,
        })
    }

    /// Attaches the re-entrancy guards. To be called once, when all else is done.
    ///
    /// # Errors
    ///
    /// The kernel refuses a second program where it took the first.
    pub fn attach_guards(&mut self) -> Result<(), HostError> {
        match &mut self.ebpf {
            Some(ebpf) => reentrancy_guards::attach(ebpf, &self.guarded),
            None => Ok(()),
        }
    }

    /// The kernel half's tables of processes, for another thread; `None` the second time.
    pub fn take_process_tables(&mut self) -> Option<ProcessTables> {
        self.process_tables.take()
    }

    /// Waits until the ring holds something. Then hands records to `each` until the ring is empty or
    /// a batch is full.
    ///
    /// # Errors
    ///
    /// The ring's descriptor can no longer be waited for.
    pub async fn drain(&mut self, each: impl FnMut(&[u8])) -> Result<Drained, HostError> {
        self.ring.drain(each).await
    }

    /// Whether the ring is less than half full. False if that is not known.
    pub fn has_room(&self) -> bool {
        self.ring.has_room()
    }

    /// Detaches every hook. Nothing is written to the ring any more.
    pub fn detach(&mut self) {
        drop(self.ebpf.take());
    }

    /// Hands over what the ring holds, up to a full batch. Does not wait.
    pub fn drain_now(&mut self, each: impl FnMut(&[u8])) -> Drained {
        self.ring.drain_now(each)
    }

    /// Detaches every hook, then hands over all that the ring still holds.
    pub fn finish(&mut self, each: impl FnMut(&[u8])) {
        self.detach();
        self.ring.drain_rest(each);
    }

    /// What the kernel half could not deliver or follow since the start.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    pub fn dropped(&self) -> Result<Dropped, HostError> {
        self.losses.read()
    }

    /// Runs of katrace's programs that the kernel skipped because the same program was already
    /// running on that CPU. `None` before Linux 5.12, which does not count them, and once detached.
    pub fn skipped(&self) -> Option<u64> {
        cost::skipped(self.ebpf.as_ref()?)
    }

    /// Time and number of runs of katrace's programs, as far as the kernel counted them. `None` if it
    /// does not tell, and once detached.
    pub fn spent(&self) -> Option<(Duration, u64)> {
        cost::spent(self.ebpf.as_ref()?)
    }

    /// The most bytes of the ring that were in use when it was read, and its size in bytes. `None`
    /// where the kernel does not let it be seen.
    pub fn ring_most(&self) -> Option<(usize, u32)> {
        self.ring.most_filled()
    }
}

#[cfg(test)]
mod tests {
    //! The table of hooks and the programs in the object are compared.

    use std::collections::BTreeSet;

    use aya_obj::{Object, ProgramSection};

    use super::{
        attach::{hook::Point, table::HOOKS},
        load::object::OBJECT,
        read::{fd_iter, process_tables, tcp_iter},
    };

    /// Programs that no hook runs.
    const OTHERS: [&str; 3] = [fd_iter::PROGRAM, tcp_iter::PROGRAM, process_tables::WRITER];

    #[test]
    fn the_table_and_the_object_have_the_same_programs() {
        let object = Object::parse(OBJECT).unwrap();
        let built: BTreeSet<&str> = object.programs.keys().map(String::as_str).collect();
        let hooks = HOOKS.iter();
        let mut listed: Vec<&str> = hooks
            .flat_map(|hook| std::iter::once(hook.program).chain(hook.guard))
            .chain(OTHERS)
            .collect();
        listed.sort_unstable();
        assert!(
            listed.windows(2).all(|pair| pair[0] != pair[1]),
            "listed twice: {listed:?}"
        );
        let listed: BTreeSet<&str> = listed.into_iter().collect();
        let only = |one: &BTreeSet<&str>, other: &BTreeSet<&str>| -> Vec<String> {
            one.difference(other).map(|name| (*name).into()).collect()
        };
        assert_eq!(
            (only(&built, &listed), only(&listed, &built)),
            (vec![], vec![]),
            "only in the object; only in the table"
        );
    }

    #[test]
    fn each_program_is_of_the_kind_that_its_row_says() {
        let object = Object::parse(OBJECT).unwrap();
        for hook in HOOKS {
            for name in std::iter::once(hook.program).chain(hook.guard) {
                let section = &object.programs[name].section;
                let is_right = match hook.point {
                    Point::Fentry(_) => matches!(section, ProgramSection::FEntry { .. }),
                    Point::Fexit(_) => matches!(section, ProgramSection::FExit { .. }),
                    Point::Kprobe(_) => matches!(section, ProgramSection::KProbe),
                    Point::Kretprobe(_) => matches!(section, ProgramSection::KRetProbe),
                    Point::Tracepoint { .. } => matches!(section, ProgramSection::RawTracePoint),
                };
                assert!(is_right, "{name} is {section:?}");
            }
        }
    }
}
