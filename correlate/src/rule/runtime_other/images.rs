//! Images that came to a runtime by another way than a pull that CRI was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::report::{Confidence, GapObject, Path, Severity};

use super::INFO;
use crate::kubelet_uri::shown;
use crate::ledger::verbosity::Shown;
use crate::runtime_view::attribute;
use crate::verdict::{Cite, GapDraft, How};
use crate::world::World;

/// Names that come within this time of each other are one image's.
const TOGETHER: Duration = Duration::from_secs(2);

/// A pull that has no end in the log is over by then.
const LONGEST_PULL: Duration = Duration::from_hours(1);

/// A pull's names come no later than this after its answer.
const AFTER_PULL: Duration = Duration::from_secs(10);

/// A daemon that starts looks through its images and names them anew.
const START: Duration = Duration::from_mins(2);

/// A container of the same namespace that comes within this time makes the image part of its story.
const STORY: Duration = Duration::from_mins(10);

/// Pulls remembered, at the most.
const PULLS: usize = 10_000;

#[derive(Debug)]
struct Pull {
    node: String,
    image: String,
    asked: Timestamp,
    answered: Option<Timestamp>,
}

#[derive(Debug)]
struct Arrival {
    first: Timestamp,
    last: Timestamp,
    names: BTreeSet<String>,
    /// A name that was not there before.
    is_new: bool,
    evidence: Vec<Cite>,
}

/// Images that came, by node and the runtime's own namespace.
#[derive(Debug, Default)]
pub(super) struct Images {
    arrivals: BTreeMap<(String, String), Vec<Arrival>>,
    pulls: Vec<Pull>,
    starts: Vec<(String, Timestamp)>,
    containers: BTreeMap<(String, String), Vec<Timestamp>>,
    used: BTreeSet<(String, String)>,
}

impl Images {
    pub(super) fn pull(&mut self, node: &str, image: &str, done: bool, time: Timestamp) {
        if done {
            let open = self
                .pulls
                .iter_mut()
                .rev()
                .find(|pull| pull.node == node && pull.image == image && pull.answered.is_none());
            if let Some(pull) = open {
                pull.answered = Some(time);
                return;
            }
        }
        if self.pulls.len() >= PULLS {
            self.pulls.remove(0);
        }
        let answered = done.then_some(time);
        self.pulls.push(Pull { node: node.to_owned(), image: image.to_owned(), asked: time, answered });
    }

    pub(super) fn started(&mut self, node: &str, time: Timestamp) {
        if self.starts.last().is_none_or(|(last, moment)| last != node || time > *moment + START) {
            self.starts.push((node.to_owned(), time));
        }
    }

    pub(super) fn container(&mut self, node: &str, namespace: &str, time: Timestamp) {
        let key = (node.to_owned(), namespace.to_owned());
        let moments = self.containers.entry(key.clone()).or_default();
        moments.retain(|moment| *moment + STORY * 2 >= time);
        moments.push(time);
        self.used.insert(key);
    }

    pub(super) fn came(&mut self, node: String, namespace: &str, name: &str, is_new: bool, cite: Cite) {
        let key = (node, namespace.to_owned());
        self.used.insert(key.clone());
        let arrivals = self.arrivals.entry(key).or_default();
        if let Some(arrival) = arrivals.last_mut()
            && cite.time <= arrival.last + TOGETHER
        {
            arrival.last = cite.time;
            arrival.is_new |= is_new && !is_digest(name);
            arrival.names.insert(name.to_owned());
            arrival.evidence.push(cite);
            return;
        }
        arrivals.push(Arrival {
            first: cite.time,
            last: cite.time,
            names: BTreeSet::from([name.to_owned()]),
            is_new: is_new && !is_digest(name),
            evidence: vec![cite],
        });
    }

    /// Whether anything was put into a namespace of the runtime.
    pub(super) fn is_used(&self, node: &str, namespace: &str) -> bool {
        self.used.contains(&(node.to_owned(), namespace.to_owned()))
    }

    pub(super) fn judge_until(&mut self, due: Timestamp, over: bool, world: &mut World) {
        for ((node, namespace), arrivals) in std::mem::take(&mut self.arrivals) {
            let (ready, waiting): (Vec<_>, Vec<_>) = arrivals
                .into_iter()
                .partition(|one| one.last <= due && world.is_told(&node, one.last + TOGETHER, over));
            for arrival in ready {
                self.judge(&node, &namespace, arrival, world);
            }
            if !waiting.is_empty() {
                self.arrivals.insert((node, namespace), waiting);
            }
        }
        self.pulls.retain(|pull| pull.asked + LONGEST_PULL * 2 >= due);
    }

    fn judge(&self, node: &str, namespace: &str, arrival: Arrival, world: &mut World) {
        // Names that only changed, and digests alone, are the runtime's own bookkeeping.
        if !arrival.is_new {
            return;
        }
        let foreign = !namespace.is_empty() && !world.ledger.containers.is_kubelet_namespace(namespace);
        if foreign {
            let key = (node.to_owned(), namespace.to_owned());
            let followed = self.containers.get(&key).is_some_and(|moments| {
                moments
                    .iter()
                    .any(|moment| *moment + TOGETHER >= arrival.first && *moment <= arrival.first + STORY)
            });
            if followed {
                return world.verdicts.explained(How::Lineage);
            }
        } else {
            let after_start = |(own, start): &(String, Timestamp)| {
                own == node && *start <= arrival.first && arrival.first <= *start + START
            };
            if self.starts.iter().any(after_start) {
                return world.verdicts.explained(How::Restart);
            }
            let names = arrival.names.iter().filter(|name| !is_digest(name));
            // The runtime fetches the image of sandboxes by itself.
            let is_sandboxes = |name: &str| {
                world.ledger.containers.sandbox_images().any(|image| repository(image) == repository(name))
            };
            if names.clone().all(|name| self.is_pulled(node, name, arrival.first) || is_sandboxes(name)) {
                return world.verdicts.explained(How::Kubelet);
            }
            let log_covers = world.would_show(node, Shown::CriCalls, arrival.first)
                && world.would_show(node, Shown::CriCalls, arrival.last);
            if !log_covers {
                return world.cannot_judge(
                    Path::RuntimeSocket,
                    "images that came while no runtime log tells whether they were pulled",
                    "give the log of containerd at level info for the same time",
                    arrival.first,
                );
            }
        }
        report(node, namespace, foreign, arrival, world);
    }

    fn is_pulled(&self, node: &str, name: &str, time: Timestamp) -> bool {
        self.pulls.iter().any(|pull| {
            let until = pull.answered.map_or(pull.asked + LONGEST_PULL, |answered| answered + AFTER_PULL);
            pull.node == node
                && pull.asked <= time + TOGETHER
                && time <= until
                && repository(&pull.image) == repository(name)
        })
    }
}

fn report(node: &str, namespace: &str, foreign: bool, arrival: Arrival, world: &mut World) {
    let names: Vec<String> =
        arrival.names.iter().filter(|name| !is_digest(name)).map(|name| shown(name)).collect();
    let name = names.first().cloned().unwrap_or_default();
    let title = if foreign {
        format!("Image {name} brought into the runtime's namespace {}", shown(namespace))
    } else {
        format!("Image {name} brought into the runtime without a pull")
    };
    let mut draft = GapDraft::new(&INFO, title, arrival.evidence);
    draft.techniques = if foreign { vec!["RT3", "RT6"] } else { vec!["RT6"] };
    draft.severity = Severity::Medium;
    draft.confidence = if foreign { Confidence::Certain } else { Confidence::High };
    node.clone_into(&mut draft.node);
    draft.object = GapObject {
        resource: "image".to_owned(),
        namespace: shown(namespace),
        name: name.clone(),
        key: names.join(", "),
        ..GapObject::default()
    };
    draft.threads = arrival.names.iter().map(|name| format!("image:{name}")).collect();
    draft.why = format!(
        "At {} the image {name} came to the runtime. A kubelet has images pulled through CRI, and the runtime's log \
         tells each pull; none was asked for. It was imported or pulled by another client of the runtime's socket, \
         past the registry and past all that checks images on their way into the cluster.",
        arrival.first
    );
    attribute(&mut draft, node, arrival.first, world);
    world.report(draft);
}

/// The runtime names an image by its configuration's digest, too.
fn is_digest(name: &str) -> bool {
    name.starts_with("sha256:")
}

/// An image's repository in full, without tag and digest.
fn repository(image: &str) -> String {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    let (path, last) = image.rsplit_once('/').map_or(("", image), |(path, last)| (path, last));
    let last = last.split_once(':').map_or(last, |(name, _)| name);
    let name = if path.is_empty() { last.to_owned() } else { format!("{path}/{last}") };
    let first = name.split('/').next().unwrap_or_default();
    let has_registry = name.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    match (has_registry, name.contains('/')) {
        (true, _) => name,
        (false, true) => format!("docker.io/{name}"),
        (false, false) => format!("docker.io/library/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::repository;

    #[test]
    fn one_repository_has_many_spellings() {
        for (image, expected) in [
            ("nginx", "docker.io/library/nginx"),
            ("nginx:1.27", "docker.io/library/nginx"),
            ("docker.io/library/nginx@sha256:aa", "docker.io/library/nginx"),
            ("team/app:1@sha256:aa", "docker.io/team/app"),
            ("registry:5000/app:1", "registry:5000/app"),
            ("localhost/app", "localhost/app"),
        ] {
            assert_eq!(repository(image), expected, "{image}");
        }
    }
}
