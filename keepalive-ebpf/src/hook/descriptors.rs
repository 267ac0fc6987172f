//! Every descriptor of every TCP socket, asked for rather than listened to.
//!
//! `iter/task_file` (5.8 and later) walks the tasks of the opener's pid namespace and their files
//! inside the kernel: one row of a few words for a TCP socket, nothing for any other file. Where
//! tracing programs are refused, user space reads the same from /proc.

use core::{ffi::c_void, ptr::read_volatile};

use aya_ebpf::helpers::generated::bpf_seq_write;
use keepalive_ebpf::wire::{DESCRIPTOR_SIZE, Descriptor};

use crate::{
    mem::word,
    record::{Process, Sock},
};

/// `struct bpf_iter__task_file`: four words, of which the first points to a `struct bpf_iter_meta`,
/// whose first word is the file to write to.
mod place {
    pub const TASK: u32 = 1;
    pub const FD: u32 = 2;
    pub const FILE: u32 = 3;
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
extern "C" fn descriptors_iter(ctx: *mut c_void) -> i32 {
    let task = Process(word(ctx, place::TASK));
    let file = word(ctx, place::FILE);
    // The last call of a walk brings neither.
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
        start_ns: leader.start_ns(),
        tgid: leader.tgid(),
        fd: word(ctx, place::FD) as u32,
    };
    // SAFETY: the context and what its first word points to are given by the kernel, which checks
    // these two loads when the program is loaded; the row is as long as said.
    unsafe {
        let meta = read_volatile(ctx.cast::<*const *mut _>());
        let seq = read_volatile(meta);
        bpf_seq_write(seq, (&raw const row).cast(), DESCRIPTOR_SIZE as u32);
    }
    0
}
