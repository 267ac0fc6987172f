//! Walks the running kernel's BTF for the places of structure members.
//!
//! One pass over the types and no copy of them: it runs at every start, before anything is traced.
//! The format is Documentation/bpf/btf.rst of the kernel. aya parses BTF too, but keeps members to
//! itself.

use std::{fs, io};

use keepalive_ebpf::layout::Field;

/// Where the kernel offers its own types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Why BTF did not answer.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    #[error("cannot read {VMLINUX}: {0}")]
    Read(#[source] io::Error),
    #[error("{VMLINUX} is not BTF as katrace knows it: {0}")]
    Malformed(&'static str),
    #[error("the kernel's BTF has no {0}")]
    Missing(String),
}

const MAGIC: u16 = 0xeb9f;
/// `struct btf_type` without what follows it.
const TYPE_LEN: usize = 12;
const MEMBER_LEN: usize = 12;

/// Kinds of `enum` BTF_KIND_* (include/uapi/linux/btf.h).
mod kind {
    pub const INT: u32 = 1;
    pub const PTR: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

/// The kernel's types, indexed by id.
pub struct Btf {
    data: Vec<u8>,
    strings: usize,
    /// Position of each type in `data`; ids start at 1, and `types[0]` is void.
    types: Vec<u32>,
    /// Types looked for by name, in the order asked; 0 = not found.
    wanted: Vec<(Wanted, u32)>,
}

/// A type to find by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Struct(&'static str),
    Enum(&'static str),
    Func(&'static str),
}

/// Number of bits at an offset in bits.
#[derive(Clone, Copy)]
struct Place {
    bit_offset: u32,
    type_id: u32,
    bitfield: bool,
}

impl Btf {
    /// Reads the running kernel's types.
    pub fn of_this_kernel(wanted: &[Wanted]) -> Result<Self, BtfError> {
        Self::parse(fs::read(VMLINUX).map_err(BtfError::Read)?, wanted)
    }

    /// Indexes `data`, noting where the wanted types are.
    pub fn parse(data: Vec<u8>, wanted: &[Wanted]) -> Result<Self, BtfError> {
        let cut = || BtfError::Malformed("cut short");
        let word = |at: usize| u32_at(&data, at).ok_or_else(cut);
        if data.get(..2) != Some(MAGIC.to_ne_bytes().as_slice()) {
            return Err(BtfError::Malformed("no magic number"));
        }
        let header = word(4)? as usize;
        let start = header + word(8)? as usize;
        let end = start + word(12)? as usize;
        let strings = header + word(16)? as usize;
        if end > data.len() || strings > data.len() {
            return Err(cut());
        }

        let mut btf = Self {
            strings,
            types: vec![0],
            wanted: wanted.iter().map(|wanted| (*wanted, 0)).collect(),
            data,
        };
        let mut at = start;
        while at < end {
            let id = btf.types.len() as u32;
            let info = btf.info(at).ok_or_else(cut)?;
            btf.types.push(at as u32);
            btf.note(id, at, info.kind);
            at += TYPE_LEN + info.tail().ok_or(BtfError::Malformed("an unknown kind"))?;
        }
        Ok(btf)
    }

    /// The member at `path` of the structure, names joined by dots, found through anonymous
    /// structures and unions too.
    pub fn field(&self, structure: &'static str, path: &str) -> Result<Field, BtfError> {
        let missing = || BtfError::Missing(format!("{path} in struct {structure}"));
        let mut place = Place {
            bit_offset: 0,
            type_id: self.id(Wanted::Struct(structure)).ok_or_else(missing)?,
            bitfield: false,
        };
        for name in path.split('.') {
            let inner = self
                .member(place.type_id, name.as_bytes())
                .ok_or_else(missing)?;
            place = Place {
                bit_offset: place.bit_offset + inner.bit_offset,
                ..inner
            };
        }
        if place.bitfield || !place.bit_offset.is_multiple_of(8) {
            return Err(BtfError::Malformed(
                "a member that katrace reads became a bit field",
            ));
        }
        let size = self.size(place.type_id).ok_or_else(missing)?;
        Ok(Field {
            offset: place.bit_offset / 8,
            size,
        })
    }

    /// The value of an enumerator.
    pub fn enumerator(&self, name: &'static str, enumerator: &str) -> Result<u32, BtfError> {
        let missing = || BtfError::Missing(format!("{enumerator} in enum {name}"));
        let at = self
            .at(self.id(Wanted::Enum(name)).ok_or_else(missing)?)
            .ok_or_else(missing)?;
        let info = self.info(at).ok_or_else(missing)?;
        (0..info.len)
            .map(|i| at + TYPE_LEN + i * 8)
            .find(|at| self.name(*at) == Some(enumerator.as_bytes()))
            .and_then(|at| u32_at(&self.data, at + 4))
            .ok_or_else(missing)
    }

    /// How many arguments a kernel function takes; `None` if it is no function of this kernel.
    pub fn arguments(&self, function: &'static str) -> Option<u32> {
        let func = self.at(self.id(Wanted::Func(function))?)?;
        let proto = self.at(u32_at(&self.data, func + 8)?)?;
        let info = self.info(proto)?;
        (info.kind == kind::FUNC_PROTO).then_some(info.len as u32)
    }

    fn note(&mut self, id: u32, at: usize, found: u32) {
        if !matches!(found, kind::STRUCT | kind::ENUM | kind::FUNC) {
            return;
        }
        let Some(name) = self.name_start(at) else {
            return;
        };
        for index in 0..self.wanted.len() {
            let (wanted, known) = self.wanted[index];
            let (of, text) = match wanted {
                Wanted::Struct(text) => (kind::STRUCT, text),
                Wanted::Enum(text) => (kind::ENUM, text),
                Wanted::Func(text) => (kind::FUNC, text),
            };
            if known == 0 && of == found && self.is_name(name, text.as_bytes()) {
                self.wanted[index].1 = id;
            }
        }
    }

    fn id(&self, wanted: Wanted) -> Option<u32> {
        self.wanted
            .iter()
            .find(|(name, id)| *name == wanted && *id != 0)
            .map(|(_, id)| *id)
    }

    fn at(&self, id: u32) -> Option<usize> {
        self.types
            .get(id as usize)
            .filter(|_| id != 0)
            .map(|at| *at as usize)
    }

    fn info(&self, at: usize) -> Option<Info> {
        let info = u32_at(&self.data, at + 4)?;
        Some(Info {
            kind: (info >> 24) & 0x1f,
            len: (info & 0xffff) as usize,
            flag: info >> 31 != 0,
        })
    }

    fn member(&self, id: u32, name: &[u8]) -> Option<Place> {
        let at = self.at(self.plain(id)?)?;
        let info = self.info(at)?;
        if !matches!(info.kind, kind::STRUCT | kind::UNION) {
            return None;
        }
        (0..info.len).find_map(|i| {
            let at = at + TYPE_LEN + i * MEMBER_LEN;
            let type_id = u32_at(&self.data, at + 4)?;
            let offset = u32_at(&self.data, at + 8)?;
            // With the flag set, the upper byte is the bit field's width.
            let (bit_offset, bits) = if info.flag {
                (offset & 0x00ff_ffff, offset >> 24)
            } else {
                (offset, 0)
            };
            if u32_at(&self.data, at) == Some(0) {
                let inner = self.member(type_id, name)?;
                return Some(Place {
                    bit_offset: bit_offset + inner.bit_offset,
                    ..inner
                });
            }
            (self.name(at) == Some(name)).then_some(Place {
                bit_offset,
                type_id,
                bitfield: bits != 0,
            })
        })
    }

    /// Follows typedefs and qualifiers.
    fn plain(&self, mut id: u32) -> Option<u32> {
        // Deeper than any declaration, so that a cycle in broken data ends.
        for _ in 0..32 {
            let at = self.at(id)?;
            match self.info(at)?.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = u32_at(&self.data, at + 8)?;
                }
                _ => return Some(id),
            }
        }
        None
    }

    /// Bytes of a type. Pointers are those of a 64-bit kernel, as eBPF's own registers are.
    fn size(&self, id: u32) -> Option<u32> {
        let at = self.at(self.plain(id)?)?;
        match self.info(at)?.kind {
            kind::PTR => Some(8),
            kind::INT | kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64 => {
                u32_at(&self.data, at + 8)
            }
            kind::ARRAY => {
                let element = self.size(u32_at(&self.data, at + TYPE_LEN)?)?;
                element.checked_mul(u32_at(&self.data, at + TYPE_LEN + 8)?)
            }
            _ => None,
        }
    }

    fn name_start(&self, at: usize) -> Option<usize> {
        Some(self.strings + u32_at(&self.data, at)? as usize)
    }

    fn is_name(&self, start: usize, text: &[u8]) -> bool {
        self.data.get(start..start + text.len()) == Some(text)
            && self.data.get(start + text.len()) == Some(&0)
    }

    fn name(&self, at: usize) -> Option<&[u8]> {
        let rest = self.data.get(self.name_start(at)?..)?;
        rest.split(|byte| *byte == 0).next()
    }
}

/// The packed word of a type.
struct Info {
    kind: u32,
    len: usize,
    flag: bool,
}

impl Info {
    /// Bytes that follow the type's fixed part; `None` for a kind of a later format.
    fn tail(&self) -> Option<usize> {
        match self.kind {
            kind::INT | kind::VAR | kind::DECL_TAG => Some(4),
            kind::ARRAY => Some(12),
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => Some(12 * self.len),
            kind::ENUM | kind::FUNC_PROTO => Some(8 * self.len),
            // Pointers, forwards, typedefs, qualifiers, functions, floats and type tags.
            2 | 7..=12 | 16 | 18 => Some(0),
            _ => None,
        }
    }
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}
