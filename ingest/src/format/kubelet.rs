//! A kubelet's log, klog text or JSON, in the message shapes of all versions.
//!
//! At high verbosity nearly all lines are noise, so the message is compared before any pair is read.

mod free;
mod pods;
mod structured;

use auditgap_records::kubelet::KubeletLine;
use auditgap_records::{Body, Text};
use bounded_static::IntoBoundedStatic;

use crate::format::httplog::Access;
use crate::format::klog::{self, Message, Pairs};
use crate::format::{LineContext, LineFormat, Parsed};

/// The format of a kubelet's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kubelet;

impl LineFormat for Kubelet {
    fn starts_entry(&self, line: &[u8]) -> bool {
        klog::starts_entry(line)
    }

    fn parse<'a>(&self, text: &'a str, context: &LineContext) -> Parsed<'a> {
        klog::parse(text, context, |message| Ok(line(message)?.map(Body::Kubelet)))
    }
}

/// What a message says; `None` if it is of no interest.
fn line(message: Message<'_>) -> Result<Option<KubeletLine<'_>>, String> {
    match message {
        Message::Free(text) => free::line(text),
        Message::Structured { text, pairs } => {
            let known =
                structured::line(&text, pairs).map_err(|reason| format!("\"{text}\" line: {reason}"))?;
            if known.is_some() || matches!(pairs, Pairs::Text(_)) {
                return Ok(known);
            }
            // JSON does not tell free text from a message with pairs.
            match text {
                Text::Borrowed(text) => free::line(text),
                Text::Owned(text) => free::line(&text).map(IntoBoundedStatic::into_static),
            }
        }
    }
}

fn http(access: Access<'_>) -> KubeletLine<'_> {
    KubeletLine::Http {
        method: access.verb,
        uri: access.uri,
        latency: access.latency,
        user_agent: access.user_agent,
        source: access.source,
        code: access.code,
        forbidden_user: access.forbidden_user,
    }
}

#[cfg(test)]
mod tests;
