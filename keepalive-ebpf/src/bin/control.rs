//! Counts how often the kernel runs a program at all: when a keepalive timer expires, and when the
//! softirq of timers begins. It does nothing else. The scenarios compare katrace's counts with these.
//! katrace itself never loads it.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::{
        helpers::bpf_probe_read_kernel,
        macros::{map, raw_tracepoint},
        maps::{Array, PerCpuArray},
        programs::RawTracePointContext,
    };

    /// Address of `tcp_keepalive_timer`; 0 until it is known.
    #[map]
    static FUNCTION: Array<u64> = Array::with_max_entries(1, 0);

    /// Expiries of keepalive timers, by CPU.
    #[map]
    static EXPIRIES: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

    /// Softirqs of timers, by CPU.
    #[map]
    static SOFTIRQS: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

    /// `TIMER_SOFTIRQ` of include/linux/interrupt.h, in the order of /proc/softirqs.
    const TIMER_SOFTIRQ: u32 = 1;

    /// Bytes from the start of `struct timer_list` to its `function`, from the running kernel's BTF. Set
    /// before load, read-only after.
    #[unsafe(no_mangle)]
    pub static FUNCTION_OFFSET: u64 = 0;

    /// The licence that tracing programs need.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "license")]
    pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    #[raw_tracepoint(tracepoint = "timer_expire_entry")]
    pub fn control(ctx: RawTracePointContext) -> i32 {
        let timer: u64 = ctx.arg(0);
        // SAFETY: a live static of this very type. Volatile, because its bytes are set at load: the
        // compiler must not take the zero that it sees here for its value.
        let offset = unsafe { core::ptr::read_volatile(&raw const FUNCTION_OFFSET) };
        // SAFETY: the helper checks the address itself and returns an error where it cannot read.
        let function = unsafe { bpf_probe_read_kernel((timer + offset) as *const u64) };
        if let (Ok(function), Some(wanted)) = (function, FUNCTION.get(0))
            && function == *wanted
            && let Some(expiries) = EXPIRIES.get_ptr_mut(0)
        {
            // SAFETY: this CPU's own map value, and timers do not nest.
            unsafe { *expiries += 1 };
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

    /// Nothing here panics, but the language asks for a handler.
    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo) -> ! {
        loop {}
    }
}

/// The workspace is built for the host as a whole. There this program does nothing.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
