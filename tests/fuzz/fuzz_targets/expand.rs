//! Decompression stays within its bounds.
#![no_main]

use std::io::Read;

use auditgap_ingest::{Compression, Expander, Limits};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { expanded: 1 << 20, ..Limits::default() };
    let Ok(mut expander) = Expander::new(Compression::of(bytes), bytes, limits) else { return };
    let (mut buffer, mut total) = ([0; 4096], 0);
    while let Ok(length @ 1..) = expander.read(&mut buffer) {
        total += length;
        // The bound is looked at between reads: one buffer may come out beyond it.
        assert!(total <= (1 << 20) + buffer.len(), "{total} bytes came out");
    }
});
