//! A certificate that was issued, in the files that relying parties' tools take.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chancery_tests::{Appliance, Judge, output_of};
use tempfile::TempDir;

/// `leaf.pem`, `issuer.pem`, both in `chain.pem`, and everything above the leaf in
/// `authorities.pem`.
pub(crate) struct Chain {
    /// The folder with all of them.
    folder: TempDir,
}

impl Chain {
    /// Takes a chain apart, leaf first, as it was delivered.
    pub(crate) fn of(ca: &Appliance, chain: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let end = "-----END CERTIFICATE-----\n";
        let (leaf, issuer) = chain.split_at(chain.find(end).unwrap() + end.len());
        let root = fs::read_to_string(ca.trust()).unwrap();
        for (name, text) in [
            ("leaf.pem", leaf),
            ("issuer.pem", issuer),
            ("chain.pem", chain),
            ("authorities.pem", &format!("{issuer}{root}")),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder }
    }

    /// Takes the chain in a client's file apart.
    pub(crate) fn in_file(ca: &Appliance, path: &Path) -> Self {
        let chain = fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{} of a client: {error}", path.display()));
        Self::of(ca, &chain)
    }

    /// Returns the folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns one of the files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the path of one of the files as an argument.
    pub(crate) fn argument(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// Has OpenSSL ask the responder, its answer verified and kept in `ocsp.der`, and
    /// returns what it prints.
    pub(crate) fn ocsp(&self, ca: &Appliance, options: &[&str]) -> String {
        let mut command = Command::new("openssl");
        command
            .arg("ocsp")
            .args(options)
            .args(["-issuer", &self.argument("issuer.pem")])
            .args(["-cert", &self.argument("leaf.pem")])
            .args(["-CAfile", &self.argument("authorities.pem")])
            .args(["-url", &ca.distribution_url("/ocsp")])
            .args(["-respout", &self.argument("ocsp.der")])
            .arg("-timeout")
            .arg("30");
        said(&mut command)
    }

    /// Returns the serial number in lower case.
    pub(crate) fn serial(&self) -> String {
        let told = self.x509(&["-serial"]);
        told.trim().rsplit('=').next().unwrap().to_lowercase()
    }

    /// Has OpenSSL print something of the leaf.
    pub(crate) fn x509(&self, options: &[&str]) -> String {
        said(
            Command::new("openssl")
                .args(["x509", "-noout", "-in", &self.argument("leaf.pem")])
                .args(options),
        )
    }

    /// Has OpenSSL, pkilint and the responder find a server's certificate good, with
    /// exactly these names (`DNS:a`, in any order).
    pub(crate) fn assert_good(&self, ca: &Appliance, names: &[&str]) {
        let verdict =
            Judge::openssl(&ca.trust(), &self.file("chain.pem"), Some("sslserver")).unwrap();
        assert!(verdict.accepted, "{verdict}");
        let verdict = Judge::pkilint(&self.file("leaf.pem")).unwrap();
        // Its PKIX rules know RFC 5280, 4.2.1.6, but not the wildcards of RFC 6125.
        let severities = ["(FATAL)", "(ERROR)", "(WARNING)"];
        let objections: Vec<&str> = verdict
            .said
            .lines()
            .filter(|line| severities.iter().any(|severity| line.contains(severity)))
            .filter(|line| !line.contains("Invalid domain name syntax: \"*."))
            .collect();
        let wildcards = names.iter().any(|name| name.starts_with("DNS:*."));
        assert!(
            verdict.accepted || (wildcards && objections.is_empty()),
            "{verdict}"
        );
        let answer = self.ocsp(ca, &[]);
        assert!(answer.contains("leaf.pem: good"), "{answer}");
        let told = self.x509(&["-ext", "subjectAltName"]);
        let found: BTreeSet<_> = told
            .lines()
            .last()
            .unwrap_or_default()
            .trim()
            .split(", ")
            .collect();
        assert_eq!(found, names.iter().copied().collect());
    }

    /// Has the responder say that it is revoked, for this reason.
    pub(crate) fn assert_revoked(&self, ca: &Appliance, reason: &str) {
        let answer = self.ocsp(ca, &[]);
        assert!(answer.contains("leaf.pem: revoked"), "{answer}");
        assert!(answer.contains(&format!("Reason: {reason}")), "{answer}");
    }
}

/// Runs a tool that may refuse, and returns everything it said.
pub(crate) fn said(command: &mut Command) -> String {
    let Output { stdout, stderr, .. } = output_of(command).unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    )
}
