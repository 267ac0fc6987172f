//! The binary format of BTF (include/uapi/linux/btf.h, Documentation/bpf/btf.rst of the kernel).

/// The first two bytes of the header.
pub const MAGIC: u16 = 0xeb9f;
/// Bytes of `struct btf_header`.
pub const HEADER_LEN: usize = 24;
/// Bytes of `struct btf_type`, without what follows it.
pub const TYPE_LEN: usize = 12;
/// Bytes of `struct btf_member`.
pub const MEMBER_LEN: usize = 12;

/// `BTF_KIND_*`.
pub mod kind {
    pub const INT: u32 = 1;
    pub const PTR: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FWD: u32 = 7;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const FLOAT: u32 = 16;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

/// The member `info` of `struct btf_type`.
pub struct Info {
    /// One of [`kind`].
    pub kind: u32,
    /// Number of members, enumerators or arguments.
    pub len: usize,
    /// Of a structure: the offsets of its members carry the widths of bit fields.
    pub flag: bool,
}

impl Info {
    pub const fn of(word: u32) -> Self {
        Self {
            kind: (word >> 24) & 0x1f,
            len: (word & 0xffff) as usize,
            flag: word >> 31 != 0,
        }
    }

    /// Bytes that follow the type's fixed part; `None` for a kind of a later format.
    pub const fn tail(&self) -> Option<usize> {
        match self.kind {
            kind::INT | kind::VAR | kind::DECL_TAG => Some(4),
            kind::ARRAY => Some(12),
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => Some(12 * self.len),
            kind::ENUM | kind::FUNC_PROTO => Some(8 * self.len),
            kind::PTR
            | kind::FWD
            | kind::TYPEDEF
            | kind::VOLATILE
            | kind::CONST
            | kind::RESTRICT
            | kind::FUNC
            | kind::FLOAT
            | kind::TYPE_TAG => Some(0),
            _ => None,
        }
    }
}

/// Is the text at `start` this name? Names end with a NUL.
pub fn is_name(data: &[u8], start: usize, name: &[u8]) -> bool {
    data.get(start..)
        .and_then(|rest| rest.strip_prefix(name))
        .is_some_and(|rest| rest.first() == Some(&0))
}

/// The word at `at`, in the byte order of this machine, which is the kernel's.
pub fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?
        .first_chunk()
        .map(|bytes| u32::from_ne_bytes(*bytes))
}
