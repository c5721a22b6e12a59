//! Secrets that are known by what they look like or by the word before them, in any text.

use super::Secrets;
use crate::format::Format;

/// Words that a credential follows, and what it is.
const SCHEMES: [(&str, &str); 4] = [
    ("Bearer ", "bearer token"),
    ("bearer ", "bearer token"),
    ("Basic ", "credentials"),
    ("basic ", "credentials"),
];
/// Ends of a flag's name whose value is secret.
const FLAGS: [&str; 5] = ["-header", "token", "password", "-secret", "-passphrase"];
const KEY_BEGIN: &str = "-----BEGIN ";

pub(super) fn find(format: Format, text: &str, secrets: &mut Secrets) {
    web_tokens(text, secrets);
    schemes(text, secrets);
    flags(text, secrets);
    parameters(text, secrets);
    user_info(text, secrets);
    private_keys(text, secrets);
    if format == Format::Auditd {
        hex_strings(text, secrets);
    }
}

/// Three parts in base64url, of which the first begins as every JSON object with a key does.
fn web_tokens(text: &str, secrets: &mut Secrets) {
    let mut from = 0;
    while let Some(found) = text[from..].find("eyJ") {
        let start = from + found;
        let part = |at: usize| text[at..].bytes().take_while(|byte| is_base64url(*byte)).count();
        let header = part(start);
        let mut end = start + header;
        from = end;
        if header < 10 || text.as_bytes().get(end) != Some(&b'.') {
            continue;
        }
        let payload = part(end + 1);
        if payload < 4 {
            continue;
        }
        end += 1 + payload;
        if text.as_bytes().get(end) == Some(&b'.') {
            end += 1 + part(end + 1);
        }
        secrets.add(start..end, "JSON web token");
        from = end;
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// `Bearer xyz`. What follows must look like a credential, since the words occur in prose.
fn schemes(text: &str, secrets: &mut Secrets) {
    for (word, what) in SCHEMES {
        for (at, _) in text.match_indices(word) {
            let start = at + word.len();
            let length = text[start..].bytes().take_while(|byte| is_credential(*byte)).count();
            let credential = &text[start..start + length];
            if follows_header(&text.as_bytes()[..at])
                || (length >= 16
                    && credential.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()))
            {
                secrets.add(start..start + length, what);
            }
        }
    }
}

/// Whether a text ends with the header's name, its separators aside.
fn follows_header(before: &[u8]) -> bool {
    const NAME: &[u8] = b"authorization";
    let separators = before
        .iter()
        .rev()
        .take(16)
        .take_while(|byte| matches!(byte, b' ' | b'"' | b'\\' | b'[' | b':' | b'='));
    let end = before.len() - separators.count();
    end >= NAME.len() && before[end - NAME.len()..end].eq_ignore_ascii_case(NAME)
}

fn is_credential(byte: u8) -> bool {
    is_base64url(byte) || matches!(byte, b'.' | b'+' | b'/' | b'=' | b'~')
}

/// `--manifest-url-header="…"`, `--token=…`, `--token …`.
fn flags(text: &str, secrets: &mut Secrets) {
    let mut done = 0;
    for (at, dashes) in text.match_indices("--") {
        if at < done {
            continue;
        }
        let start = at + dashes.len();
        let name =
            text[start..].bytes().take_while(|byte| byte.is_ascii_lowercase() || *byte == b'-').count();
        if !FLAGS.iter().any(|end| text[start..start + name].ends_with(end)) {
            continue;
        }
        let rest = &text[start + name..];
        let Some(value) = rest.strip_prefix(['=', ' ']) else { continue };
        let begin = text.len() - value.len();
        match value.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"').unwrap_or(quoted.len());
                done = begin + 1 + end;
                secrets.add(begin + 1..done, "flag");
            }
            None if rest.starts_with(' ') && value.starts_with('-') => {}
            None => {
                let end = value.find([' ', '"', '\'', '\\', ',', ']']).unwrap_or(value.len());
                done = begin + end;
                secrets.add(begin..done, "flag");
            }
        }
    }
}

/// `token=…` and its kin in the query of a URI.
fn parameters(text: &str, secrets: &mut Secrets) {
    let mut done = 0;
    for (at, word) in text.match_indices("token=") {
        let before = &text[..at];
        if at < done || !(before.ends_with(['?', '&', '_', ';']) || before.ends_with("\\u0026")) {
            continue;
        }
        let start = at + word.len();
        let end = text[start..].find(['&', ' ', '"', '\'', '\\', ';']).unwrap_or(text.len() - start);
        done = start + end;
        secrets.add(start..done, "token");
    }
}

/// `https://user:password@host`.
fn user_info(text: &str, secrets: &mut Secrets) {
    for (at, scheme) in text.match_indices("://") {
        let start = at + scheme.len();
        let authority = &text[start..];
        let end = authority.find(['/', '?', '#', ' ', '"', '\\', '\'', ',', '\n']).unwrap_or(authority.len());
        if let Some(user_info) = authority[..end].rfind('@') {
            secrets.add(start..start + user_info, "credentials");
        }
    }
}

fn private_keys(text: &str, secrets: &mut Secrets) {
    let mut done = 0;
    for (start, _) in text.match_indices(KEY_BEGIN) {
        if start < done {
            continue;
        }
        let rest = &text[start..];
        let label = &rest[KEY_BEGIN.len()..];
        let label = label.get(..label.find("-----").unwrap_or(label.len())).unwrap_or_default();
        if !label.ends_with("PRIVATE KEY") {
            continue;
        }
        let end = rest.find("-----END ").map_or(rest.len(), |end| {
            let tail = &rest[end + "-----END ".len()..];
            rest.len() - tail.len() + tail.find("-----").map_or(tail.len(), |dashes| dashes + 5)
        });
        done = start + end;
        secrets.add(start..done, "private key");
    }
}

/// Linux audit writes a command line as hex if it has a space in it, so secrets hide in there.
fn hex_strings(text: &str, secrets: &mut Secrets) {
    let mut from = 0;
    while let Some(found) = text[from..].find('=') {
        let start = from + found + 1;
        let length = text[start..].bytes().take_while(u8::is_ascii_hexdigit).count();
        from = start + length;
        if length < 32 || length % 2 != 0 {
            continue;
        }
        let digits = text.as_bytes()[start..from].chunks_exact(2);
        let bytes: Vec<u8> = digits
            .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .map(|byte| if byte == 0 { b' ' } else { byte })
            .collect();
        let mut within = Secrets::default();
        let decoded = String::from_utf8_lossy(&bytes);
        web_tokens(&decoded, &mut within);
        schemes(&decoded, &mut within);
        flags(&decoded, &mut within);
        user_info(&decoded, &mut within);
        private_keys(&decoded, &mut within);
        if !within.0.is_empty() {
            secrets.add(start..from, "command line with a secret");
        }
    }
}
