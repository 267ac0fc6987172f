//! The wire between katrace's two halves, defined once.
//!
//! This library is plain data: integers and byte arrays in `repr(C)`, with their sizes and offsets
//! asserted when it is compiled. The kernel half (`main.rs`, built for BPF only) fills it; the user
//! half turns it into domain types in its `decode` room.

#![no_std]

pub mod config;
pub mod layout;
pub mod row;
pub mod wire;
