//! What a build leaves behind: artifacts, a bill of materials, provenance.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aws_lc_rs::digest::{SHA256, digest};
use chancery_tests::{Appliance, Builder, Identity, output_of, run};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A signing service, someone who may have things signed, and a folder to work in.
pub(super) struct Workshop {
    /// The CA and the signing service.
    pub(super) ca: Appliance,
    /// Who has things signed.
    pub(super) signer: Identity,
    /// Where artifacts lie.
    folder: TempDir,
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in self.ca.log().lines() {
                eprintln!("{line}");
            }
        }
    }
}

impl Workshop {
    /// Opens one.
    pub(super) fn open() -> Self {
        Self::over(super::with_signing())
    }

    /// Opens one over a configuration.
    pub(super) fn over(builder: Builder) -> Self {
        let ca = builder.start().unwrap();
        let signer = ca.issue_identity("signer", "ci").unwrap();
        Self {
            ca,
            signer,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Returns the folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of something in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes something into the folder and returns its path as an argument.
    pub(super) fn write(&self, name: &str, octets: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, octets).unwrap();
        path.display().to_string()
    }

    /// Writes an artifact, a bill of materials and provenance of it; returns their
    /// paths.
    pub(super) fn build(&self, name: &str) -> [String; 3] {
        let artifact = format!("the artifact {name}\n").into_bytes();
        let hex = sha256(&artifact);
        [
            self.write(name, &artifact),
            self.write(
                &format!("{name}.cdx.json"),
                sbom(&hex).to_string().as_bytes(),
            ),
            self.write(
                &format!("{name}.slsa.json"),
                provenance(name, &hex).to_string().as_bytes(),
            ),
        ]
    }

    /// Writes the identity into one file as `chancery sign --identity` takes it.
    pub(super) fn identity(&self) -> String {
        let key = fs::read_to_string(&self.signer.key).unwrap();
        let chain = fs::read_to_string(&self.signer.chain).unwrap();
        self.write("identity.pem", format!("{key}{chain}").as_bytes())
    }

    /// Prepares `chancery` in the folder, without any configuration.
    pub(super) fn chancery(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(chancery_tests::chancery().unwrap());
        command.args(arguments).current_dir(self.folder());
        command
    }

    /// Prepares `chancery sign` as a machine that builds runs it.
    pub(super) fn sign(&self, arguments: &[&str]) -> Command {
        let mut command = self.chancery(&["sign"]);
        command
            .args(arguments)
            .args(["--server", &self.ca.signing_url("")])
            .args(["--identity", &self.identity()])
            .arg("--trust")
            .arg(&self.signer.trust);
        command
    }

    /// Signs and returns what `--json` prints.
    pub(super) fn signed(&self, arguments: &[&str]) -> Value {
        let mut command = self.sign(arguments);
        let written = run(command.arg("--json")).unwrap();
        serde_json::from_str(&written).unwrap()
    }

    /// Fetches whom to trust, and returns the file.
    pub(super) fn trusted_root(&self) -> String {
        let url = self.ca.signing_url("/v1/trusted-root");
        let reply = self.ca.curl().get(&url).unwrap();
        assert_eq!(reply.status, 200, "{reply}");
        self.write("trusted-root.json", reply.text().as_bytes())
    }

    /// Runs `chancery verify` with the trust that the service publishes.
    pub(super) fn verify(&self, arguments: &[&str]) -> Output {
        let trust = self.trusted_root();
        let mut command = self.chancery(&["verify", "--ca", &trust]);
        output_of(command.args(arguments)).unwrap()
    }
}

/// Computes a SHA-256 in hexadecimal.
pub(super) fn sha256(octets: &[u8]) -> String {
    hex::encode(digest(&SHA256, octets))
}

/// Makes a bill of materials of an artifact.
pub(super) fn sbom(hex: &str) -> Value {
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "version": 1,
        "metadata": {
            "timestamp": "2026-11-01T00:00:00Z",
            "authors": [{"name": "Build"}],
            "component": {
                "type": "application", "bom-ref": "app", "name": "app", "version": "1.0.0",
                "purl": "pkg:generic/app@1.0.0",
                "supplier": {"name": "Example"},
                "hashes": [{"alg": "SHA-256", "content": hex}]
            }
        },
        "components": [{
            "type": "library", "bom-ref": "lib", "name": "lib", "version": "2.1.0",
            "purl": "pkg:cargo/lib@2.1.0", "supplier": {"name": "Example"}
        }],
        "dependencies": [{"ref": "app", "dependsOn": ["lib"]}, {"ref": "lib"}]
    })
}

/// Makes provenance of an artifact.
pub(super) fn provenance(name: &str, hex: &str) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": hex}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://example.org/build/v1",
                "externalParameters": {"source": "git+https://example.org/app"},
                "resolvedDependencies": [{
                    "uri": "git+https://example.org/app",
                    "digest": {"gitCommit": "1f2d3c4b5a69788796a5b4c3d2e1f00112233445"}
                }]
            },
            "runDetails": {
                "builder": {"id": "https://example.org/builder"},
                "metadata": {"invocationId": "run-1"}
            }
        }
    })
}
