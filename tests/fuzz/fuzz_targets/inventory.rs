//! Listed objects, manifests, a runtime's lists, kubelet configuration.
#![no_main]

use auditgap_ingest::inventory;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = inventory::recognise(bytes, "fuzz");
    let _ = inventory::settings(bytes, "fuzz");
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = inventory::pod_facts(text);
    }
});
