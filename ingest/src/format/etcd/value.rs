//! What may be told of a stored value: how it is encoded, and the object's UID. Nothing else of it leaves.

use std::borrow::Cow;

use serde::Deserialize;

use auditgap_records::Text;

/// A value that is neither of Kubernetes' encodings.
const PLAIN: &str = "other";

/// The envelope of a value, from its first bytes: `k8s\0` (protobuf), `{` (JSON), `cbor`, `k8s:enc:<provider>:` and
/// `other`. An encrypted value's key name is left out, and so is the text of a plain one.
pub(crate) fn encoding(first: &[u8]) -> Option<Text<'static>> {
    const PROVIDERS: [&str; 5] = ["aescbc:", "aesgcm:", "secretbox:", "kms:v1:", "kms:v2:"];
    if first.is_empty() {
        return None;
    }
    if let Some(provider) = first.strip_prefix(b"k8s:enc:") {
        let known = PROVIDERS.iter().find(|name| provider.starts_with(name.as_bytes()));
        return Some(match known {
            Some(name) => Cow::Owned(format!("k8s:enc:{name}")),
            None => Cow::Borrowed("k8s:enc:"),
        });
    }
    Some(Cow::Borrowed(match first {
        [b'k', b'8', b's', 0, ..] => "k8s\0",
        // As much as a recorder that keeps four bytes shows of it.
        [b'k', b'8', b's', b':', ..] => "k8s:enc:",
        [b'{', ..] => "{",
        [0xd9, 0xd9, 0xf7, ..] => "cbor",
        _ => PLAIN,
    }))
}

/// The object's UID: `metadata.uid`, in JSON or in Kubernetes' protobuf envelope. The value may be cut off.
pub(crate) fn uid(value: &[u8]) -> Option<String> {
    let uid = match value.strip_prefix(b"k8s\0") {
        Some(envelope) => {
            let object = message_field(envelope, 2)?;
            let metadata = message_field(object, 1)?;
            std::str::from_utf8(message_field(metadata, 5)?).ok()?.to_owned()
        }
        None if value.starts_with(b"{") => json_uid(value)?,
        None => return None,
    };
    // A UID is no place to carry anything else out of a value.
    let shaped = uid.len() == 36 && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    shaped.then_some(uid)
}

fn json_uid(value: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        uid: String,
    }
    serde_json::from_slice::<Object>(value).ok().map(|object| object.metadata.uid)
}

/// The first length-delimited field with a number, cut off where the bytes end. Field numbers ascend as protobuf writes
/// them, but the walk does not depend on it.
fn message_field(mut message: &[u8], wanted: u64) -> Option<&[u8]> {
    while !message.is_empty() {
        let (tag, rest) = varint(message)?;
        message = match tag & 7 {
            0 => varint(rest)?.1,
            1 => rest.get(8..)?,
            5 => rest.get(4..)?,
            2 => {
                let (length, rest) = varint(rest)?;
                let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
                let (inside, after) = rest.split_at(length);
                if tag >> 3 == wanted {
                    return Some(inside);
                }
                after
            }
            _ => return None,
        };
    }
    None
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{encoding, uid};

    const UID: &str = "8938c7f9-4ca0-4ded-93fc-dee2a5388321";

    fn field(number: u8, inside: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, inside.len() as u8];
        bytes.extend_from_slice(inside);
        bytes
    }

    fn stored_object(uid: &str) -> Vec<u8> {
        let metadata =
            [field(1, b"db"), field(2, b""), field(3, b"team-a"), field(4, b""), field(5, uid.as_bytes())]
                .concat();
        let object = field(1, &metadata);
        let kind = [field(1, b"v1"), field(2, b"Secret")].concat();
        [b"k8s\0".to_vec(), field(1, &kind), field(2, &object), field(3, b""), field(4, b"")].concat()
    }

    #[test]
    fn a_uid_is_found_in_either_encoding() {
        let json = format!(r#"{{"apiVersion":"v1","metadata":{{"name":"db","uid":"{UID}"}}}}"#);
        let stored = stored_object(UID);
        for (value, expected) in [
            (stored.as_slice(), Some(UID)),
            (&stored[..stored.len() - 4], Some(UID)),
            (json.as_bytes(), Some(UID)),
            (br#"{"metadata":{"name":"no uid"}}"#, None),
            (&stored_object("not a uid, but a password")[..], None),
            (&stored[..30], None),
            (b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"hello", None),
        ] {
            assert_eq!(uid(value).as_deref(), expected, "{value:?}");
        }
    }

    #[test]
    fn an_encoding_tells_nothing_of_the_value() {
        for (first, expected) in [
            (b"k8s\0\n\x15".as_slice(), Some("k8s\0")),
            (b"{\"ap", Some("{")),
            (b"\xd9\xd9\xf7\xa4", Some("cbor")),
            (b"k8s:enc:aescbc:v1:key-of-2026:\x01\x02", Some("k8s:enc:aescbc:")),
            (b"k8s:enc:kms:v2:vault:\x01", Some("k8s:enc:kms:v2:")),
            (b"k8s:enc:unheard-of:", Some("k8s:enc:")),
            (b"k8s:", Some("k8s:enc:")),
            (b"hunter2", Some("other")),
            (b"", None),
        ] {
            assert_eq!(encoding(first).as_deref(), expected, "{first:?}");
        }
    }
}
