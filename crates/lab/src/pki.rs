//! One certificate authority, and a certificate and kubeconfig for each client whose requests are told apart.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use crate::error::{Error, Result};
use crate::{Paths, config};

/// A certificate to make.
struct Leaf {
    name: &'static str,
    organization: Option<&'static str>,
    common_name: &'static str,
    alternative_names: &'static [&'static str],
    kubeconfig: bool,
}

const fn client(name: &'static str, organization: Option<&'static str>, common_name: &'static str) -> Leaf {
    Leaf { name, organization, common_name, alternative_names: &[], kubeconfig: true }
}

const MASTERS: Option<&str> = Some("system:masters");

const LEAVES: [Leaf; 12] = [
    Leaf {
        name: "apiserver",
        organization: None,
        common_name: "kube-apiserver",
        alternative_names: &[
            "127.0.0.1",
            "10.96.0.1",
            "10.90.0.10",
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ],
        kubeconfig: false,
    },
    Leaf {
        name: "kubelet-serving",
        organization: None,
        common_name: "n1",
        alternative_names: &["127.0.0.1", "10.90.0.10", "n1"],
        kubeconfig: false,
    },
    Leaf { kubeconfig: false, ..client("apiserver-kubelet", MASTERS, "apiserver-kubelet") },
    Leaf { kubeconfig: false, ..client("front-proxy", None, "front-proxy") },
    client("admin", MASTERS, "admin"),
    client("kcm", None, "system:kube-controller-manager"),
    client("sched", None, "system:kube-scheduler"),
    client("node", Some("system:nodes"), "system:node:n1"),
    client("kproxy", None, "system:kube-proxy"),
    client("contour", MASTERS, "contour"),
    client("prom", MASTERS, "prom"),
    client("kwok", MASTERS, "kwok"),
];

/// Writes all keys, certificates and kubeconfigs.
pub(crate) fn issue(paths: &Paths) -> Result<()> {
    let fail = |name| move |source| Error::Certificate { name, source };
    let mut params = CertificateParams::default();
    params.distinguished_name = name(None, "lab-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let key = key().map_err(fail("ca"))?;
    paths.write("pki/ca.key", &key.serialize_pem())?;
    let ca = CertifiedIssuer::self_signed(params, key).map_err(fail("ca"))?;
    paths.write("pki/ca.crt", &ca.pem())?;

    for leaf in LEAVES {
        let key = self::key().map_err(fail(leaf.name))?;
        let mut params =
            CertificateParams::new(leaf.alternative_names.iter().map(ToString::to_string).collect::<Vec<_>>())
                .map_err(fail(leaf.name))?;
        params.distinguished_name = name(leaf.organization, leaf.common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &ca).map_err(fail(leaf.name))?;
        paths.write(format!("pki/{}.key", leaf.name), &key.serialize_pem())?;
        paths.write(format!("pki/{}.crt", leaf.name), &certificate.pem())?;
        if leaf.kubeconfig {
            paths.write(paths.kubeconfig(leaf.name), &config::kubeconfig(paths, leaf.name))?;
        }
    }

    // The API server reads the public half of an EC key in PEM form only from a file of its own.
    let accounts = self::key().map_err(fail("sa"))?;
    paths.write("pki/sa.key", &accounts.serialize_pem())?;
    paths.write("pki/sa.pub", &accounts.public_key_pem())
}

fn key() -> std::result::Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
}

fn name(organization: Option<&str>, common_name: &str) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[test]
    fn every_client_gets_a_key_a_certificate_and_a_kubeconfig_that_names_both() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::at(dir.path());
        issue(&paths).unwrap();
        for client in ["admin", "kcm", "sched", "node", "kproxy", "contour", "prom"] {
            let text = fs::read_to_string(paths.kubeconfig(client)).unwrap();
            for file in [format!("pki/{client}.crt"), format!("pki/{client}.key"), "pki/ca.crt".into()] {
                let path = paths.join(&file);
                assert!(text.contains(&*path.to_string_lossy()), "{client} lacks {file}");
                assert!(fs::read_to_string(path).unwrap().starts_with("-----BEGIN "));
            }
        }
        assert!(fs::read_to_string(paths.join("pki/sa.pub")).unwrap().contains("PUBLIC KEY"));
    }
}
