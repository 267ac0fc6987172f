//! The layout of the kernel's structures: each field of the shared [`Layout`] is one member of one
//! structure, looked up in BTF.

use std::ops::Deref;

use keepalive_ebpf::wire::{Config, Field, Layout};

use super::btf::{Btf, BtfError, Wanted};

/// All that is looked up by name in BTF.
pub(super) const WANTED: &[Wanted] = &[
    Wanted::Struct("sock"),
    Wanted::Struct("inet_sock"),
    Wanted::Struct("inet_connection_sock"),
    Wanted::Struct("tcp_sock"),
    Wanted::Struct("timer_list"),
    Wanted::Struct("net"),
    Wanted::Struct("socket_alloc"),
    Wanted::Struct("socket"),
    Wanted::Struct("file"),
    Wanted::Struct("inode"),
    Wanted::Struct("mptcp_subflow_context"),
    Wanted::Struct("task_struct"),
    Wanted::Struct("signal_struct"),
    Wanted::Struct("cgroup"),
    Wanted::Struct("cgroup_subsys_state"),
    Wanted::Struct("kernfs_node"),
    Wanted::Struct("bpf_iter__tcp"),
    Wanted::Struct("bpf_iter_meta"),
    Wanted::Enum("sock_flags"),
    Wanted::Func("tcp_keepalive_timer"),
    Wanted::Func("inet_csk_accept"),
    Wanted::Func("tcp_write_err"),
    Wanted::Func("security_file_receive"),
    Wanted::Func("release_sock"),
    Wanted::Func("sock_getsockopt"),
    Wanted::Func("sk_getsockopt"),
    Wanted::Func("tcp_sendpage"),
    Wanted::Func("bpf_iter_task_file"),
    Wanted::Func("bpf_iter_tcp"),
];

/// What BTF says about a kernel.
pub struct KernelTypes {
    /// Offsets and sizes of the members that the kernel half reads.
    pub layout: Layout,
    /// The bit number `SOCK_DEAD` of `enum sock_flags`.
    pub sock_dead: u32,
    /// The bit number `SOCK_KEEPOPEN` of `enum sock_flags`.
    pub sock_keepopen: u32,
    /// Number of arguments of `inet_csk_accept`; `None` if this kernel has no such function.
    pub accept_args: Option<u32>,
    /// This kernel has `sock_getsockopt`, which takes a `struct socket`.
    pub has_sock_getsockopt: bool,
    /// This kernel has `tcp_sendpage`, through which sendfile sends until Linux 6.5.
    pub has_sendpage: bool,
    /// The number of references that a count of 0 in `struct file` means.
    pub file_refs_bias: u32,
    /// This kernel has `tcp_write_err` as a function: the compiler did not inline it.
    pub has_write_err: bool,
    /// Why the iterator over TCP sockets cannot be used here; `None` if it can.
    pub no_iterator: Option<String>,
    /// The functions that trampolines are attached to, with their ids in BTF.
    pub functions: Vec<(&'static str, u32)>,
}

impl KernelTypes {
    /// Asks the running kernel.
    ///
    /// # Errors
    ///
    /// There is no BTF, or a member that katrace cannot do without is missing; the error names it.
    pub fn of_this_kernel() -> Result<Self, BtfError> {
        Self::from_btf(&Btf::of_this_kernel(WANTED)?)
    }

    /// Asks the BTF of any kernel, given as bytes.
    ///
    /// # Errors
    ///
    /// The bytes are not BTF, or a member that katrace cannot do without is missing.
    pub fn from_bytes(btf: &[u8]) -> Result<Self, BtfError> {
        Self::from_btf(&Btf::parse(btf, WANTED)?)
    }

    /// Puts what is no offset into the settings of the kernel half.
    pub fn apply(&self, config: &mut Config) {
        config.sock_dead = self.sock_dead;
        config.sock_keepopen = self.sock_keepopen;
        config.accept_args = self.accept_args.unwrap_or(0);
        config.getsockopt_of_socket = u32::from(self.has_sock_getsockopt);
        config.file_refs_bias = self.file_refs_bias;
    }

    fn from_btf<D: Deref<Target = [u8]>>(btf: &Btf<D>) -> Result<Self, BtfError> {
        let (file_refs, file_refs_bias) = file_refs(btf)?;
        Ok(Self {
            layout: layout(btf, file_refs)?,
            file_refs_bias,
            sock_dead: btf.enumerator("sock_flags", "SOCK_DEAD")?,
            sock_keepopen: btf.enumerator("sock_flags", "SOCK_KEEPOPEN")?,
            accept_args: btf.arguments("inet_csk_accept"),
            has_sock_getsockopt: btf.arguments("sock_getsockopt").is_some(),
            has_sendpage: btf.arguments("tcp_sendpage").is_some(),
            has_write_err: btf.arguments("tcp_write_err").is_some(),
            no_iterator: no_iterator(btf),
            functions: btf.functions(),
        })
    }
}

/// The count of references to a file, and how many references a count of 0 means. Since Linux 6.13
/// the count starts at 0 (include/linux/file_ref.h), before at 1.
fn file_refs<D: Deref<Target = [u8]>>(btf: &Btf<D>) -> Result<(Field, u32), BtfError> {
    match btf.field("file", "f_ref.refcnt.counter") {
        Ok(field) => Ok((field, 1)),
        Err(_) => Ok((btf.field("file", "f_count.counter")?, 0)),
    }
}

/// Checks what listing sockets needs beyond what tracing needs. The offset of the output is compiled
/// into the iterator, since the verifier must see it as a constant, so here it is only compared.
fn no_iterator<D: Deref<Target = [u8]>>(btf: &Btf<D>) -> Option<String> {
    if btf.arguments("bpf_iter_tcp").is_none() {
        return Some(BtfError::Missing("function bpf_iter_tcp".into()).to_string());
    }
    let needed = [
        ("bpf_iter__tcp", "meta", Some(0)),
        ("bpf_iter_meta", "seq", Some(0)),
        ("bpf_iter__tcp", "sk_common", None),
        ("timer_list", "entry.pprev", None),
        ("inet_connection_sock", "icsk_rto", None),
        ("inet_connection_sock", "icsk_backoff", None),
    ];
    needed.into_iter().find_map(|(structure, path, place)| {
        match (btf.field(structure, path), place) {
            (Ok(field), Some(place)) if field.offset != place => {
                Some(format!("{path} is elsewhere in struct {structure}"))
            }
            (Ok(_), _) => None,
            (Err(error), _) => Some(error.to_string()),
        }
    })
}

/// Makes the function `layout` of a table: the field of [`Layout`], whether katrace can do without it, and the
/// structure and member that it is. After `or` stands where other kernels have it. The compiler names a field that
/// has no row.
macro_rules! members {
    ($($name:ident: $need:ident $($structure:literal $path:literal) or +,)+) => {
        fn layout<D: Deref<Target = [u8]>>(btf: &Btf<D>, file_refs: Field) -> Result<Layout, BtfError> {
            Ok(Layout {
                file_refs,
                $($name: $need(btf, &[$(($structure, $path)),+])?,)+
            })
        }
    };
}

members! {
    // Linux 7.2, and stable trees with the same change, have a member of its own for the keepalive
    // timer. There `sk_timer` still exists, as another name of the retransmission timer.
    keepalive_timer: needed "inet_connection_sock" "icsk_keepalive_timer" or "sock" "sk_timer",
    timer_function: needed "timer_list" "function",
    timer_expires: needed "timer_list" "expires",
    timer_pprev: optional "timer_list" "entry.pprev",
    skc_family: needed "sock" "__sk_common.skc_family",
    skc_state: needed "sock" "__sk_common.skc_state",
    skc_daddr: needed "sock" "__sk_common.skc_daddr",
    skc_rcv_saddr: needed "sock" "__sk_common.skc_rcv_saddr",
    skc_v6_daddr: optional "sock" "__sk_common.skc_v6_daddr",
    skc_v6_rcv_saddr: optional "sock" "__sk_common.skc_v6_rcv_saddr",
    skc_dport: needed "sock" "__sk_common.skc_dport",
    skc_net: needed "sock" "__sk_common.skc_net.net",
    inet_sport: needed "inet_sock" "inet_sport",
    sk_err: needed "sock" "sk_err",
    sk_err_soft: needed "sock" "sk_err_soft",
    sk_flags: needed "sock" "__sk_common.skc_flags",
    sk_protocol: needed "sock" "sk_protocol",
    sk_socket: needed "sock" "sk_socket",
    sk_dst_cache: needed "sock" "sk_dst_cache",
    sk_cgroup: optional "sock" "sk_cgrp_data.cgroup" or "sock" "sk_cgrp_data.val",
    icsk_probes_out: needed "inet_connection_sock" "icsk_probes_out",
    icsk_retransmits: needed "inet_connection_sock" "icsk_retransmits",
    icsk_user_timeout: needed "inet_connection_sock" "icsk_user_timeout",
    icsk_lrcvtime: needed "inet_connection_sock" "icsk_ack.lrcvtime",
    icsk_rto: optional "inet_connection_sock" "icsk_rto",
    icsk_rto_max: optional "inet_connection_sock" "icsk_rto_max",
    icsk_backoff: optional "inet_connection_sock" "icsk_backoff",
    keepalive_time: needed "tcp_sock" "keepalive_time",
    keepalive_intvl: needed "tcp_sock" "keepalive_intvl",
    keepalive_probes: needed "tcp_sock" "keepalive_probes",
    rcv_tstamp: needed "tcp_sock" "rcv_tstamp",
    snd_una: needed "tcp_sock" "snd_una",
    snd_nxt: needed "tcp_sock" "snd_nxt",
    write_seq: needed "tcp_sock" "write_seq",
    segs_in: needed "tcp_sock" "segs_in",
    segs_out: needed "tcp_sock" "segs_out",
    rcv_nxt: needed "tcp_sock" "rcv_nxt",
    tcp_mstamp: needed "tcp_sock" "tcp_mstamp",
    net_inum: needed "net" "ns.inum",
    net_keepalive_time: needed "net" "ipv4.sysctl_tcp_keepalive_time",
    net_keepalive_intvl: needed "net" "ipv4.sysctl_tcp_keepalive_intvl",
    net_keepalive_probes: needed "net" "ipv4.sysctl_tcp_keepalive_probes",
    net_retries2: needed "net" "ipv4.sysctl_tcp_retries2",
    sk_ino: optional "sock" "sk_ino",
    socket_in_alloc: needed "socket_alloc" "socket",
    alloc_ino: needed "socket_alloc" "vfs_inode.i_ino",
    socket_file: needed "socket" "file",
    socket_sk: needed "socket" "sk",
    file_inode: needed "file" "f_inode",
    file_private_data: needed "file" "private_data",
    inode_mode: needed "inode" "i_mode",
    // Kernels without MPTCP have no subflows.
    tcp_is_mptcp: optional "tcp_sock" "is_mptcp",
    icsk_ulp_data: needed "inet_connection_sock" "icsk_ulp_data",
    subflow_conn: optional "mptcp_subflow_context" "conn",
    task_group_leader: needed "task_struct" "group_leader",
    task_start_boottime: needed "task_struct" "start_boottime",
    task_tgid: needed "task_struct" "tgid",
    task_signal: needed "task_struct" "signal",
    task_files: needed "task_struct" "files",
    signal_live: needed "signal_struct" "live.counter",
    task_mm: needed "task_struct" "mm",
    task_comm: needed "task_struct" "comm",
    cgroup_parent_css: optional "cgroup" "self.parent",
    css_cgroup: optional "cgroup_subsys_state" "cgroup",
    cgroup_kn: optional "cgroup" "kn",
    kn_id: optional "kernfs_node" "id",
    iter_sk_common: optional "bpf_iter__tcp" "sk_common",
}

/// The first of these members that the kernel has.
fn needed<D: Deref<Target = [u8]>>(
    btf: &Btf<D>,
    members: &[(&'static str, &'static str)],
) -> Result<Field, BtfError> {
    let mut found = Err(BtfError::Missing("a member without a name".into()));
    for (structure, path) in members {
        found = btf.field(structure, path);
        if found.is_ok() {
            break;
        }
    }
    found
}

/// The same. Size 0 on a kernel without IPv6, without cgroups, or older than the member; it is never
/// read there.
fn optional<D: Deref<Target = [u8]>>(
    btf: &Btf<D>,
    members: &[(&'static str, &'static str)],
) -> Result<Field, BtfError> {
    match needed(btf, members) {
        Err(BtfError::Missing(_)) => Ok(Field::default()),
        found => found,
    }
}

#[cfg(test)]
mod tests;
