//! One change a line, with the moment it was delivered:
//! `{"t_recv":1795434976.653167,"type":"PUT","key":"/registry/…","mod_revision":2,…}`.
//!
//! Only `type`, `key` and `mod_revision` must be there. A whole key space's history comes in this form, so it is read
//! into borrowed types.

use std::borrow::Cow;
use std::fmt;

use auditgap_records::etcd::{Revision, RevisionKind};
use auditgap_records::{Body, Text, Timestamp};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;

use super::super::etcd::value;
use super::super::{LineContext, Parsed};

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    t_recv: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a str>,
    r#type: Option<&'a str>,
    #[serde(borrow)]
    key: Option<Key<'a>>,
    create_revision: Option<i64>,
    mod_revision: Option<i64>,
    version: Option<i64>,
    lease: Option<i64>,
    value_len: Option<u64>,
    first_uuid: Option<&'a str>,
    enc: Option<Encoding>,
    #[serde(default)]
    replayed: bool,
}

/// Reads a line; `None` if it is not of this form, or not JSON at all.
pub(super) fn parse<'a>(text: &'a str, context: &LineContext) -> Option<Parsed<'a>> {
    let line: Line<'a> = serde_json::from_str(text).ok()?;
    let (Key(key), mod_revision) = (line.key?, line.mod_revision?);
    let kind = match line.r#type {
        Some("PUT") => RevisionKind::Put,
        Some("DELETE") => RevisionKind::Delete,
        _ => return Some(Parsed::Reject("field `type` is neither PUT nor DELETE".to_owned())),
    };
    let told = match (line.time, line.t_recv) {
        (Some(time), _) => Timestamp::parse(time).ok_or("field `time` is not an RFC 3339 time"),
        (None, Some(seconds)) => {
            decimal_seconds(seconds.get()).ok_or("field `t_recv` is not a number of seconds")
        }
        (None, None) => Ok(super::delivery_time(context).0),
    };
    let time = match told {
        Ok(time) => time,
        Err(reason) => return Some(Parsed::Reject(reason.to_owned())),
    };
    let assumed = line.time.is_none() && line.t_recv.is_none() && super::delivery_time(context).1;
    let revision = Revision {
        kind,
        key,
        mod_revision,
        create_revision: line.create_revision.unwrap_or_default(),
        version: line.version.unwrap_or_default(),
        lease: line.lease.filter(|lease| *lease != 0),
        value_length: line.value_len,
        encoding: line.enc.and_then(|encoding| encoding.0),
        uid: line.first_uuid.map(Cow::Borrowed),
        replayed: line.replayed || assumed,
    };
    Some(Parsed::Record(time, Body::Revision(revision)))
}

/// Seconds since the epoch as a decimal number, read digit by digit: a float holds a moment only to a quarter of a
/// microsecond.
fn decimal_seconds(text: &str) -> Option<Timestamp> {
    let mut digits = text.bytes();
    let mut seconds = 0_i64;
    for byte in digits.by_ref().take_while(|byte| *byte != b'.') {
        seconds = seconds.checked_mul(10)?.checked_add(digit(byte)?.into())?;
    }
    let mut nanos = 0;
    for _ in 0..9 {
        nanos = nanos * 10 + digits.next().map_or(Some(0), digit)?;
    }
    Timestamp::from_unix(seconds, nanos)
}

fn digit(byte: u8) -> Option<u32> {
    byte.is_ascii_digit().then(|| u32::from(byte - b'0'))
}

struct Key<'a>(Text<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::super::etcd::fields::Name::deserialize(deserializer).map(|name| Self(name.0))
    }
}

/// The value's first bytes, of which only the envelope is kept.
struct Encoding(Option<Text<'static>>);

impl<'de> Deserialize<'de> for Encoding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FirstBytes;
        impl Visitor<'_> for FirstBytes {
            type Value = Encoding;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the first bytes of a value")
            }
            fn visit_str<E>(self, first: &str) -> Result<Encoding, E> {
                Ok(Encoding(value::encoding(first.as_bytes())))
            }
        }
        deserializer.deserialize_str(FirstBytes)
    }
}
