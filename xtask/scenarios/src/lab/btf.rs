//! Where the running kernel keeps one member of one structure, from its BTF.
//!
//! The format is Documentation/bpf/btf.rst of the kernel. aya reads BTF too, but does not tell where
//! members are.

use std::fs;

use anyhow::{Context, Result};

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
/// `struct btf_type` without what follows it.
const TYPE_LEN: usize = 12;
const MEMBER_LEN: usize = 12;
/// `BTF_KIND_STRUCT` of include/uapi/linux/btf.h.
const STRUCT: u32 = 4;

/// Bytes from the start of the structure to a member that it names itself.
///
/// # Errors
///
/// The kernel offers no BTF, or its BTF has no such structure or member.
pub fn member_offset(structure: &str, member: &str) -> Result<u32> {
    let data = fs::read(VMLINUX).with_context(|| format!("read {VMLINUX}"))?;
    find(&data, structure, member)
        .with_context(|| format!("{VMLINUX} has no {member} in struct {structure}"))
}

/// `None` if it is not there, or where the bytes are no BTF.
fn find(data: &[u8], structure: &str, member: &str) -> Option<u32> {
    if data.get(..2)? != MAGIC.to_ne_bytes() {
        return None;
    }
    let header = word(data, 4)?;
    let types = header.checked_add(word(data, 8)?)?;
    let types_end = types.checked_add(word(data, 12)?)?;
    let strings = header.checked_add(word(data, 16)?)?;
    let is_named = |at: usize, name: &str| {
        let name_at = word(data, at).and_then(|offset| strings.checked_add(offset));
        name_at
            .and_then(|start| data.get(start..)?.strip_prefix(name.as_bytes())?.first())
            .is_some_and(|end| *end == 0)
    };
    let mut at = types;
    while at < types_end {
        let info = word(data, at + 4)? as u32;
        let (kind, count) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
        if kind == STRUCT && is_named(at, structure) {
            let has_bit_fields = info >> 31 != 0;
            let member_at = (0..count)
                .map(|i| at + TYPE_LEN + i * MEMBER_LEN)
                .find(|at| is_named(*at, member))?;
            let bits = word(data, member_at + 8)? as u32;
            let is_whole = bits.is_multiple_of(8) && !(has_bit_fields && bits >> 24 != 0);
            return is_whole.then_some(bits / 8);
        }
        at += TYPE_LEN + tail(kind, count)?;
    }
    None
}

/// Bytes that follow the fixed part of a type; `None` for a kind of a later format.
fn tail(kind: u32, count: usize) -> Option<usize> {
    match kind {
        // Integers, variables and declaration tags.
        1 | 14 | 17 => Some(4),
        // Arrays.
        3 => Some(12),
        // Structures, unions, sections and 64-bit enumerations.
        STRUCT | 5 | 15 | 19 => Some(12 * count),
        // Enumerations and prototypes of functions.
        6 | 13 => Some(8 * count),
        // Pointers, forwards, typedefs, qualifiers, functions, floats and type tags.
        2 | 7..=12 | 16 | 18 => Some(0),
        _ => None,
    }
}

fn word(data: &[u8], at: usize) -> Option<usize> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    let word = u32::from_ne_bytes(bytes.try_into().ok()?);
    usize::try_from(word).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct pair { int first; int second:3; unsigned long third; }`, without the types of members.
    fn pair() -> Vec<u8> {
        let strings = b"\0pair\0first\0second\0third\0";
        let words = [
            // Name, info (with bit fields, three members), size.
            [1, 1 << 31 | STRUCT << 24 | 3, 16],
            [6, 0, 0],
            [12, 0, 3 << 24 | 32],
            [19, 0, 64],
        ];
        let types: Vec<u8> = words
            .iter()
            .flatten()
            .flat_map(|w| w.to_ne_bytes())
            .collect();
        let mut data = MAGIC.to_ne_bytes().to_vec();
        data.extend([1, 0]);
        let header = [24, 0, types.len() as u32, types.len() as u32, 24];
        data.extend(header.iter().flat_map(|word| word.to_ne_bytes()));
        data.extend(types);
        data.extend(strings);
        data
    }

    #[test]
    fn a_member_is_found_by_its_whole_name() {
        assert_eq!(find(&pair(), "pair", "first"), Some(0));
        assert_eq!(find(&pair(), "pair", "third"), Some(8));
        assert_eq!(find(&pair(), "pair", "thir"), None);
        assert_eq!(find(&pair(), "pai", "first"), None);
    }

    #[test]
    fn a_bit_field_has_no_offset() {
        assert_eq!(find(&pair(), "pair", "second"), None);
    }

    #[test]
    fn bytes_that_are_cut_short_are_no_answer() {
        let data = pair();
        for length in 0..data.len() {
            let _ = find(&data[..length], "pair", "third");
        }
        assert_eq!(find(&data[..40], "pair", "third"), None);
    }
}
