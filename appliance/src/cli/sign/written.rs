//! What is left beside an artifact: signature, bundle and the rest, each checked.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use attest::bundle::Bundle;
use attest::trusted_root::TrustedRoot;
use attest::verify::{Evidence, Policy, Standing, Verification, verify_all};
use model::Clock;
use serde::Serialize;

use super::artifact::Artifact;
use super::client::SigningClient;
use super::order::{Answer, Order};
use crate::failure::{Advise, Failure, Trying};
use crate::telemetry::SystemClock;

/// What can be fetched: its name at the service, in the answer, and the ending of the
/// file that it is written to.
const FILES: [(&str, &str, &str); 7] = [
    ("signature", "signature", "sig"),
    ("certificate", "certificate", "pem"),
    ("bundle", "bundle", "bundle.json"),
    ("cms", "cms", "p7s"),
    ("timestamp", "timestamp", "tsr"),
    ("attestations.jsonl", "attestations", "attestations.jsonl"),
    ("vsa", "vsa", "vsa.json"),
];

/// The files that were written, by what they hold.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Written(Vec<(&'static str, PathBuf)>);

impl Written {
    /// Lists them, indented for people.
    pub(super) fn list(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.0.iter().map(|(what, path)| {
            let shown = match *what {
                "signature" => "  signature",
                "certificate" => "  certificate",
                "bundle" => "  bundle",
                "cms" => "  cms",
                "timestamp" => "  timestamp",
                "attestations" => "  attestations",
                _ => "  vsa",
            };
            (shown, path.as_path())
        })
    }
}

/// Fetches everything that was made, checks it against the artifact, and writes it:
/// into `out`, or beside the artifact.
///
/// # Errors
///
/// When something cannot be fetched, does not verify, or cannot be written.
pub(super) async fn fetch(
    client: &SigningClient,
    order: &Order,
    artifact: &Artifact,
    answer: &Answer,
    out: Option<&Path>,
) -> Result<Written, Failure> {
    let Some(id) = answer.id.as_deref() else {
        return Err(Failure::new(format!(
            "have {} signed: the answer names no signature",
            order.name
        )));
    };
    if answer.artifact_hash != order.digest.to_string() {
        return Err(Failure::new(format!(
            "have {} signed: the service signed {}, and {} was asked for",
            order.name, answer.artifact_hash, order.digest
        ))
        .next("the file changed while it was sent: sign it again"));
    }
    let mut fetched = Vec::new();
    for (name, member, ending) in FILES {
        if answer.has(member) {
            fetched.push((member, ending, client.fetch(id, name).await?));
        }
    }
    check(client, order, &fetched).await?;
    let mut written = Written::default();
    for (member, ending, octets) in fetched {
        let path = path_of(artifact, &order.name, ending, out);
        write(&path, &octets)?;
        written.0.push((member, path));
    }
    Ok(written)
}

/// Verifies bundle and attestations as anybody will: against the artifact that is here
/// and the trust that the service publishes.
async fn check(
    client: &SigningClient,
    order: &Order,
    fetched: &[(&'static str, &'static str, Vec<u8>)],
) -> Result<(), Failure> {
    let tried = || format!("check what the service signed for {}", order.name);
    let mut bundles = Vec::new();
    for (member, _, octets) in fetched {
        match *member {
            "bundle" => bundles.push(Bundle::parse(octets).trying(tried)?),
            "attestations" => bundles.extend(Bundle::parse_lines(octets).trying(tried)?),
            _ => {}
        }
    }
    if bundles.is_empty() {
        return Ok(());
    }
    let trust = TrustedRoot::read(&client.trusted_root().await?).trying(tried)?;
    let is_stamped = bundles.iter().all(|bundle| !bundle.time_stamps.is_empty());
    let policy = if is_stamped {
        Policy::default()
    } else {
        Policy::without_time_stamp()
    };
    let verification = Verification {
        artifact: std::slice::from_ref(&order.digest),
        // Those below.
        evidence: Evidence::Bundle(&bundles[0]),
        trust: &trust,
        crls: &[],
        policy: &policy,
        standing: Standing::Unknown,
        now: SystemClock.now(),
    };
    let evidence: Vec<_> = bundles.iter().map(Evidence::Bundle).collect();
    let summary = verify_all(&verification, &evidence)
        .map_err(|(_, error)| Failure::because(tried(), error))?;
    if summary.verified {
        return Ok(());
    }
    let failed: Vec<String> = summary
        .reports
        .iter()
        .flat_map(|report| &report.checks)
        .filter(|check| check.outcome == attest::verify::Outcome::Failed)
        .map(ToString::to_string)
        .collect();
    Err(Failure::new(format!("{}: {}", tried(), failed.join("; ")))
        .next("nothing was written; tell the operator of the service"))
}

/// Returns where something is written.
fn path_of(artifact: &Artifact, name: &str, ending: &str, out: Option<&Path>) -> PathBuf {
    // The name of something elsewhere may have slashes: the last part names the file.
    let mut file = match artifact.path().and_then(Path::file_name) {
        Some(file) => file.to_owned(),
        None => Path::new(name)
            .file_name()
            .map_or_else(|| OsString::from("artifact"), OsString::from),
    };
    file.push(".");
    file.push(ending);
    let beside = artifact.path().and_then(Path::parent);
    out.or(beside).unwrap_or_else(|| Path::new("")).join(file)
}

/// Writes a file whole or not at all.
pub(in crate::cli) fn write(path: &Path, octets: &[u8]) -> Result<(), Failure> {
    let tried = || format!("write {}", path.display());
    let advice = || "write elsewhere: --out DIR".to_owned();
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        fs::create_dir_all(parent).trying(tried).advise(advice)?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let finish = || {
        let mut file = File::create(&temporary)?;
        file.write_all(octets)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    finish().trying(tried).advise(advice)
}
