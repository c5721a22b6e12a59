//! What `Timestamp` parses, it prints so that it parses to the same moment again.
#![no_main]

use auditgap_records::Timestamp;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Some(moment) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&moment.to_string()), Some(moment), "{text:?}");
    }
});
