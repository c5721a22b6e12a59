//! Secrets that are known by the name they stand under, at any depth of escaping.

use memchr::{memchr, memchr_iter};

use super::Secrets;
use crate::format::Format;

/// Members whose strings are secret wherever they stand.
const ALWAYS: &[(&str, &str)] = &[
    ("token", "bearer token"),
    ("bearerToken", "bearer token"),
    ("access_token", "bearer token"),
    ("refresh_token", "bearer token"),
    ("id_token", "bearer token"),
    ("id-token", "bearer token"),
    ("refresh-token", "bearer token"),
    ("Authorization", "Authorization header"),
    ("authorization", "Authorization header"),
    ("Proxy-Authorization", "Authorization header"),
    ("staticPodURLHeader", "HTTP header"),
    ("manifestURLHeader", "HTTP header"),
    ("password", "password"),
    ("client-key-data", "private key"),
    ("stringData", "Secret data"),
];
/// Members of an event about Secrets.
const OF_SECRETS: &[(&str, &str)] = &[("data", "Secret data"), ("value", "Secret data")];
/// Members of a watch on etcd.
const OF_WATCH: &[(&str, &str)] = &[("value", "etcd value"), ("Value", "etcd value")];
/// Fields of etcd's requests as protobuf text.
const OF_RAFT: &[(&str, &str)] = &[
    ("value:", "etcd value"),
    ("password:", "password"),
    ("hashed_password:", "password"),
    ("token:", "token"),
];

pub(super) fn find(format: Format, text: &str, secrets: &mut Secrets) {
    let about_secrets = text.contains("Secret") || text.contains("secrets");
    let of_format = match format {
        Format::EtcdWatch => OF_WATCH,
        _ if about_secrets => OF_SECRETS,
        _ => &[],
    };
    // What has been gone through is not gone through again: hostile nesting must not cost its square.
    let mut done = 0;
    for quote in memchr_iter(b'"', text.as_bytes()) {
        if quote >= done {
            done = member(text, quote, &[ALWAYS, of_format], secrets);
        }
    }
    if matches!(format, Format::EtcdJson | Format::EtcdConsole | Format::EtcdCapnslog) {
        raft_fields(text, secrets);
    }
    if matches!(format, Format::Kubelet | Format::ApiServer | Format::OtherKlog) {
        header_pair(text, secrets);
    }
}

/// Looks for a secret member whose key's opening quote is at `quote`. Returns how far the text has been dealt with.
fn member(text: &str, quote: usize, known: &[&[(&str, &'static str)]], secrets: &mut Secrets) -> usize {
    let bytes = text.as_bytes();
    let Some(rest) = text.get(quote + 1..) else { return quote };
    let found = known.iter().copied().flatten().find(|(key, _)| {
        rest.strip_prefix(key).is_some_and(|rest| rest.trim_start_matches('\\').starts_with('"'))
    });
    let Some((key, what)) = found else { return quote };
    let level = backslashes_before(bytes, quote, 0);
    let end = quote + 1 + key.len();
    let closing = bytes[end..].iter().take_while(|byte| **byte == b'\\').count();
    let at = skip_space(bytes, end + closing + 1);
    if bytes.get(at) != Some(&b':') {
        return quote;
    }
    value(bytes, skip_space(bytes, at + 1), level, what, secrets)
}

/// Masks the strings of the value that begins at `at`: itself, or what it holds, keys excepted. Returns its end.
fn value(bytes: &[u8], at: usize, level: usize, what: &'static str, secrets: &mut Secrets) -> usize {
    let mut at = at;
    let mut depth = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            b'\\' if depth == 0 && bytes[at..].iter().take_while(|byte| **byte == b'\\').count() != level => {
                return at;
            }
            b'\\' => {}
            b'"' => {
                let (end, after) = string_end(bytes, at + 1, level);
                let next = skip_space(bytes, after);
                if depth == 0 || bytes.get(next) != Some(&b':') {
                    secrets.add(at + 1..end, what);
                }
                at = after;
                if depth == 0 {
                    return at;
                }
                continue;
            }
            _ if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

/// The end of a string's content, and the place behind its closing quote. A string that does not end goes to the end
/// of the text, or to that of the string around it.
///
/// At a depth of escaping `level` (0, 1, 3, 7, … backslashes before each quote), a quote within the string has
/// `2 · level + 1` of them, and a backslash of the content doubles what stands before the quote.
fn string_end(bytes: &[u8], start: usize, level: usize) -> (usize, usize) {
    let mut at = start;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr(b'"', rest)) {
        let quote = at + found;
        let backslashes = backslashes_before(bytes, quote, start);
        if backslashes < level {
            return (quote, quote);
        }
        let own = backslashes - level;
        if own.is_multiple_of(2 * (level + 1)) {
            return (quote - level, quote + 1);
        }
        at = quote + 1;
    }
    (bytes.len(), bytes.len())
}

fn backslashes_before(bytes: &[u8], quote: usize, start: usize) -> usize {
    bytes[start..quote].iter().rev().take_while(|byte| **byte == b'\\').count()
}

/// Goes past space, also where it is escaped.
fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            Some(b' ' | b'\t' | b'\r' | b'\n') => at += 1,
            Some(b'\\') => {
                let run = bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
                if !matches!(bytes.get(at + run), Some(b'n' | b't' | b'r')) {
                    return at;
                }
                at += run + 1;
            }
            _ => return at,
        }
    }
}

/// `value:"…"` of protobuf text, bare or within a JSON string.
fn raft_fields(text: &str, secrets: &mut Secrets) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for colon in memchr_iter(b':', bytes) {
        if colon < done {
            continue;
        }
        let before = &text[..=colon];
        let found = OF_RAFT.iter().find(|(field, _)| before.ends_with(field));
        let Some((_, what)) = found else { continue };
        let at = skip_space(bytes, colon + 1);
        let level = bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
        if bytes.get(at + level) == Some(&b'"') {
            let (end, after) = string_end(bytes, at + level + 1, level);
            secrets.add(at + level + 1..end, what);
            done = after;
        }
    }
}

/// ` header=…` of the kubelet's line about a manifest URL.
fn header_pair(text: &str, secrets: &mut Secrets) {
    let mut done = 0;
    for (at, key) in text.match_indices(" header=") {
        if at >= done {
            done = value(text.as_bytes(), at + key.len(), 0, "HTTP header", secrets);
        }
    }
}
