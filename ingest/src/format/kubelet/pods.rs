//! How a kubelet names Pods and the events of its runtime, version by version.

use std::borrow::Cow;

use auditgap_records::Text;
use auditgap_records::kubelet::PodRef;
use bounded_static::IntoBoundedStatic;
use serde::Deserialize;

use crate::format::go_text;
use crate::format::klog::Value;

/// `{"name":"a","namespace":"ns"}`: JSON logs, and lists of some versions of the text form.
#[derive(Deserialize)]
struct ObjectReference<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
}

impl<'a> From<ObjectReference<'a>> for PodRef<'a> {
    fn from(reference: ObjectReference<'a>) -> Self {
        Self { namespace: reference.namespace, name: reference.name, uid: None }
    }
}

/// One Pod: `"ns/name"`, `"name_ns(uid)"` or an object.
pub(super) fn pod(value: Value<'_>) -> PodRef<'_> {
    if let Ok(reference) = serde_json::from_str::<ObjectReference<'_>>(value.raw()) {
        return reference.into();
    }
    match value.text() {
        Text::Borrowed(text) => named(text),
        Text::Owned(text) => named(&text).into_static(),
    }
}

/// A list of Pods: `["ns/a","ns/b"]`, `[{"name":…,"namespace":…}]` or `[ns/a ns/b]`.
pub(super) fn pods(value: Value<'_>) -> Result<Vec<PodRef<'_>>, String> {
    let raw = value.raw();
    if raw.starts_with("[{") {
        let references: Vec<ObjectReference<'_>> = serde_json::from_str(raw)
            .map_err(|error| format!("`pods` is not a list of references: {error}"))?;
        return Ok(references.into_iter().map(PodRef::from).collect());
    }
    if raw.starts_with('[') && !raw.ends_with(']') {
        return Err("the list of `pods` has no end".to_owned());
    }
    let named = |text| match text {
        Text::Borrowed(text) => named(text),
        Text::Owned(text) => named(&text).into_static(),
    };
    Ok(value.list().into_iter().map(named).collect())
}

/// `ns/name`, `name_ns(uid)`, `name_ns` or `name`.
pub(super) fn named(text: &str) -> PodRef<'_> {
    if let Some((namespace, name)) = text.split_once('/') {
        return PodRef { namespace: namespace.into(), name: name.into(), uid: None };
    }
    let (full, uid) =
        text.split_once('(').map_or((text, None), |(full, rest)| (full, rest.split(')').next()));
    let (name, namespace) = full.split_once('_').unwrap_or((full, ""));
    PodRef { namespace: namespace.into(), name: name.into(), uid: uid.map(Text::Borrowed) }
}

/// A change of a container's state, as the kubelet found it in the runtime.
#[derive(Deserialize)]
pub(super) struct LifecycleEvent<'a> {
    /// Pod UID.
    #[serde(rename = "ID", borrow)]
    pub(super) pod_uid: Cow<'a, str>,
    /// `ContainerStarted`, …
    #[serde(rename = "Type", borrow)]
    pub(super) kind: Cow<'a, str>,
    /// Container or sandbox id; null for some types.
    #[serde(rename = "Data", borrow, default)]
    pub(super) container: Option<Cow<'a, str>>,
}

impl<'a> LifecycleEvent<'a> {
    /// `{"ID":"…","Type":"…","Data":"…"}`, `&{ID:… Type:… Data:…}` or `&pleg.PodLifecycleEvent{ID:"…", …}`.
    pub(super) fn read(text: &'a str) -> Result<Self, String> {
        if text.starts_with('{') {
            return serde_json::from_str(text).map_err(|error| format!("`event` does not parse: {error}"));
        }
        let part = |key: &str| struct_field(text, key).ok_or_else(|| format!("`event` has no {key}"));
        Ok(Self { pod_uid: part("ID:")?, kind: part("Type:")?, container: Some(part("Data:")?) })
    }
}

/// A field of a Go struct printed by `%+v` or `%#v`.
fn struct_field<'a>(text: &'a str, key: &str) -> Option<Text<'a>> {
    let at = [format!("{{{key}"), format!(" {key}")]
        .iter()
        .find_map(|lead| text.find(lead.as_str()).map(|at| at + lead.len()))?;
    let rest = text.get(at..)?;
    if rest.starts_with('"') {
        let length = go_text::quoted_length(rest)?;
        return rest.get(1..length - 1).map(go_text::unescape);
    }
    rest.get(..rest.find([' ', ',', '}'])?).map(Cow::Borrowed)
}
