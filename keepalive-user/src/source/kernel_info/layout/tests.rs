//! The layout of other kernels and of another architecture, from their own BTF.
//!
//! tests/fixtures/btf/README.md says where the fixtures come from.

use super::*;

/// One kernel, and what is known to differ from one kernel to the next.
struct Kernel {
    btf: &'static [u8],
    /// Offset of the keepalive timer, and whether it stands apart from `sk_timer`.
    timer: u32,
    timer_apart: bool,
    /// `sk_ino` of `struct sock`: a member of late kernels.
    sk_ino: Field,
    /// `icsk_rto_max`: a member of late kernels.
    rto_max: Field,
    /// `struct file` counts its references from 0.
    file_refs_bias: u32,
    mptcp: bool,
    accept_args: u32,
    sock_getsockopt: bool,
    sendpage: bool,
    write_err: bool,
    /// Offset of `tgid` in `task_struct`, which differs between architectures.
    tgid: u32,
}

const NONE: Field = Field { offset: 0, size: 0 };

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/fixtures/btf/", $name, ".btf"))
    };
}

const KERNELS: [(&str, Kernel); 5] = [
    (
        "5.10",
        Kernel {
            btf: fixture!("debian-5.10-amd64"),
            timer: 416,
            timer_apart: false,
            sk_ino: NONE,
            rto_max: NONE,
            file_refs_bias: 0,
            mptcp: false,
            accept_args: 4,
            sock_getsockopt: true,
            sendpage: true,
            write_err: false,
            tgid: 2236,
        },
    ),
    (
        "6.1",
        Kernel {
            btf: fixture!("debian-6.1-amd64"),
            timer: 408,
            timer_apart: false,
            sk_ino: NONE,
            rto_max: NONE,
            file_refs_bias: 0,
            mptcp: true,
            accept_args: 4,
            sock_getsockopt: true,
            sendpage: true,
            write_err: false,
            tgid: 2420,
        },
    ),
    (
        "6.12",
        Kernel {
            btf: fixture!("debian-6.12-amd64"),
            timer: 1184,
            timer_apart: true,
            sk_ino: NONE,
            rto_max: NONE,
            file_refs_bias: 0,
            mptcp: true,
            accept_args: 2,
            sock_getsockopt: false,
            sendpage: false,
            write_err: false,
            tgid: 2436,
        },
    ),
    (
        "7.3",
        Kernel {
            btf: fixture!("debian-7.3-amd64"),
            timer: 1176,
            timer_apart: true,
            sk_ino: Field {
                offset: 624,
                size: 8,
            },
            rto_max: Field {
                offset: 1224,
                size: 4,
            },
            file_refs_bias: 1,
            mptcp: true,
            accept_args: 2,
            sock_getsockopt: false,
            sendpage: false,
            write_err: false,
            tgid: 2876,
        },
    ),
    (
        "6.12 arm64",
        Kernel {
            btf: fixture!("debian-6.12-arm64"),
            timer: 1184,
            timer_apart: true,
            sk_ino: NONE,
            rto_max: NONE,
            file_refs_bias: 0,
            mptcp: true,
            accept_args: 2,
            sock_getsockopt: false,
            sendpage: false,
            write_err: true,
            tgid: 1380,
        },
    ),
];

#[test]
fn every_kernel_has_its_own_layout() {
    for (name, kernel) in KERNELS {
        let types = KernelTypes::from_bytes(kernel.btf).unwrap_or_else(|error| {
            panic!("{name}: {error}");
        });
        let layout = &types.layout;
        let btf = Btf::parse(kernel.btf, WANTED).unwrap();
        let sk_timer = btf.field("sock", "sk_timer").unwrap();
        assert_eq!(layout.keepalive_timer.offset, kernel.timer, "{name}");
        assert_eq!(
            layout.keepalive_timer != sk_timer,
            kernel.timer_apart,
            "{name}"
        );
        assert_eq!(layout.sk_ino, kernel.sk_ino, "{name}");
        assert_eq!(layout.icsk_rto_max, kernel.rto_max, "{name}");
        assert_eq!(layout.task_tgid.offset, kernel.tgid, "{name}");
        assert_eq!(layout.tcp_is_mptcp != NONE, kernel.mptcp, "{name}");
        assert_eq!(layout.subflow_conn != NONE, kernel.mptcp, "{name}");
        assert_eq!(types.file_refs_bias, kernel.file_refs_bias, "{name}");
        assert_eq!(types.accept_args, Some(kernel.accept_args), "{name}");
        assert_eq!(types.has_sock_getsockopt, kernel.sock_getsockopt, "{name}");
        assert_eq!(types.has_sendpage, kernel.sendpage, "{name}");
        assert_eq!(types.has_write_err, kernel.write_err, "{name}");
        assert_eq!(types.no_iterator, None, "{name}");
    }
}

#[test]
fn sizes_are_those_that_the_kernel_half_reads() {
    for (name, kernel) in KERNELS {
        let types = KernelTypes::from_bytes(kernel.btf).unwrap();
        let layout = &types.layout;
        for (field, size) in [
            (layout.skc_family, 2),
            (layout.sk_protocol, 2),
            (layout.skc_state, 1),
            (layout.skc_daddr, 4),
            (layout.skc_v6_daddr, 16),
            (layout.skc_dport, 2),
            (layout.skc_net, 8),
            (layout.timer_expires, 8),
            (layout.icsk_probes_out, 1),
            (layout.icsk_user_timeout, 4),
            (layout.keepalive_time, 4),
            (layout.keepalive_probes, 1),
            (layout.net_keepalive_probes, 1),
            (layout.net_inum, 4),
            (layout.alloc_ino, 8),
            (layout.file_refs, 8),
            (layout.inode_mode, 2),
            (layout.task_comm, 16),
            (layout.kn_id, 8),
        ] {
            assert_eq!(field.size, size, "{name}: {layout:?}");
        }
        assert_eq!(
            (types.sock_dead, types.sock_keepopen),
            (0, 3),
            "{name}: include/net/sock.h"
        );
        assert!(
            types
                .functions
                .iter()
                .any(|(f, _)| *f == "tcp_keepalive_timer"),
            "{name}"
        );
    }
}

#[test]
fn the_other_byte_order_is_refused() {
    let mut swapped = KERNELS[0].1.btf.to_vec();
    swapped.swap(0, 1);
    let error = KernelTypes::from_bytes(&swapped).err().unwrap();
    assert!(error.to_string().ends_with("no magic number"), "{error}");
}

#[test]
fn a_kernel_without_what_is_needed_is_refused_with_its_name() {
    let whole = KERNELS[2].1.btf;
    for needed in ["rcv_tstamp", "sysctl_tcp_keepalive_time", "tgid"] {
        let terminated = format!("\0{needed}\0");
        let at = whole
            .windows(terminated.len())
            .position(|bytes| bytes == terminated.as_bytes())
            .unwrap();
        let mut renamed = whole.to_vec();
        renamed[at + 1] = b'?';
        let error = KernelTypes::from_bytes(&renamed).err().unwrap();
        assert!(error.to_string().contains(needed), "{error}");
    }
}
