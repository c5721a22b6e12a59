//! The dump of all flags with which a component starts (`k8s.io/component-base/cli/flag`), and the secrets that may
//! stand in it.

use auditgap_records::Text;

use crate::format::go_text;

/// What stands in the place of a secret.
const MASK: &str = "<masked>";

/// Name and value of `FLAG: --name="value"`; `None` if the text is no such line. Headers and the credentials within
/// URLs are masked.
pub(crate) fn read(text: &str) -> Option<(Text<'_>, Text<'_>)> {
    let (name, value) = text.strip_prefix("FLAG: --")?.split_once('=')?;
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let value = go_text::unescape(inner);
    let value =
        if name.ends_with("-header") && !value.is_empty() { MASK.into() } else { without_credentials(value) };
    Some((name.into(), value))
}

/// A URL, or a list of them, without the users and passwords that may stand in it.
pub(crate) fn without_credentials(text: Text<'_>) -> Text<'_> {
    if !text.contains("://") || !text.contains('@') {
        return text;
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((scheme, tail)) = rest.split_once("://") {
        clean.push_str(scheme);
        clean.push_str("://");
        let authority = tail.find(['/', '?', '#', ',']).unwrap_or(tail.len());
        let (authority, path) = tail.split_at(authority);
        match authority.rsplit_once('@') {
            Some((_, host)) => clean.extend([MASK, "@", host]),
            None => clean.push_str(authority),
        }
        rest = path;
    }
    clean.push_str(rest);
    clean.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_secrets_are_not() {
        for (text, expected) in [
            (r#"FLAG: --node-labels="a=\"b\",c=d""#, Some(("node-labels", "a=\"b\",c=d"))),
            (
                r#"FLAG: --manifest-url-header="Authorization:Bearer t""#,
                Some(("manifest-url-header", "<masked>")),
            ),
            (r#"FLAG: --manifest-url-header="""#, Some(("manifest-url-header", ""))),
            (
                r#"FLAG: --etcd-servers="https://u:p@a:2379,https://b:2379/x@y""#,
                Some(("etcd-servers", "https://<masked>@a:2379,https://b:2379/x@y")),
            ),
            ("FLAG: --v=2", Some(("v", "2"))),
            ("FLAG: none", None),
            ("Version: v1", None),
        ] {
            assert_eq!(read(text), expected.map(|(name, value)| (name.into(), value.into())), "{text}");
        }
    }
}
