//! Walks the running kernel's BTF for the places of structure members.
//!
//! One pass over the types and no copy of them: it runs at every start, before anything is traced.
//! The format is Documentation/bpf/btf.rst of the kernel. aya parses BTF too, but keeps members to
//! itself.

use std::{
    fs::File,
    io::{self, Read},
    ops::Deref,
};

use keepalive_ebpf::wire::Field;
use memmap2::{Mmap, MmapMut, MmapOptions};

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

pub(super) const MAGIC: u16 = 0xeb9f;
/// `struct btf_type` without what follows it.
pub(super) const TYPE_LEN: usize = 12;
const MEMBER_LEN: usize = 12;
/// `struct btf_header`.
pub(super) const HEADER_LEN: usize = 24;

/// Kinds of `enum` BTF_KIND_* (include/uapi/linux/btf.h).
pub(super) mod kind {
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

/// The file's bytes: mapped where the kernel allows that (6.16 and later), read elsewhere, which
/// takes a system call for each of some fifteen hundred pages. Read into memory of its own, since
/// the allocator would keep for later what is needed only now.
pub enum Data {
    Mapped(Mmap),
    Read(MmapMut),
}

impl Data {
    fn of_this_kernel() -> io::Result<Self> {
        let file = File::open(VMLINUX)?;
        // SAFETY: the kernel's types never change while it runs, and nobody can write to them. A
        // private mapping: the kernel refuses a shared one.
        match unsafe { MmapOptions::new().map_copy_read_only(&file) } {
            Ok(mapped) => Ok(Self::Mapped(mapped)),
            Err(_) => read(file).map(Self::Read),
        }
    }
}

fn read(mut file: File) -> io::Result<MmapMut> {
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut memory = MmapMut::map_anon(size)?;
    file.read_exact(&mut memory)?;
    Ok(memory)
}

impl Deref for Data {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(mapped) => mapped,
            Self::Read(read) => read,
        }
    }
}

/// The kernel's types, indexed by id.
pub struct Btf<D = Data> {
    data: D,
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

impl Wanted {
    const fn name(self) -> &'static str {
        match self {
            Self::Struct(name) | Self::Enum(name) | Self::Func(name) => name,
        }
    }

    /// Its first four bytes, the closing NUL among them if it is that short.
    fn beginning(self) -> [u8; 4] {
        let mut four = [0; 4];
        for (to, from) in four.iter_mut().zip(self.name().bytes()) {
            *to = from;
        }
        four
    }

    const fn kind(self) -> u32 {
        match self {
            Self::Struct(_) => kind::STRUCT,
            Self::Enum(_) => kind::ENUM,
            Self::Func(_) => kind::FUNC,
        }
    }
}

/// Places in a table of names' beginnings.
const BEGINNINGS: usize = 1 << 10;

/// The place of four bytes in that table.
const fn beginning(four: [u8; 4]) -> usize {
    // Fibonacci hashing: the upper bits of a product with 2³²/φ.
    (u32::from_ne_bytes(four).wrapping_mul(0x9e37_79b9) >> 22) as usize
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
        Self::parse(Data::of_this_kernel().map_err(BtfError::Read)?, wanted)
    }
}

impl<D: Deref<Target = [u8]>> Btf<D> {
    /// Indexes `data`, noting where the wanted types are.
    pub fn parse(data: D, wanted: &[Wanted]) -> Result<Self, BtfError> {
        // Plain slices and locals: this loop is a fifth of the time to the first record.
        let bytes: &[u8] = &data;
        let cut = || BtfError::Malformed("cut short");
        let word = |at: usize| u32_at(bytes, at).ok_or_else(cut);
        if bytes.get(..2) != Some(MAGIC.to_ne_bytes().as_slice()) {
            return Err(BtfError::Malformed("no magic number"));
        }
        let header = word(4)? as usize;
        let start = header + word(8)? as usize;
        let end = start + word(12)? as usize;
        let strings = header + word(16)? as usize;
        if end > bytes.len() || strings > bytes.len() {
            return Err(cut());
        }

        let mut found: Vec<(Wanted, u32)> = wanted.iter().map(|wanted| (*wanted, 0)).collect();
        let mut beginnings = [false; BEGINNINGS];
        for wanted in wanted {
            beginnings[beginning(wanted.beginning())] = true;
        }
        // More than there are: types average some thirty bytes.
        let mut types = Vec::with_capacity((end - start) / 16);
        types.push(0);
        let mut at = start;
        while at < end {
            let head = bytes[at..].first_chunk::<TYPE_LEN>().ok_or_else(cut)?;
            let [n0, n1, n2, n3, i0, i1, i2, i3, ..] = *head;
            let info = Info::of(u32::from_ne_bytes([i0, i1, i2, i3]));
            if matches!(info.kind, kind::STRUCT | kind::ENUM | kind::FUNC) {
                let name = strings + u32::from_ne_bytes([n0, n1, n2, n3]) as usize;
                // Its beginning alone turns nearly all of some hundred thousand names away.
                if let Some(four) = bytes.get(name..).and_then(|name| name.first_chunk())
                    && beginnings[beginning(*four)]
                {
                    for (wanted, id) in &mut found {
                        if *id == 0
                            && wanted.kind() == info.kind
                            && is_name(bytes, name, wanted.name().as_bytes())
                        {
                            *id = types.len() as u32;
                        }
                    }
                }
            }
            types.push(at as u32);
            at += TYPE_LEN + info.tail().ok_or(BtfError::Malformed("an unknown kind"))?;
        }
        Ok(Self {
            data,
            strings,
            types,
            wanted: found,
        })
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

    /// The wanted functions that this kernel has, with their numbers.
    pub fn functions(&self) -> Vec<(&'static str, u32)> {
        let found = self.wanted.iter().filter(|(_, id)| *id != 0);
        found
            .filter(|(wanted, _)| wanted.kind() == kind::FUNC)
            .map(|(wanted, id)| (wanted.name(), *id))
            .collect()
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
        u32_at(&self.data, at + 4).map(Info::of)
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
    const fn of(word: u32) -> Self {
        Self {
            kind: (word >> 24) & 0x1f,
            len: (word & 0xffff) as usize,
            flag: word >> 31 != 0,
        }
    }

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

fn is_name(data: &[u8], start: usize, text: &[u8]) -> bool {
    data.get(start..start + text.len()) == Some(text) && data.get(start + text.len()) == Some(&0)
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests;
