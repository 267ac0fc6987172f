//! The control program of the scenarios. It counts what any program on these tracepoints could see.
//!
//! On some kernels there are softirqs in which no BPF program runs at all. What happens in them is hidden from every
//! tool, so the scenarios cannot demand it of katrace. These programs run beside katrace and count, for each network
//! namespace, the probes and the deaths that were visible. They are simpler than katrace's programs and share no code
//! with them. katrace never loads this object.
//!
//! - A probe: a segment was sent between `timer_expire_entry` and `timer_expire_exit` of `tcp_keepalive_timer`, and the
//!   socket did not die. In the scenarios no process writes to a socket at that moment.
//! - A death: `inet_sock_set_state` to CLOSE with `sk_err` = `ETIMEDOUT`.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::{
        helpers::bpf_probe_read_kernel,
        macros::{map, raw_tracepoint},
        maps::{Array, PerCpuArray, PerCpuHashMap},
        programs::RawTracePointContext,
    };

    /// Address of `tcp_keepalive_timer`; 0 until the loader has set it.
    #[map]
    static FUNCTION: Array<u64> = Array::with_max_entries(1, 0);

    /// Offsets of kernel structure members, in the order of [`place`]. The loader takes them from BTF.
    #[map]
    static PLACES: Array<u64> = Array::with_max_entries(place::COUNT, 0);

    /// Indices into [`PLACES`]; the loader has the same order.
    mod place {
        /// From a `struct timer_list` to its function.
        pub const TIMER_FUNCTION: u32 = 0;
        /// From a `struct sock` to its keepalive timer.
        pub const KEEPALIVE_TIMER: u32 = 1;
        /// From a `struct sock` to its `struct net *`.
        pub const SOCK_NET: u32 = 2;
        /// From a `struct sock` to `sk_err`, an `int`.
        pub const SOCK_ERR: u32 = 3;
        /// From a `struct tcp_sock` to `segs_out`, a `u32`.
        pub const SEGS_OUT: u32 = 4;
        /// From a `struct net` to the inode number of the namespace, an `unsigned int`.
        pub const NET_INUM: u32 = 5;
        pub const COUNT: u32 = 6;
    }

    /// What was visible in one network namespace.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Seen {
        probes: u64,
        deaths: u64,
    }

    /// By the inode number of the namespace, for each CPU.
    #[map]
    static SEEN: PerCpuHashMap<u32, Seen> = PerCpuHashMap::with_max_entries(16_384, 0);

    /// Timer softirqs, by CPU.
    #[map]
    static SOFTIRQS: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

    /// The expiry that this CPU is in. Timers run in softirq and do not nest.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Expiry {
        /// 0 between expiries.
        timer: u64,
        sock: u64,
        segs_out: u32,
        netns: u32,
    }

    #[map]
    static EXPIRY: PerCpuArray<Expiry> = PerCpuArray::with_max_entries(1, 0);

    /// `TIMER_SOFTIRQ` of include/linux/interrupt.h, in the order of /proc/softirqs.
    const TIMER_SOFTIRQ: u32 = 1;
    /// `TCP_CLOSE` of include/net/tcp_states.h.
    const CLOSE: i32 = 7;
    const ETIMEDOUT: i32 = 110;

    /// The licence that tracing programs need.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "license")]
    pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    #[raw_tracepoint(tracepoint = "timer_expire_entry")]
    pub fn control_entry(ctx: RawTracePointContext) -> i32 {
        let timer: u64 = ctx.arg(0);
        let function: Option<u64> = member(timer, place::TIMER_FUNCTION);
        if let (Some(function), Some(wanted)) = (function, FUNCTION.get(0))
            && function == *wanted
        {
            enter(timer);
        }
        0
    }

    fn enter(timer: u64) -> Option<()> {
        let sock = timer - PLACES.get(place::KEEPALIVE_TIMER)?;
        let now = Expiry {
            timer,
            sock,
            segs_out: member(sock, place::SEGS_OUT)?,
            netns: netns(sock)?,
        };
        let expiry = EXPIRY.get_ptr_mut(0)?;
        // SAFETY: this CPU's own map value, and timers do not nest.
        unsafe { *expiry = now };
        Some(())
    }

    #[raw_tracepoint(tracepoint = "timer_expire_exit")]
    pub fn control_exit(ctx: RawTracePointContext) -> i32 {
        let Some(expiry) = EXPIRY.get_ptr_mut(0) else {
            return 0;
        };
        // SAFETY: this CPU's own map value, and timers do not nest.
        let expiry = unsafe { &mut *expiry };
        if expiry.timer != 0 && expiry.timer == ctx.arg::<u64>(0) {
            expiry.timer = 0;
            let segs_out: Option<u32> = member(expiry.sock, place::SEGS_OUT);
            if segs_out.is_some_and(|now| now != expiry.segs_out) {
                count(expiry.netns, |seen| seen.probes += 1);
            }
        }
        0
    }

    #[raw_tracepoint(tracepoint = "inet_sock_set_state")]
    pub fn control_state(ctx: RawTracePointContext) -> i32 {
        let (sock, old, new): (u64, i32, i32) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
        if new != CLOSE || old == CLOSE {
            return 0;
        }
        // A dying socket sends a RST, which is no probe.
        if let Some(expiry) = EXPIRY.get_ptr_mut(0) {
            // SAFETY: this CPU's own map value. A softirq that interrupts this code ends its expiry before it returns.
            let expiry = unsafe { &mut *expiry };
            if expiry.sock == sock {
                expiry.timer = 0;
            }
        }
        if member::<i32>(sock, place::SOCK_ERR) == Some(ETIMEDOUT)
            && let Some(netns) = netns(sock)
        {
            count(netns, |seen| seen.deaths += 1);
        }
        0
    }

    #[raw_tracepoint(tracepoint = "softirq_entry")]
    pub fn control_softirq(ctx: RawTracePointContext) -> i32 {
        if ctx.arg::<u32>(0) == TIMER_SOFTIRQ
            && let Some(softirqs) = SOFTIRQS.get_ptr_mut(0)
        {
            // SAFETY: this CPU's own map value, and softirqs do not nest.
            unsafe { *softirqs += 1 };
        }
        0
    }

    fn count(netns: u32, add: impl FnOnce(&mut Seen)) {
        let seen = match SEEN.get_ptr_mut(netns) {
            Some(seen) => seen,
            None => {
                let none = Seen {
                    probes: 0,
                    deaths: 0,
                };
                // Fails where the map is full; then the counts fall short of katrace's, and the scenario fails.
                if SEEN.insert(netns, none, 0).is_err() {
                    return;
                }
                match SEEN.get_ptr_mut(netns) {
                    Some(seen) => seen,
                    None => return,
                }
            }
        };
        // SAFETY: this CPU's own map value.
        unsafe { add(&mut *seen) };
    }

    fn netns(sock: u64) -> Option<u32> {
        let net: u64 = member(sock, place::SOCK_NET)?;
        member(net, place::NET_INUM)
    }

    fn member<T>(of: u64, place: u32) -> Option<T> {
        let at = of + PLACES.get(place)?;
        // SAFETY: the helper checks the address itself and returns an error where it cannot read.
        unsafe { bpf_probe_read_kernel(at as *const T) }.ok()
    }

    /// Nothing here panics, but the language asks for a handler.
    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo) -> ! {
        loop {}
    }
}

/// The workspace is built for the host as a whole. There this program does nothing.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
