//! Walks the running kernel's BTF for the offsets and sizes of structure members.
//!
//! It makes one pass over the types and no copy of them, since it runs at every start, before
//! anything is traced. aya parses BTF too, but keeps members to itself.

mod bytes;
mod format;
mod members;

use std::ops::Deref;

pub use self::{
    bytes::Bytes,
    format::{HEADER_LEN, MAGIC, TYPE_LEN, kind},
};
pub use crate::source::error::BtfError;

use self::format::{Info, is_name, u32_at};
use crate::source::error::VMLINUX;

/// The kernel's types, indexed by id.
pub struct Btf<D = Bytes> {
    data: D,
    strings: usize,
    /// Position of each type in `data`; ids start at 1, and `types[0]` is void.
    types: Vec<u32>,
    /// The types asked for and their ids; 0 = not found.
    wanted: Vec<(Wanted, u32)>,
}

/// A type to find by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A structure.
    Struct(&'static str),
    /// An enum.
    Enum(&'static str),
    /// A function.
    Func(&'static str),
}

impl Wanted {
    const fn name(self) -> &'static str {
        match self {
            Self::Struct(name) | Self::Enum(name) | Self::Func(name) => name,
        }
    }

    /// The first four bytes of the name. A shorter name is filled up with NULs; there is one behind
    /// it in BTF too.
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

/// Size of a table that is indexed by the hash of a name's first four bytes.
const BEGINNINGS: usize = 1 << 10;

/// The index of four bytes in that table.
const fn beginning(four: [u8; 4]) -> usize {
    // Fibonacci hashing: the upper bits of a product with 2³²/φ.
    (u32::from_ne_bytes(four).wrapping_mul(0x9e37_79b9) >> 22) as usize
}

impl Btf {
    /// Reads the running kernel's types from [`VMLINUX`].
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not BTF.
    pub fn of_this_kernel(wanted: &[Wanted]) -> Result<Self, BtfError> {
        Self::parse(Bytes::of_this_kernel().map_err(BtfError::Read)?, wanted)
    }
}

impl<D: Deref<Target = [u8]>> Btf<D> {
    /// Indexes `data`, noting where the wanted types are.
    ///
    /// # Errors
    ///
    /// The bytes are not BTF, are cut short, or have a kind of type that katrace does not know.
    pub fn parse(data: D, wanted: &[Wanted]) -> Result<Self, BtfError> {
        // Only slices and local variables: this loop takes a fifth of the time to the first record.
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
        // More than needed: a type takes some thirty bytes on average.
        let mut types = Vec::with_capacity((end - start) / 16);
        types.push(0);
        let mut at = start;
        while at < end {
            let head = bytes[at..].first_chunk::<TYPE_LEN>().ok_or_else(cut)?;
            let [n0, n1, n2, n3, i0, i1, i2, i3, ..] = *head;
            let info = Info::of(u32::from_ne_bytes([i0, i1, i2, i3]));
            if matches!(info.kind, kind::STRUCT | kind::ENUM | kind::FUNC) {
                let name = strings + u32::from_ne_bytes([n0, n1, n2, n3]) as usize;
                // The first four bytes rule out nearly all of some hundred thousand names.
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

    /// The value of an enumerator.
    ///
    /// # Errors
    ///
    /// The enum was not asked for or is not there, or has no such enumerator.
    pub fn enumerator(&self, name: &'static str, enumerator: &str) -> Result<u32, BtfError> {
        let missing = || BtfError::Missing(format!("{enumerator} in enum {name}"));
        let at = self
            .at(self.id(Wanted::Enum(name)).ok_or_else(missing)?)
            .ok_or_else(missing)?;
        let info = self.info(at).ok_or_else(missing)?;
        (0..info.len)
            .map(|i| at + TYPE_LEN + i * 8)
            .find(|at| self.is_named(*at, enumerator.as_bytes()))
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

    /// Does the name that the word at `at` points to equal this one?
    fn is_named(&self, at: usize, name: &[u8]) -> bool {
        u32_at(&self.data, at)
            .is_some_and(|offset| is_name(&self.data, self.strings + offset as usize, name))
    }
}

#[cfg(test)]
mod cut;
#[cfg(test)]
mod tests;
