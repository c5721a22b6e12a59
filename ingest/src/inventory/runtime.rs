//! A container runtime's own lists: `ctr`'s tables and `crictl`'s JSON.

use auditgap_records::Timestamp;
use auditgap_records::inventory::Snapshot;
use serde::{Deserialize, Deserializer};

/// Whether a line is the head of a table that is read.
pub(super) fn is_table_head(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| Table::of(line).is_some())
}

#[derive(Clone, Copy)]
enum Table {
    /// `ctr containers ls`
    Containers,
    /// `ctr images ls`
    Images,
}

impl Table {
    fn of(text: &str) -> Option<Self> {
        let mut columns = text.lines().next()?.split_whitespace();
        match [columns.next()?, columns.next()?, columns.next()?] {
            ["CONTAINER", "IMAGE", "RUNTIME"] => Some(Self::Containers),
            ["REF", "TYPE", "DIGEST"] => Some(Self::Images),
            _ => None,
        }
    }
}

/// Adds a table's rows to a snapshot; `false` if it is no table of these.
pub(super) fn read_table(text: &str, snapshot: &mut Snapshot) -> bool {
    let Some(table) = Table::of(text) else {
        return false;
    };
    for row in text.lines().skip(1) {
        let mut columns = row.split_whitespace().map(str::to_owned);
        match table {
            Table::Containers => {
                snapshot.containers.extend(columns.next());
                // A container made without an image shows `-` here.
                snapshot.images.extend(columns.next().filter(|image| image != "-"));
            }
            Table::Images => snapshot.images.extend(columns.next()),
        }
    }
    true
}

#[derive(Deserialize)]
struct Listed {
    containers: Option<Vec<Container>>,
    /// `crictl pods`.
    items: Option<Vec<Sandbox>>,
    images: Option<Vec<Image>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    id: String,
    #[serde(rename = "podSandboxId")]
    sandbox: String,
    image: Option<ImageSpec>,
    #[serde(default, deserialize_with = "nanos")]
    created_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageSpec {
    #[serde(default)]
    image: String,
    #[serde(default)]
    user_specified_image: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sandbox {
    id: String,
    #[serde(rename = "state")]
    _state: String,
    #[serde(default, deserialize_with = "nanos")]
    created_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    id: String,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
}

/// Adds what `crictl -o json` lists to a snapshot; `false` if it is nothing of the kind.
pub(super) fn read_json(json: &str, snapshot: &mut Snapshot) -> bool {
    let Ok(listed) = serde_json::from_str::<Listed>(json) else {
        return false;
    };
    let recognised = listed.containers.is_some()
        || listed.images.is_some()
        || listed.items.as_ref().is_some_and(|items| !items.is_empty());
    for container in listed.containers.into_iter().flatten() {
        snapshot.containers.extend([container.id, container.sandbox]);
        if let Some(image) = container.image {
            snapshot.images.extend(
                [image.image, image.user_specified_image].into_iter().filter(|name| !name.is_empty()),
            );
        }
        snapshot.as_of = snapshot.as_of.max(container.created_at);
    }
    for sandbox in listed.items.into_iter().flatten() {
        snapshot.containers.insert(sandbox.id);
        snapshot.as_of = snapshot.as_of.max(sandbox.created_at);
    }
    for image in listed.images.into_iter().flatten() {
        snapshot.images.insert(image.id);
        snapshot.images.extend(image.repo_tags.into_iter().chain(image.repo_digests).flatten());
    }
    recognised
}

/// Nanoseconds since the epoch, which the CRI's JSON writes as a string.
fn nanos<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    Ok(Option::<Either>::deserialize(deserializer)?.and_then(|either| match either {
        Either::Number(number) => Some(Timestamp(number)),
        Either::Text(text) => text.parse().ok().map(Timestamp),
    }))
}
