//! Offsets of kernel structure members, read from the running kernel's BTF for the control.
//!
//! katrace has a reader of its own. The control does not use it: a fault there must not be hidden by the same fault
//! here. The format is Documentation/bpf/btf.rst of the kernel.

use std::fs;

use anyhow::{Context, Result, ensure};

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
/// `struct btf_type` without the data that follows it.
const TYPE_LEN: usize = 12;
/// One member of a struct or union.
const MEMBER_LEN: usize = 12;
/// Anonymous structs in the kernel nest less deep than this.
const DEPTH: u32 = 8;

/// BTF_KIND_* of include/uapi/linux/btf.h.
mod kind {
    pub const INT: u32 = 1;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const DECL_TAG: u32 = 17;
    pub const ENUM64: u32 = 19;
}

/// The types of a kernel.
pub struct Btf {
    data: Vec<u8>,
    /// Position of the string section in `data`.
    strings: usize,
    /// Position of each type in `data`. Type ids begin at 1; entry 0 is `void`.
    types: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    /// Number of members, values or parameters.
    len: usize,
    /// A struct whose member offsets also hold the size of bit fields.
    has_bit_fields: bool,
    /// Position of what follows.
    rest: usize,
}

impl Btf {
    /// Reads the types of the running kernel.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not BTF.
    pub fn of_this_kernel() -> Result<Self> {
        let data = fs::read(VMLINUX).with_context(|| format!("read {VMLINUX}"))?;
        Self::parse(data).with_context(|| format!("{VMLINUX} is not valid BTF"))
    }

    fn parse(data: Vec<u8>) -> Result<Self> {
        let magic = data.get(..2).context("it is empty")?;
        ensure!(magic == MAGIC.to_ne_bytes(), "it begins with {magic:x?}");
        let header = |at| word(&data, at).map(|value| value as usize);
        let (header_len, types_at, types_len, strings_at) =
            (header(4)?, header(8)?, header(12)?, header(16)?);
        let mut btf = Self {
            strings: header_len + strings_at,
            types: vec![0],
            data,
        };
        let mut at = header_len + types_at;
        let end = at + types_len;
        ensure!(end <= btf.data.len(), "its types are cut short");
        while at < end {
            btf.types.push(at);
            at = btf.type_at(at)?.end();
        }
        Ok(btf)
    }

    /// Offset in bytes of a member of a struct. Members of anonymous structs and unions count as the struct's own.
    /// `None` where this kernel's struct has no such member.
    ///
    /// # Errors
    ///
    /// There is no such struct, or the member is a bit field.
    pub fn offset(&self, of: &str, member: &str) -> Result<Option<u64>> {
        for &at in self.types.iter().skip(1) {
            let found = self.type_at(at)?;
            if found.kind == kind::STRUCT && self.is_named(found.name, of) {
                return self.member(found, member, DEPTH)?.map_or(Ok(None), |bits| {
                    ensure!(bits % 8 == 0, "{of}.{member} is a bit field");
                    Ok(Some(u64::from(bits / 8)))
                });
            }
        }
        anyhow::bail!("no struct {of} in BTF")
    }

    /// The member's offset in bits.
    fn member(&self, of: Type, name: &str, depth: u32) -> Result<Option<u32>> {
        for number in 0..of.len {
            let at = of.rest + number * MEMBER_LEN;
            let (member_name, type_id, place) = (
                word(&self.data, at)?,
                word(&self.data, at + 4)?,
                word(&self.data, at + 8)?,
            );
            let place = if of.has_bit_fields {
                place & 0x00ff_ffff
            } else {
                place
            };
            if self.is_named(member_name, name) {
                return Ok(Some(place));
            }
            if !self.is_named(member_name, "") || depth == 0 {
                continue;
            }
            let inner = *self.types.get(type_id as usize).context("no such type")?;
            let inner = self.type_at(inner)?;
            if matches!(inner.kind, kind::STRUCT | kind::UNION)
                && let Some(further) = self.member(inner, name, depth - 1)?
            {
                return Ok(Some(place + further));
            }
        }
        Ok(None)
    }

    fn type_at(&self, at: usize) -> Result<Type> {
        let info = word(&self.data, at + 4)?;
        Ok(Type {
            name: word(&self.data, at)?,
            kind: (info >> 24) & 0x1f,
            len: (info & 0xffff) as usize,
            has_bit_fields: info >> 31 == 1,
            rest: at + TYPE_LEN,
        })
    }

    fn is_named(&self, offset: u32, name: &str) -> bool {
        let rest = self.data.get(self.strings + offset as usize..);
        let rest = rest.and_then(|rest| rest.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }
}

impl Type {
    /// Position after this type.
    fn end(self) -> usize {
        let follows = match self.kind {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * self.len,
            kind::ENUM | kind::FUNC_PROTO => 8 * self.len,
            _ => 0,
        };
        self.rest + follows
    }
}

fn word(data: &[u8], at: usize) -> Result<u32> {
    let bytes = data.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u32::from_ne_bytes(*bytes.context("it is cut short")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct outer { int a; union { int b; struct { int pad; int c; }; }; }` with ids 1 to 4.
    fn fixture() -> Vec<u8> {
        let strings = b"\0int\0outer\0a\0b\0pad\0c\0";
        let int: &[u32] = &[1, kind::INT << 24, 4, 32];
        let inner: &[u32] = &[0, (kind::STRUCT << 24) | 2, 8, 15, 1, 0, 19, 1, 32];
        let union: &[u32] = &[0, (kind::UNION << 24) | 2, 8, 13, 1, 0, 0, 2, 0];
        let outer: &[u32] = &[5, (kind::STRUCT << 24) | 2, 12, 11, 1, 0, 0, 3, 32];
        let types: Vec<u8> = [int, inner, union, outer]
            .concat()
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        let mut data = MAGIC.to_ne_bytes().to_vec();
        data.extend([1, 0]);
        for word in [24, 0, types.len(), types.len(), strings.len()] {
            data.extend((word as u32).to_ne_bytes());
        }
        data.extend(types);
        data.extend(strings);
        data
    }

    #[test]
    fn members_are_found_through_anonymous_ones() {
        let btf = Btf::parse(fixture()).unwrap();
        for (name, wanted) in [("a", Some(0)), ("b", Some(4)), ("c", Some(8)), ("d", None)] {
            assert_eq!(btf.offset("outer", name).unwrap(), wanted, "{name}");
        }
        assert!(btf.offset("inner", "c").is_err());
    }

    #[test]
    fn a_file_that_is_cut_short_is_an_error() {
        let whole = fixture();
        let types_end = whole.len() - 21;
        for len in 0..types_end {
            assert!(Btf::parse(whole[..len].to_vec()).is_err(), "{len}");
        }
    }
}
