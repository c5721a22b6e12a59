//! Audit policies: loading, evaluation and what `policy check` says.
#![no_main]

use auditgap_correlate::policy::Policy;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = Policy::load(text);
});
