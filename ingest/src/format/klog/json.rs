//! The JSON form of klog: `ts` in milliseconds since the epoch, `caller`, `msg`, and the pairs beside them.

use std::borrow::Cow;
use std::fmt;

use auditgap_records::{Text, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::{Fields, Value, plain_string};
use super::{Entry, Message, NotRead, Pairs};

/// Reads time and message, and skips all else.
pub(super) fn entry(text: &str) -> Result<Entry<'_>, NotRead> {
    let object = match read(text, false) {
        Ok(object) => object,
        // The keys of klog stand at the front, so even a cut line shows what it was.
        Err(error) if text.starts_with(r#"{"ts":"#) => {
            return Err(NotRead::Broken(format!("klog JSON that does not parse: {error}")));
        }
        Err(_) => return Err(NotRead::Unknown),
    };
    let (Some(stamp), Some(message)) = (object.stamp, object.message) else { return Err(NotRead::Unknown) };
    let time = moment(stamp.get()).ok_or_else(|| {
        NotRead::Broken("klog JSON whose `ts` is neither a number of milliseconds nor a date".to_owned())
    })?;
    Ok(Entry { time, message: Message::Structured { text: message, pairs: Pairs::Json(text) } })
}

/// Reads the pairs. A key may come twice; the later one holds.
pub(super) fn fields(text: &str) -> Result<Fields<'_>, String> {
    read(text, true)
        .map(|object| Fields::from_pairs(object.pairs))
        .map_err(|error| format!("klog JSON that does not parse: {error}"))
}

fn read(text: &str, keep_pairs: bool) -> Result<Object<'_>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let object = ObjectSeed { keep_pairs }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(object)
}

#[derive(Default)]
struct Object<'a> {
    stamp: Option<&'a RawValue>,
    message: Option<Text<'a>>,
    pairs: Vec<(Text<'a>, Value<'a>)>,
}

/// Written by hand since keys may be repeated, which derived code refuses, and since noise should cost no allocation.
struct ObjectSeed {
    keep_pairs: bool,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed {
    type Value = Object<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Object<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut object = Object::default();
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            match &*key {
                // The component's own come first; a pair of the same name is somebody else's.
                "ts" if object.stamp.is_none() => object.stamp = Some(map.next_value()?),
                "msg" if object.message.is_none() => {
                    let raw: &'de RawValue = map.next_value()?;
                    object.message = plain_string(raw.get());
                }
                _ if self.keep_pairs => {
                    let raw: &'de RawValue = map.next_value()?;
                    object.pairs.push((key, Value::Json(raw.get())));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(object)
    }
}

#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// A number of milliseconds, or a date: the etcd client within the API server writes its own JSON to the same stream.
fn moment(stamp: &str) -> Option<Timestamp> {
    milliseconds(stamp).or_else(|| Timestamp::parse(&plain_string(stamp)?))
}

/// `1795433710350.77` to a moment, without the rounding of floating point where the number is written plainly.
fn milliseconds(number: &str) -> Option<Timestamp> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        let millis: f64 = number.parse().ok()?;
        // A double holds microseconds of our time, not nanoseconds.
        return (millis.abs() < 9.0e12)
            .then(|| Timestamp::from_micros((millis * 1_000.0).round() as i64))
            .flatten();
    }
    let mut nanos: i64 = 0;
    for index in 0..6 {
        nanos = nanos * 10 + fraction.as_bytes().get(index).map_or(0, |digit| i64::from(digit - b'0'));
    }
    whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(nanos).map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_keep_their_fraction() {
        for (number, expected) in [
            ("1795433710350.77", Some(1_795_433_710_350_770_000)),
            ("1795433710350", Some(1_795_433_710_350_000_000)),
            ("1.79543371035e+12", Some(1_795_433_710_350_000_000)),
            ("99999999999999999999", None),
            ("\"x\"", None),
        ] {
            assert_eq!(milliseconds(number), expected.map(Timestamp), "{number}");
        }
    }

    #[test]
    fn the_first_message_and_the_last_pair_hold() {
        let text = r#"{"ts":1,"msg":"a\"b","k":1,"msg":"other","k":2}"#;
        let read = entry(text).unwrap();
        assert_eq!(read.message, Message::Structured { text: "a\"b".into(), pairs: Pairs::Json(text) });
        assert_eq!(fields(text).unwrap().text("k"), Some("2".into()));
    }
}
