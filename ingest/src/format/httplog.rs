//! The access log that the API server and the kubelet share (`k8s.io/apiserver/pkg/server/httplog`), in the shapes it
//! had: `"HTTP" verb=… URI=…` (1.20 and later), `verb="GET" URI=…: ` (1.19), `GET /path: (1.2ms) 200 [agent address]`
//! (before).

use auditgap_records::Text;

use crate::format::go_text;
use crate::format::klog::Fields;

/// One request, as written at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Access<'a> {
    /// HTTP method; the API server puts its own words for some (`LIST`, `WATCH`, `APPLY`, `CONNECT`).
    pub(crate) verb: Text<'a>,
    /// Path and query.
    pub(crate) uri: Text<'a>,
    /// Duration in nanoseconds.
    pub(crate) latency: i64,
    /// Chosen by the client.
    pub(crate) user_agent: Text<'a>,
    /// Audit-ID; always empty on a kubelet.
    pub(crate) audit_id: Text<'a>,
    /// Peer `address:port`.
    pub(crate) source: Text<'a>,
    /// HTTP status; `None` when the connection was hijacked, as streams are.
    pub(crate) code: Option<u16>,
    /// The user whom the text of a refusal names.
    pub(crate) forbidden_user: Option<Text<'a>>,
}

/// From the pairs of an `"HTTP"` entry; `Err` says what is broken.
pub(crate) fn from_fields<'a>(fields: &Fields<'a>) -> Result<Access<'a>, String> {
    let latency = fields.need("latency")?;
    let code = match fields.text("resp") {
        Some(code) => Some(code.parse().map_err(|_| "`resp` is not an HTTP status".to_owned())?),
        None => None,
    };
    Ok(Access {
        verb: fields.need("verb")?,
        uri: fields.need("URI")?,
        latency: go_text::duration(&latency).ok_or("`latency` is not a duration")?,
        user_agent: fields.text("userAgent").or_else(|| fields.text("UserAgent")).unwrap_or_default(),
        audit_id: fields.text("audit-ID").unwrap_or_default(),
        source: fields.need("srcIP")?,
        // Hijacked connections once had `resp=0`.
        code: code.filter(|code| *code != 0),
        forbidden_user: fields.text("addedInfo").and_then(|info| {
            let user = forbidden_user(&info)?;
            Some(Text::Owned(user.into_owned()))
        }),
    })
}

/// From the free text of 1.19: pairs alone, the last one behind which a colon stands.
pub(crate) fn from_pairs_alone(text: &str) -> Result<Access<'_>, String> {
    let pairs = text.split_once("\": ").map_or(text, |(pairs, _)| text.get(..=pairs.len()).unwrap_or(text));
    from_fields(&Fields::from_text(pairs.trim_end_matches([':', ' ']))?)
}

/// From the free text before 1.19: `GET /path: (1.2ms) 200 [agent address]`, a stack trace and what was added
/// before the bracket. `None` if it is none.
pub(crate) fn from_sentence(text: &str) -> Option<Access<'_>> {
    let (verb, rest) = text.split_once(' ')?;
    if verb.is_empty() || !verb.bytes().all(|byte| byte.is_ascii_uppercase()) || !rest.starts_with('/') {
        return None;
    }
    let (uri, rest) = rest.split_once(": (")?;
    let (latency, rest) = rest.split_once(") ")?;
    let (status, tail) = rest.split_at(rest.find([' ', '\n'])?);
    let (added, client) = tail.rsplit_once('[')?;
    let (user_agent, source) = client.trim_end().strip_suffix(']')?.rsplit_once(' ')?;
    Some(Access {
        verb: verb.into(),
        uri: uri.into(),
        latency: go_text::duration(latency)?,
        user_agent: user_agent.into(),
        audit_id: Text::default(),
        source: source.into(),
        code: status.parse().ok(),
        forbidden_user: forbidden_user(added),
    })
}

/// The user of a refusal's text: `Forbidden (user=U, verb=…, resource=…, subresource…)`. The user may hold anything,
/// so what follows is looked for from the end.
pub(crate) fn forbidden_user(text: &str) -> Option<Text<'_>> {
    let (_, rest) = text.split_once("Forbidden (user=")?;
    let (user, _) = rest.rsplit_once(", verb=")?;
    // It stands in the added text as part of a quoted string.
    Some(go_text::unescape(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(code: Option<u16>, forbidden_user: Option<&'static str>) -> Access<'static> {
        Access {
            verb: "GET".into(),
            uri: "/pods?a=b".into(),
            latency: 1_500_000,
            user_agent: "curl/7 (x)".into(),
            audit_id: "".into(),
            source: "10.0.0.1:4000".into(),
            code,
            forbidden_user: forbidden_user.map(Text::Borrowed),
        }
    }

    #[test]
    fn all_shapes_say_the_same() {
        let now = concat!(
            r#" verb="GET" URI="/pods?a=b" latency="1.5ms" userAgent="curl/7 (x)" audit-ID="" srcIP="10.0.0.1:4000""#,
            " resp=403 statusStack=<\n\t\n\tgoroutine 1131 [running]:\n > addedInfo=<\n",
            "\tlogging error output: \"Forbidden (user=o, verb=, \\\"x\\\", verb=get, resource=nodes)\\n\"\n >",
        );
        let user = Some("o, verb=, \"x\"");
        assert_eq!(from_fields(&Fields::from_text(now).unwrap()), Ok(access(Some(403), user)));
        let hijacked = r#" verb="GET" URI="/pods?a=b" latency="1.5ms" userAgent="curl/7 (x)" srcIP="10.0.0.1:4000" hijacked=true"#;
        assert_eq!(from_fields(&Fields::from_text(hijacked).unwrap()), Ok(access(None, None)));
        let older = r#"verb="GET" URI="/pods?a=b" latency=1.5ms resp=200 UserAgent="curl/7 (x)" srcIP="10.0.0.1:4000": "#;
        assert_eq!(from_pairs_alone(older), Ok(access(Some(200), None)));
        let oldest = "GET /pods?a=b: (1.5ms) 200 [curl/7 (x) 10.0.0.1:4000]";
        assert_eq!(from_sentence(oldest), Some(access(Some(200), None)));
        let stack = "GET /pods?a=b: (1.5ms) 403\ngoroutine 1 [running]:\nlogging error output: \"Forbidden (user=u, verb=get, resource=nodes, subresource=proxy)\"\n [curl/7 (x) 10.0.0.1:4000]";
        assert_eq!(from_sentence(stack), Some(access(Some(403), Some("u"))));
    }

    #[test]
    fn what_is_missing_or_no_request_is_told() {
        let fields = Fields::from_text(r#" verb="GET" URI="/pods" latency="soon" srcIP="a:1""#).unwrap();
        assert_eq!(from_fields(&fields), Err("`latency` is not a duration".to_owned()));
        assert_eq!(from_fields(&Fields::default()), Err("`latency` is missing".to_owned()));
        for text in ["", "GET nothing", "GET /x: (1ms) 200", "Version: v1"] {
            assert_eq!(from_sentence(text), None, "{text}");
        }
    }
}
