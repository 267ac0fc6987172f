//! Counters of what could not be kept or sent.

use super::kind;

/// What one CPU could not keep or send since the start. One counter for each kind of message.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses(pub [u64; Self::SLOTS]);

impl Losses {
    /// More than there are kinds. A power of two, because a mask is what convinces the verifier that an
    /// index is inside.
    pub const SLOTS: usize = 16;
    /// Sockets and processes that found no room in a table. No kind of message has this number.
    pub const UNTRACKED: usize = 0;

    /// Events of all kinds that found no room in the ring.
    pub fn lost(&self) -> u64 {
        self.0[kind::PROBE as usize..=kind::NOTICED as usize]
            .iter()
            .sum()
    }

    /// Notices that found no room in the ring.
    pub fn unheard(&self) -> u64 {
        self.0[kind::FORKED as usize..].iter().sum()
    }

    /// Sockets and processes that found no room in a table.
    pub const fn untracked(&self) -> u64 {
        self.0[Self::UNTRACKED]
    }
}

const _: () = assert!(
    (kind::ENDED as usize) < Losses::SLOTS,
    "every kind has a counter"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_in_exactly_one_sum() {
        let mut losses = Losses::default();
        for (count, bit) in losses.0.iter_mut().zip(0..) {
            *count = 1 << bit;
        }
        let sums = [losses.untracked(), losses.lost(), losses.unheard()];
        assert_eq!(sums, [0b1, 0b111_1110, 0xffff & !0b111_1111]);
    }
}
