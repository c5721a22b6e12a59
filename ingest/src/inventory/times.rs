//! The latest moment that a document mentions: what it shows was so then or later.

use std::fmt;

use auditgap_records::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Fields that the API server, a kubelet or a controller sets to a moment that has passed. Deadlines and whatever users
/// write are left out.
const PASSED: [&str; 13] = [
    "creationTimestamp",
    "time",
    "startTime",
    "startedAt",
    "finishedAt",
    "lastProbeTime",
    "lastHeartbeatTime",
    "lastTransitionTime",
    "lastUpdateTime",
    "renewTime",
    "eventTime",
    "lastTimestamp",
    "kubernetes.io/config.seen",
];

/// The latest of a document's moments.
pub(super) fn latest(json: &str) -> Option<Timestamp> {
    serde_json::from_str::<Latest>(json).ok()?.0
}

struct Latest(Option<Timestamp>);

impl<'de> Deserialize<'de> for Latest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk).map(Latest)
    }
}

/// The moment of a field's text, `None` if it is not a text.
struct Moment(Option<Timestamp>);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Ok(Self(text.and_then(|text| Timestamp::parse(&text))))
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = Option<Timestamp>;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON document")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut latest = None;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let moment = match key.as_ref() {
                key if PASSED.contains(&key) => map.next_value::<Moment>()?.0,
                // Managed fields' own field names could be anything.
                "fieldsV1" => map.next_value::<IgnoredAny>().map(|_| None)?,
                _ => map.next_value::<Latest>()?.0,
            };
            latest = latest.max(moment);
        }
        Ok(latest)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut latest = None;
        while let Some(Latest(moment)) = list.next_element()? {
            latest = latest.max(moment);
        }
        Ok(latest)
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
