//! What the user half asks of the kernel half. It is set before load, so the verifier removes the code
//! for everything that is not asked for.

/// Bits of [`Config::filters`].
pub mod filter {
    /// The processes in the map `PIDS`.
    pub const PID: u32 = 1 << 0;
    /// The local ports in the map `LPORTS`.
    pub const LPORT: u32 = 1 << 1;
    /// The remote ports in the map `RPORTS`.
    pub const RPORT: u32 = 1 << 2;
    /// The networks in the map `NETS`; either end may be inside.
    pub const ADDR: u32 = 1 << 3;
    /// [`super::Config::family`].
    pub const FAMILY: u32 = 1 << 4;
    /// [`super::Config::netns`].
    pub const NETNS: u32 = 1 << 5;
    /// [`super::Config::cgroup`].
    pub const CGROUP: u32 = 1 << 6;
}

/// The settings, in the read-only global `CONFIG`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Id of a cgroup. Its sockets and those of its descendants are wanted.
    pub cgroup: u64,
    /// Kinds of events that are wanted: bit `1 << kind`.
    pub events: u32,
    /// An answer is sent only if at least this many probes were unanswered.
    pub answered_min: u32,
    /// Which filters are set: bits of [`filter`].
    pub filters: u32,
    /// [`super::AF_INET`] or [`super::AF_INET6`].
    pub family: u32,
    /// Inode number of a network namespace.
    pub netns: u32,
    /// Jiffies per second.
    pub hz: u32,
    /// Bit number `SOCK_DEAD` of `enum sock_flags`.
    pub sock_dead: u32,
    /// Bit number `SOCK_KEEPOPEN` of `enum sock_flags`.
    pub sock_keepopen: u32,
    /// 1 when `tcp_write_err` itself is hooked. Then the hook decides which deaths are timeouts.
    pub write_err_hooked: u32,
    /// How many arguments `inet_csk_accept` takes: its return value follows them.
    pub accept_args: u32,
    /// 1 where the hook on getsockopt is given a `struct socket`, 0 where it is given a `struct sock`.
    pub getsockopt_of_socket: u32,
    /// How many references a count of 0 in `struct file` stands for.
    pub file_refs_bias: u32,
}

impl Config {
    /// The value in the object file, before the user half has set anything.
    pub const UNSET: Self = Self {
        cgroup: 0,
        events: 0,
        answered_min: 0,
        filters: 0,
        family: 0,
        netns: 0,
        hz: 0,
        sock_dead: 0,
        sock_keepopen: 0,
        write_err_hooked: 0,
        accept_args: 0,
        getsockopt_of_socket: 0,
        file_refs_bias: 0,
    };
}

/// Words in a map of ports: 64 ports in each, one bit for each of the 65536.
pub const PORT_WORDS: u32 = 65536 / 64;

/// How many cgroups above a socket's own are compared with the wanted one.
pub const CGROUP_DEPTH: u32 = 16;

/// Sockets that the kernel half can remember at once. Each takes some 144 bytes of kernel memory.
pub const TRACKED_SOCKETS: u32 = 65536;

/// Processes that it can remember at once.
pub const TRACKED_PROCESSES: u32 = 8192;

/// The value in the map `PROCESSES` of a process that the user half asked to watch.
pub const WATCHED: u32 = 2;

/// Sockets with several references of which the last user is remembered.
pub const SHARED_SOCKETS: u32 = 8192;

const _: () = {
    assert!(size_of::<Config>() == 56);
    assert!(align_of::<Config>() == 8);
};
