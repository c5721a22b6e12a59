//! Recognition, envelopes and framing before the formats.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| auditgap_fuzz::check_any(bytes));
