//! The verdict on one exec.

use std::time::Duration;

use auditgap_records::inventory::{SpecCause, SpecCommand};
use auditgap_records::report::{Confidence, Path};
use auditgap_records::runtime::ExecCall;
use auditgap_records::{Interval, Timestamp};

use super::beat::{Verdict, periods};
use super::gap::{self, Ground as Why};
use super::{Exec, RuntimeExec, explain};
use crate::fold::Ground;
use crate::ledger::containers::Container;
use crate::ledger::verbosity::Shown;
use crate::policy::CandidateRequest;
use crate::runtime_view::is_cri_id;
use crate::verdict::How;
use crate::world::World;

/// Commands that repeat within this time are one gap.
const PAUSE: Duration = Duration::from_mins(1);

/// The audit trail and the kubelet's log must be alive this long around an exec to prove that something is missing.
const AROUND: Duration = Duration::from_secs(2);

impl RuntimeExec {
    /// Gives an exec its verdict; `false` if a log that may still explain it has not come that far.
    pub(super) fn judge(&mut self, exec: &Exec, world: &mut World) -> bool {
        let foreign = exec
            .namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty())
            .is_some_and(|namespace| !world.ledger.containers.is_kubelet_namespace(namespace));
        if foreign {
            self.report(exec, None, Why::ForeignNamespace, world);
            return true;
        }
        let container = world.ledger.containers.get(&exec.container).cloned();
        let from_containerd = exec.namespace.as_deref().is_some_and(|namespace| !namespace.is_empty());
        if from_containerd && exec.id.as_deref().is_some_and(|id| !is_cri_id(id)) {
            self.report(exec, container.as_ref(), Why::ForeignId, world);
            return true;
        }
        let pod = container.filter(|container| !container.pod_name.is_empty());
        if let Some(container) = &pod
            && self.explain(exec, container, world)
        {
            return true;
        }
        if !world.is_told(&exec.node, exec.ended.unwrap_or(exec.time) + AROUND, self.over) {
            return false;
        }
        let past_cri = from_containerd
            && !exec.generated
            && exec.call.is_none()
            && world.would_show(&exec.node, Shown::ExecIds, exec.time);
        match pod {
            _ if past_cri => self.report(exec, pod.as_ref(), Why::NoCriCall, world),
            None => cannot_judge(
                exec,
                "commands run in containers of which no record tells the Pod",
                "give the runtime's log from the start of these Pods, or a list of Pods (`kubectl get pods -A -o json`)",
                world,
            ),
            Some(container) if exec.command.is_some() || exec.call.is_some() => {
                self.judge_told(exec, &container, world);
            }
            Some(container) => self.judge_untold(exec, &container, world),
        }
        true
    }

    /// Explains an exec by a probe, a hook or a request, if one fits.
    fn explain(&mut self, exec: &Exec, container: &Container, world: &mut World) -> bool {
        if let Some(cause) = spec_cause(exec, container, world) {
            let how = if cause == SpecCause::Probe { How::Probe } else { How::Hook };
            self.witnesses.take_probe(exec, container);
            tell(exec, container, how, world);
            return true;
        }
        let is_probe_like = !matches!(exec.call, Some(ExecCall::Exec | ExecCall::Attach));
        if is_probe_like && self.witnesses.take_probe(exec, container) {
            tell(exec, container, How::Probe, world);
            return true;
        }
        if let Some(stream) = self.own_stream(exec, container, world) {
            if let Some(stream) = world.ledger.streams.get_mut(stream) {
                stream.execs = stream.execs.saturating_add(1);
            }
            self.witnesses.take_request(exec, container);
            tell(exec, container, How::Request, world);
            return true;
        }
        // The request to the kubelet is an action of its own; this is what it did.
        if self.witnesses.take_request(exec, container) {
            tell(exec, container, How::Lineage, world);
            return true;
        }
        false
    }

    /// The recorded request that led to an exec. Another exec that fits better keeps it.
    fn own_stream(&self, exec: &Exec, container: &Container, world: &World) -> Option<u64> {
        let own_beat = self.on_beat(exec, world);
        let found = explain::candidates(exec, container, world);
        let is_own = |(cost, stream): &&(i64, u64)| {
            let better = self.execs.values().filter(|rival| {
                rival.node == exec.node && rival.container == exec.container && rival.call == exec.call
            });
            !better.into_iter().any(|rival| {
                let fits = explain::candidates(rival, container, world);
                fits.iter().any(|(rival_cost, rival_stream)| {
                    rival_stream == stream && (self.on_beat(rival, world), *rival_cost) < (own_beat, *cost)
                })
            })
        };
        found.iter().find(is_own).map(|(_, stream)| *stream)
    }

    /// Where no log tells the command, an exec on a probe's beat leaves requests to others.
    fn on_beat(&self, exec: &Exec, world: &World) -> bool {
        exec.command.is_none()
            && exec.call.is_none()
            && self.beats.judge(exec, &periods(exec, world)) == Verdict::OnBeat
    }

    /// Whether an exec may be a probe or a hook of a spec that no record tells.
    fn may_be_unknown_command_of_spec(&self, exec: &Exec, container: &Container, world: &World) -> bool {
        !spec_known(container, world) && (!tells_probes(exec, world) || self.beats.is_hook_time(exec))
    }

    /// An exec whose command a log tells.
    fn judge_told(&mut self, exec: &Exec, container: &Container, world: &mut World) {
        let may_be_probe = !matches!(exec.call, Some(ExecCall::Exec | ExecCall::Attach));
        if may_be_probe && self.may_be_unknown_command_of_spec(exec, container, world) {
            return cannot_judge(
                exec,
                "commands run in containers of Pods whose probes and hooks are not known",
                "record Pods at level Request in the audit policy, give a list of Pods (`kubectl get pods -A -o json`), or run the kubelet with --v=4",
                world,
            );
        }
        if tells_requests(exec, world) {
            return self.report(exec, Some(container), Why::NotTheKubelet, world);
        }
        self.weigh(exec, container, Why::NoRequest, Confidence::High, world);
    }

    /// An exec of which only the runtime's event tells.
    fn judge_untold(&mut self, exec: &Exec, container: &Container, world: &mut World) {
        let probes_told = tells_probes(exec, world);
        if self.may_be_unknown_command_of_spec(exec, container, world) {
            return cannot_judge(
                exec,
                "commands run in containers, seen as events only, of Pods whose probes are not known",
                "have containerd log at level debug, run the kubelet with --v=4, or record Pods at level Request in the audit policy",
                world,
            );
        }
        if has_hooks(container, world) && self.beats.is_hook_time(exec) {
            return world.verdicts.explained(How::Hook);
        }
        if !probes_told {
            let periods = periods(exec, world);
            match self.beats.judge(exec, &periods) {
                Verdict::OnBeat if !periods.is_empty() => return world.verdicts.explained(How::Probe),
                Verdict::Unclear if !periods.is_empty() => {
                    return cannot_judge(
                        exec,
                        "commands run in containers, seen as events only, that may be a probe out of its beat",
                        "have containerd log at level debug, or run the kubelet with --v=4",
                        world,
                    );
                }
                _ => {}
            }
        }
        if probes_told && tells_requests(exec, world) {
            return self.report(exec, Some(container), Why::NotTheKubelet, world);
        }
        self.weigh(exec, container, Why::OffBeat, Confidence::Medium, world);
    }

    /// Weighs that no request was recorded.
    fn weigh(
        &mut self,
        exec: &Exec,
        container: &Container,
        why: Why,
        confidence: Confidence,
        world: &mut World,
    ) {
        let starts_recorded = world.ledger.streams.iter().any(|stream| stream.started.is_some());
        if exec.ended.is_none() && exec.id.is_some() && !starts_recorded {
            return cannot_judge(
                exec,
                "commands in containers that were still running when the recording ended",
                "keep the stages RequestReceived or ResponseStarted of pods/exec in the audit policy, so that a session is on record from its beginning",
                world,
            );
        }
        let until = exec.ended.filter(|_| !starts_recorded).unwrap_or(exec.time);
        let span = Interval::new(exec.time - AROUND, until + AROUND);
        let absence = world.weigh_absence(span, &requests(exec, container));
        let mut draft = gap::draft(exec, Some(container), why, world);
        draft.confidence = confidence;
        draft.expected.window = Some(span);
        self.folds.add(gap::fold_key(exec, why), exec.time, PAUSE, draft, Ground::Absence(absence), world);
    }

    fn report(&mut self, exec: &Exec, container: Option<&Container>, why: Why, world: &mut World) {
        let draft = gap::draft(exec, container, why, world);
        self.folds.add(gap::fold_key(exec, why), exec.time, PAUSE, draft, Ground::Nature, world);
    }
}

/// Requests any of which would have led to an exec.
fn requests<'a>(exec: &Exec, container: &'a Container) -> [CandidateRequest<'a>; 2] {
    let subresource = if exec.call == Some(ExecCall::Attach) { "attach" } else { "exec" };
    [
        CandidateRequest {
            verbs: &["get", "create"],
            groups: &[""],
            resource: "pods",
            subresource,
            namespace: Some(&container.pod_namespace),
            name: Some(&container.pod_name),
        },
        CandidateRequest {
            verbs: &["get", "create"],
            groups: &[""],
            resource: "nodes",
            subresource: "proxy",
            namespace: None,
            name: None,
        },
    ]
}

/// The probe or hook of the Pod's spec whose command this is.
fn spec_cause(exec: &Exec, container: &Container, world: &World) -> Option<SpecCause> {
    let command = exec.command.as_deref()?;
    if matches!(exec.call, Some(ExecCall::Exec | ExecCall::Attach)) {
        return None;
    }
    let pod = world.ledger.pods.get(&container.pod_namespace, &container.pod_name)?;
    let is_its = |known: &&SpecCommand| {
        (container.name.is_empty() || known.container == container.name) && known.command.join(" ") == command
    };
    pod.commands.iter().find(is_its).map(|known| known.cause)
}

fn spec_known(container: &Container, world: &World) -> bool {
    let pod = world.ledger.pods.get(&container.pod_namespace, &container.pod_name);
    pod.is_some_and(|pod| {
        pod.spec_known && (container.name.is_empty() || pod.images.contains_key(&container.name))
    })
}

fn has_hooks(container: &Container, world: &World) -> bool {
    let pod = world.ledger.pods.get(&container.pod_namespace, &container.pod_name);
    pod.is_some_and(|pod| {
        pod.commands.iter().any(|command| {
            command.cause == SpecCause::Hook
                && (container.name.is_empty() || command.container == container.name)
        })
    })
}

/// Whether the kubelet's log would tell a probe that ran then.
fn tells_probes(exec: &Exec, world: &World) -> bool {
    world.would_show(&exec.node, Shown::Probes, exec.time)
        && world.would_show(&exec.node, Shown::Probes, exec.time + AROUND)
}

/// Whether the kubelet's log would tell a request that led to the exec: it is written when the request ends.
fn tells_requests(exec: &Exec, world: &World) -> bool {
    let end: Timestamp = exec.ended.unwrap_or(exec.time);
    world.would_show(&exec.node, Shown::Http, exec.time)
        && world.would_show(&exec.node, Shown::Http, end + AROUND)
}

fn cannot_judge(exec: &Exec, reason: &str, cure: &str, world: &mut World) {
    world.cannot_judge(Path::RuntimeSocket, reason, cure, exec.time);
}

/// Counts an exec as explained, and tells of it if it is asked for.
fn tell(exec: &Exec, container: &Container, how: How, world: &mut World) {
    if world.verdicts.is_tracing()
        && let Some(first) = exec.evidence.first()
    {
        let pod = format!("{}/{}", container.pod_namespace, container.pod_name);
        let why = match how {
            How::Probe => "which a probe of the Pod's spec runs",
            How::Hook => "which a hook of the Pod's spec runs",
            How::Request => "which a recorded request asked for",
            _ => "which is what a request at the kubelet did",
        };
        let mut cite = first.clone();
        cite.summary = format!("{}, {why}", cite.summary);
        world.verdicts.trace(how, &[&exec.container, &pod], cite);
    }
    world.verdicts.explained(how);
}
