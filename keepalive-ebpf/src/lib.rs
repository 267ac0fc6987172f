//! What both halves of katrace agree on, defined once.
//!
//! This library is plain data: integers and byte arrays in `repr(C)`. The compiler checks their sizes
//! and offsets. The kernel half (`main.rs`, built for BPF only) writes the data. The user half turns it
//! into domain types in `decode`.

#![no_std]
#![deny(missing_docs)]

pub mod wire;
