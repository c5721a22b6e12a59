//! The fields of a zap entry, whatever their types and order: names have spaces, and every version adds some.

use std::borrow::Cow;
use std::fmt;

use auditgap_records::Text;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A field's value, as far as it is of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scalar<'a> {
    /// Text; for a list the texts in it, joined with commas.
    Text(Text<'a>),
    /// A whole number.
    Number(i64),
    /// A truth value.
    Truth(bool),
    /// Anything else.
    Nothing,
}

/// The fields of an entry, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields<'a>(Vec<(Text<'a>, Scalar<'a>)>);

impl<'a> Fields<'a> {
    /// The text of a field, taken out of the fields; `None` if it is not there or no text.
    pub(crate) fn take_text(&mut self, name: &str) -> Option<Text<'a>> {
        match self.get_mut(name)? {
            Scalar::Text(text) => Some(std::mem::take(text)),
            _ => None,
        }
    }

    /// The text of the first of several fields that is there, or nothing.
    pub(crate) fn take_first(&mut self, names: &[&str]) -> Text<'a> {
        names.iter().find_map(|name| self.take_text(name)).unwrap_or_default()
    }

    /// A number; `None` if it is not there or no whole number.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        match self.0.iter().find(|(field, _)| field == name)?.1 {
            Scalar::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Whether a field is `true`.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.0.iter().any(|(field, value)| field == name && *value == Scalar::Truth(true))
    }

    /// Sets a field, for formats that have fields only in effect.
    pub(crate) fn set(&mut self, name: &'a str, value: Scalar<'a>) {
        self.0.push((Cow::Borrowed(name), value));
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Scalar<'a>> {
        self.0.iter_mut().find(|(field, _)| field == name).map(|(_, value)| value)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of log fields")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some((Name(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Text that borrows where it can.
pub(crate) struct Name<'a>(pub(crate) Text<'a>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Name<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text)))
            }
        }
        deserializer.deserialize_str(Words)
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
                Ok(Scalar::Truth(truth))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Scalar::Number(number))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(i64::try_from(number).map_or(Scalar::Nothing, Scalar::Number))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Scalar::Nothing)
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Scalar::Nothing)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut joined = String::new();
                while let Some(element) = list.next_element::<Scalar<'de>>()? {
                    if let Scalar::Text(text) = element {
                        if !joined.is_empty() {
                            joined.push(',');
                        }
                        joined.push_str(&text);
                    }
                }
                Ok(Scalar::Text(Cow::Owned(joined)))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Nothing)
            }
        }
        deserializer.deserialize_any(Any)
    }
}
