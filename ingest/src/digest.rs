//! Keyed hashes that make two deliveries of one entry recognisable.
//!
//! The key is an input: object names and URIs are chosen by whoever talks to the API server, so a fixed hash could be
//! collided to pass one record off as a copy of another.

use std::hash::Hasher;

use auditgap_records::audit::AuditEvent;
use siphasher::sip::SipHasher13;

use crate::format::Format;

/// The key of all digests of one run.
pub type DigestKey = [u64; 2];

/// Identity of an audit event: equal whether it came by log file, webhook or legacy text.
///
/// Times count in whole microseconds, since JSON keeps no more and the legacy text does.
pub(crate) fn of_audit(key: DigestKey, event: &AuditEvent<'_>) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key[0], key[1]);
    field(&mut hasher, event.audit_id.as_bytes());
    hasher.write_u8(event.stage as u8);
    hasher.write_i64(event.received.0.div_euclid(1_000));
    field(&mut hasher, event.uri.as_bytes());
    hasher.finish()
}

/// Identity of any other entry: its format, its text as it was before shippers wrapped it, and its place within.
pub(crate) fn of_entry(key: DigestKey, format: Format, text: &str, item: u32) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key[0], key[1]);
    field(&mut hasher, format.as_str().as_bytes());
    field(&mut hasher, text.as_bytes());
    hasher.write_u32(item);
    hasher.finish()
}

/// The length keeps neighbouring fields apart.
fn field(hasher: &mut SipHasher13, bytes: &[u8]) {
    hasher.write_u64(bytes.len() as u64);
    hasher.write(bytes);
}
