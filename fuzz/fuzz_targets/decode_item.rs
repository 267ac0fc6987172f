//! Bytes of the ring: whatever they are, the answer is an item or a reason.

#![no_main]

use katrace::{
    decode::{self, Clock},
    fuzzing::RECORD_SIZES,
};
use libfuzzer_sys::fuzz_target;

const CLOCK: Clock = Clock::with_offset(1_000_000_000);

fuzz_target!(|data: &[u8]| {
    let [shape, hz, bytes @ ..] = data else {
        return;
    };
    // The kernel's rates, and those that no kernel has.
    let hz = [0, 1, 100, 250, 300, 1000, u32::MAX][usize::from(*hz) % 7];
    let shape = usize::from(*shape) % (RECORD_SIZES.len() + 1);
    let record = match RECORD_SIZES.get(shape) {
        // The bytes have the right length and state it, so that the decoder reads the fields.
        Some(size) => {
            let mut record = bytes.to_vec();
            record.resize(*size, 0);
            if let Ok(said) = u16::try_from(*size) {
                record[2..4].copy_from_slice(&said.to_ne_bytes());
            }
            record
        }
        None => bytes.to_vec(),
    };
    let item = decode::item(&record, &CLOCK, hz);
    if !RECORD_SIZES.contains(&record.len()) {
        assert!(item.is_err(), "{} bytes: {item:?}", record.len());
    }
    if let Err(reason) = item {
        assert!(!reason.to_string().is_empty());
    }
});
