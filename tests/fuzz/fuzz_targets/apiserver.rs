#![no_main]

use auditgap_ingest::Format;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| auditgap_fuzz::check_format(Format::ApiServer, bytes));
