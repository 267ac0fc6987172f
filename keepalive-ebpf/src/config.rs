//! What the user half asks of the kernel half, fixed before load so that the verifier removes
//! whatever is not asked for.

/// Bits of [`Config::filters`].
pub mod filter {
    pub const PID: u32 = 1 << 0;
    pub const LPORT: u32 = 1 << 1;
    pub const RPORT: u32 = 1 << 2;
    pub const ADDR: u32 = 1 << 3;
    pub const FAMILY: u32 = 1 << 4;
    pub const NETNS: u32 = 1 << 5;
    pub const CGROUP: u32 = 1 << 6;
}

/// Read-only once loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Id of the cgroup whose sockets, and its descendants', are wanted.
    pub cgroup: u64,
    /// Kinds wanted: bit `1 << kind`.
    pub events: u32,
    /// Answers to fewer unanswered probes than this are not sent.
    pub answered_min: u32,
    /// Which of the filters below and of the filter maps are set.
    pub filters: u32,
    /// `AF_INET` or `AF_INET6`.
    pub family: u32,
    pub netns: u32,
    /// Jiffies per second.
    pub hz: u32,
    /// Bit numbers of `enum sock_flags`.
    pub sock_dead: u32,
    pub sock_keepopen: u32,
    /// 1 when a hook on `tcp_write_err` itself says which deaths are timeouts.
    pub write_err_hooked: u32,
    /// How many arguments `inet_csk_accept` takes: its return value follows them.
    pub accept_args: u32,
    /// 1 where the hook on getsockopt is given a `struct socket`, 0 where a `struct sock`.
    pub getsockopt_of_socket: u32,
    /// References that a count of 0 in `struct file` stands for.
    pub file_refs_bias: u32,
}

impl Config {
    /// Before the user half has set anything.
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

/// Words of 64 ports in a port filter map: one bit for each of the 65536.
pub const PORT_WORDS: u32 = 65536 / 64;

/// How far up a socket's cgroup is compared with the wanted one.
pub const CGROUP_DEPTH: u32 = 16;

/// Sockets the kernel half can follow at once. Some 144 bytes of kernel memory each.
pub const TRACKED_SOCKETS: u32 = 65536;

/// Processes it can follow at once.
pub const TRACKED_PROCESSES: u32 = 8192;

/// The value in the table of processes of one that user space named as an owner.
pub const NAMED: u32 = 2;

/// Sockets with several references whose last users it can follow at once.
pub const SHARED_SOCKETS: u32 = 8192;

const _: () = {
    assert!(size_of::<Config>() == 56);
    assert!(align_of::<Config>() == 8);
};
