//! Containers and sandboxes: which Pod they claim to belong to, and who asked the runtime for them.

use std::collections::{BTreeMap, BTreeSet};

use auditgap_records::Timestamp;
use auditgap_records::inventory::Inventory;
use auditgap_records::kubelet::KubeletLine;
use auditgap_records::runtime::{RuntimeEventKind, RuntimeLine};

use crate::verdict::Cite;
use crate::world::Seen;

/// A sandbox or a container as far as records tell.
#[derive(Clone, Debug, Default)]
pub struct Container {
    /// Pod namespace that was claimed when it was made through CRI.
    pub pod_namespace: String,
    /// Pod name that was claimed.
    pub pod_name: String,
    /// Pod UID that was claimed.
    pub pod_uid: String,
    /// Name in the Pod; empty for a sandbox.
    pub name: String,
    /// The sandbox it belongs to; its own id for a sandbox.
    pub sandbox: String,
    /// The CRI answer that made it.
    pub cri: Option<Cite>,
    /// The runtime's own namespace, from events.
    pub runtime_namespace: String,
    /// Image, from events.
    pub image: String,
    /// There before the first record.
    pub inventory: bool,
    /// The kubelet reported a change of its state.
    pub known_to_kubelet: bool,
    /// Last record about it.
    pub last: Option<Timestamp>,
    /// Deleted from the runtime.
    pub deleted: bool,
}

/// All containers of the last while.
#[derive(Debug, Default)]
pub struct Containers {
    by_id: BTreeMap<String, Container>,
    inventory_images: BTreeSet<String>,
    /// The runtime's own namespaces in which containers were made through CRI, and how many.
    kubelet_namespaces: BTreeMap<String, u64>,
}

impl Containers {
    pub(crate) fn take_in_inventory(&mut self, inventory: &Inventory) {
        for snapshot in &inventory.snapshots {
            self.inventory_images.extend(snapshot.images.iter().cloned());
            for pod in &snapshot.pods {
                for (name, id) in &pod.containers {
                    let container = self.by_id.entry(id.clone()).or_default();
                    container.name.clone_from(name);
                    container.pod_name.clone_from(&pod.name);
                    container.pod_namespace.clone_from(&pod.namespace);
                    container.pod_uid = pod.mirror_of.clone().unwrap_or_else(|| pod.uid.clone());
                }
            }
        }
    }

    pub(crate) fn observe_kubelet(&mut self, seen: Seen<'_>, line: &KubeletLine<'_>, _node: &str) {
        match line {
            KubeletLine::Pleg { pod_uid, container, known_pod: true, pod, .. } => {
                let entry = self.entry(container, seen.time);
                entry.known_to_kubelet = true;
                if entry.pod_uid.is_empty() {
                    entry.pod_uid = pod_uid.to_string();
                }
                if let Some(pod) = pod
                    && entry.pod_name.is_empty()
                {
                    entry.pod_name = pod.name.to_string();
                    entry.pod_namespace = pod.namespace.to_string();
                }
                self.learn_namespace(container);
            }
            KubeletLine::SandboxCreated { pod, sandbox } => {
                let entry = self.entry(sandbox, seen.time);
                entry.known_to_kubelet = true;
                if entry.pod_name.is_empty() {
                    entry.pod_name = pod.name.to_string();
                    entry.pod_namespace = pod.namespace.to_string();
                }
            }
            KubeletLine::KillingContainer { pod, container_name, container } => {
                let entry = self.entry(container, seen.time);
                entry.known_to_kubelet = true;
                if entry.pod_name.is_empty() {
                    entry.pod_name = pod.name.to_string();
                    entry.pod_namespace = pod.namespace.to_string();
                    entry.name = container_name.to_string();
                }
            }
            _ => {}
        }
    }

    pub(crate) fn observe_runtime(&mut self, seen: Seen<'_>, line: &RuntimeLine<'_>, _node: &str) {
        match line {
            RuntimeLine::RunPodSandbox { identity, sandbox: Some(sandbox), .. } => {
                let cite =
                    seen.cite(format!("runtime: sandbox for Pod {}/{}", identity.namespace, identity.name));
                let entry = self.entry(sandbox, seen.time);
                entry.pod_namespace = identity.namespace.to_string();
                entry.pod_name = identity.name.to_string();
                entry.pod_uid = identity.uid.to_string();
                entry.sandbox = sandbox.to_string();
                entry.cri = Some(cite);
                self.learn_namespace(sandbox);
            }
            RuntimeLine::CreateContainer { sandbox, name, container: Some(container) } => {
                let parent = self.by_id.get(&**sandbox).cloned().unwrap_or_default();
                let cite = seen.cite(format!("runtime: container {name} created in its sandbox"));
                let entry = self.entry(container, seen.time);
                entry.pod_namespace = parent.pod_namespace;
                entry.pod_name = parent.pod_name;
                entry.pod_uid = parent.pod_uid;
                entry.name = name.to_string();
                entry.sandbox = sandbox.to_string();
                entry.cri = Some(cite);
                self.learn_namespace(container);
            }
            RuntimeLine::Event(event) => match event.kind {
                RuntimeEventKind::ContainerCreate => {
                    let entry = self.entry(&event.subject, seen.time);
                    if !entry.runtime_namespace.is_empty() && !entry.deleted {
                        // The same id in another of the runtime's namespaces is another container.
                        return;
                    }
                    entry.runtime_namespace = event.namespace.to_string();
                    entry.deleted = false;
                    event.image.as_deref().unwrap_or_default().clone_into(&mut entry.image);
                    if let Some(identity) = &event.identity {
                        entry.pod_namespace = identity.namespace.to_string();
                        entry.pod_name = identity.name.to_string();
                        entry.pod_uid = identity.uid.to_string();
                    }
                    self.learn_namespace(&event.subject);
                }
                RuntimeEventKind::ContainerDelete => {
                    let entry = self.entry(&event.subject, seen.time);
                    entry.deleted = true;
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Notes in which of the runtime's namespaces the kubelet's containers are.
    fn learn_namespace(&mut self, id: &str) {
        let Some(container) = self.by_id.get(id) else { return };
        let is_kubelets = container.cri.is_some() || container.known_to_kubelet;
        if is_kubelets && !container.runtime_namespace.is_empty() {
            *self.kubelet_namespaces.entry(container.runtime_namespace.clone()).or_default() += 1;
        }
    }

    /// Whether one of the runtime's own namespaces is where the kubelet's containers are: the one in which most were
    /// made through CRI, else `k8s.io`. Somebody may give a container elsewhere the id of one of the kubelet's.
    pub fn is_kubelet_namespace(&self, namespace: &str) -> bool {
        match self.kubelet_namespaces.values().max() {
            Some(most) => self.kubelet_namespaces.get(namespace) == Some(most),
            None => namespace == "k8s.io",
        }
    }

    fn entry(&mut self, id: &str, time: Timestamp) -> &mut Container {
        let entry = self.by_id.entry(id.to_owned()).or_default();
        entry.last = Some(time);
        entry
    }

    /// A container or sandbox by its id.
    pub fn get(&self, id: &str) -> Option<&Container> {
        self.by_id.get(id)
    }

    /// Containers of a Pod, by its namespace and name, in the order of their ids.
    pub fn of_pod<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Container)> {
        let of_pod = move |(_, container): &(&String, &Container)| {
            container.pod_namespace == namespace && container.pod_name == name
        };
        self.by_id.iter().filter(of_pod).map(|(id, container)| (id.as_str(), container))
    }

    /// Images of sandboxes that were made through CRI.
    pub fn sandbox_images(&self) -> impl Iterator<Item = &str> {
        let sandboxes = self.by_id.values().filter(|container| {
            container.cri.is_some() && container.name.is_empty() && !container.image.is_empty()
        });
        sandboxes.map(|container| container.image.as_str())
    }

    /// Whether an image was listed in the inventory.
    pub fn is_inventory_image(&self, image: &str) -> bool {
        self.inventory_images.contains(image)
    }

    pub(crate) fn forget(&mut self, before: Timestamp) {
        self.by_id
            .retain(|_, container| !container.deleted || container.last.is_none_or(|last| last >= before));
    }
}
