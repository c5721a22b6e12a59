//! The `key=value` pairs of a klog entry.

use std::borrow::Cow;

use auditgap_records::Text;

use crate::format::go_text;

/// The pairs of one entry, in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fields<'a>(Vec<(Text<'a>, Value<'a>)>);

/// A value in the form in which it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A Go string without its quotes, still escaped.
    Quoted(&'a str),
    /// The lines of a multi-line value, each still behind its tab.
    Block(&'a str),
    /// A number, a word, a bracketed list or a JSON value of the text form.
    Bare(&'a str),
    /// A JSON value of the JSON form.
    Json(&'a str),
}

impl<'a> Value<'a> {
    /// The value as text: strings decoded, all else as it stands there.
    pub(crate) fn text(self) -> Text<'a> {
        match self {
            Self::Quoted(inner) => go_text::unescape(inner),
            Self::Block(lines) => unindented(lines),
            Self::Bare(word) => Cow::Borrowed(word),
            Self::Json(json) => plain_string(json).unwrap_or(Cow::Borrowed(json)),
        }
    }

    /// The raw form of a value that is not a string.
    pub(crate) fn raw(self) -> &'a str {
        match self {
            Self::Quoted(text) | Self::Block(text) | Self::Bare(text) | Self::Json(text) => text,
        }
    }

    /// A list as its items: `["a","b"]`, or `[a b]` of older versions. A single value is a list of one.
    pub(crate) fn list(self) -> Vec<Text<'a>> {
        let raw = self.raw();
        let is_list = matches!(self, Self::Bare(_) | Self::Json(_)) && raw.starts_with('[');
        if !is_list {
            return if raw.is_empty() || raw == "null" { Vec::new() } else { vec![self.text()] };
        }
        if let Ok(items) = serde_json::from_str::<Vec<Item<'a>>>(raw) {
            return items.into_iter().map(|Item(item)| item).collect();
        }
        let inner = raw.strip_prefix('[').unwrap_or(raw);
        let inner = inner.strip_suffix(']').unwrap_or(inner);
        inner.split_ascii_whitespace().map(Cow::Borrowed).collect()
    }
}

#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Item<'a>(#[serde(borrow)] Cow<'a, str>);

/// A JSON string decoded; `None` for any other JSON value.
pub(super) fn plain_string(json: &str) -> Option<Text<'_>> {
    serde_json::from_str::<Item<'_>>(json).ok().map(|Item(text)| text)
}

fn unindented(lines: &str) -> Text<'_> {
    if !lines.contains('\n') {
        return Cow::Borrowed(without_indent(lines));
    }
    Cow::Owned(lines.split('\n').map(without_indent).collect::<Vec<_>>().join("\n"))
}

/// `journalctl` shows the tab as eight spaces.
fn without_indent(line: &str) -> &str {
    line.strip_prefix('\t').or_else(|| line.strip_prefix("        ")).unwrap_or(line)
}

impl<'a> Fields<'a> {
    pub(super) fn from_pairs(pairs: Vec<(Text<'a>, Value<'a>)>) -> Self {
        Self(pairs)
    }

    /// Reads ` key=value key=value`. Words that are no pair are skipped, since values of old versions were not all
    /// quoted. `Err` says what is broken.
    pub(crate) fn from_text(text: &'a str) -> Result<Self, String> {
        let mut pairs = Vec::with_capacity(8);
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches(' ');
            let Some(end) = rest.find(['=', ' ', '"', '\n']) else { break };
            let (key, tail) = rest.split_at(end);
            if tail.starts_with('=') && !key.is_empty() {
                let (value, after) = value(tail.get(1..).unwrap_or_default())
                    .ok_or_else(|| format!("the value of `{}` has no end", clip(key)))?;
                pairs.push((Cow::Borrowed(key), value));
                rest = after;
            } else {
                let skip = if tail.starts_with('"') { go_text::quoted_length(tail) } else { Some(1) };
                let Some(skip) = skip else { break };
                rest = tail.get(skip..).unwrap_or_default();
            }
        }
        Ok(Self(pairs))
    }

    /// The value of a key; the last one if the key comes again.
    pub(crate) fn get(&self, key: &str) -> Option<Value<'a>> {
        self.0.iter().rev().find(|(held, _)| held == key).map(|(_, value)| *value)
    }

    /// The value of a key as text.
    pub(crate) fn text(&self, key: &str) -> Option<Text<'a>> {
        self.get(key).map(Value::text)
    }

    /// The value of a key as text, or why the entry is broken without it.
    pub(crate) fn need(&self, key: &str) -> Result<Text<'a>, String> {
        self.text(key).ok_or_else(|| format!("`{key}` is missing"))
    }
}

/// Part of hostile text that is short enough for a message.
fn clip(text: &str) -> &str {
    text.char_indices().nth(40).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// Reads one value and returns it with what follows; `None` when a quote is not closed.
fn value(text: &str) -> Option<(Value<'_>, &str)> {
    let split = |end: usize| text.split_at_checked(end);
    if text.starts_with('"') {
        let length = go_text::quoted_length(text)?;
        let (quoted, rest) = split(length)?;
        return Some((Value::Quoted(quoted.get(1..length - 1)?), rest));
    }
    if let Some(block) = text.strip_prefix("<\n") {
        return Some(block_value(block));
    }
    if text.starts_with(['{', '[']) || text.starts_with("&{") {
        let (bracketed, rest) = split(bracketed_length(text).unwrap_or(text.len()))?;
        return Some((Value::Bare(bracketed), rest));
    }
    let (word, rest) = split(text.find([' ', '\n']).unwrap_or(text.len()))?;
    Some((Value::Bare(word), rest))
}

/// A multi-line value ends at a line of ` >`. One without end reaches as far as the entry does: the file was cut.
fn block_value(block: &str) -> (Value<'_>, &str) {
    let found = memchr::memmem::find(block.as_bytes(), b"\n >");
    let Some((lines, rest)) = found.and_then(|end| block.split_at_checked(end)) else {
        return (Value::Block(block), "");
    };
    (Value::Block(lines), rest.get(3..).unwrap_or_default())
}

/// Length of the bracketed value that `text` begins with: JSON, `[a b]` or `&{A:b C:d}`.
fn bracketed_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at += go_text::quoted_length(text.get(at..)?)? - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rendering_of_a_value_is_read() {
        let text = concat!(
            r#" err="pods \"x\" not found" n=42 nil=null subresource(s)=["pods","proxy"] old=[ns/a ns/b]"#,
            r#" event={"ID":"u ]","Data":"c"} ptr=&{ID:u Type:T Data:d} stray words "and = quotes" block=<"#,
            "\n\tfirst > line\n\t\tsecond\n > n=43 one=<\n\tonly\n >",
        );
        let fields = Fields::from_text(text).unwrap();
        for (key, expected) in [
            ("err", "pods \"x\" not found"),
            ("n", "43"),
            ("nil", "null"),
            ("event", r#"{"ID":"u ]","Data":"c"}"#),
            ("ptr", "&{ID:u Type:T Data:d}"),
            ("block", "first > line\n\tsecond"),
            ("one", "only"),
        ] {
            assert_eq!(fields.text(key).as_deref(), Some(expected), "{key}");
        }
        for (key, expected) in
            [("subresource(s)", vec!["pods", "proxy"]), ("old", vec!["ns/a", "ns/b"]), ("nil", vec![])]
        {
            assert_eq!(
                fields.get(key).map(Value::list),
                Some(expected.into_iter().map(Cow::Borrowed).collect())
            );
        }
        assert_eq!(fields.get("stray"), None);
    }

    #[test]
    fn a_value_without_end_is_told() {
        assert_eq!(Fields::from_text(r#" a=1 b="x"#), Err("the value of `b` has no end".to_owned()));
        let cut = Fields::from_text(" resp=401 statusStack=<\n\tgoroutine 1").unwrap();
        assert_eq!(cut.text("statusStack").as_deref(), Some("goroutine 1"));
    }
}
