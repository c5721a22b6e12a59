//! What a person asks about, the other names it goes by, and whether a record mentions it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, bail};
use auditgap_correlate::Settings;
use auditgap_correlate::key::ObjectKey;
use auditgap_records::Body;
use auditgap_records::kubelet::KubeletLine;
use auditgap_records::report::Gap;
use auditgap_records::runtime::RuntimeLine;

/// Other names that are followed: a Pod has a few containers, and restarts of them.
const NAMES_KEPT: usize = 200;

/// The subject of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    asked: String,
    what: What,
    /// UIDs and ids of the runtime, learnt from the records.
    names: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// A revision of etcd's store.
    Revision(i64),
    /// An object, its resource and namespace if told.
    Object { resource: Option<String>, namespace: Option<String>, name: String },
    /// A key of etcd that is no object's.
    Key(String),
    /// A UID, a container's or a sandbox's id; its beginning is enough.
    Id(String),
}

impl Subject {
    /// Reads what was asked for.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            bail!(
                "the subject is empty: name an object (namespace/name), an etcd key, a container id or a revision"
            );
        }
        let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let what = if let Ok(revision) = text.parse() {
            What::Revision(revision)
        } else if text.starts_with('/') {
            match ObjectKey::of_key(text, &Settings::default().key_prefixes) {
                Some(key) if !key.name.is_empty() => What::Object {
                    resource: Some(key.resource.to_string()),
                    namespace: Some(key.namespace.to_string()).filter(|namespace| !namespace.is_empty()),
                    name: key.name.to_string(),
                },
                _ => What::Key(text.to_owned()),
            }
        } else if text.len() >= 12 && hexadecimal(text) {
            What::Id(text.to_ascii_lowercase())
        } else {
            let part = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            match *text.split('/').collect::<Vec<_>>().as_slice() {
                [name] => What::Object { resource: None, namespace: None, name: name.to_owned() },
                [namespace, name] => {
                    What::Object { resource: None, namespace: part(namespace), name: name.to_owned() }
                }
                [resource, namespace, name] => What::Object {
                    resource: part(resource),
                    namespace: part(namespace),
                    name: name.to_owned(),
                },
                _ => bail!("`{text}` has too many parts: name an object as [[resource/]namespace/]name"),
            }
        };
        Ok(Self { asked: text.to_owned(), what, names: BTreeSet::new() })
    }

    /// As it was asked for.
    pub(super) fn name(&self) -> &str {
        &self.asked
    }

    /// The other names that were learnt.
    pub(super) fn other_names(&self) -> Option<String> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Learns other names from a record.
    pub(super) fn learn(&mut self, body: &Body<'_>) {
        let mut learnt: Vec<&str> = Vec::new();
        match body {
            Body::Audit(event) => {
                if let Some(object) = &event.object
                    && self.is_object(&object.resource, &object.namespace, &object.name)
                {
                    learnt.extend([object.uid.as_ref(), event.details_uid.as_deref().unwrap_or_default()]);
                }
            }
            Body::Revision(revision) if self.is_key(&revision.key) => {
                learnt.extend(revision.uid.as_deref());
            }
            Body::Runtime(RuntimeLine::RunPodSandbox { identity, sandbox, .. })
                if self.is_object("pods", &identity.namespace, &identity.name) =>
            {
                learnt.push(&identity.uid);
                learnt.extend(sandbox.as_deref());
            }
            Body::Runtime(RuntimeLine::CreateContainer { sandbox, container: Some(container), .. })
                if self.names.contains(sandbox.as_ref()) =>
            {
                learnt.push(container);
            }
            Body::Kubelet(KubeletLine::Pleg { pod: Some(pod), pod_uid, container, .. })
                if self.is_object("pods", &pod.namespace, &pod.name) =>
            {
                learnt.extend([pod_uid.as_ref(), container.as_ref()]);
            }
            _ => {}
        }
        for name in learnt {
            if name.len() >= 12 && self.names.len() < NAMES_KEPT && !self.names.contains(name) {
                self.names.insert(name.to_owned());
            }
        }
    }

    /// Whether a record mentions the subject under any of its names.
    pub(super) fn is_mentioned(&self, body: &Body<'_>) -> bool {
        match body {
            Body::Other => false,
            Body::Revision(revision) => match &self.what {
                What::Revision(asked) => revision.mod_revision == *asked,
                _ => {
                    self.is_key(&revision.key) || revision.uid.as_deref().is_some_and(|uid| self.is_name(uid))
                }
            },
            Body::Audit(event) => {
                let named = event.object.as_ref().is_some_and(|object| {
                    self.is_object(&object.resource, &object.namespace, &object.name)
                        || self.is_name(&object.uid)
                });
                named
                    || event.details_uid.as_deref().is_some_and(|uid| self.is_name(uid))
                    || match &self.what {
                        What::Revision(asked) => {
                            let version = format!("\"resourceVersion\":\"{asked}\"");
                            event.response_object.is_some_and(|object| object.contains(&version))
                        }
                        _ => false,
                    }
            }
            // The other bodies are small and many: what they hold is looked through as text.
            body => {
                let mut text = String::new();
                let _ = write!(text, "{body:?}");
                self.is_in_text(&text)
            }
        }
    }

    /// Whether a verdict is about the subject.
    pub(super) fn is_told_by(&self, gap: &Gap) -> bool {
        let object = &gap.object;
        self.is_object(&object.resource, &object.namespace, &object.name)
            || self.is_key(&object.key)
            || self.is_name(&object.uid)
            || self.is_name(&object.key)
            || gap.evidence.iter().any(|evidence| self.is_in_text(&evidence.summary))
    }

    fn is_object(&self, resource: &str, namespace: &str, name: &str) -> bool {
        let What::Object { resource: asked, namespace: within, name: called } = &self.what else {
            return false;
        };
        let same = |asked: &Option<String>, told: &str| asked.as_deref().is_none_or(|asked| asked == told);
        called == name && same(asked, resource) && same(within, namespace)
    }

    fn is_key(&self, key: &str) -> bool {
        match &self.what {
            What::Key(asked) => asked == key,
            What::Object { .. } => ObjectKey::of_key(key, &Settings::default().key_prefixes)
                .is_some_and(|object| self.is_object(&object.resource, &object.namespace, &object.name)),
            What::Revision(_) | What::Id(_) => false,
        }
    }

    fn is_name(&self, id: &str) -> bool {
        let asked = matches!(&self.what, What::Id(asked) if !id.is_empty() && id.starts_with(asked.as_str()));
        asked || self.names.contains(id)
    }

    fn is_in_text(&self, text: &str) -> bool {
        let itself = match &self.what {
            What::Revision(revision) => has_word(text, &revision.to_string()),
            What::Key(key) => text.contains(key.as_str()),
            What::Id(id) => text.contains(id.as_str()),
            What::Object { namespace, name, .. } => {
                has_word(text, name) && namespace.as_deref().is_none_or(|namespace| has_word(text, namespace))
            }
        };
        itself || self.names.iter().any(|name| text.contains(name.as_str()))
    }
}

/// Whether a text holds a word that is not a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let within = |character: char| character.is_alphanumeric() || character == '-' || character == '.';
    text.match_indices(word)
        .any(|(start, _)| !text[..start].ends_with(within) && !text[start + word.len()..].starts_with(within))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_understood() {
        let object = |resource: Option<&str>, namespace: Option<&str>, name: &str| What::Object {
            resource: resource.map(Into::into),
            namespace: namespace.map(Into::into),
            name: name.into(),
        };
        for (text, what) in [
            ("48123", What::Revision(48_123)),
            ("payments/ledger-0", object(None, Some("payments"), "ledger-0")),
            ("pods/payments/ledger-0", object(Some("pods"), Some("payments"), "ledger-0")),
            ("node-1", object(None, None, "node-1")),
            ("/registry/pods/payments/ledger-0", object(Some("pods"), Some("payments"), "ledger-0")),
            ("/registry/minions/node-1", object(Some("nodes"), None, "node-1")),
            ("/other/key", What::Key("/other/key".into())),
            ("96F631C5CD12", What::Id("96f631c5cd12".into())),
            ("0e1c1a0e-9f0b-4a51-8a80-b4aa7e2a3d11", What::Id("0e1c1a0e-9f0b-4a51-8a80-b4aa7e2a3d11".into())),
        ] {
            assert_eq!(Subject::parse(text).unwrap().what, what, "{text}");
        }
        assert!(Subject::parse(" ").is_err());
        assert!(Subject::parse("a/b/c/d").is_err());
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("Pod payments/ledger-0 started", "ledger-0"));
        assert!(has_word("ledger-0", "ledger-0"));
        assert!(!has_word("ledger-01", "ledger-0"));
        assert!(!has_word("old-ledger-0", "ledger-0"));
    }
}
