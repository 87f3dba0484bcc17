//! `chancery sign`: artifacts, signed by the signing service.
//!
//! The file is read here and its digest sent; the service's answer is checked before
//! it is written. Nothing needs a configuration file where server, identity and trust
//! are named: machines that build have none.

mod artifact;
mod client;
mod evidence;
mod identity;
mod order;
mod written;

use std::path::PathBuf;
use std::process::ExitCode;

use futures_util::stream::{self, StreamExt};
use serde::Serialize;

pub(super) use self::artifact::digests_of;

use self::artifact::Artifact;
use self::client::SigningClient;
use self::evidence::Evidence;
use self::identity::Connecting;
use self::order::{Answer, Order};
use self::written::Written;
use crate::cli::{ConfigFile, output};
use crate::failure::Failure;

/// Artifacts that are on their way at the same time.
const AT_A_TIME: usize = 4;

/// Arguments of `chancery sign`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The files to sign.
    #[arg(required_unless_present = "digest", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Sign an artifact that is elsewhere, by its digest: sha256:HEX.
    #[arg(long, value_name = "DIGEST", conflicts_with_all = ["files", "upload"], requires = "name")]
    digest: Option<model::signing::ArtifactDigest>,

    /// What the artifact is called; without it, the file's name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// The artifact's media type.
    #[arg(long, value_name = "TYPE")]
    media_type: Option<String>,

    /// Its bill of materials: CycloneDX or SPDX.
    #[arg(long, value_name = "FILE")]
    sbom: Option<PathBuf>,

    /// Its provenance: SLSA; `auto` makes one of the CI job that this runs in.
    #[arg(long, value_name = "FILE|auto")]
    provenance: Option<PathBuf>,

    /// The signing profile; without it, the service's default.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// What to have made, of signature, bundle, cms, timestamp, attestations and vsa;
    /// without it, what the profile makes.
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    format: Vec<String>,

    /// Where to write; without it, beside each file.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Send the artifact itself, so that the service computes its digest.
    #[arg(long)]
    upload: bool,

    /// Only ask whether it would be signed.
    #[arg(long)]
    dry_run: bool,

    /// Names the request: repeated with the same name, it is signed once.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,

    /// Where the service is and who asks.
    #[command(flatten)]
    connecting: Connecting,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `chancery sign --json` prints of one artifact.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    /// The artifact as it was named on the command line.
    artifact: String,
    /// What the service said.
    #[serde(flatten)]
    answer: Answer,
    /// What was written.
    files: Written,
}

/// Signs. Exit status 1 if one of the files was not.
///
/// # Errors
///
/// When nothing could be tried: the identity cannot be used, the evidence cannot be
/// read.
pub(super) fn run(args: &Args, file: &ConfigFile) -> Result<ExitCode, Failure> {
    let client = args.connecting.connect(file)?;
    let evidence = Evidence::read(args.sbom.as_deref(), args.provenance.as_deref())?;
    let artifacts = artifacts(args);
    let is_single = artifacts.len() == 1;
    let runtime = client.runtime()?;
    let outcomes = runtime.block_on(
        stream::iter(artifacts)
            .map(|artifact| sign(args, &client, &evidence, artifact, is_single))
            .buffered(AT_A_TIME)
            .collect::<Vec<_>>(),
    );
    let (mut shown, mut failures) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(one) => shown.push(one),
            Err(failure) => failures.push(failure),
        }
    }
    if args.json {
        output::json(&shown)?;
    } else {
        for one in &shown {
            show(one, args.dry_run)?;
        }
    }
    let count = failures.len();
    let last = failures.pop();
    for failure in &failures {
        output::note(failure.report().trim_end());
    }
    match last {
        None => Ok(ExitCode::SUCCESS),
        Some(failure) if count == 1 => Err(failure),
        Some(failure) => {
            output::note(failure.report().trim_end());
            Err(Failure::new(format!(
                "sign {count} of {} files: each is named above",
                count + shown.len()
            )))
        }
    }
}

/// Lists what is to be signed.
fn artifacts(args: &Args) -> Vec<Artifact> {
    match &args.digest {
        Some(digest) => vec![Artifact::elsewhere(
            *digest,
            args.name.clone().unwrap_or_default(),
        )],
        None => args.files.iter().map(|path| Artifact::file(path)).collect(),
    }
}

/// Signs one artifact, checks what came back and writes it.
async fn sign(
    args: &Args,
    client: &SigningClient,
    evidence: &Evidence,
    artifact: Artifact,
    is_single: bool,
) -> Result<Shown, Failure> {
    let digest = artifact.digest().await?;
    let evidence = evidence.of(&artifact, &digest)?;
    let order = Order {
        name: match &args.name {
            Some(name) if is_single => name.clone(),
            _ => artifact.name(),
        },
        digest,
        media_type: args.media_type.clone(),
        profile: args.profile.clone(),
        formats: args.format.clone(),
        evidence,
        dry_run: args.dry_run,
        key: args.idempotency_key.clone(),
    };
    let answer = if args.upload {
        client.upload(&order, &artifact).await?
    } else {
        client.sign(&order).await?
    };
    let files = if args.dry_run {
        Written::default()
    } else {
        written::fetch(client, &order, &artifact, &answer, args.out.as_deref()).await?
    };
    Ok(Shown {
        artifact: artifact.shown(),
        answer,
        files,
    })
}

/// Shows what became of one artifact.
fn show(one: &Shown, dry_run: bool) -> Result<(), Failure> {
    let answer = &one.answer;
    output::line(format!("{}  {}", one.artifact, answer.artifact_hash))?;
    let mut facts = Vec::new();
    if dry_run {
        facts.push(("  would be", answer.decision()));
    } else {
        facts.push(("  signed by", answer.signer_and_time()));
    }
    for (what, path) in one.files.list() {
        facts.push((what, path.display().to_string()));
    }
    if let Some(url) = &answer.url {
        facts.push(("  record", url.clone()));
    }
    output::facts(&facts)
}
