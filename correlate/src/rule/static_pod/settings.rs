//! Where kubelets take static Pods from, manifests that they do not run, and what could not be watched.

use std::time::Duration;

use auditgap_records::report::{Confidence, GapObject, Path, Severity};
use auditgap_records::{FeedKind, Timestamp};

use super::{INFO, START, StaticPods};
use crate::verdict::GapDraft;
use crate::world::{Seen, World};

/// Manifests told of that were not run, at the most.
const IGNORED: usize = 256;

/// Sources remembered of a kubelet.
const SOURCES: usize = 64;

/// A kubelet that cannot reach the API server says so at least this often.
pub(super) const CUT_OFF: Duration = Duration::from_secs(45);

/// What is known of one kubelet's log.
#[derive(Debug, Default)]
pub(super) struct KubeletFeed {
    /// Starts in this recording.
    pub(super) starts: usize,
    last_start: Option<Timestamp>,
    /// It is written at a verbosity that tells of every Pod that is loaded.
    pub(super) tells_loads: bool,
    pub(super) paths: Vec<String>,
    urls: Vec<String>,
    /// When it last could not reach the API server.
    unreachable: Option<Timestamp>,
    /// It reads manifests from a place that it had not when it started before.
    pub(super) new_source: bool,
}

impl KubeletFeed {
    /// Notes a start, which several lines tell.
    pub(super) fn start(&mut self, time: Timestamp) {
        if self.last_start.is_none_or(|last| time > last + START) {
            self.starts += 1;
            self.new_source = false;
        }
        self.last_start = Some(time);
    }

    pub(super) fn lost_the_api_server(&mut self, time: Timestamp) {
        self.unreachable = self.unreachable.max(Some(time));
    }

    /// Whether it could not reach the API server right before, other than while it starts.
    pub(super) fn cut_off(&self, time: Timestamp) -> bool {
        !self.starting(time) && self.unreachable.is_some_and(|last| time <= last + CUT_OFF)
    }

    /// Whether the kubelet is just taking up what it has.
    pub(super) fn starting(&self, time: Timestamp) -> bool {
        self.last_start.is_some_and(|start| time <= start + START)
    }
}

/// Notes a source. Returns whether it is new.
fn is_new(known: &mut Vec<String>, source: &str) -> bool {
    if known.iter().any(|known| known == source) {
        return false;
    }
    if known.len() < SOURCES {
        known.push(source.to_owned());
    }
    true
}

impl StaticPods {
    /// A kubelet reads manifests from a path. It says so while it starts, and what its first start in the recording
    /// says was so before.
    pub(super) fn path(&mut self, seen: Seen<'_>, path: &str, world: &mut World) {
        let kubelet = self.kubelets.entry(seen.feed).or_default();
        if is_new(&mut kubelet.paths, path) && kubelet.starts > 1 {
            kubelet.new_source = true;
            source_changed(seen, "path", path, world);
        }
    }

    /// A kubelet reads manifests from a URL.
    pub(super) fn url(&mut self, seen: Seen<'_>, url: &str, world: &mut World) {
        let kubelet = self.kubelets.entry(seen.feed).or_default();
        if !is_new(&mut kubelet.urls, url) {
            return;
        }
        if kubelet.starts > 1 {
            kubelet.new_source = true;
            source_changed(seen, "URL", url, world);
            return;
        }
        let cite = seen.cite(format!("kubelet: static Pods are read from {url}"));
        let mut draft = GapDraft::new(&INFO, format!("A kubelet runs Pods from the URL {url}"), vec![cite]);
        draft.severity = Severity::Info;
        draft.confidence = Confidence::Certain;
        draft.techniques = vec!["SP5"];
        world.instance(seen.feed).clone_into(&mut draft.node);
        draft.object =
            GapObject { resource: "kubelet".to_owned(), key: url.to_owned(), ..GapObject::default() };
        draft.why = format!(
            "The kubelet runs whatever {url} serves, and did so when the recording began. Whoever controls that \
             server controls the node, and no request of the API shows it."
        );
        world.report(draft);
    }

    /// A manifest was not run.
    pub(super) fn ignored(&mut self, seen: Seen<'_>, path: &str, reason: &str, world: &mut World) {
        if self.ignored.len() >= IGNORED || !self.ignored.insert(path.to_owned()) {
            return;
        }
        let cite = seen.cite(format!("kubelet: manifest {path} not run: {reason}"));
        let mut draft =
            GapDraft::new(&INFO, format!("A manifest of a static Pod was not run: {path}"), vec![cite]);
        draft.severity = Severity::Info;
        draft.confidence = Confidence::Certain;
        draft.techniques = vec!["SP1"];
        world.instance(seen.feed).clone_into(&mut draft.node);
        draft.object =
            GapObject { resource: "kubelet".to_owned(), key: path.to_owned(), ..GapObject::default() };
        draft.why = format!(
            "The kubelet found {path} among the manifests of its static Pods and did not run it ({reason}). Nothing \
             runs because of it; an editor leaves such files, and so does somebody who tries."
        );
        world.report(draft);
    }

    /// Says what of this path could not be watched.
    pub(super) fn not_watched(&self, world: &mut World) {
        if self.kubelets.values().any(|kubelet| kubelet.tells_loads) {
            return;
        }
        let has_kubelet = world.has_feed(FeedKind::Kubelet);
        let (reason, cure) = if has_kubelet {
            (
                "the kubelet's log has no lines of verbosity 2: of static Pods only those show whose mirror Pod is created or refused",
                "run the kubelet with --v=2",
            )
        } else if world.has_feed(FeedKind::Audit) || world.has_feed(FeedKind::Runtime) {
            (
                "no kubelet log: static Pods show only by the mirror Pods in the audit trail and by sandboxes in the runtime's log",
                "give the kubelets' logs (--kubelet NODE=FILE), written with --v=2",
            )
        } else {
            (
                "no kubelet, audit or runtime feed: static Pods cannot be seen",
                "give the kubelets' logs (--kubelet NODE=FILE), written with --v=2",
            )
        };
        world.verdicts.not_watched(Path::StaticPod, reason, cure);
    }
}

fn source_changed(seen: Seen<'_>, what: &str, source: &str, world: &mut World) {
    let cite = seen.cite(format!("kubelet: static Pods are now read from {source}"));
    let title = format!("A kubelet started again with another {what} for static Pods: {source}");
    let mut draft = GapDraft::new(&INFO, title, vec![cite]);
    draft.severity = Severity::High;
    draft.confidence = Confidence::Certain;
    draft.techniques = vec!["SP5"];
    world.instance(seen.feed).clone_into(&mut draft.node);
    draft.object =
        GapObject { resource: "kubelet".to_owned(), key: source.to_owned(), ..GapObject::default() };
    draft.why = format!(
        "At {} the kubelet began to run Pods from {source}, which it had not done when it started before. Its \
         configuration is changed on the node; the API server has no part in it.",
        seen.time
    );
    world.report(draft);
}
