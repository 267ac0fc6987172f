//! The kernel functions that trampolines are attached to, by their ids in BTF, in the form that aya
//! takes.

use std::sync::OnceLock;

use aya::{Btf, BtfError, Endianness};

use super::btf::{HEADER_LEN, MAGIC, TYPE_LEN, kind};
use crate::source::error::HostError;

/// Made when first needed, by the thread that needs them first.
pub struct Functions<'a> {
    ids: &'a [(&'static str, u32)],
    read: OnceLock<Result<Btf, BtfError>>,
}

impl<'a> Functions<'a> {
    /// Functions by name, with their ids in the kernel's BTF.
    pub const fn of(ids: &'a [(&'static str, u32)]) -> Self {
        Self {
            ids,
            read: OnceLock::new(),
        }
    }

    /// What aya loads trampolines by.
    ///
    /// # Errors
    ///
    /// aya does not take the BTF that is made here.
    pub fn read(&self) -> Result<&Btf, HostError> {
        self.read
            .get_or_init(|| Btf::parse(&functions_only(self.ids), Endianness::default()))
            .as_ref()
            .map_err(|error| HostError::TrampolineBtf(error.to_string()))
    }
}

/// BTF with these functions alone, under their own ids. Attaching to a function needs only its id,
/// and aya parses this in a fraction of the time that the kernel's whole BTF takes.
fn functions_only(functions: &[(&'static str, u32)]) -> Vec<u8> {
    let last = functions.iter().map(|(_, id)| *id).max().unwrap_or(0);
    let strings_len: usize = 1 + functions
        .iter()
        .map(|(name, _)| name.len() + 1)
        .sum::<usize>();
    let types_len = TYPE_LEN as u32 * last;
    let mut data = Vec::with_capacity(HEADER_LEN + types_len as usize + strings_len);
    let mut put = |word: u32| data.extend_from_slice(&word.to_ne_bytes());
    // Version 1, no flags.
    let [m0, m1] = MAGIC.to_ne_bytes();
    put(u32::from_ne_bytes([m0, m1, 1, 0]));
    for word in [HEADER_LEN as u32, 0, types_len, types_len] {
        put(word);
    }
    put(strings_len as u32);
    let mut name_at = 1;
    let mut names = functions.to_vec();
    names.sort_by_key(|(_, id)| *id);
    let mut next = names.iter().peekable();
    for type_id in 1..=last {
        // A pointer to void is the shortest type there is.
        let (mut name, mut kind) = (0, kind::PTR);
        if let Some((function, _)) = next.next_if(|(_, id)| *id == type_id) {
            (name, kind) = (name_at, kind::FUNC);
            name_at += function.len() as u32 + 1;
        }
        for word in [name, kind << 24, 0] {
            put(word);
        }
    }
    data.push(0);
    for (name, _) in names {
        data.extend_from_slice(name.as_bytes());
        data.push(0);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::{
        super::btf::{Btf as Kernel, Wanted},
        *,
    };

    #[test]
    fn functions_keep_their_ids() {
        let wanted = [
            Wanted::Func("tcp_keepalive_timer"),
            Wanted::Func("no_such_function"),
            Wanted::Func("inet_csk_accept"),
        ];
        let functions = Kernel::of_this_kernel(&wanted).unwrap().functions();
        assert_eq!(functions.len(), 2);
        let aya = Btf::parse(&functions_only(&functions), Endianness::default()).unwrap();
        let kind = aya_obj::btf::BtfKind::Func;
        for (name, id) in functions {
            assert_eq!(aya.id_by_type_name_kind(name, kind).unwrap(), id);
        }
        assert!(aya.id_by_type_name_kind("no_such_function", kind).is_err());
    }
}
