//! The least that an event can cost: a record of katrace's size, reserved and sent, that says
//! nothing. `cargo xtask bench` measures katrace against it; katrace itself never loads it.
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

    /// What finds no room shows as a run that sent nothing.
    #[inline(always)]
    fn send() -> u32 {
        if let Some(entry) = EVENTS.reserve::<Record>(0) {
            entry.submit(0);
        }
        0
    }

    /// Nothing here panics; the language asks for it all the same.
    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo) -> ! {
        loop {}
    }
}

/// Built for the host only so that the workspace builds as one; it does nothing there.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
