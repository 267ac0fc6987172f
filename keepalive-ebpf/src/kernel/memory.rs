//! Reads of kernel memory, of the read-only globals and of clocks. Everything unsafe about them is here.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use keepalive_ebpf::wire::{Config, Field, Layout, Sixteen};

/// Set by the user half before load, read-only after.
#[unsafe(no_mangle)]
pub static LAYOUT: Layout = Layout::UNSET;

/// Set by the user half before load, read-only after.
#[unsafe(no_mangle)]
pub static CONFIG: Config = Config::UNSET;

/// The GPL-compatible licence that tracing helpers demand.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// The place of a field, as the user half set it.
macro_rules! field {
    ($name:ident) => {{
        // SAFETY: a live static of this very type. Volatile, because its bytes are set at load: the
        // compiler must not take the zeros that it sees here for their value.
        unsafe { core::ptr::read_volatile(&raw const $crate::kernel::memory::LAYOUT.$name) }
    }};
}

/// A setting, as the user half set it.
macro_rules! config {
    ($name:ident) => {{
        // SAFETY: as for `field!`.
        unsafe { core::ptr::read_volatile(&raw const $crate::kernel::memory::CONFIG.$name) }
    }};
}

/// The unsigned integer `name` of the kernel structure at `base`; 0 where the kernel lacks it.
macro_rules! read {
    ($base:expr, $name:ident) => {
        $crate::kernel::memory::read_field($base, $crate::kernel::memory::field!($name))
    };
}

/// The same integer, of type `$type`, without a call of a helper. For this `$base` must be an argument
/// of a trampoline, so that the verifier knows to which structure it points.
macro_rules! load {
    ($base:expr, $name:ident as $type:ty) => {
        $crate::kernel::memory::load_field::<$type>($base, $crate::kernel::memory::field!($name))
    };
}

pub(crate) use {config, field, load, read};

/// An unsigned integer from kernel memory, of the size that BTF tells; 0 if it cannot be read.
///
/// A size of 0 needs no branch: the helper then copies nothing. There would be a branch for each read,
/// and the kernel takes long to remove the branches that are never taken.
#[inline(always)]
pub fn read_field(base: u64, field: Field) -> u64 {
    let mut value = 0u64;
    // SAFETY: the helper checks the source address itself and returns an error where it cannot read.
    // The destination is eight bytes of this stack; the verifier knows the constant `size` and makes
    // sure that it is not larger.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut value).cast(),
            field.size,
            (base + u64::from(field.offset)) as *const _,
        )
    };
    if cfg!(target_endian = "big") {
        value.checked_shr(64 - 8 * field.size).unwrap_or(0)
    } else {
        value
    }
}

/// As [`read_field`], from a structure that the verifier knows. A field that has not the size of `T` is
/// left to the helper. The verifier knows the size, and removes the branch that is not taken.
#[inline(always)]
pub fn load_field<T: Copy + Into<u64>>(base: u64, field: Field) -> u64 {
    if field.size as usize != size_of::<T>() {
        return read_field(base, field);
    }
    // SAFETY: the verifier accepts this only inside the structure to which `base` points. Where the
    // load faults, the kernel makes its result 0.
    unsafe { core::ptr::read_volatile((base + u64::from(field.offset)) as *const T) }.into()
}

/// Word `n` of a program's context, read as memory. The result is a plain number: the verifier would
/// forbid to store the pointer that it sees in a direct load. `n` need not be known when this is compiled.
#[inline(always)]
pub fn word(ctx: *mut c_void, n: u32) -> u64 {
    let word = Field {
        offset: 8 * n,
        size: 8,
    };
    read_field(ctx as u64, word)
}

/// Reads the sixteen bytes at `field` into `to`.
#[inline(always)]
pub fn read_16(base: u64, field: Field, to: &mut Sixteen) {
    // SAFETY: as in `read_field`. The destination is the sixteen bytes borrowed here.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut *to).cast(),
            16,
            (base + u64::from(field.offset)) as *const _,
        )
    };
}

/// The kernel's count of jiffies, cut to 32 bits like TCP's own time stamps.
#[inline(always)]
pub fn jiffies() -> u32 {
    // SAFETY: the helper takes nothing and touches nothing.
    unsafe { aya_ebpf::helpers::generated::bpf_jiffies64() as u32 }
}

/// `CLOCK_MONOTONIC`, nanoseconds.
#[inline(always)]
pub fn now_ns() -> u64 {
    // SAFETY: the helper takes nothing and touches nothing.
    unsafe { aya_ebpf::helpers::generated::bpf_ktime_get_ns() }
}

/// `CLOCK_BOOTTIME`, nanoseconds: the clock of a task's start time.
#[inline(always)]
pub fn boot_ns() -> u64 {
    // SAFETY: the helper takes nothing and touches nothing.
    unsafe { aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns() }
}

/// The language asks for this. A BPF program cannot panic: optimisation leaves no call of it.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
