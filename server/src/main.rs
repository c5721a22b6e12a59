//! The `auditgap` binary.
fn main() {}
