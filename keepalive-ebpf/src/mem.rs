//! Reading kernel memory and the read-only globals. Every unsafe read of either goes through here.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use keepalive_ebpf::{
    config::Config,
    layout::{Field, Layout},
    wire::Sixteen,
};

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
        // SAFETY: a live static of this very type; volatile, because its bytes are set at load and
        // the compiler must not take the zeros it sees here for their value.
        unsafe { core::ptr::read_volatile(&raw const $crate::mem::LAYOUT.$name) }
    }};
}

/// A setting, as the user half set it.
macro_rules! config {
    ($name:ident) => {{
        // SAFETY: as for `field!`.
        unsafe { core::ptr::read_volatile(&raw const $crate::mem::CONFIG.$name) }
    }};
}

/// The unsigned integer `name` of the kernel structure at `base`; 0 where the kernel lacks it.
macro_rules! read {
    ($base:expr, $name:ident) => {
        $crate::mem::read_field($base, $crate::mem::field!($name))
    };
}

/// The same of type `$type`, without a helper's call: `$base` is an argument of a trampoline, of
/// which the verifier knows the structure it points to.
macro_rules! load {
    ($base:expr, $name:ident as $type:ty) => {
        $crate::mem::load_field::<$type>($base, $crate::mem::field!($name))
    };
}

pub(crate) use {config, field, load, read};

/// An unsigned integer of the size BTF tells, from kernel memory; 0 if it cannot be read.
///
/// A size of 0 is no case of its own: the helper then copies nothing. A branch here would be one for
/// each read, and the kernel takes long to remove those it finds never taken.
#[inline(always)]
pub fn read_field(base: u64, field: Field) -> u64 {
    let mut value = 0u64;
    // SAFETY: the helper checks the source address itself and faults softly; the destination is
    // eight bytes of this stack, and the verifier holds `size`, a constant it knows, to that.
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

/// As [`read_field`], from a structure that the verifier knows. A field of another size than `T` is
/// left to the helper; the verifier knows the size, and removes the way not taken.
#[inline(always)]
pub fn load_field<T: Copy + Into<u64>>(base: u64, field: Field) -> u64 {
    if field.size as usize != size_of::<T>() {
        return read_field(base, field);
    }
    // SAFETY: the verifier accepts it only within the structure that `base` points to, and the
    // kernel lets a load that faults give 0.
    unsafe { core::ptr::read_volatile((base + u64::from(field.offset)) as *const T) }.into()
}

/// Word `n` of a program's context, read as memory: a plain number comes out where the verifier
/// would see a pointer that must not be stored, and `n` need not be known to the compiler.
#[inline(always)]
pub fn word(ctx: *mut c_void, n: u32) -> u64 {
    let word = Field {
        offset: 8 * n,
        size: 8,
    };
    read_field(ctx as u64, word)
}

/// Sixteen bytes at `field`, into `to`.
#[inline(always)]
pub fn read_16(base: u64, field: Field, to: &mut Sixteen) {
    // SAFETY: as in `read_field`; the destination is the sixteen bytes borrowed here.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut *to).cast(),
            16,
            (base + u64::from(field.offset)) as *const _,
        )
    };
}

/// The kernel's tick count, cut to 32 bits as TCP's own stamps are.
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

/// `CLOCK_BOOTTIME`, nanoseconds, as a task's start is told.
#[inline(always)]
pub fn boot_ns() -> u64 {
    // SAFETY: the helper takes nothing and touches nothing.
    unsafe { aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns() }
}

/// A BPF program cannot panic: the verifier would have to accept the jump here, and none is left
/// after optimisation.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
