//! Every descriptor of every TCP socket, when the user half asks.
//!
//! `iter/task_file` (5.8 and later) iterates inside the kernel over the tasks of the opener's pid namespace
//! and over their files. This program writes a row of a few words for a TCP socket, and nothing for any
//! other file. Where tracing programs are refused, the user half reads the same from /proc.

use core::{ffi::c_void, ptr::read_volatile};

use aya_ebpf::helpers::generated::bpf_seq_write;
use keepalive_ebpf::wire::{DESCRIPTOR_SIZE, Descriptor};

use crate::kernel::{Process, Sock, memory::word};

/// `struct bpf_iter__task_file`: four words. The first points to a `struct bpf_iter_meta`, of which the
/// first word points to the output.
mod place {
    pub const TASK: u32 = 1;
    pub const FD: u32 = 2;
    pub const FILE: u32 = 3;
}

/// Writes one row. aya-ebpf has no macro for iterators: the section's name is the program's type.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
extern "C" fn fd_iter(ctx: *mut c_void) -> i32 {
    let task = Process(word(ctx, place::TASK));
    let file = word(ctx, place::FILE);
    // The last call of an iteration has neither a task nor a file.
    if task.0 == 0 || file == 0 {
        return 0;
    }
    let leader = Process::of_task(task.0);
    if task.shares_files(leader) {
        return 0;
    }
    let Some(sock) = Sock::of_file(file) else {
        return 0;
    };
    if !sock.is_inet() || !sock.is_tcp_or_mptcp() {
        return 0;
    }
    let row = Descriptor {
        inode: sock.own_inode(),
        tgid: leader.tgid(),
        fd: word(ctx, place::FD) as u32,
    };
    // SAFETY: the kernel provides the context and what its first word points to, and checks these two
    // loads when the program is loaded. The row is as long as the last argument says.
    unsafe {
        let meta = read_volatile(ctx.cast::<*const *mut _>());
        let seq = read_volatile(meta);
        bpf_seq_write(seq, (&raw const row).cast(), DESCRIPTOR_SIZE as u32);
    }
    0
}
