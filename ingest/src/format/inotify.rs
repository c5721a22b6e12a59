//! `inotifywait -m --timefmt %s --format '%T %w %e %f'`: which files were touched, without who.

use std::borrow::Cow;

use auditgap_records::host::{FileAccess, HostEvent, Process};
use auditgap_records::{Body, Timestamp};

use super::{LineContext, LineFormat, Parsed};

/// Reads inotifywait's lines.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inotify;

impl LineFormat for Inotify {
    fn parse<'a>(&self, text: &'a str, context: &LineContext) -> Parsed<'a> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.starts_with("Setting up watches.") || text == "Watches established." {
            // Written to the terminal, without a time: nothing to keep, and nothing strange.
            return context
                .transport_time
                .map_or(Parsed::Records(Vec::new()), |time| Parsed::Record(time, Body::Other));
        }
        let Some((stamp, rest)) = text.split_once(' ') else { return Parsed::Unknown };
        let Some(time) = time_of(stamp) else { return Parsed::Unknown };
        let Some((watched, events, file)) = split_events(rest) else { return Parsed::Unknown };
        let body = match outcome(events) {
            Outcome::Touched(access) => Body::Host(HostEvent::File {
                path: path_of(watched, file),
                access,
                process: Process::default(),
                rule: Cow::Borrowed(""),
                success: true,
            }),
            Outcome::Lost => Body::Host(HostEvent::Loss { events: None }),
            Outcome::Nothing => Body::Other,
        };
        Parsed::Record(time, body)
    }
}

/// Unix seconds (`%s`), or whatever of RFC 3339 another `--timefmt` gives in one word.
fn time_of(stamp: &str) -> Option<Timestamp> {
    match stamp.parse::<u32>() {
        Ok(seconds) => Timestamp::from_unix(i64::from(seconds), 0),
        Err(_) => Timestamp::parse(stamp),
    }
}

/// Splits at the first word that is a list of events. Both names may hold spaces; a watched folder is the
/// operator's own and comes first, so a file's name cannot move the split.
fn split_events(rest: &str) -> Option<(&str, &str, &str)> {
    let mut begin = 0;
    for word in rest.split(' ') {
        let end = begin + word.len();
        if is_events(word) {
            let file = rest.get(end + 1..).unwrap_or_default();
            return Some((rest[..begin].trim_end_matches(' '), word, file));
        }
        begin = end + 1;
    }
    None
}

fn is_events(word: &str) -> bool {
    const EVENTS: [&str; 17] = [
        "ACCESS",
        "ATTRIB",
        "CLOSE",
        "CLOSE_NOWRITE",
        "CLOSE_WRITE",
        "CREATE",
        "DELETE",
        "DELETE_SELF",
        "IGNORED",
        "ISDIR",
        "MODIFY",
        "MOVE_SELF",
        "MOVED_FROM",
        "MOVED_TO",
        "OPEN",
        "Q_OVERFLOW",
        "UNMOUNT",
    ];
    word.split(',').all(|event| EVENTS.contains(&event))
}

enum Outcome {
    Touched(FileAccess),
    Lost,
    /// Opened or closed without a change, or the watch itself ended.
    Nothing,
}

fn outcome(events: &str) -> Outcome {
    for event in events.split(',') {
        let access = match event {
            "CREATE" | "MOVED_TO" => FileAccess::Create,
            "MODIFY" | "CLOSE_WRITE" => FileAccess::Write,
            "DELETE" | "DELETE_SELF" | "MOVED_FROM" | "MOVE_SELF" => FileAccess::Delete,
            // Listing a folder reads no file.
            "ACCESS" if !events.contains("ISDIR") => FileAccess::Read,
            "ATTRIB" => FileAccess::Attributes,
            "Q_OVERFLOW" => return Outcome::Lost,
            _ => continue,
        };
        return Outcome::Touched(access);
    }
    Outcome::Nothing
}

/// A watched folder ends in `/`; a watched file stands alone, without a name behind the events.
fn path_of<'a>(watched: &'a str, file: &str) -> Cow<'a, str> {
    if file.is_empty() { Cow::Borrowed(watched) } else { Cow::Owned(format!("{watched}{file}")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::testing::context;

    #[test]
    fn every_event_says_what_was_done_to_which_file() {
        use FileAccess::{Attributes, Create, Delete, Read, Write};
        for (line, expected) in [
            ("/d/ CREATE f.yaml", Some(("/d/f.yaml", Create))),
            ("/d/ MOVED_TO f.yaml", Some(("/d/f.yaml", Create))),
            ("/d/ MODIFY f.yaml", Some(("/d/f.yaml", Write))),
            ("/d/ CLOSE_WRITE,CLOSE f.yaml", Some(("/d/f.yaml", Write))),
            ("/d/ DELETE f.yaml", Some(("/d/f.yaml", Delete))),
            ("/d/ MOVED_FROM f.yaml", Some(("/d/f.yaml", Delete))),
            ("/d/ ACCESS f.yaml", Some(("/d/f.yaml", Read))),
            ("/d/ ATTRIB f.yaml", Some(("/d/f.yaml", Attributes))),
            ("/d/ CREATE,ISDIR sub", Some(("/d/sub", Create))),
            ("/d/ OPEN f.yaml", None),
            ("/d/ CLOSE_NOWRITE,CLOSE f.yaml", None),
            ("/d/ ACCESS,ISDIR ", None),
            ("/d/ IGNORED ", None),
            // A watched file, a folder and a file with spaces, a name that imitates an event.
            ("/d/f.yaml MODIFY ", Some(("/d/f.yaml", Write))),
            ("/d d/ MODIFY f f", Some(("/d d/f f", Write))),
            ("/d/ OPEN a DELETE b", None),
            ("/d/ DELETE a CREATE b", Some(("/d/a CREATE b", Delete))),
        ] {
            let expected = expected.map_or(Body::Other, |(path, access)| {
                Body::Host(HostEvent::File {
                    path: path.into(),
                    access,
                    process: Process::default(),
                    rule: "".into(),
                    success: true,
                })
            });
            for stamp in ["1795434975", "2026-11-23T11:56:15Z"] {
                let time = Timestamp::from_unix(1_795_434_975, 0).unwrap();
                let line = format!("{stamp} {line}");
                assert_eq!(
                    Inotify.parse(&line, &context()),
                    Parsed::Record(time, expected.clone()),
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn an_overflow_is_a_loss_and_the_greeting_is_nothing() {
        let overflow = Inotify.parse("1795434975  Q_OVERFLOW ", &context());
        assert!(matches!(overflow, Parsed::Record(_, Body::Host(HostEvent::Loss { events: None }))));
        for line in [
            "Setting up watches.  Beware: since -r was given, this may take a while!",
            "Watches established.",
        ] {
            assert_eq!(Inotify.parse(line, &context()), Parsed::Records(Vec::new()), "{line}");
        }
        for line in ["", "1795434975", "1795434975 /d/ f.yaml", "x /d/ CREATE f"] {
            assert_eq!(Inotify.parse(line, &context()), Parsed::Unknown, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = Inotify.parse(&text, &context());
            let _ = Inotify.parse(&format!("1795434975 {text}"), &context());
        }
    }
}
