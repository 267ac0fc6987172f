//! Where a member of a structure is, and how large it is.
//!
//! Each search is bounded in depth and in members, since broken types may contain themselves.

use std::ops::Deref;

use keepalive_ebpf::wire::Field;

use super::{
    Btf, BtfError, Wanted,
    format::{MEMBER_LEN, TYPE_LEN, kind, u32_at},
};

/// Typedefs, qualifiers, arrays and anonymous structures inside one another. Declarations of the
/// kernel stay below ten.
const MOST_DEEP: u32 = 32;
/// Members that one search may look at. `struct task_struct` and `struct sock` have some hundreds.
const MOST_MEMBERS: u32 = 1 << 16;

/// Where a member was found.
#[derive(Clone, Copy)]
struct Place {
    bit_offset: u32,
    type_id: u32,
    is_bit_field: bool,
}

impl Place {
    /// The same place seen from the structure that this one lies in, at `bit_offset`.
    fn inside(self, bit_offset: u32) -> Option<Self> {
        Some(Self {
            bit_offset: self.bit_offset.checked_add(bit_offset)?,
            ..self
        })
    }
}

impl<D: Deref<Target = [u8]>> Btf<D> {
    /// The member at `path` of the structure, names joined by dots, found through anonymous
    /// structures and unions too.
    ///
    /// # Errors
    ///
    /// The structure was not asked for or is not there, it has no such member, or the member is a
    /// bit field.
    pub fn field(&self, structure: &'static str, path: &str) -> Result<Field, BtfError> {
        let missing = || BtfError::Missing(format!("{path} in struct {structure}"));
        let mut place = Place {
            bit_offset: 0,
            type_id: self.id(Wanted::Struct(structure)).ok_or_else(missing)?,
            is_bit_field: false,
        };
        for name in path.split('.') {
            place = self
                .member(place.type_id, name.as_bytes())
                .and_then(|inner| inner.inside(place.bit_offset))
                .ok_or_else(missing)?;
        }
        if place.is_bit_field || !place.bit_offset.is_multiple_of(8) {
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

    fn member(&self, id: u32, name: &[u8]) -> Option<Place> {
        let mut members_left = MOST_MEMBERS;
        self.member_within(id, name, MOST_DEEP, &mut members_left)
    }

    /// Depth alone is no bound: a structure may contain itself in each of its many members.
    fn member_within(
        &self,
        id: u32,
        name: &[u8],
        depth_left: u32,
        members_left: &mut u32,
    ) -> Option<Place> {
        let depth_left = depth_left.checked_sub(1)?;
        let at = self.at(self.plain(id)?)?;
        let info = self.info(at)?;
        if !matches!(info.kind, kind::STRUCT | kind::UNION) {
            return None;
        }
        for i in 0..info.len {
            *members_left = members_left.checked_sub(1)?;
            let at = at + TYPE_LEN + i * MEMBER_LEN;
            let type_id = u32_at(&self.data, at + 4)?;
            let offset = u32_at(&self.data, at + 8)?;
            // With the flag set, the upper byte is the bit field's width.
            let (bit_offset, bits) = if info.flag {
                (offset & 0x00ff_ffff, offset >> 24)
            } else {
                (offset, 0)
            };
            let is_anonymous = u32_at(&self.data, at) == Some(0);
            if is_anonymous {
                let inner = self.member_within(type_id, name, depth_left, members_left);
                if let Some(inner) = inner {
                    return inner.inside(bit_offset);
                }
            } else if self.is_named(at, name) {
                return Some(Place {
                    bit_offset,
                    type_id,
                    is_bit_field: bits != 0,
                });
            }
        }
        None
    }

    /// Follows typedefs and qualifiers.
    fn plain(&self, mut id: u32) -> Option<u32> {
        for _ in 0..MOST_DEEP {
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
    fn size(&self, mut id: u32) -> Option<u32> {
        let mut elements: u32 = 1;
        for _ in 0..MOST_DEEP {
            let at = self.at(self.plain(id)?)?;
            let size = match self.info(at)?.kind {
                kind::PTR => 8,
                kind::INT | kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64 => {
                    u32_at(&self.data, at + 8)?
                }
                kind::ARRAY => {
                    // `struct btf_array`: the element's type, the index's type, their number.
                    elements = elements.checked_mul(u32_at(&self.data, at + TYPE_LEN + 8)?)?;
                    id = u32_at(&self.data, at + TYPE_LEN)?;
                    continue;
                }
                _ => return None,
            };
            return elements.checked_mul(size);
        }
        None
    }
}
