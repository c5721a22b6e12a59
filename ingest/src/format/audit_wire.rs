//! The JSON shape of an audit event, borrowed from the line.
//!
//! `Option<Cow<str>>` fields make serde allocate even where a string stands unescaped, so strings are read through
//! [`Str`]. Bodies are kept raw and unread. Fields that matching does not need are skipped.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use auditgap_records::Text;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A string that borrows where it is unescaped. `null` reads as empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Str<'a>(pub(crate) Text<'a>);

impl<'a> Str<'a> {
    /// `None` for the empty string.
    pub(crate) fn some(self) -> Option<Text<'a>> {
        (!self.0.is_empty()).then_some(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strings;
        impl<'de> Visitor<'de> for Strings {
            type Value = Str<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Str(Cow::Borrowed("")))
            }
        }
        deserializer.deserialize_any(Strings)
    }
}

/// An EventList or an Event; a list's items carry no kind.
#[derive(serde::Deserialize)]
pub(crate) struct WireList<'a> {
    #[serde(borrow)]
    pub(crate) items: Vec<&'a RawValue>,
}

/// One event.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireEvent<'a> {
    #[serde(borrow)]
    pub(crate) level: Option<Str<'a>>,
    #[serde(borrow, rename = "auditID")]
    pub(crate) audit_id: Option<Str<'a>>,
    #[serde(borrow)]
    pub(crate) stage: Option<Str<'a>>,
    #[serde(borrow, default, rename = "requestURI")]
    pub(crate) request_uri: Str<'a>,
    #[serde(borrow)]
    pub(crate) verb: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) user: WireUser<'a>,
    #[serde(borrow, default)]
    pub(crate) impersonated_user: Option<WireName<'a>>,
    #[serde(borrow, default, rename = "sourceIPs")]
    pub(crate) source_ips: Last<'a>,
    #[serde(borrow, default)]
    pub(crate) user_agent: Str<'a>,
    #[serde(borrow, default)]
    pub(crate) object_ref: Option<WireObject<'a>>,
    #[serde(borrow, default)]
    pub(crate) response_status: Option<WireStatus<'a>>,
    #[serde(borrow, default)]
    pub(crate) request_object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) response_object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) request_received_timestamp: Str<'a>,
    #[serde(borrow, default)]
    pub(crate) stage_timestamp: Str<'a>,
    #[serde(borrow, default)]
    pub(crate) annotations: Option<Annotations<'a>>,
}

/// `user`.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct WireUser<'a> {
    #[serde(borrow)]
    pub(crate) username: Str<'a>,
    #[serde(borrow)]
    pub(crate) groups: Many<'a>,
    #[serde(borrow)]
    pub(crate) extra: Option<Extra<'a>>,
}

/// `impersonatedUser`, of which only the name is kept.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct WireName<'a> {
    #[serde(borrow)]
    pub(crate) username: Str<'a>,
}

/// `objectRef`.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct WireObject<'a> {
    #[serde(borrow)]
    pub(crate) resource: Str<'a>,
    #[serde(borrow)]
    pub(crate) namespace: Str<'a>,
    #[serde(borrow)]
    pub(crate) name: Str<'a>,
    #[serde(borrow)]
    pub(crate) uid: Str<'a>,
    #[serde(borrow)]
    pub(crate) api_group: Str<'a>,
    #[serde(borrow)]
    pub(crate) resource_version: Str<'a>,
    #[serde(borrow)]
    pub(crate) subresource: Str<'a>,
}

/// `responseStatus`.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct WireStatus<'a> {
    #[serde(borrow)]
    pub(crate) message: Str<'a>,
    #[serde(borrow)]
    pub(crate) details: Option<WireDetails<'a>>,
    pub(crate) code: Option<i64>,
}

/// `responseStatus.details`.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct WireDetails<'a> {
    #[serde(borrow)]
    pub(crate) uid: Str<'a>,
}

/// A list of strings; `null` reads as empty.
#[derive(Default)]
pub(crate) struct Many<'a>(pub(crate) Vec<Text<'a>>);

/// The last string of a list: of `sourceIPs` the only one that a client cannot set, of an `extra` value the only one
/// there is.
#[derive(Default)]
pub(crate) struct Last<'a>(pub(crate) Option<Text<'a>>);

/// The identity keys of `user.extra`.
#[derive(Default)]
pub(crate) struct Extra<'a> {
    pub(crate) credential_id: Option<Text<'a>>,
    pub(crate) pod_name: Option<Text<'a>>,
    pub(crate) node_name: Option<Text<'a>>,
}

/// The annotations that matching needs.
#[derive(Default)]
pub(crate) struct Annotations<'a> {
    pub(crate) decision: Option<Text<'a>>,
    pub(crate) reason: Option<Text<'a>>,
    pub(crate) issued_credential_id: Option<Text<'a>>,
    pub(crate) truncated: bool,
}

/// Collects a sequence of strings into `C`.
struct StringsInto<'a, C>(fn(&mut C, Text<'a>), PhantomData<C>);

impl<'de, C: Default> Visitor<'de> for StringsInto<'de, C> {
    type Value = C;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of strings")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<C, A::Error> {
        let mut collected = C::default();
        while let Some(Str(text)) = list.next_element()? {
            (self.0)(&mut collected, text);
        }
        Ok(collected)
    }
    fn visit_unit<E>(self) -> Result<C, E> {
        Ok(C::default())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Many<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StringsInto(|many: &mut Many<'de>, text| many.0.push(text), PhantomData))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Last<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StringsInto(|last: &mut Last<'de>, text| last.0 = Some(text), PhantomData))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Extra<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Extras;
        impl<'de> Visitor<'de> for Extras {
            type Value = Extra<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map of lists of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut extra = Extra::default();
                while let Some(Str(key)) = map.next_key()? {
                    let slot = match key.strip_prefix("authentication.kubernetes.io/") {
                        Some("credential-id") => &mut extra.credential_id,
                        Some("pod-name") => &mut extra.pod_name,
                        Some("node-name") => &mut extra.node_name,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *slot = map.next_value::<Last<'de>>()?.0;
                }
                Ok(extra)
            }
        }
        deserializer.deserialize_map(Extras)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Annotations<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut annotations = Annotations::default();
                while let Some(Str(key)) = map.next_key()? {
                    match key.as_ref() {
                        "authorization.k8s.io/decision" => annotations.decision = map.next_value::<Str<'de>>()?.some(),
                        "authorization.k8s.io/reason" => annotations.reason = map.next_value::<Str<'de>>()?.some(),
                        "authentication.kubernetes.io/issued-credential-id" => {
                            annotations.issued_credential_id = map.next_value::<Str<'de>>()?.some();
                        }
                        "audit.k8s.io/truncated" => annotations.truncated = map.next_value::<Str<'de>>()?.0 == "true",
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(annotations)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
