//! aya's loader, kept from parsing the kernel's whole BTF.
//!
//! `EbpfLoader::new` (aya 0.14) opens and parses /sys/kernel/btf/vmlinux, and there is no other way
//! to make a loader. The result is for relocations that Rust programs do not have, but it took most
//! of the time to the first record and most of katrace's memory. A BTF that cannot be opened is to
//! aya a kernel without BTF. So the loader is made while RLIMIT_NOFILE is 0.
//!
//! That limit counts for the whole process, so it is lowered only while this is the only thread.
//! Then nobody else can fail to open a file meanwhile, and nobody else can start a thread. Where
//! other threads run already, aya parses the BTF, which takes longer but is right. A command that
//! loads on another thread than the main one calls [`prepare`] before it starts that thread.

use std::{
    fs, io,
    sync::{Mutex, PoisonError},
};

use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use keepalive_ebpf::wire::{Config, Layout};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::object::{OBJECT, Shared};
use crate::source::{error::HostError, kernel_info::layout::KernelTypes};

/// The sizes of maps that differ from one use to another: creating large ones takes time.
#[derive(Clone, Copy, Debug)]
pub struct MapSizes {
    /// Of the ring, bytes.
    pub ring_bytes: u32,
    /// Sockets that can be followed at once.
    pub sockets: u32,
}

/// The globals of the kernel half, which the verifier knows as constants.
pub struct Globals {
    layout: Shared<Layout>,
    config: Shared<Config>,
    log_level: u8,
}

impl Globals {
    /// `verbose` has the kernel half write its log.
    pub fn of(types: &KernelTypes, config: Config, verbose: bool) -> Self {
        Self {
            layout: Shared(types.layout),
            config: Shared(config),
            log_level: if verbose {
                aya_log::Level::Debug as u8
            } else {
                0
            },
        }
    }
}

/// Made by [`prepare`], for the next [`Loader::new`].
static PREPARED: Mutex<Option<EbpfLoader<'static>>> = Mutex::new(None);

/// Makes a loader ahead, while the process has a single thread.
///
/// # Errors
///
/// RLIMIT_NOFILE cannot be lowered or restored.
pub fn prepare() -> Result<(), HostError> {
    let loader = without_opening_files(EbpfLoader::new)?;
    let mut prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
    *prepared = Some(loader);
    Ok(())
}

/// Loads the kernel half, as often as backends are tried.
pub struct Loader<'a>(EbpfLoader<'a>);

impl Loader<'_> {
    /// Takes the loader that was prepared, or makes one. Making one is fast only while the process has
    /// a single thread: call it first.
    ///
    /// # Errors
    ///
    /// RLIMIT_NOFILE cannot be lowered or restored.
    pub fn new() -> Result<Self, HostError> {
        let prepared = PREPARED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match prepared {
            Some(loader) => Ok(Self(loader)),
            None => without_opening_files(EbpfLoader::new).map(Self),
        }
    }
}

impl<'a> Loader<'a> {
    /// Creates the maps and sets the globals. Programs are loaded one by one, as they are attached.
    ///
    /// # Errors
    ///
    /// The kernel refuses a map.
    pub fn load(&mut self, sizes: MapSizes, globals: &'a Globals) -> Result<Ebpf, HostError> {
        self.0
            .btf(None)
            .verifier_log_level(VerifierLogLevel::DEBUG)
            .override_global("LAYOUT", &globals.layout, true)
            .override_global("CONFIG", &globals.config, true)
            .override_global(aya_log::LEVEL, &globals.log_level, true)
            .map_max_entries("EVENTS", sizes.ring_bytes)
            .map_max_entries("SOCKETS", sizes.sockets)
            .load(OBJECT)
            .map_err(|error| HostError::from_load(error, sizes.ring_bytes))
    }
}

/// Runs `make` while no file can be opened, if this is the only thread. Otherwise just runs it.
fn without_opening_files<T>(make: impl FnOnce() -> T) -> Result<T, HostError> {
    if !is_only_thread().unwrap_or(false) {
        return Ok(make());
    }
    let failed = |operation: &'static str| {
        move |errno: rustix::io::Errno| HostError::Io {
            operation,
            source: errno.into(),
        }
    };
    let limit = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(0),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, none).map_err(failed("lowering RLIMIT_NOFILE"))?;
    let made = make();
    setrlimit(Resource::Nofile, limit).map_err(failed("restoring RLIMIT_NOFILE"))?;
    Ok(made)
}

/// Only a thread of this process can start another, so the answer "yes" stays true.
fn is_only_thread() -> io::Result<bool> {
    Ok(fs::read_dir("/proc/self/task")?.nth(1).is_none())
}

#[cfg(test)]
mod tests {
    use std::{env, fs::File, process::Command, sync::mpsc, thread};

    use super::*;

    /// Opened by the tests.
    const OPENED: &str = "/proc/self/stat";

    #[test]
    fn other_threads_can_open_files_meanwhile() {
        let (done, wait) = mpsc::channel::<()>();
        let other = thread::spawn(move || wait.recv());
        assert!(without_opening_files(|| File::open(OPENED).is_ok()).unwrap());
        drop(done);
        let _ = other.join();
    }

    /// Run by the next test, in a process of its own whose other thread only waits.
    #[test]
    #[ignore = "forks"]
    fn a_single_thread_cannot() {
        // SAFETY: the child has this thread alone. The other one, which is not there, was waiting for
        // this test and held no lock.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // SAFETY: ends the child at once, and nothing of the parent is written twice.
            unsafe { libc::_exit(i32::from(!files_are_refused_meanwhile())) };
        }
        let mut status = -1;
        // SAFETY: `status` is valid for writing.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
    }

    fn files_are_refused_meanwhile() -> bool {
        let before = getrlimit(Resource::Nofile);
        is_only_thread().is_ok_and(|alone| alone)
            && without_opening_files(|| File::open(OPENED).is_err()).is_ok_and(|refused| refused)
            && File::open(OPENED).is_ok()
            && before.current == getrlimit(Resource::Nofile).current
    }

    #[test]
    fn a_single_thread_is_kept_from_opening_files() {
        let name = "source::load::loader::tests::a_single_thread_cannot";
        let output = Command::new(env::current_exe().unwrap())
            .args([name, "--exact", "--ignored", "--test-threads=1"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1 passed"), "{text}");
    }
}
