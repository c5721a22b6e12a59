//! A watch response of etcd's clients: `etcdctl watch -w json` prints Go structs (`{"Header":{…},"Events":[…]}`), the
//! gateway protobuf's JSON (`{"result":{"header":{…},"events":[…]}}`, 64-bit numbers as strings, zeros left out). Keys
//! and values are base64; of values only the length, the encoding and the UID are kept.

use std::borrow::Cow;
use std::fmt;

use auditgap_records::etcd::{EtcdLine, Revision, RevisionKind};
use auditgap_records::{Body, Text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::super::etcd::value;
use super::super::{LineContext, Parsed};

/// How much of a value is decoded to find its UID: etcd refuses requests beyond 1.5 MiB unless told otherwise.
const MAX_VALUE: usize = 4 << 20;

#[derive(Deserialize)]
struct Response<'a> {
    /// The gateway's envelope of the response proper.
    #[serde(borrow)]
    result: Option<Box<Response<'a>>>,
    #[serde(alias = "Header")]
    header: Option<Header>,
    #[serde(alias = "Events", borrow)]
    events: Option<Vec<Event<'a>>>,
    #[serde(alias = "CompactRevision", default)]
    compact_revision: Number,
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    revision: Number,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default)]
    r#type: Kind,
    #[serde(borrow)]
    kv: Option<KeyValue<'a>>,
    #[serde(borrow)]
    prev_kv: Option<KeyValue<'a>>,
}

#[derive(Deserialize)]
struct KeyValue<'a> {
    #[serde(borrow, default)]
    key: Cow<'a, str>,
    #[serde(default)]
    create_revision: Number,
    #[serde(default)]
    mod_revision: Number,
    #[serde(default)]
    version: Number,
    #[serde(default)]
    lease: Number,
    #[serde(borrow, default)]
    value: Cow<'a, str>,
}

pub(super) fn parse<'a>(text: &'a str, context: &LineContext) -> Parsed<'a> {
    let mut response: Response<'_> = match serde_json::from_str(text) {
        Ok(response) => response,
        Err(error) => return Parsed::Reject(format!("not a watch response: {error}")),
    };
    if let Some(result) = response.result.take() {
        response = *result;
    }
    let (time, assumed) = super::delivery_time(context);
    let Some(header) = response.header else {
        return Parsed::Unknown;
    };
    let events = response.events.unwrap_or_default();
    if events.is_empty() {
        // A watch that was cut off since its history is compacted says up to which revision; a progress report nothing.
        let compacted = response.compact_revision.0;
        let body = if compacted > 0 {
            Body::Etcd(EtcdLine::Compaction { revision: Some(compacted), begun: false })
        } else {
            Body::Other
        };
        return Parsed::Record(time, body);
    }
    // A response that comes as things happen ends at the store's own revision, however many changes it carries; one that
    // ends before it is catching up.
    let newest = events.iter().filter_map(|event| event.kv.as_ref()).map(|kv| kv.mod_revision.0).max();
    let replayed = assumed || newest.is_some_and(|newest| newest < header.revision.0);
    let mut records = Vec::with_capacity(events.len());
    for event in events {
        match revision(event, replayed) {
            Ok(revision) => records.push((time, Body::Revision(revision))),
            Err(reason) => return Parsed::Reject(reason.to_owned()),
        }
    }
    match records.pop() {
        Some((time, body)) if records.is_empty() => Parsed::Record(time, body),
        Some(last) => {
            records.push(last);
            Parsed::Records(records)
        }
        None => Parsed::Record(time, Body::Other),
    }
}

fn revision<'a>(event: Event<'_>, replayed: bool) -> Result<Revision<'a>, &'static str> {
    let kv = event.kv.ok_or("an event without `kv`")?;
    let key = STANDARD.decode(kv.key.as_bytes()).map_err(|_| "a key that is not base64")?;
    let (mod_revision, deleted) = (kv.mod_revision.0, event.r#type == Kind::Delete);
    if key.is_empty() || mod_revision <= 0 {
        return Err("an event without a key or its revision");
    }
    // What a deletion removed is only told where the watch asked for it.
    let stored = if deleted { event.prev_kv.as_ref() } else { Some(&kv) };
    let first = stored.and_then(|stored| decoded(&stored.value, 64)).unwrap_or_default();
    Ok(Revision {
        kind: if deleted { RevisionKind::Delete } else { RevisionKind::Put },
        key: String::from_utf8_lossy(&key).into_owned().into(),
        mod_revision,
        create_revision: stored.map_or(0, |stored| stored.create_revision.0),
        version: if deleted { 0 } else { kv.version.0 },
        lease: stored.map(|stored| stored.lease.0).filter(|lease| *lease != 0),
        value_length: if deleted { None } else { Some(decoded_length(&kv.value)) },
        encoding: value::encoding(&first),
        uid: stored.and_then(|stored| value::uid(&decoded(&stored.value, MAX_VALUE)?)).map(Text::Owned),
        replayed,
    })
}

/// The first bytes of a base64 text: all of it if it is shorter than the limit.
fn decoded(base64: &str, limit: usize) -> Option<Vec<u8>> {
    let wanted = limit.div_ceil(3) * 4;
    STANDARD.decode(base64.as_bytes().get(..wanted).unwrap_or(base64.as_bytes())).ok()
}

fn decoded_length(base64: &str) -> u64 {
    let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
    (base64.len() / 4 * 3).saturating_sub(padding) as u64
}

/// A 64-bit number, which protobuf's JSON writes as a string and Go's as a number.
#[derive(Clone, Copy, Debug, Default)]
struct Number(i64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Number;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number, or one in a string")
            }
            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number))
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Number, E> {
                i64::try_from(number).map(Number).map_err(E::custom)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(E::custom)
            }
            fn visit_unit<E>(self) -> Result<Number, E> {
                Ok(Number(0))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// PUT is the first value of its enum, and left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Put,
    Delete,
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrNumber;
        impl Visitor<'_> for NameOrNumber {
            type Value = Kind;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("PUT, DELETE, 0 or 1")
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Kind, E> {
                match number {
                    0 => Ok(Kind::Put),
                    1 => Ok(Kind::Delete),
                    _ => Err(E::custom("unknown kind of event")),
                }
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Kind, E> {
                match name {
                    "PUT" => Ok(Kind::Put),
                    "DELETE" => Ok(Kind::Delete),
                    _ => Err(E::custom("unknown kind of event")),
                }
            }
        }
        deserializer.deserialize_any(NameOrNumber)
    }
}
