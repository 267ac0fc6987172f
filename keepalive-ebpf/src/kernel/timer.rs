//! Timers of the kernel.

use super::{
    memory::{field, read},
    sock::Sock,
};

/// Address of a `struct timer_list`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Timer(pub u64);

impl Timer {
    /// Address of the function that it calls when it expires.
    #[inline(always)]
    pub fn function(self) -> u64 {
        read!(self.0, timer_function)
    }

    /// The socket of which this is the keepalive timer.
    #[inline(always)]
    pub fn sock(self) -> Sock {
        Sock(self.0 - u64::from(field!(keepalive_timer).offset))
    }
}
