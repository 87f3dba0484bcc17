//! `chancery verify`: what was signed, checked offline by anyone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use attest::bundle::Bundle;
use attest::trusted_root::TrustedRoot;
use attest::verify::{
    Check, Evidence, Outcome, Policy, Report, RevocationPolicy, Standing, Summary, TimePolicy,
    Verification, verify_all,
};
use model::Clock;
use model::signing::{ArtifactDigest, HashAlgorithm};
use serde::Serialize;

use super::{ConfigFile, files, output, sign};
use crate::failure::{Advise, Failure, Trying};
use crate::telemetry::SystemClock;

/// Arguments of `chancery verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The artifact.
    #[arg(required_unless_present = "digest", value_name = "FILE")]
    file: Option<PathBuf>,

    /// The artifact's digest, where the artifact is elsewhere: sha256:HEX.
    #[arg(long, value_name = "DIGEST", conflicts_with = "file")]
    digest: Vec<ArtifactDigest>,

    /// A bundle, or bundles line by line; without it, FILE.bundle.json and
    /// FILE.attestations.jsonl where they are.
    #[arg(long, value_name = "FILE")]
    bundle: Vec<PathBuf>,

    /// A signature alone, as octets.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    signature: Option<PathBuf>,

    /// The signer's certificate and those above it, PEM, for --signature.
    #[arg(long, value_name = "FILE", requires = "signature")]
    certificate: Option<PathBuf>,

    /// A detached CMS signature, DER.
    #[arg(long, value_name = "FILE")]
    cms: Option<PathBuf>,

    /// A time-stamp (RFC 3161) over the signature, for --signature and --cms.
    #[arg(long, value_name = "FILE")]
    timestamp: Option<PathBuf>,

    /// Whom to trust: a trusted root in JSON, or certificates in PEM; without it, what
    /// the configuration's commands trust.
    #[arg(
        long,
        visible_alias = "trusted-root",
        env = "CHANCERY_TRUSTED_ROOT",
        value_name = "FILE"
    )]
    ca: Option<PathBuf>,

    /// Who must have signed: a name in the certificate; `*` at its end takes any ending.
    #[arg(long, value_name = "NAME")]
    identity: Vec<String>,

    /// Who must have vouched for the signer: the OIDC issuer, or the issuing authority.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,

    /// What must be attested: the type of a predicate.
    #[arg(long, value_name = "TYPE")]
    predicate_type: Vec<String>,

    /// Who must have built it.
    #[arg(long, value_name = "URI")]
    builder: Option<String>,

    /// From which repository it must have been built.
    #[arg(long, value_name = "URI")]
    source: Option<String>,

    /// A revocation list, DER or PEM.
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,

    /// Fail without a current revocation list of each authority.
    #[arg(long)]
    require_crl: bool,

    /// How many time-stamps each signature must have; 0 lets the certificate be judged now.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    timestamps: u32,

    /// How many entries of trusted logs each signature must have.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    log_entries: u32,

    /// How many trusted logs must have seen the certificate.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    scts: u32,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `chancery verify --json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    /// The artifact's digests.
    artifact: &'a [ArtifactDigest],
    /// The evidence, in the order of the reports.
    evidence: Vec<&'a str>,
    /// What came of it.
    #[serde(flatten)]
    summary: &'a Summary,
}

/// What is to be verified, read.
struct Given {
    /// Bundles, and from which file each came.
    bundles: Vec<(String, Bundle)>,
    /// A signature and its chain.
    raw: Option<(String, Vec<u8>, Vec<Vec<u8>>)>,
    /// A CMS signature.
    cms: Option<(String, Vec<u8>)>,
    /// A time-stamp.
    time_stamp: Option<Vec<u8>>,
}

/// Verifies. Exit status 1 if a check failed.
///
/// # Errors
///
/// When something cannot be read.
pub(super) fn run(args: &Args, config: &ConfigFile) -> Result<ExitCode, Failure> {
    let given = Given::read(args)?;
    let trust = trust(args, config)?;
    let crls = args
        .crl
        .iter()
        .map(|path| read_crl(path))
        .collect::<Result<Vec<_>, _>>()?;
    let evidence = given.evidence();
    let Some((_, first)) = evidence.first() else {
        return Err(Failure::new("verify: there is no evidence")
            .next("name it: --bundle FILE, --signature FILE --certificate FILE, or --cms FILE"));
    };
    let artifact = artifact(args, &evidence)?;
    let policy = policy(args);
    let verification = Verification {
        artifact: &artifact,
        evidence: *first,
        trust: &trust,
        crls: &crls,
        policy: &policy,
        standing: Standing::Unknown,
        now: SystemClock.now(),
    };
    let (names, pieces): (Vec<&str>, Vec<Evidence<'_>>) = evidence.into_iter().unzip();
    let summary = verify_all(&verification, &pieces).map_err(|(place, error)| {
        let name = names.get(place).copied().unwrap_or_default();
        Failure::because(format!("verify {name}"), error)
            .next("the file is damaged, or of another kind than it was named as")
    })?;
    if args.json {
        output::json(&Shown {
            artifact: &artifact,
            evidence: names,
            summary: &summary,
        })?;
    } else {
        show(&names, &summary)?;
    }
    Ok(if summary.verified {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Given {
    /// Reads what the command line names.
    fn read(args: &Args) -> Result<Self, Failure> {
        let mut paths = args.bundle.clone();
        if paths.is_empty() && args.signature.is_none() && args.cms.is_none() {
            paths = beside(args.file.as_deref());
        }
        let mut bundles = Vec::new();
        for path in &paths {
            let octets = read(path, "the bundle")?;
            let read = Bundle::parse_lines(&octets)
                .trying(|| format!("read the bundle {}", path.display()))?;
            bundles.extend(
                read.into_iter()
                    .map(|one| (path.display().to_string(), one)),
            );
        }
        let raw = match (&args.signature, &args.certificate) {
            (Some(signature), Some(certificate)) => Some((
                signature.display().to_string(),
                read(signature, "the signature")?,
                files::read_certificates(certificate)?,
            )),
            _ => None,
        };
        let cms = match &args.cms {
            Some(path) => Some((path.display().to_string(), read(path, "the CMS signature")?)),
            None => None,
        };
        let time_stamp = match &args.timestamp {
            Some(path) => Some(read(path, "the time-stamp")?),
            None => None,
        };
        Ok(Self {
            bundles,
            raw,
            cms,
            time_stamp,
        })
    }

    /// Lists what is to be verified, with its name.
    fn evidence(&self) -> Vec<(&str, Evidence<'_>)> {
        let time_stamp = self.time_stamp.as_deref();
        let bundles = self
            .bundles
            .iter()
            .map(|(name, bundle)| (name.as_str(), Evidence::Bundle(bundle)));
        let raw = self.raw.iter().map(|(name, signature, chain)| {
            let evidence = Evidence::Raw {
                signature,
                chain,
                hash: None,
                time_stamp,
            };
            (name.as_str(), evidence)
        });
        let cms = self.cms.iter().map(|(name, cms_der)| {
            let evidence = Evidence::Cms {
                cms_der,
                time_stamp,
            };
            (name.as_str(), evidence)
        });
        bundles.chain(raw).chain(cms).collect()
    }
}

/// Finds the bundles that `chancery sign` leaves beside an artifact.
fn beside(file: Option<&Path>) -> Vec<PathBuf> {
    let Some(file) = file else {
        return Vec::new();
    };
    ["bundle.json", "attestations.jsonl"]
        .map(|ending| {
            let mut path = file.as_os_str().to_owned();
            path.push(".");
            path.push(ending);
            PathBuf::from(path)
        })
        .into_iter()
        .filter(|path| path.is_file())
        .collect()
}

/// Returns the artifact's digests by every hash that the evidence needs.
fn artifact(
    args: &Args,
    evidence: &[(&str, Evidence<'_>)],
) -> Result<Vec<ArtifactDigest>, Failure> {
    let Some(file) = &args.file else {
        return Ok(args.digest.clone());
    };
    let mut hashes: Vec<HashAlgorithm> = Vec::new();
    for (name, evidence) in evidence {
        let needed = evidence
            .hashes()
            .trying(|| format!("verify {name}"))
            .advise(|| "the file is damaged, or of another kind than it was named as".to_owned())?;
        for hash in needed {
            if !hashes.contains(&hash) {
                hashes.push(hash);
            }
        }
    }
    sign::digests_of(file, &hashes)
}

/// Reads whom to trust.
fn trust(args: &Args, config: &ConfigFile) -> Result<TrustedRoot, Failure> {
    let path = match &args.ca {
        Some(path) => path.clone(),
        None if config.path().exists() => config.load()?.trust(),
        None => {
            return Err(Failure::new("find whom to trust").next(
                "name it: --ca FILE, the trusted root of the signing service (GET \
                 /v1/trusted-root) or certificates in PEM",
            ));
        }
    };
    let octets = read(&path, "the trusted root")?;
    TrustedRoot::read(&octets)
        .trying(|| format!("read the trusted root {}", path.display()))
        .advise(|| "it is the JSON of GET /v1/trusted-root, or certificates in PEM".to_owned())
}

/// Takes what is asked for.
fn policy(args: &Args) -> Policy {
    Policy {
        identities: args.identity.clone(),
        issuer: args.issuer.clone(),
        predicate_types: args.predicate_type.clone(),
        builder: args.builder.clone(),
        source: args.source.clone(),
        time_stamps: args.timestamps,
        log_entries: args.log_entries,
        scts: args.scts,
        time: if args.timestamps == 0 {
            TimePolicy::TimeStampOrNow
        } else {
            TimePolicy::TimeStamp
        },
        revocation: if args.require_crl {
            RevocationPolicy::Required
        } else {
            RevocationPolicy::WhenGiven
        },
    }
}

/// Reads a file.
fn read(path: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).trying(|| format!("read {what} {}", path.display()))
}

/// Reads a revocation list, PEM or DER, and returns its DER.
fn read_crl(path: &Path) -> Result<Vec<u8>, Failure> {
    let octets = read(path, "the revocation list")?;
    if pki::pem::is_pem(&octets) {
        pki::pem::read_crl(&octets)
            .trying(|| format!("read the revocation list {}", path.display()))
    } else {
        Ok(octets)
    }
}

/// Shows every check and the verdict.
fn show(names: &[&str], summary: &Summary) -> Result<(), Failure> {
    for (name, report) in names.iter().zip(&summary.reports) {
        output::line(format!("{name}: {}", verdict(report.verified)))?;
        show_report(report)?;
    }
    for check in &summary.checks {
        show_check(check)?;
    }
    output::line(verdict(summary.verified))
}

/// Shows one piece of evidence.
fn show_report(report: &Report) -> Result<(), Failure> {
    for check in &report.checks {
        show_check(check)?;
    }
    Ok(())
}

/// Shows one check.
fn show_check(check: &Check) -> Result<(), Failure> {
    let mark = match check.outcome {
        Outcome::Passed => "ok  ",
        Outcome::Failed => "FAIL",
        Outcome::Skipped => "-   ",
    };
    output::line(format!("  {mark}  {check}"))
}

/// Says what came of it.
fn verdict(verified: bool) -> &'static str {
    if verified { "verified" } else { "NOT VERIFIED" }
}
