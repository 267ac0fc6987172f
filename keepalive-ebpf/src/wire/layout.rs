//! Where the running kernel keeps what katrace reads.
//!
//! Rust emits no CO-RE relocations. So the user half looks every field up in the kernel's BTF and sets
//! [`Layout`] as a read-only global before load. No offset is known at compile time.

/// Place of an integer inside a kernel structure. Size 0: this kernel has no such field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// Bytes from the start of the structure.
    pub offset: u32,
    /// Bytes of the integer.
    pub size: u32,
}

macro_rules! layout {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// All fields, in the read-only global `LAYOUT`.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Layout {
            $($(#[$doc])* pub $name: Field,)+
        }

        impl Layout {
            /// The value in the object file, before the user half has set anything.
            pub const UNSET: Self = Self {
                $($name: Field { offset: 0, size: 0 },)+
            };
        }
    };
}

layout! {
    /// `struct sock`: the timer that calls `tcp_keepalive_timer`.
    keepalive_timer,
    /// `struct timer_list`: the function that the timer calls.
    timer_function,
    /// `struct timer_list`: when it expires, jiffies.
    timer_expires,
    /// `struct timer_list`: null while the timer does not run (`timer_pending`).
    timer_pprev,
    /// `struct sock`: address family.
    skc_family,
    /// `struct sock`: TCP state.
    skc_state,
    /// `struct sock`: remote IPv4 address.
    skc_daddr,
    /// `struct sock`: local IPv4 address.
    skc_rcv_saddr,
    /// `struct sock`: remote IPv6 address.
    skc_v6_daddr,
    /// `struct sock`: local IPv6 address.
    skc_v6_rcv_saddr,
    /// `struct sock`: remote port, network byte order.
    skc_dport,
    /// `struct sock`: pointer to its `struct net`.
    skc_net,
    /// `struct inet_sock`: local port, network byte order.
    inet_sport,
    /// `struct sock`: the error that the next call receives.
    sk_err,
    /// `struct sock`: the last error that did not end the connection.
    sk_err_soft,
    /// `struct sock`: bits of `enum sock_flags`.
    sk_flags,
    /// `struct sock`: number of the protocol.
    sk_protocol,
    /// `struct sock`: pointer to its `struct socket`.
    sk_socket,
    /// `struct sock`: pointer to its route.
    sk_dst_cache,
    /// `struct sock`: pointer to its cgroup. Before 5.15 its low bits are flags.
    sk_cgroup,
    /// `struct inet_connection_sock`: unanswered probes.
    icsk_probes_out,
    /// `struct inet_connection_sock`: retransmissions that are not acknowledged.
    icsk_retransmits,
    /// `struct inet_connection_sock`: `TCP_USER_TIMEOUT`, milliseconds.
    icsk_user_timeout,
    /// `struct inet_connection_sock`: when data last came, jiffies.
    icsk_lrcvtime,
    /// `struct inet_connection_sock`: retransmission timeout, jiffies.
    icsk_rto,
    /// `struct inet_connection_sock`: the largest it may become, jiffies.
    icsk_rto_max,
    /// `struct inet_connection_sock`: how often it was doubled.
    icsk_backoff,
    /// `struct tcp_sock`: silence before the first probe, jiffies; 0 = the namespace's.
    keepalive_time,
    /// `struct tcp_sock`: time between probes, jiffies; 0 = the namespace's.
    keepalive_intvl,
    /// `struct tcp_sock`: probes before the end; 0 = the namespace's.
    keepalive_probes,
    /// `struct tcp_sock`: when an ACK last came, jiffies.
    rcv_tstamp,
    /// `struct tcp_sock`: first sequence number that is not acknowledged.
    snd_una,
    /// `struct tcp_sock`: next sequence number to send.
    snd_nxt,
    /// `struct tcp_sock`: end of what the application has written.
    write_seq,
    /// `struct tcp_sock`: segments received.
    segs_in,
    /// `struct tcp_sock`: segments sent.
    segs_out,
    /// `struct tcp_sock`: next sequence number expected.
    rcv_nxt,
    /// `struct tcp_sock`: when a segment was last handled, microseconds.
    tcp_mstamp,
    /// `struct net`: inode number of the namespace.
    net_inum,
    /// `struct net`: `tcp_keepalive_time`, jiffies.
    net_keepalive_time,
    /// `struct net`: `tcp_keepalive_intvl`, jiffies.
    net_keepalive_intvl,
    /// `struct net`: `tcp_keepalive_probes`.
    net_keepalive_probes,
    /// `struct net`: `tcp_retries2`.
    net_retries2,
    /// `struct sock`: the socket's inode number, on kernels that keep it there.
    sk_ino,
    /// `struct socket_alloc`: its `struct socket`.
    socket_in_alloc,
    /// `struct socket_alloc`: the inode number.
    alloc_ino,
    /// `struct socket`: pointer to its `struct file`.
    socket_file,
    /// `struct socket`: pointer to its `struct sock`.
    socket_sk,
    /// `struct file`: count of references.
    file_refs,
    /// `struct file`: pointer to its inode.
    file_inode,
    /// `struct file`: of a socket's file, pointer to the `struct socket`.
    file_private_data,
    /// `struct inode`: the file's type and permissions.
    inode_mode,
    /// `struct tcp_sock`: it is a subflow of an MPTCP connection.
    tcp_is_mptcp,
    /// `struct inet_connection_sock`: of a subflow, pointer to its context.
    icsk_ulp_data,
    /// `struct mptcp_subflow_context`: pointer to the MPTCP socket.
    subflow_conn,
    /// `struct task_struct`: pointer to the thread group's leader.
    task_group_leader,
    /// `struct task_struct`: thread group id in the initial pid namespace.
    task_tgid,
    /// `struct task_struct`: pointer to its `struct signal_struct`.
    task_signal,
    /// `struct task_struct`: pointer to its table of descriptors.
    task_files,
    /// `struct signal_struct`: threads that have not ended.
    signal_live,
    /// `struct task_struct`: its start, `CLOCK_BOOTTIME` nanoseconds.
    task_start_boottime,
    /// `struct task_struct`: pointer to its memory; null for a kernel thread.
    task_mm,
    /// `struct task_struct`: its name, sixteen bytes, NUL-padded.
    task_comm,
    /// `struct cgroup`: pointer to its parent's `cgroup_subsys_state`.
    cgroup_parent_css,
    /// `struct cgroup_subsys_state`: pointer to its cgroup.
    css_cgroup,
    /// `struct cgroup`: pointer to its `struct kernfs_node`.
    cgroup_kn,
    /// `struct kernfs_node`: its id, which is the cgroup's.
    kn_id,
    /// `struct bpf_iter__tcp`: pointer to the socket that the iterator stands at.
    iter_sk_common,
}
