//! `chancery ocsp query`: the status of one certificate, as relying parties get it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use aws_lc_rs::rand;
use mesh::ClientTls;
use mesh::tls::StaplePolicy;
use mesh::wire::{OCSP_REQUEST, OCSP_RESPONSE};
use model::{Clock, Timestamp};
use pki::certificate::Certificate;
use pki::ocsp::{
    self, CertIdHash, CertStatus, IssuerHashes, OcspRefused, Question, VerifiedAnswer,
};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use tokio::runtime;

use crate::cli::operator::Operator;
use crate::cli::{files, output};
use crate::config::Config;
use crate::failure::{Advise, Failure, Trying};
use crate::telemetry::SystemClock;

/// Difference between clocks that is nobody's fault.
const SKEW: Duration = Duration::from_secs(300);

/// Time for the responder to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Longest answer that is read, octets.
const MAX_ANSWER: usize = 64 * 1024;

/// Octets of a nonce (RFC 9654, 2.1: 32 are recommended).
const NONCE: usize = 32;

/// Arguments of `chancery ocsp query`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The certificate, PEM or DER; issuers may follow it in PEM.
    certificate: PathBuf,

    /// Its issuer's certificate, PEM or DER; without it, from the chain, or the
    /// authority of this CA.
    #[arg(long, value_name = "FILE")]
    issuer: Option<PathBuf>,

    /// The responder; without it, the one that the certificate names.
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// How the certificate is named: sha1 or sha256.
    #[arg(long, default_value = "sha256", value_parser = hash, value_name = "HASH")]
    hash: CertIdHash,

    /// Ask for an answer made for this question.
    #[arg(long)]
    nonce: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Reads the name of a hash.
fn hash(text: &str) -> Result<CertIdHash, String> {
    match text {
        "sha1" => Ok(CertIdHash::Sha1),
        "sha256" => Ok(CertIdHash::Sha256),
        _ => Err("sha1 or sha256".to_owned()),
    }
}

/// What `chancery ocsp query --json` prints.
#[derive(Debug, Serialize)]
struct Shown {
    /// The serial number.
    serial: String,
    /// The responder.
    responder: String,
    /// `good`, `revoked` or `unknown`.
    status: &'static str,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
    /// Why it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// When the answer was signed.
    produced_at: Timestamp,
    /// From when on it counts.
    this_update: Timestamp,
    /// Until when it counts.
    next_update: Option<Timestamp>,
}

/// Asks, verifies and shows. Exit status 1 unless the certificate is good.
///
/// # Errors
///
/// When the certificates cannot be read, the responder cannot be reached, or
/// its answer does not verify.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let path = args.certificate.display();
    let chain = files::read_certificates(&args.certificate)?;
    let read = |der: &[u8]| Certificate::from_der(der).trying(|| format!("read {path}"));
    let leaf = read(&chain[0])?;
    let issuer = find_issuer(args, config, &leaf, &chain)?;
    let url = args
        .url
        .clone()
        .or_else(|| leaf.extensions().ocsp.first().cloned())
        .ok_or_else(|| {
            Failure::new(format!("find a responder: {path} names none")).next("name one with --url")
        })?;
    let mut random = [0; NONCE];
    let nonce = if args.nonce {
        rand::fill(&mut random).trying(|| "draw a nonce".to_owned())?;
        Some(&random[..])
    } else {
        None
    };
    let cert_id = IssuerHashes::of(&issuer).cert_id_der(args.hash, leaf.serial());
    let request = ocsp::encode_request(&[&cert_id], nonce);
    let response = ask(&url, &issuer, request)?;
    let verified = ocsp::verify_response(
        &response,
        &Question {
            serial: leaf.serial(),
            issuer: &issuer,
            nonce,
            now: SystemClock.now(),
            skew: SKEW,
        },
    )
    .map_err(|refused| not_trusted(&url, refused))?;
    let shown = Shown::new(&leaf, url, &verified);
    show(args, &shown)?;
    Ok(if shown.status == "good" {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// States why an answer is not believed, and what can be done.
fn not_trusted(url: &str, refused: OcspRefused) -> Failure {
    let advice = match &refused {
        OcspRefused::Nonce => {
            "the responder serves answers made ahead, which repeat no nonce: ask without --nonce"
        }
        OcspRefused::Responder { .. } => {
            "unauthorized: it does not answer for this issuer, name the right one with --url or \
             --issuer; tryLater: its token is away, ask again"
        }
        _ => {
            "name the certificate's issuer with --issuer; what stands above says what does not fit"
        }
    };
    Failure::because(format!("trust the answer of {url}"), refused).next(advice)
}

impl Shown {
    /// Collects what is shown.
    fn new(leaf: &Certificate, responder: String, verified: &VerifiedAnswer) -> Self {
        let (status, revoked_at, reason) = match verified.status {
            CertStatus::Good => ("good", None, None),
            CertStatus::Revoked { at, reason } => ("revoked", Some(at), Some(reason.as_str())),
            CertStatus::Unknown => ("unknown", None, None),
        };
        Self {
            serial: leaf.serial().to_string(),
            responder,
            status,
            revoked_at,
            reason,
            produced_at: verified.produced_at,
            this_update: verified.this_update,
            next_update: verified.next_update,
        }
    }
}

/// Finds the issuer's certificate: as named, in the chain, or this CA's own.
fn find_issuer(
    args: &Args,
    config: &Config,
    leaf: &Certificate,
    chain: &[Vec<u8>],
) -> Result<Certificate, Failure> {
    let tried = || "read the issuer's certificate".to_owned();
    if let Some(path) = &args.issuer {
        return Certificate::from_der(&files::read_certificate(path)?).trying(tried);
    }
    for der in &chain[1..] {
        let candidate = Certificate::from_der(der).trying(tried)?;
        if candidate.subject_der() == leaf.issuer_der() {
            return Ok(candidate);
        }
    }
    let der = Operator::connect(config)
        .and_then(|operator| operator.issuer_certificate(config.ca.issuing_authority()))
        .advise(|| "name the issuer's certificate with --issuer".to_owned())?;
    let candidate = Certificate::from_der(&der).trying(tried)?;
    if candidate.subject_der() == leaf.issuer_der() {
        return Ok(candidate);
    }
    Err(Failure::new(format!(
        "find the issuer of the certificate: {}",
        leaf.issuer()
    ))
    .next("name its certificate with --issuer"))
}

/// Posts the request and reads the answer. A responder behind TLS, which few are,
/// must be certified under the issuer.
fn ask(url: &str, issuer: &Certificate, request: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let tried = || format!("ask the responder {url}");
    let tls = ClientTls {
        anchors: vec![CertificateDer::from(issuer.der().to_vec())],
        identity: None,
        expected: None,
        staple: StaplePolicy::default(),
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .trying(|| "start a runtime".to_owned())?;
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.client_config().trying(tried)?)
            .timeout(PATIENCE)
            .build()
            .trying(tried)?;
        let mut response = client
            .post(url)
            .header(CONTENT_TYPE, OCSP_REQUEST)
            .header(ACCEPT, OCSP_RESPONSE)
            .body(request)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .trying(tried)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.trying(tried)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Failure::new(format!(
                    "{}: its answer is longer than {MAX_ANSWER} octets",
                    tried()
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    })
}

/// Prints it.
fn show(args: &Args, shown: &Shown) -> Result<(), Failure> {
    if args.json {
        return output::json(shown);
    }
    let mut facts = vec![
        ("serial", shown.serial.clone()),
        ("responder", shown.responder.clone()),
        ("status", shown.status.to_owned()),
    ];
    if let (Some(at), Some(reason)) = (shown.revoked_at, shown.reason) {
        facts.push(("revoked", format!("{}, {reason}", output::time(at))));
    }
    facts.extend([
        ("signed", output::time(shown.produced_at)),
        ("counts from", output::time(shown.this_update)),
        (
            "counts until",
            shown
                .next_update
                .map_or_else(|| "not said".to_owned(), output::time),
        ),
    ]);
    output::facts(&facts)
}
