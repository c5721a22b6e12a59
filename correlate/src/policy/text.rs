//! A rule in one line, for reports.

use std::fmt::{self, Write as _};

use auditgap_records::audit::{Level, Stage};

use super::{GroupResources, Rule, StageSet};

/// Entries of a list that are shown; a policy may name hundreds.
const SHOWN: usize = 6;

/// The API's word for a level.
pub(super) fn level_word(level: Level) -> &'static str {
    match level {
        Level::None => "None",
        Level::Metadata => "Metadata",
        Level::Request => "Request",
        Level::RequestResponse => "RequestResponse",
    }
}

/// The API's word for a stage.
pub(super) fn stage_word(stage: Stage) -> &'static str {
    match stage {
        Stage::RequestReceived => "RequestReceived",
        Stage::ResponseStarted => "ResponseStarted",
        Stage::ResponseComplete => "ResponseComplete",
        Stage::Panic => "Panic",
    }
}

/// The first entries of a list, and how many more there are.
pub(super) fn shortened<T: AsRef<str>>(entries: &[T]) -> String {
    let shown: Vec<&str> = entries.iter().take(SHOWN).map(AsRef::as_ref).map(quoted_if_empty).collect();
    let mut text = shown.join(", ");
    if entries.len() > SHOWN {
        let _ = write!(text, " and {} more", entries.len() - SHOWN);
    }
    text
}

fn quoted_if_empty(entry: &str) -> &str {
    if entry.is_empty() { "\"\"" } else { entry }
}

impl fmt::Display for StageSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(stage_word).collect();
        formatter.write_str(&words.join(", "))
    }
}

impl fmt::Display for GroupResources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = if self.group.is_empty() { "core" } else { &self.group };
        if self.resources.is_empty() {
            return write!(formatter, "everything in {group}");
        }
        write!(formatter, "{} in {group}", shortened(&self.resources))?;
        if !self.resource_names.is_empty() {
            write!(formatter, " named {}", shortened(&self.resource_names))?;
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "level {}", level_word(self.level))?;
        let lists = [
            ("users", &self.users),
            ("groups", &self.user_groups),
            ("verbs", &self.verbs),
            ("namespaces", &self.namespaces),
            ("paths", &self.non_resource_urls),
        ];
        let mut conditions = 0;
        for (what, list) in lists {
            if !list.is_empty() {
                conditions += 1;
                write!(formatter, "; {what} {}", shortened(list))?;
            }
        }
        if !self.resources.is_empty() {
            conditions += 1;
            let resources: Vec<String> = self.resources.iter().map(ToString::to_string).collect();
            write!(formatter, "; resources {}", shortened(&resources))?;
        }
        if conditions == 0 {
            formatter.write_str("; every request")?;
        }
        if !self.omit_stages.is_empty() {
            write!(formatter, "; without {}", self.omit_stages)?;
        }
        Ok(())
    }
}
