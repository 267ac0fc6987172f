//! Where the running kernel keeps what katrace reads.
//!
//! Rust emits no CO-RE relocations, so the user half looks every field up in the kernel's BTF and
//! sets [`Layout`] as a read-only global before load. Nothing here is known at compile time.

/// Place of an integer inside a kernel structure, in bytes. Size 0: this kernel has no such field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Field {
    pub offset: u32,
    pub size: u32,
}

macro_rules! layout {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// All fields, in one block: one global for both halves.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Layout {
            $($(#[$doc])* pub $name: Field,)+
        }

        impl Layout {
            /// Before the user half has set anything.
            pub const UNSET: Self = Self {
                $($name: Field { offset: 0, size: 0 },)+
            };
        }
    };
}

layout! {
    /// From a `struct sock` to the timer whose expiry is `tcp_keepalive_timer`.
    keepalive_timer,
    timer_function,
    timer_expires,
    skc_family,
    skc_state,
    skc_daddr,
    skc_rcv_saddr,
    skc_v6_daddr,
    skc_v6_rcv_saddr,
    skc_dport,
    skc_net,
    inet_sport,
    sk_err,
    sk_err_soft,
    sk_flags,
    sk_protocol,
    sk_socket,
    sk_dst_cache,
    /// Pointer to the socket's cgroup; before 5.15 with flag bits below it.
    sk_cgroup,
    icsk_probes_out,
    icsk_retransmits,
    icsk_user_timeout,
    icsk_lrcvtime,
    keepalive_time,
    keepalive_intvl,
    keepalive_probes,
    rcv_tstamp,
    snd_una,
    snd_nxt,
    write_seq,
    segs_in,
    segs_out,
    rcv_nxt,
    tcp_mstamp,
    net_inum,
    net_keepalive_time,
    net_keepalive_intvl,
    net_keepalive_probes,
    net_retries2,
    /// Inode number kept in `struct sock` itself, on kernels that do.
    sk_ino,
    /// From `struct socket` back to the start of its `socket_alloc`, as an offset to subtract.
    socket_in_alloc,
    /// From the start of `socket_alloc` to the inode number.
    alloc_ino,
    /// From `struct socket` to its `struct file` and its `struct sock`.
    socket_file,
    socket_sk,
    /// References to a `struct file`.
    file_refs,
    file_inode,
    file_private_data,
    inode_mode,
    tcp_is_mptcp,
    icsk_ulp_data,
    /// From a subflow's context to the MPTCP socket.
    subflow_conn,
    task_group_leader,
    task_tgid,
    task_signal,
    task_files,
    signal_live,
    task_start_boottime,
    task_mm,
    /// Sixteen bytes, NUL-padded.
    task_comm,
    cgroup_parent_css,
    css_cgroup,
    cgroup_kn,
    kn_id,
}
