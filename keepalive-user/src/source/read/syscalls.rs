//! The three commands of bpf(2) that aya offers only through the object it loaded.
//!
//! [`ProcessTables`](super::process_tables::ProcessTables) is used on another thread than the hooks, so it cannot borrow aya's
//! object. It holds descriptors of its own and calls the kernel itself.

use std::{
    ffi::{c_long, c_void},
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

// `enum bpf_cmd` and `enum bpf_attach_type` of include/uapi/linux/bpf.h.
const PROG_TEST_RUN: c_long = 10;
const LINK_CREATE: c_long = 28;
const ITER_CREATE: c_long = 33;
const TRACE_ITER: u32 = 28;

/// `link_create` of `union bpf_attr`, as far as it is used. The kernel takes the rest as zero.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

/// `iter_create` of `union bpf_attr`.
#[repr(C)]
struct IterCreate {
    link_fd: u32,
    flags: u32,
}

/// `test` of `union bpf_attr`, as far as it is used.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
}

/// Links a loaded iterator program, without parameters. The link can be opened many times.
///
/// # Errors
///
/// The kernel refuses.
pub fn link_iterator(program: impl AsFd) -> io::Result<OwnedFd> {
    let mut attr = LinkCreate {
        prog_fd: number(program),
        target_fd: 0,
        attach_type: TRACE_ITER,
        flags: 0,
    };
    // SAFETY: `LinkCreate` is the attribute of this command, and holds no pointers.
    let fd = unsafe { bpf(LINK_CREATE, &mut attr) }?;
    // SAFETY: on success this command returns a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Opens a linked iterator. Reading the file runs the program over all that it iterates over.
///
/// # Errors
///
/// The kernel refuses.
pub fn open_iterator(link: impl AsFd) -> io::Result<File> {
    let mut attr = IterCreate {
        link_fd: number(link),
        flags: 0,
    };
    // SAFETY: `IterCreate` is the attribute of this command, and holds no pointers.
    let fd = unsafe { bpf(ITER_CREATE, &mut attr) }?;
    // SAFETY: on success this command returns a new descriptor that nobody else owns.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Runs a loaded raw tracepoint program once, with these arguments. Returns what it returned.
///
/// # Errors
///
/// The kernel refuses; before 5.10 it has no such command for raw tracepoints.
pub fn run(program: impl AsFd, args: &[u64; 2]) -> io::Result<u32> {
    let mut attr = TestRun {
        prog_fd: number(program),
        ctx_size_in: size_of_val(args) as u32,
        ctx_in: args.as_ptr() as u64,
        ..TestRun::default()
    };
    // SAFETY: `TestRun` is the attribute of this command. Its one pointer is to `args`, with their
    // size; the kernel only reads them, and they outlive the call.
    unsafe { bpf(PROG_TEST_RUN, &mut attr) }?;
    Ok(attr.retval)
}

fn number(fd: impl AsFd) -> u32 {
    // An open descriptor is not negative.
    fd.as_fd().as_raw_fd() as u32
}

/// bpf(2).
///
/// # Safety
///
/// `attr` is the attribute of the command, and its pointers are valid for what the command does.
unsafe fn bpf<T>(command: c_long, attr: &mut T) -> io::Result<i32> {
    let attr_ptr: *mut c_void = (&raw mut *attr).cast();
    // SAFETY: the kernel reads and writes at most the given size of `attr`; the caller vouches for
    // the pointers in it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr_ptr, size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(|_| io::ErrorKind::InvalidData.into())
}
