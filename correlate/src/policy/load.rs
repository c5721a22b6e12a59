//! Reading a policy as the API server reads it (`reader.go`, `validation.go`).
//!
//! The server decodes strictly first. If that fails only because of unknown or duplicate fields it logs a warning and
//! decodes again without minding them: a misspelled condition is dropped, and the rule matches *more* than was meant.
//! Here such fields become [`Diagnostic`]s. What the server would refuse to start with becomes a [`LoadError`].

use auditgap_records::audit::{Level, Stage};

use super::tree::{self, Entry, Located, Node};
use super::{GroupResources, Policy, Rule, StageSet};

/// A policy and what is remarkable about its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The policy as the server understands it.
    pub policy: Policy,
    /// In the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Something in a policy's text that does not do what it seems to say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// Line, from 1; 0 if not known.
    pub line: u32,
    /// Rule it stands in, from 0.
    pub rule: Option<usize>,
    /// What kind of thing.
    pub kind: DiagnosticKind,
    /// What is so, and what the server makes of it.
    pub text: String,
}

/// Kinds of diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiagnosticKind {
    /// A field that the server does not know and ignores.
    UnknownField,
    /// A field given twice; the last counts.
    DuplicateField,
    /// A stage in the policy's own `omitStages` that does not exist; the server does not check those.
    UnknownStage,
    /// Understood by newer servers only.
    NeedsVersion,
    /// A further YAML document, which the server does not read.
    FurtherDocument,
}

/// Why a policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Not YAML.
    #[error("not readable as YAML or JSON: {0}")]
    Syntax(String),
    /// The API server would not start with it.
    #[error("the API server would refuse to start with this policy: {}", join(.0))]
    Refused(Vec<Refusal>),
}

/// One reason why the API server would refuse a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Line, from 1; 0 if not known.
    pub line: u32,
    /// What is wrong, and what would be right.
    pub text: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line > 0 {
            write!(formatter, "line {}: ", self.line)?;
        }
        formatter.write_str(&self.text)
    }
}

fn join(refusals: &[Refusal]) -> String {
    let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

const POLICY_FIELDS: &[&str] =
    &["apiVersion", "kind", "metadata", "rules", "omitStages", "omitManagedFields"];
const RULE_FIELDS: &[&str] = &[
    "level",
    "users",
    "userGroups",
    "verbs",
    "resources",
    "namespaces",
    "nonResourceURLs",
    "omitStages",
    "omitManagedFields",
];
const RESOURCE_FIELDS: &[&str] = &["group", "resources", "resourceNames"];
const LEVELS: &[&str] = &["None", "Metadata", "Request", "RequestResponse"];
const STAGES: &[&str] = &["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];

impl Policy {
    /// Reads a policy from YAML or JSON text.
    pub fn load(text: &str) -> Result<Loaded, LoadError> {
        let (document, more) = tree::parse(text).map_err(|error| LoadError::Syntax(error.to_string()))?;
        let mut reader = Reader::default();
        let policy = reader.policy(&document);
        if more {
            reader.note(
                0,
                DiagnosticKind::FurtherDocument,
                "only the first YAML document is read".to_owned(),
            );
        }
        if !reader.refusals.is_empty() {
            return Err(LoadError::Refused(reader.refusals));
        }
        Ok(Loaded { policy, diagnostics: reader.diagnostics })
    }
}

#[derive(Debug, Default)]
struct Reader {
    /// The rule being read, from 0.
    rule: Option<usize>,
    diagnostics: Vec<Diagnostic>,
    refusals: Vec<Refusal>,
}

impl Reader {
    fn refuse(&mut self, line: u32, text: String) {
        let text = match self.rule {
            Some(rule) => format!("rule {rule}: {text}"),
            None => text,
        };
        self.refusals.push(Refusal { line, text });
    }

    fn note(&mut self, line: u32, kind: DiagnosticKind, text: String) {
        self.diagnostics.push(Diagnostic { line, rule: self.rule, kind, text });
    }

    fn policy(&mut self, document: &Located) -> Policy {
        let fields = self.fields(document, "the policy", POLICY_FIELDS);
        self.type_meta(document, &fields);
        let omit_managed_fields = self.flag(&fields, "omitManagedFields").unwrap_or(false);
        let omit_stages = self.policy_stages(&fields);
        let rules_at = field(&fields, "rules");
        let items = rules_at.map(|value| self.list(value, "rules")).unwrap_or_default();
        let rules = items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                self.rule = Some(index);
                self.rule(item)
            })
            .collect::<Vec<_>>();
        self.rule = None;
        if rules.is_empty() {
            let line = rules_at.map_or(document.line, |value| value.line);
            self.refuse(line, "it has no rules".to_owned());
        }
        Policy { omit_stages, omit_managed_fields, rules }
    }

    fn type_meta(&mut self, document: &Located, fields: &[Entry]) {
        let api_version = self.text(fields, "apiVersion");
        match api_version.as_ref().map(|(line, text)| (*line, text.as_str())) {
            Some((_, "audit.k8s.io/v1")) => {}
            Some((line, "audit.k8s.io/v1beta1" | "audit.k8s.io/v1alpha1")) => self.refuse(
                line,
                "apiVersion must be audit.k8s.io/v1; the beta and alpha versions are no longer served"
                    .to_owned(),
            ),
            Some((line, other)) => {
                self.refuse(line, format!("apiVersion is `{other}`, it must be audit.k8s.io/v1"));
            }
            None => {
                self.refuse(document.line, "apiVersion is missing, it must be audit.k8s.io/v1".to_owned());
            }
        }
        match self.text(fields, "kind") {
            Some((_, kind)) if kind == "Policy" => {}
            Some((line, kind)) => self.refuse(line, format!("kind is `{kind}`, it must be Policy")),
            None => self.refuse(document.line, "kind is missing, it must be Policy".to_owned()),
        }
    }

    fn rule(&mut self, item: &Located) -> Rule {
        let fields = self.fields(item, "a rule", RULE_FIELDS);
        let resources =
            field(&fields, "resources").map(|value| self.list(value, "resources")).unwrap_or_default();
        let rule = Rule {
            level: self.level(item.line, &fields),
            users: self.texts(&fields, "users"),
            user_groups: self.texts(&fields, "userGroups"),
            verbs: self.texts(&fields, "verbs"),
            resources: resources.iter().map(|entry| self.group_resources(entry)).collect(),
            namespaces: self.texts(&fields, "namespaces"),
            non_resource_urls: self.paths(&fields),
            omit_stages: self.rule_stages(&fields),
            omit_managed_fields: self.flag(&fields, "omitManagedFields"),
            line: item.line,
        };
        let for_resources = !rule.resources.is_empty() || !rule.namespaces.is_empty();
        if for_resources && !rule.non_resource_urls.is_empty() {
            self.refuse(
                item.line,
                "a rule cannot be for nonResourceURLs and for resources or namespaces".to_owned(),
            );
        }
        rule
    }

    fn level(&mut self, rule_line: u32, fields: &[Entry]) -> Level {
        match self.text(fields, "level") {
            Some((line, word)) if !word.is_empty() => word.parse().unwrap_or_else(|()| {
                self.refuse(line, format!("there is no level `{word}`{}", instead(&word, LEVELS)));
                Level::None
            }),
            _ => {
                self.refuse(rule_line, "level is missing".to_owned());
                Level::None
            }
        }
    }

    fn rule_stages(&mut self, fields: &[Entry]) -> StageSet {
        let mut stages = StageSet::NONE;
        for (line, word) in self.located_texts(fields, "omitStages") {
            match word.parse::<Stage>() {
                Ok(stage) => stages.insert(stage),
                Err(()) => self.refuse(line, format!("there is no stage `{word}`{}", instead(&word, STAGES))),
            }
        }
        stages
    }

    /// The server does not validate the policy's own list: an unknown stage there omits nothing.
    fn policy_stages(&mut self, fields: &[Entry]) -> StageSet {
        let mut stages = StageSet::NONE;
        for (line, word) in self.located_texts(fields, "omitStages") {
            if let Ok(stage) = word.parse::<Stage>() {
                stages.insert(stage);
            } else {
                let hint = instead(&word, STAGES);
                let text = format!("omitStages has no effect for `{word}`: there is no such stage{hint}");
                self.note(line, DiagnosticKind::UnknownStage, text);
            }
        }
        stages
    }

    fn paths(&mut self, fields: &[Entry]) -> Vec<String> {
        let paths = self.located_texts(fields, "nonResourceURLs");
        for (line, path) in &paths {
            if path == "*" {
                continue;
            }
            if !path.starts_with('/') {
                self.refuse(*line, format!("nonResourceURLs: `{path}` does not begin with a slash"));
            }
            if path.strip_suffix('*').unwrap_or(path).contains('*') {
                self.refuse(*line, format!("nonResourceURLs: `{path}` has a `*` that is not at its end"));
            }
        }
        paths.into_iter().map(|(_, path)| path).collect()
    }

    fn group_resources(&mut self, entry: &Located) -> GroupResources {
        let fields = self.fields(entry, "an entry of resources", RESOURCE_FIELDS);
        let (group_line, group) = self.text(&fields, "group").unwrap_or_default();
        if group == "*" {
            let text =
                "group `*` is understood from Kubernetes 1.36 on; older API servers refuse to start with it";
            self.note(group_line, DiagnosticKind::NeedsVersion, text.to_owned());
        } else if !group.is_empty() && !is_dns_subdomain(&group) {
            let hint = match group.split_once('/') {
                Some((name, _)) => format!("; it has no version, so `{name}` is meant"),
                None => String::new(),
            };
            self.refuse(group_line, format!("`{group}` is not an API group{hint}"));
        }
        let resources = self.texts(&fields, "resources");
        let resource_names = self.texts(&fields, "resourceNames");
        if !resource_names.is_empty() && resources.is_empty() {
            self.refuse(entry.line, "resourceNames needs resources beside it".to_owned());
        }
        GroupResources { group, resources, resource_names }
    }

    /// The known fields of a mapping, each once; an absent value (`null`) is an empty mapping.
    fn fields(&mut self, value: &Located, what: &str, known: &[&str]) -> Vec<Entry> {
        let entries = match &value.node {
            Node::Map(entries) => entries,
            Node::Null => return Vec::new(),
            other => {
                self.refuse(value.line, format!("{what} must be a mapping, here is {}", other.kind()));
                return Vec::new();
            }
        };
        let mut fields: Vec<Entry> = Vec::new();
        for entry in entries {
            if !known.contains(&entry.key.as_str()) {
                let widened =
                    if self.rule.is_some() { ", so the rule matches as if it were not there" } else { "" };
                let hint = instead(&entry.key, known);
                let text = format!(
                    "the API server ignores the unknown field `{}` of {what}{widened}{hint}",
                    entry.key
                );
                self.note(entry.line, DiagnosticKind::UnknownField, text);
                continue;
            }
            if let Some(before) = fields.iter_mut().find(|before| before.key == entry.key) {
                let text = format!("`{}` is given twice; the last one counts", entry.key);
                *before = entry.clone();
                self.note(entry.line, DiagnosticKind::DuplicateField, text);
                continue;
            }
            fields.push(entry.clone());
        }
        fields
    }

    fn list(&mut self, value: &Located, what: &str) -> Vec<Located> {
        match &value.node {
            Node::List(items) => items.clone(),
            Node::Null => Vec::new(),
            other => {
                self.refuse(value.line, format!("{what} must be a list, here is {}", other.kind()));
                Vec::new()
            }
        }
    }

    fn texts(&mut self, fields: &[Entry], name: &str) -> Vec<String> {
        self.located_texts(fields, name).into_iter().map(|(_, text)| text).collect()
    }

    fn located_texts(&mut self, fields: &[Entry], name: &str) -> Vec<(u32, String)> {
        let Some(value) = field(fields, name) else { return Vec::new() };
        let items = self.list(value, name);
        items.iter().filter_map(|item| self.scalar(item, name)).collect()
    }

    /// A text field with its line.
    fn text(&mut self, fields: &[Entry], name: &str) -> Option<(u32, String)> {
        let value = field(fields, name)?;
        self.scalar(value, name)
    }

    fn scalar(&mut self, value: &Located, name: &str) -> Option<(u32, String)> {
        match &value.node {
            Node::Text(text) => Some((value.line, text.clone())),
            Node::Null => Some((value.line, String::new())),
            other => {
                self.refuse(value.line, format!("{name} must be text, here is {} (quote it)", other.kind()));
                None
            }
        }
    }

    fn flag(&mut self, fields: &[Entry], name: &str) -> Option<bool> {
        let value = field(fields, name)?;
        match &value.node {
            Node::Bool(flag) => Some(*flag),
            Node::Null => None,
            other => {
                self.refuse(value.line, format!("{name} must be true or false, here is {}", other.kind()));
                None
            }
        }
    }
}

fn field<'a>(fields: &'a [Entry], name: &str) -> Option<&'a Located> {
    fields.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
}

/// RFC 1123 subdomain: what the server accepts as an API group.
fn is_dns_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let inner =
            bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// `; did you mean …?` if a known word is near.
fn instead(word: &str, known: &[&str]) -> String {
    let lower = word.to_lowercase();
    let near = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance);
    match near {
        Some((distance, candidate)) if distance <= 2 || distance * 3 <= candidate.len() => {
            format!("; did you mean `{candidate}`?")
        }
        _ => String::new(),
    }
}
