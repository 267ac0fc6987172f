//! The least that an event can cost: a record of katrace's size is reserved and sent, and nothing is
//! written into it. `cargo xtask bench` compares katrace with this. katrace itself never loads it.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::{
        macros::{fentry, kprobe, map},
        maps::RingBuf,
        programs::{FEntryContext, ProbeContext},
    };
    use keepalive_ebpf::wire::Record;

    /// As large as katrace's ring by default.
    #[map]
    static EVENTS: RingBuf = RingBuf::with_byte_size(2 << 20, 0);

    /// The licence that tracing programs need.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "license")]
    pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    #[fentry(function = "tcp_keepalive_timer")]
    pub fn floor_fentry(_ctx: FEntryContext) -> u32 {
        send()
    }

    #[kprobe(function = "tcp_keepalive_timer")]
    pub fn floor_kprobe(_ctx: ProbeContext) -> u32 {
        send()
    }

    /// If the ring is full, the run sends nothing. The bench sees that.
    #[inline(always)]
    fn send() -> u32 {
        if let Some(entry) = EVENTS.reserve::<Record>(0) {
            entry.submit(0);
        }
        0
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
