//! Single values of a JSON object whose other values are not decoded.

use std::borrow::Cow;

use auditgap_records::Text;
use serde_json::value::RawValue;

/// A string; borrows when nothing in it is escaped.
pub(crate) fn string(raw: &RawValue) -> Option<Text<'_>> {
    let text = raw.get();
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(text).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// A string, or a number or boolean as it is written.
pub(crate) fn scalar(raw: &RawValue) -> Option<Text<'_>> {
    match raw.get().as_bytes().first()? {
        b'"' => string(raw),
        b'0'..=b'9' | b'-' | b't' | b'f' => Some(Cow::Borrowed(raw.get())),
        _ => None,
    }
}
