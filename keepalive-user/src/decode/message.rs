//! From bytes to the types of the wire.

use keepalive_ebpf::wire::{Notice, Noticed, Record};

use super::item::DecodeError;

/// A type of the wire. All of its fields are integers or arrays of them, so any bytes are valid.
pub trait Wire: Copy {
    /// The size that the message itself states.
    fn stated_size(&self) -> u16;
}

impl Wire for Record {
    fn stated_size(&self) -> u16 {
        self.size
    }
}

impl Wire for Noticed {
    fn stated_size(&self) -> u16 {
        self.size
    }
}

impl Wire for Notice {
    fn stated_size(&self) -> u16 {
        self.size
    }
}

/// The bytes as such a type.
///
/// # Errors
///
/// Their number is not the size of the type, or the message states another size.
pub fn message<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() != size_of::<T>() {
        return Err(DecodeError::Length(bytes.len()));
    }
    // SAFETY: there are exactly as many bytes as the type has, and by `Wire` any bytes are valid for
    // it. The read does not ask for alignment.
    let message = unsafe { bytes.as_ptr().cast::<T>().read_unaligned() };
    if usize::from(message.stated_size()) != size_of::<T>() {
        return Err(DecodeError::Size(message.stated_size()));
    }
    Ok(message)
}
