//! The command line of every part. What looks arbitrary here cost a failed start each.

use crate::config::REGISTRY;
use crate::netns::NODE_ADDRESS;
use crate::{Part, Paths};

/// The controllers that a cluster of one node without a cloud, routes and volumes needs. Garbage collection, endpoint
/// slices, namespaces, jobs and autoscaling are among them.
const CONTROLLERS: &str = "*,-cloud-node-lifecycle-controller,-service-lb-controller,-node-route-controller,\
    -node-ipam-controller,-persistentvolume-attach-detach-controller,-persistentvolume-binder-controller";

/// Where Prometheus listens.
pub(crate) const PROMETHEUS: &str = "10.90.0.10:9090";

/// The program and its arguments.
pub(crate) fn of(part: Part, paths: &Paths) -> Vec<String> {
    let bin = |program| paths.bin(program).to_string_lossy().into_owned();
    let file = |name: &str| paths.join(name).to_string_lossy().into_owned();
    match part {
        Part::Etcd => vec![bin("etcd"), file("cfg/etcd.yaml")],
        Part::Apiserver => [vec![bin("kube-apiserver")], apiserver(paths)].concat(),
        Part::Kcm => {
            let config = file("cfg/kcm.kubeconfig");
            vec![
                bin("kube-controller-manager"),
                format!("--kubeconfig={config}"),
                format!("--authentication-kubeconfig={config}"),
                format!("--authorization-kubeconfig={config}"),
                "--leader-elect=false".into(),
                "--use-service-account-credentials=true".into(),
                format!("--root-ca-file={}", file("pki/ca.crt")),
                format!("--service-account-private-key-file={}", file("pki/sa.key")),
                format!("--cluster-signing-cert-file={}", file("pki/ca.crt")),
                format!("--cluster-signing-key-file={}", file("pki/ca.key")),
                "--bind-address=127.0.0.1".into(),
                "--kube-api-qps=100".into(),
                "--kube-api-burst=200".into(),
                format!("--controllers={CONTROLLERS}"),
            ]
        }
        Part::Scheduler => {
            let config = file("cfg/sched.kubeconfig");
            vec![
                bin("kube-scheduler"),
                format!("--kubeconfig={config}"),
                format!("--authentication-kubeconfig={config}"),
                format!("--authorization-kubeconfig={config}"),
                "--leader-elect=false".into(),
                "--bind-address=127.0.0.1".into(),
            ]
        }
        Part::Containerd => vec!["containerd".into(), "-c".into(), file("cfg/containerd.toml")],
        Part::Kubelet => vec![
            bin("kubelet"),
            format!("--config={}", file("cfg/kubelet.yaml")),
            format!("--kubeconfig={}", file("cfg/node.kubeconfig")),
            "--hostname-override=n1".into(),
            format!("--node-ip={NODE_ADDRESS}"),
            format!("--root-dir={}", file("kubelet")),
        ],
        Part::KubeProxy => vec![
            bin("kube-proxy"),
            format!("--kubeconfig={}", file("cfg/kproxy.kubeconfig")),
            "--proxy-mode=nftables".into(),
            "--conntrack-max-per-core=0".into(),
            "--conntrack-min=0".into(),
            "--hostname-override=n1".into(),
            "--cluster-cidr=10.244.0.0/16".into(),
        ],
        Part::Registry => vec![bin("registry"), "serve".into(), file("cfg/registry.yaml")],
        Part::Contour => [vec![bin("contour"), "serve".into()], contour(paths)].concat(),
        Part::Envoy => vec![
            bin("envoy"),
            "-c".into(),
            file("cfg/envoy.json"),
            "--service-cluster".into(),
            "projectcontour".into(),
            "--service-node".into(),
            "n1".into(),
            "--log-level".into(),
            "warn".into(),
            "--concurrency".into(),
            "1".into(),
            // Otherwise Envoy dies with the process that started it.
            "--disable-hot-restart".into(),
        ],
        Part::Prometheus => vec![
            bin("prometheus"),
            format!("--config.file={}", file(crate::config::PROMETHEUS)),
            format!("--storage.tsdb.path={}", file("prometheus")),
            format!("--web.listen-address={PROMETHEUS}"),
            "--web.enable-lifecycle".into(),
        ],
        Part::Kwok => vec![
            bin("kwok"),
            format!("--kubeconfig={}", file("cfg/kwok.kubeconfig")),
            "--manage-all-nodes=false".into(),
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake".into(),
            "--cidr=10.245.0.0/16".into(),
            format!("--config={}", file("cfg/kwok-stages.yaml")),
        ],
    }
}

fn apiserver(paths: &Paths) -> Vec<String> {
    let pki = |name: &str| paths.join("pki").join(name).to_string_lossy().into_owned();
    vec![
        "--etcd-servers=http://127.0.0.1:2379".into(),
        "--bind-address=0.0.0.0".into(),
        "--secure-port=6443".into(),
        // Not loopback: this becomes the endpoint of the service `kubernetes`.
        format!("--advertise-address={NODE_ADDRESS}"),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        "--authorization-mode=Node,RBAC".into(),
        "--anonymous-auth=false".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--service-account-key-file={}", pki("sa.pub")),
        format!("--service-account-signing-key-file={}", pki("sa.key")),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        "--api-audiences=https://kubernetes.default.svc".into(),
        format!("--kubelet-client-certificate={}", pki("apiserver-kubelet.crt")),
        format!("--kubelet-client-key={}", pki("apiserver-kubelet.key")),
        format!("--kubelet-certificate-authority={}", pki("ca.crt")),
        // The node's name does not resolve: logs and exec would hang.
        "--kubelet-preferred-address-types=InternalIP".into(),
        format!("--requestheader-client-ca-file={}", pki("ca.crt")),
        "--requestheader-allowed-names=front-proxy".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        format!("--proxy-client-cert-file={}", pki("front-proxy.crt")),
        format!("--proxy-client-key-file={}", pki("front-proxy.key")),
        "--allow-privileged=true".into(),
        "--profiling=false".into(),
        "--enable-aggregator-routing=true".into(),
        format!("--audit-policy-file={}", paths.join("cfg/audit.yaml").display()),
        format!("--audit-log-path={}", paths.audit_log().display()),
        "--audit-log-maxsize=500".into(),
        "--audit-log-maxbackup=2".into(),
    ]
}

fn contour(paths: &Paths) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", paths.kubeconfig("contour").display()),
        format!("--config-path={}", paths.join("cfg/contour.yaml").display()),
        "--insecure".into(),
        "--disable-leader-election".into(),
        "--xds-address=127.0.0.1".into(),
        "--xds-port=8001".into(),
        "--health-address=127.0.0.1".into(),
        "--health-port=8004".into(),
        "--http-address=127.0.0.1".into(),
        "--http-port=8003".into(),
        format!("--stats-address={NODE_ADDRESS}"),
        "--stats-port=8002".into(),
        format!("--envoy-service-http-address={NODE_ADDRESS}"),
        "--envoy-service-http-port=8080".into(),
        format!("--ingress-status-address={NODE_ADDRESS}"),
    ]
}

/// Envoy's bootstrap configuration comes from Contour.
pub(crate) fn envoy_bootstrap(paths: &Paths) -> Vec<String> {
    vec![
        paths.bin("contour").to_string_lossy().into_owned(),
        "bootstrap".into(),
        "--xds-address=127.0.0.1".into(),
        "--xds-port=8001".into(),
        format!("--admin-address={}", paths.join("run/envoy-admin.sock").display()),
        paths.join("cfg/envoy.json").to_string_lossy().into_owned(),
    ]
}

/// The address that the registry listens on, for the readiness check.
pub(crate) fn registry_address() -> &'static str {
    REGISTRY
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_path_on_a_command_line_is_in_the_state_directory() {
        let paths = Paths::at(Path::new("/srv/lab"));
        for part in Part::ALL {
            for word in of(part, &paths) {
                let path = word.split_once('=').map_or(word.as_str(), |(_, v)| v);
                assert!(!path.starts_with('/') || path.starts_with("/srv/lab/"), "{part}: {word}");
            }
        }
    }
}
