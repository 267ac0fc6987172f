//! Sixteen bytes: an address, or the name of a task.

/// Bytes of a task's name, the closing NUL included (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;

/// An address or a name, copied as two words.
///
/// For an array of bytes the compiler calls a loop, which takes longer to run and much longer to
/// verify.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sixteen(pub [u64; 2]);

impl Sixteen {
    /// The bytes in the order in which they stand in memory.
    pub fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (words, _) = bytes.as_chunks_mut();
        for (to, word) in words.iter_mut().zip(self.0) {
            *to = word.to_ne_bytes();
        }
        bytes
    }
}

impl From<[u8; 16]> for Sixteen {
    fn from(bytes: [u8; 16]) -> Self {
        let (words, _) = bytes.as_chunks();
        let [high, low] = [0, 1].map(|n| words.get(n).copied().map_or(0, u64::from_ne_bytes));
        Self([high, low])
    }
}

const _: () = assert!(size_of::<Sixteen>() == COMM_LEN);
