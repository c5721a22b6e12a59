//! Which Kubernetes component wrote a klog line. The format is the same for all; the source files, a few messages and
//! the dumped flags tell them apart.

use crate::format::Format;

/// Source files that only the kubelet has.
const KUBELET: &[&str] = &[
    "cadvisor_linux.go",
    "container_log_manager.go",
    "container_manager.go",
    "container_manager_linux.go",
    "cpu_manager.go",
    "cri_stats_provider.go",
    "desired_state_of_world_populator.go",
    "eviction_manager.go",
    "file_linux.go",
    "image_gc_manager.go",
    "kubelet.go",
    "kubelet_getters.go",
    "kubelet_network.go",
    "kubelet_network_linux.go",
    "kubelet_node_status.go",
    "kubelet_pods.go",
    "kubelet_resources.go",
    "kubelet_volumes.go",
    "kuberuntime_container.go",
    "kuberuntime_container_linux.go",
    "kuberuntime_gc.go",
    "kuberuntime_image.go",
    "kuberuntime_manager.go",
    "kuberuntime_sandbox.go",
    "memory_manager.go",
    "mirror_client.go",
    "oom_linux.go",
    "operation_generator.go",
    "plugin_manager.go",
    "pod_container_deletor.go",
    "pod_startup_latency_tracker.go",
    "pod_workers.go",
    "policy_none.go",
    "prober.go",
    "prober_manager.go",
    "reconciler_common.go",
    "remote_image.go",
    "remote_runtime.go",
    "setters.go",
    "state_mem.go",
    "status_manager.go",
    "swap_util.go",
    "topology_manager.go",
    "volume_manager.go",
];
/// Source files that only the API server has.
const API_SERVER: &[&str] = &[
    "aggregator.go",
    "alloc.go",
    "apf_controller.go",
    "apiapproval_controller.go",
    "apiservice_controller.go",
    "autoregister_controller.go",
    "cacher.go",
    "cidrallocator.go",
    "cluster_authentication_trust_controller.go",
    "crd_finalizer.go",
    "crdregistration_controller.go",
    "customresource_discovery_controller.go",
    "default_servicecidr_controller.go",
    "delegator.go",
    "establishing_controller.go",
    "etcd.go",
    "genericapiserver.go",
    "local_available_controller.go",
    "naming_controller.go",
    "node_authorizer.go",
    "nonstructuralschema_controller.go",
    "patch_genericapiserver.go",
    "peer_endpoint_lease.go",
    "remote_available_controller.go",
    "repairip.go",
    "storage_factory.go",
    "storage_flowcontrol.go",
    "storage_rbac.go",
    "storage_scheduling.go",
    "system_namespaces_controller.go",
    "timing_ratio_histogram.go",
    "watch_cache.go",
];
/// Source files of the controller manager, the scheduler and kube-proxy.
const OTHER: &[&str] = &[
    "active_queue.go",
    "attach_detach_controller.go",
    "bootstrapsigner.go",
    "certificate_controller.go",
    "clusterroleaggregation_controller.go",
    "configfile.go",
    "controller_descriptor.go",
    "controllermanager.go",
    "cronjob_controllerv2.go",
    "daemon_controller.go",
    "default_binder.go",
    "default_preemption.go",
    "deployment_controller.go",
    "device_taint_eviction.go",
    "disruption.go",
    "endpoints_controller.go",
    "endpointslice_controller.go",
    "eventhandlers.go",
    "garbagecollector.go",
    "graph_builder.go",
    "horizontal.go",
    "job_controller.go",
    "namespace_controller.go",
    "node_lifecycle_controller.go",
    "node_tree.go",
    "proxier.go",
    "range_allocator.go",
    "replica_set.go",
    "resource_quota_controller.go",
    "resource_quota_monitor.go",
    "schedule_one.go",
    "scheduler.go",
    "scheduling_queue.go",
    "serviceaccounts_controller.go",
    "stateful_set.go",
    "taint_eviction.go",
    "tokens_controller.go",
    "ttl_controller.go",
    "ttlafterfinished_controller.go",
];
/// Flags that only one of them has, from the dump at its start.
const FLAGS: &[(&str, Format)] = &[
    ("pod-manifest-path", Format::Kubelet),
    ("container-runtime-endpoint", Format::Kubelet),
    ("cgroup-driver", Format::Kubelet),
    ("hostname-override", Format::Kubelet),
    ("node-ip", Format::Kubelet),
    ("max-pods", Format::Kubelet),
    ("admission-control", Format::ApiServer),
    ("audit-log-path", Format::ApiServer),
    ("etcd-servers", Format::ApiServer),
    ("apiserver-count", Format::ApiServer),
    ("endpoint-reconciler-type", Format::ApiServer),
    ("allocate-node-cidrs", Format::OtherKlog),
    ("node-monitor-period", Format::OtherKlog),
    ("controllers", Format::OtherKlog),
    ("write-config-to", Format::OtherKlog),
    ("pod-max-in-unschedulable-pods-duration", Format::OtherKlog),
    ("proxy-mode", Format::OtherKlog),
];

/// The component that a klog line speaks for, if it tells. `caller` is the source file, perhaps with its folder.
pub(super) fn of_klog(caller: &str, message: &str) -> Option<Format> {
    let file = caller.rsplit('/').next().unwrap_or(caller);
    if let Some(flag) = message.strip_prefix("FLAG: --") {
        let name = flag.split('=').next().unwrap_or_default();
        return FLAGS.iter().find(|(known, _)| *known == name).map(|(_, format)| *format);
    }
    if caller.starts_with("kubelet/") || message.starts_with("\"SyncLoop") || message.starts_with("SyncLoop")
    {
        return Some(Format::Kubelet);
    }
    if file == "httplog.go" {
        return of_access_log(message);
    }
    [(KUBELET, Format::Kubelet), (API_SERVER, Format::ApiServer), (OTHER, Format::OtherKlog)]
        .into_iter()
        .find_map(|(files, format)| files.contains(&file).then_some(format))
}

/// Both kubelet and API server write an access log; the paths differ.
fn of_access_log(message: &str) -> Option<Format> {
    let (_, uri) = message.split_once("URI=\"")?;
    if ["/api/", "/apis/", "/api?", "/apis?", "/openapi", "/livez", "/readyz", "/version"]
        .iter()
        .any(|path| uri.starts_with(path))
    {
        return Some(Format::ApiServer);
    }
    [
        "/pods",
        "/exec/",
        "/run/",
        "/attach/",
        "/portForward/",
        "/containerLogs/",
        "/stats",
        "/metrics/cadvisor",
    ]
    .iter()
    .any(|path| uri.starts_with(path))
    .then_some(Format::Kubelet)
}

/// The runtime that a logfmt or JSON line of a logrus logger speaks for, if it tells.
pub(super) fn of_logrus(text: &str) -> Option<Format> {
    const CRIO: &[&str] = &[
        "/runtime.v1.RuntimeService",
        "/runtime.v1alpha2.RuntimeService",
        "Running pod sandbox:",
        "Ran pod sandbox",
        "Creating container: ",
        "Created container ",
        "Starting container: ",
        "Started container",
        "Starting CRI-O",
        "cri-o",
        "crio",
    ];
    const CONTAINERD: &[&str] = &[
        "containerd",
        "RunPodSandbox for",
        "CreateContainer within",
        "StartContainer for",
        "StopPodSandbox for",
        "RemoveContainer for",
        "PullImage",
        "ImageCreate event",
        "TaskExit",
        "connecting to shim",
        "shim disconnected",
        "cleaning up dead shim",
        "ExecSync for",
        "Exec for",
    ];
    if CRIO.iter().any(|word| text.contains(word)) {
        return Some(Format::Crio);
    }
    CONTAINERD.iter().any(|word| text.contains(word)).then_some(Format::Containerd)
}

/// The component that a file's name suggests: the last resort.
pub(super) fn of_name(name: &str) -> Option<Format> {
    let name = name.to_ascii_lowercase();
    [
        ("kubelet", Format::Kubelet),
        ("apiserver", Format::ApiServer),
        ("controller-manager", Format::OtherKlog),
        ("scheduler", Format::OtherKlog),
        ("kube-proxy", Format::OtherKlog),
        ("containerd", Format::Containerd),
        ("crio", Format::Crio),
        ("cri-o", Format::Crio),
    ]
    .into_iter()
    .find_map(|(part, format)| name.contains(part).then_some(format))
}
