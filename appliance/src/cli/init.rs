//! `chancery init`: the ceremony, and the first identity.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ::store::{Certificates, RevocationStore, StoreMetrics};
use ca::ceremony::{AuthorityReport, Ceremony, CeremonyReport, Progress};
use ca::{
    AuthorityCertificates, Ca, CaMetrics, CaParts, IssueRequest, OcspMetrics, Publication,
    Requester, RootCrl,
};
use hsm_keystore::KeyAlgorithm;
use indicatif::ProgressBar;
use mesh::csr::{self, CsrContent};
use model::{Clock, Identity, PeerName, ProfileName, RequestId, Role};
use pki::certificate::Certificate;
use serde::Serialize;
use tokio::runtime;

use super::prompt::Terminal;
use super::{enrolment, files, output, request};
use crate::config::{Config, Member};
use crate::failure::{Advise, Failure, Trying};
use crate::telemetry::SystemClock;
use crate::wire::{Keystores, publication};

/// Validity of the operator's first identity.
const OPERATOR_VALIDITY: &str = "365d";

/// Time before its end from which `init` makes the operator's certificate anew.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);

/// Arguments of `chancery init`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `chancery init --json` prints.
#[derive(Debug, Serialize)]
struct Report {
    /// The root, then the issuing authority.
    authorities: Vec<Authority>,
    /// The operator's identity.
    operator: Operator,
    /// The root to trust, PEM.
    trust: PathBuf,
    /// Each service's enrolment, by the service's name.
    #[serde(flatten)]
    enrolments: BTreeMap<&'static str, Enrolment>,
}

/// The identity with which a service asks for its first certificate.
#[derive(Debug, Serialize)]
struct Enrolment {
    /// The service, for people.
    #[serde(skip)]
    title: &'static str,
    /// Whether it was made now; otherwise it was there, or the service has
    /// a certificate.
    made: bool,
    /// Its key and certificate in the keystore.
    key: String,
    /// The keystore.
    keystore: String,
}

/// One authority.
#[derive(Debug, Serialize)]
struct Authority {
    /// Its name.
    id: String,
    /// Its key.
    key: String,
    /// Its key's algorithm.
    algorithm: String,
    /// The keystore that holds the key.
    keystore: String,
    /// Whether the key was made now.
    key_made: bool,
    /// Whether the certificate was made now.
    certificate_made: bool,
    /// Its subject.
    subject: String,
    /// Its certificate's serial number.
    serial: String,
    /// Last moment of its certificate.
    not_after: String,
    /// SHA-256 of its certificate.
    sha256: String,
}

/// The operator's identity.
#[derive(Debug, Serialize)]
struct Operator {
    /// Whether its certificate was made now.
    made: bool,
    /// Its key, mode 0600.
    key: PathBuf,
    /// Its certificate with the issuers, PEM.
    chain: PathBuf,
}

/// Holds the ceremony, or what is left of it.
///
/// # Errors
///
/// When a keystore or the store cannot be opened, or what is there is not what
/// the configuration says; nothing existing is changed.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .trying(|| "start a runtime".to_owned())?;
    let report = runtime.block_on(perform(config))?;
    show(args, &report)?;
    Ok(ExitCode::SUCCESS)
}

/// Opens everything, makes the authorities, then the operator's identity.
async fn perform(config: &Config) -> Result<Report, Failure> {
    let keystores = Keystores::new(config, &Terminal);
    let keystore = keystores.open(config.issuing_keystore())?;
    let configured = config.ca_store();
    let store: Arc<dyn RevocationStore> = Arc::new(
        Certificates::open(&configured, StoreMetrics::default())
            .trying(|| format!("open the store in {}", configured.directory.display()))
            .advise(|| {
                "stop the CA first, if it runs: its store is open in one process at a time"
                    .to_owned()
            })?,
    );
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ceremony = hold(config, &keystores, &store, &clock).await?;
    let opened = || "open the CA that was made".to_owned();
    let certificates = AuthorityCertificates::read(&config.ca, keystore.as_ref()).trying(opened)?;
    let publication = publication(config, &store, &clock, certificates, OcspMetrics::default())
        .await
        .trying(opened)?;
    let ca = Ca::open(CaParts {
        config: config.ca.clone(),
        keystore,
        store: Arc::clone(&store),
        publication: Arc::clone(&publication),
        clock: Arc::clone(&clock),
        metrics: CaMetrics::default(),
    })
    .await
    .trying(opened)?;
    first_crls(config, &keystores, &ca, publication, &store, &clock).await?;
    let authority_pem = |place: usize| {
        let authority = ceremony.authorities.get(place);
        authority.map_or_else(String::new, |found| found.certificate_pem.clone())
    };
    let (root_pem, issuing_pem) = (authority_pem(0), authority_pem(1));
    let operator = first_operator(config, &ca, &root_pem, clock.as_ref()).await?;
    let mut enrolments = BTreeMap::new();
    for member in config.members() {
        let enrolment =
            first_enrolment(&member, &keystores, &ca, &issuing_pem, clock.as_ref()).await?;
        enrolments.insert(member.name, enrolment);
    }
    ca.drain().await;
    Ok(Report {
        enrolments,
        authorities: ceremony.authorities.into_iter().map(authority).collect(),
        operator,
        trust: config.identities().join("ca.pem"),
    })
}

/// Issues the first CRL of every authority; the root's, which may be in a safe by
/// now, only if there is none that counts.
async fn first_crls(
    config: &Config,
    keystores: &Keystores<'_>,
    ca: &Arc<Ca>,
    publication: Arc<Publication>,
    store: &Arc<dyn RevocationStore>,
    clock: &Arc<dyn Clock>,
) -> Result<(), Failure> {
    ca.issue_crls()
        .await
        .trying(|| "issue the first CRLs".to_owned())?;
    if publication.has_root_crl() {
        return Ok(());
    }
    let keystore = keystores.open(config.root_keystore())?;
    RootCrl {
        config: config.ca.clone(),
        publication,
        store: Arc::clone(store),
        keystore,
        clock: Arc::clone(clock),
    }
    .issue()
    .await
    .map(drop)
    .trying(|| "issue the root's CRL".to_owned())
}

/// Makes keys and certificates of the authorities, showing what takes time.
async fn hold(
    config: &Config,
    keystores: &Keystores<'_>,
    store: &Arc<dyn RevocationStore>,
    clock: &Arc<dyn Clock>,
) -> Result<CeremonyReport, Failure> {
    let bar = if io::stderr().is_terminal() {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    } else {
        ProgressBar::hidden()
    };
    let show_progress = |progress: Progress<'_>| {
        bar.set_message(match progress {
            Progress::MakingKey {
                authority,
                algorithm,
            } => format!("making the {algorithm} key of {authority}"),
            Progress::Issuing { authority } => format!("issuing the certificate of {authority}"),
            _ => "working".to_owned(),
        });
    };
    let open = |name: Option<&str>| keystores.open(name).map_err(Into::into);
    let outcome = Ceremony {
        config: &config.ca,
        keystores: &open,
        store: Arc::clone(store) as _,
        clock: Arc::clone(clock),
        progress: &show_progress,
    }
    .perform()
    .await;
    bar.finish_and_clear();
    outcome
        .trying(|| "hold the ceremony".to_owned())
        .advise(|| {
            "what was made so far is kept; put right what stands above and run chancery init again"
                .to_owned()
        })
}

/// Makes the operator's identity, unless it is there, of this CA and good for
/// some time.
async fn first_operator(
    config: &Config,
    ca: &Arc<Ca>,
    root_pem: &str,
    clock: &dyn Clock,
) -> Result<Operator, Failure> {
    let directory = config.identities();
    let id = config.identity();
    let store = files::key_directory(&directory)?;
    let operator = |made| Operator {
        made,
        key: files::key_path(&directory, id),
        chain: files::chain_path(&directory, id),
    };
    let trust = directory.join("ca.pem");
    if is_good(&operator(false), &trust, root_pem, clock) {
        return Ok(operator(false));
    }
    let key = request::key_of(&store, id, KeyAlgorithm::EcP256)?;
    let content = CsrContent {
        subject: format!("CN={id}"),
        ..CsrContent::default()
    };
    let csr_der = csr::build(key.as_ref(), &content)
        .await
        .trying(|| format!("make a certificate request for {id}"))?;
    let identity = Identity {
        role: Role::Operator,
        name: PeerName::new(id.as_str()).trying(|| "name the operator's identity".to_owned())?,
    };
    let issued = Arc::clone(ca)
        .issue(identity_request(identity, OPERATOR_VALIDITY, csr_der)?)
        .await
        .trying(|| format!("issue the operator's certificate for {id}"))?;
    files::write_chain(&directory, id, &ca.chain_pem(&issued.certificate_der))?;
    files::write(&trust, root_pem)?;
    Ok(operator(true))
}

/// Leaves a service an identity to enrol with, unless it has that or a certificate.
async fn first_enrolment(
    member: &Member<'_>,
    keystores: &Keystores<'_>,
    ca: &Arc<Ca>,
    issuing_pem: &str,
    clock: &dyn Clock,
) -> Result<Enrolment, Failure> {
    let keystore = keystores.open(member.service.keystore.as_deref())?;
    let place = enrolment::Place {
        member,
        keystore: keystore.as_ref(),
    };
    let enrolment = |made| Enrolment {
        title: member.title,
        made,
        key: place.key_id().to_string(),
        keystore: place.keystore.describe(),
    };
    if place.is_provided(issuing_pem, clock.now()) {
        return Ok(enrolment(false));
    }
    let key = place.key(KeyAlgorithm::EcP256)?;
    let csr_der = csr::build(key.as_ref(), &place.content())
        .await
        .trying(|| {
            format!(
                "make a certificate request for the {}'s enrolment",
                member.title
            )
        })?;
    let request = identity_request(member.enrolment_identity(), enrolment::VALIDITY, csr_der)?;
    let issued = Arc::clone(ca)
        .issue(request)
        .await
        .trying(|| format!("issue the enrolment identity of the {}", member.title))?;
    place.leave(&issued.certificate_der)?;
    Ok(enrolment(true))
}

/// Says what an identity's certificate is to be.
fn identity_request(
    identity: Identity,
    validity: &str,
    csr_der: Vec<u8>,
) -> Result<IssueRequest, Failure> {
    let tried = || format!("describe the certificate of {identity}");
    Ok(IssueRequest {
        csr_der,
        profile: Some(ProfileName::new("service").trying(tried)?),
        validity: Some(validity.parse().trying(tried)?),
        forge: None,
        requester: Requester::Ca,
        request_id: RequestId::new("init").trying(tried)?,
        idempotency: None,
        identity: Some(identity),
    })
}

/// Tells whether the identity is there, under this root, and not about to end.
fn is_good(
    operator: &Operator,
    trust: &std::path::Path,
    root_pem: &str,
    clock: &dyn Clock,
) -> bool {
    let until = fs::read(&operator.chain)
        .ok()
        .and_then(|pem| pki::pem::read_certificates(&pem).ok())
        .and_then(|chain| Certificate::from_der(chain.first()?).ok())
        .map(|certificate| certificate.not_after());
    let renew_from = clock.now().checked_add(RENEW_BEFORE).ok();
    operator.key.exists()
        && fs::read_to_string(trust).is_ok_and(|pem| pem == root_pem)
        && until.is_some_and(|until| renew_from.is_some_and(|from| until > from))
}

/// Takes from the ceremony's report what is printed.
fn authority(report: AuthorityReport) -> Authority {
    Authority {
        id: report.id.to_string(),
        key: report.key.to_string(),
        algorithm: report.algorithm.to_string(),
        keystore: report.keystore,
        key_made: report.key_made,
        certificate_made: report.certificate_made,
        subject: report.subject,
        serial: report.serial.to_string(),
        not_after: output::time(report.not_after),
        sha256: report.sha256,
    }
}

/// Prints what was made and what was there.
fn show(args: &Args, report: &Report) -> Result<(), Failure> {
    if args.json {
        return output::json(report);
    }
    let made = |made: bool| if made { "made now" } else { "was there" };
    for authority in &report.authorities {
        output::facts(&[
            ("authority", authority.id.clone()),
            ("subject", authority.subject.clone()),
            (
                "key",
                format!(
                    "{} ({}), {}",
                    authority.key,
                    authority.algorithm,
                    made(authority.key_made)
                ),
            ),
            ("kept on", authority.keystore.clone()),
            (
                "certificate",
                format!("{}, {}", authority.serial, made(authority.certificate_made)),
            ),
            ("valid until", authority.not_after.clone()),
            ("SHA-256", authority.sha256.clone()),
        ])?;
        output::line("")?;
    }
    let mut facts = vec![
        (
            "operator",
            format!(
                "{}, {}",
                report.operator.chain.display(),
                made(report.operator.made)
            ),
        ),
        ("its key", report.operator.key.display().to_string()),
        ("trust", report.trust.display().to_string()),
    ];
    facts.extend(report.enrolments.values().map(|enrolment| {
        let Enrolment { key, keystore, .. } = enrolment;
        let told = format!("enrols by {key} on {keystore}, {}", made(enrolment.made));
        (enrolment.title, told)
    }));
    output::facts(&facts)
}
