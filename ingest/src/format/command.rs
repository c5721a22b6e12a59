//! Secrets in the command lines of processes. What the host saw is shown to people, and nothing is matched on it.

use std::borrow::Cow;

use auditgap_records::Text;

const MASK: &str = "<masked>";
/// Options whose value is a secret, as `--option value` or `--option=value`.
const SECRET_OPTIONS: [&str; 6] =
    ["--token", "--password", "--passphrase", "--client-secret", "--registry-password", "--auth-token"];

/// Takes tokens, passwords and the values that `etcdctl put` writes out of a command line. Words are split at spaces,
/// as the sources do not keep their boundaries.
pub(crate) fn mask_command(command: Text<'_>) -> Text<'_> {
    let words: Vec<&str> = command.split(' ').collect();
    let put = put_value(&words);
    let mut masked: Vec<Cow<'_, str>> = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| words.get(before)).copied().unwrap_or_default();
        let is_value = put.is_some_and(|put| index >= put && !word.starts_with("--"));
        if is_value || follows_scheme(before) || SECRET_OPTIONS.contains(&before) || is_jwt(word) {
            masked.push(Cow::Borrowed(MASK));
        } else {
            masked.push(mask_option(word, before));
        }
    }
    if masked.iter().all(|word| matches!(word, Cow::Borrowed(word) if *word != MASK)) {
        return command;
    }
    Cow::Owned(masked.join(" "))
}

/// `--token=…`, and the password of `--user=name:password`.
fn mask_option<'a>(word: &'a str, before: &str) -> Cow<'a, str> {
    if let Some((option, _)) = word.split_once('=')
        && SECRET_OPTIONS.contains(&option)
    {
        return Cow::Owned(format!("{option}={MASK}"));
    }
    let credentials = matches!(before, "--user" | "-u") || word.starts_with("--user=");
    match word.split_once(':') {
        Some((user, _)) if credentials => Cow::Owned(format!("{user}:{MASK}")),
        _ => Cow::Borrowed(word),
    }
}

/// Whether the word names the scheme of an Authorization header, the secret being next.
fn follows_scheme(before: &str) -> bool {
    let scheme = before.trim_start_matches(['"', '\'']);
    let scheme = scheme.rsplit(':').next().unwrap_or(scheme);
    scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("basic")
}

/// Where the value of `etcdctl put KEY VALUE` begins.
fn put_value(words: &[&str]) -> Option<usize> {
    let program = words.iter().position(|word| word.rsplit('/').next() == Some("etcdctl"))?;
    let put = program + words.get(program..)?.iter().position(|word| *word == "put")?;
    let arguments = words.iter().enumerate().skip(put + 1).filter(|(_, word)| !word.starts_with("--"));
    arguments.map(|(index, _)| index).nth(1)
}

/// Whether a word holds a JSON Web Token: three parts of base64, the first an encoded `{"`.
fn is_jwt(word: &str) -> bool {
    word.find("eyJ").is_some_and(|at| word[at..].bytes().filter(|byte| *byte == b'.').count() >= 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_is_kept() {
        for (command, expected) in [
            ("ctr -n k8s.io images pull r/i:1", "ctr -n k8s.io images pull r/i:1"),
            (
                "curl -H Authorization: Bearer abc https://x",
                "curl -H Authorization: Bearer <masked> https://x",
            ),
            ("curl -H \"authorization:bearer abc\"", "curl -H \"authorization:bearer <masked>"),
            ("kubectl --token=abc get pods", "kubectl --token=<masked> get pods"),
            ("kubectl --token abc get pods", "kubectl --token <masked> get pods"),
            ("curl -u root:pw https://x", "curl -u root:<masked> https://x"),
            (
                "/usr/bin/etcdctl --user=root:pw get /registry",
                "/usr/bin/etcdctl --user=root:<masked> get /registry",
            ),
            ("etcdctl --cert=c put /registry/x v1 v2", "etcdctl --cert=c put /registry/x <masked> <masked>"),
            ("x eyJhbGciOi.eyJpc3Mi.c2ln y", "x <masked> y"),
        ] {
            assert_eq!(mask_command(command.into()), expected, "{command}");
        }
    }

    proptest! {
        #[test]
        fn no_secret_survives(before in "[a-z -]{0,20}", secret in "[A-Z]{8,20}", after in "[a-z -]{0,20}") {
            let command = format!("{before} --token={secret} Bearer {secret} {after}");
            prop_assert!(!mask_command(command.into()).contains(&secret));
        }
    }
}
