//! What the CA tells about itself, in the wire's types.

use std::time::Instant;

use mesh::wire;
use model::{Identity, SerialNumber, Timestamp};
use pki::pem;
use pki::profile::{Profile, ProfileConfig, ProfileKind};
use store::{CertificateFilter, CertificateRecord, CertificateState, Cursor, Health, StateFilter};

use crate::issue::Ca;

/// Records in a page when none are asked for.
const DEFAULT_LIMIT: u32 = 100;

/// Most records in a page.
const MAX_LIMIT: u32 = 1_000;

impl Ca {
    /// Tells what is recorded about a serial number.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn certificate(
        &self,
        serial: &SerialNumber,
    ) -> Result<Option<wire::CertificateRecord>, store::Error> {
        let now = self.certifier.clock.now();
        let record = self.certifier.store.certificate(serial).await?;
        Ok(record.map(|record| {
            let chain_pem = record
                .certificate_der()
                .map(|der| self.recorded_chain(&record, der));
            wire::CertificateRecord {
                chain_pem,
                ..to_wire(record, now)
            }
        }))
    }

    /// Returns a recorded certificate with the authorities above it, without
    /// the root.
    pub(crate) fn recorded_chain(&self, record: &CertificateRecord, der: &[u8]) -> String {
        if record.intent.issuer == self.authorities.issuing.id {
            self.chain_pem(der)
        } else {
            pem::write_certificate(der)
        }
    }

    /// Lists certificates, a page at a time.
    ///
    /// # Errors
    ///
    /// `BadCursor`, or when the store cannot be read.
    pub async fn certificates(
        &self,
        filter: &wire::CertificateFilter,
    ) -> Result<wire::CertificatePage, store::Error> {
        use wire::CertificateStatus as Status;
        let now = self.certifier.clock.now();
        let limit = filter.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
        let cursor: Option<Cursor> = filter.cursor.as_deref().map(str::parse).transpose()?;
        let state = match filter.status {
            None => None,
            Some(Status::Pending) => Some(StateFilter::Pending),
            Some(Status::Abandoned) => Some(StateFilter::Abandoned),
            Some(Status::Revoked) => Some(StateFilter::Revoked),
            // Which of these an issued certificate is, the time tells below.
            Some(Status::Valid | Status::Expired) => Some(StateFilter::Issued),
        };
        let expires_before = match filter.status {
            // The soonest bound: an expired certificate expired before now.
            Some(Status::Expired) => {
                Some(filter.expires_before.map_or(now, |before| before.min(now)))
            }
            _ => filter.expires_before,
        };
        let page = self
            .certifier
            .store
            .certificates(
                CertificateFilter {
                    state,
                    profile: filter.profile.clone(),
                    subject_contains: filter.subject.clone(),
                    expires_before,
                },
                cursor,
                limit as usize,
            )
            .await?;
        Ok(wire::CertificatePage {
            certificates: page
                .records
                .into_iter()
                .map(|record| to_wire(record, now))
                .filter(|record| filter.status.is_none_or(|status| record.status == status))
                .collect(),
            cursor: page.next.map(|cursor| cursor.to_string()),
        })
    }

    /// Lists the profiles and which of them a peer may use.
    #[must_use]
    pub fn profiles(&self, peer: Option<&Identity>) -> wire::ProfileList {
        let grants = &self.config.grants;
        let summaries = self.config.profiles.values().map(|profile| {
            let allowed = peer.is_none_or(|peer| grants.allows_profile(peer.role, profile.name()));
            self.summary(profile, allowed)
        });
        wire::ProfileList {
            profiles: summaries.collect(),
        }
    }

    /// Tells about one profile.
    fn summary(&self, profile: &Profile, allowed: bool) -> wire::ProfileSummary {
        let config: &ProfileConfig = profile.effective_config();
        let issuer = if profile.kind() == ProfileKind::RootCa {
            &self.authorities.root_id
        } else {
            &self.authorities.issuing.id
        };
        let texts = |json: serde_json::Result<serde_json::Value>| match json {
            Ok(serde_json::Value::Array(values)) => values
                .iter()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        };
        wire::ProfileSummary {
            name: profile.name().clone(),
            description: describe(profile.kind()).to_owned(),
            issuer: issuer.clone(),
            default_validity_s: profile.validity().as_secs(),
            max_validity_s: config
                .max_validity
                .map_or(0, |lifetime| lifetime.duration().as_secs()),
            // As the configuration spells them.
            key_algorithms: texts(serde_json::to_value(&config.keys)),
            extended_key_usages: texts(serde_json::to_value(&config.extended_key_usages)),
            allowed,
        }
    }

    /// Tells how the CA is.
    #[must_use]
    pub fn status(&self) -> wire::CaStatus {
        let store = self.certifier.store.status();
        let parts = PARTS.map(|part| {
            let outcome = self.part(part);
            wire::PartStatus {
                name: part.as_str().to_owned(),
                ready: outcome.is_ok(),
                detail: outcome.unwrap_or_else(|reason| reason),
            }
        });
        wire::CaStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            now: self.certifier.clock.now(),
            parts: parts.into(),
            issuers: vec![
                issuer_status(
                    &self.authorities.issuing.id,
                    &self.authorities.issuing.certificate,
                ),
                issuer_status(&self.authorities.root_id, &self.authorities.root),
            ],
            certificates: store.issued,
            open_intents: store.pending,
            settled_intents: self.settled,
            crls: self.publication.crl_list().crls,
            runway: self.publication.runway().to_wire(),
            ct: self
                .log
                .as_ref()
                .map(|log| log.status(self.authorities.issuing.certificate.not_before())),
        }
    }

    /// Asks a part how it is: what it is if it serves, or why it does not.
    pub(crate) fn part(&self, part: Part) -> Result<String, String> {
        let now = self.certifier.clock.now();
        match part {
            Part::Token => match self.keystore.ready() {
                Ok(()) => Ok(self.keystore.describe()),
                Err(reason) => Err(reason.to_string()),
            },
            Part::Store => match self.certifier.store.status().health {
                Health::Healthy => Ok("takes every record".to_owned()),
                Health::NoSpace => {
                    Err("the disk is full: nothing is signed until there is space".to_owned())
                }
                Health::Failed(fault) => Err(format!(
                    "takes no records until the service is restarted: {fault}"
                )),
            },
            Part::Clock => match self.clock_guard.peek(now, Instant::now()) {
                Ok(()) => Ok("plausible".to_owned()),
                Err(implausible) => Err(implausible.to_string()),
            },
            Part::Authority => {
                let certificate = &self.authorities.issuing.certificate;
                let (from, to) = (certificate.not_before(), certificate.not_after());
                if (from..=to).contains(&now) {
                    Ok(format!("{} until {to}", self.authorities.issuing.id))
                } else {
                    Err(format!(
                        "the certificate of authority {} is valid from {from} to {to}, not now",
                        self.authorities.issuing.id
                    ))
                }
            }
            Part::Ocsp => {
                let responder = &self.publication.responder;
                responder.check()?;
                Ok(match responder.status().certificate_expires {
                    Some(at) => format!("signs until {at}"),
                    None => "goes on with the answers that are ready".to_owned(),
                })
            }
        }
    }
}

/// A part the CA stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The keystore.
    Token,
    /// The store.
    Store,
    /// The clock.
    Clock,
    /// The issuing authority's certificate.
    Authority,
    /// The OCSP responder.
    Ocsp,
}

/// Every part.
pub(crate) const PARTS: [Part; 5] = [
    Part::Token,
    Part::Store,
    Part::Clock,
    Part::Authority,
    Part::Ocsp,
];

impl Part {
    /// Returns its name in status and readiness.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Store => "store",
            Self::Clock => "clock",
            Self::Authority => "authority",
            Self::Ocsp => "ocsp",
        }
    }
}

/// Says what a kind of certificate is for.
const fn describe(kind: ProfileKind) -> &'static str {
    match kind {
        ProfileKind::TlsServer => "TLS servers, known by DNS names and IP addresses",
        ProfileKind::TlsClient => "TLS clients",
        ProfileKind::Service => "services and people of this installation, each with one identity",
        ProfileKind::CodeSigning => "signers of code",
        ProfileKind::CiClient => "a forge's builds as clients, after its token, for minutes",
        ProfileKind::CodeSigningForge => "keys that sign code for a forge's build, for minutes",
        ProfileKind::OcspResponder => "delegated OCSP responders",
        ProfileKind::TimeStamping => "time-stamping authorities",
        ProfileKind::SubCa => "subordinate CAs",
        ProfileKind::RootCa => "roots; made by the ceremony alone",
    }
}

/// Tells about an authority.
fn issuer_status(
    id: &model::IssuerId,
    certificate: &pki::certificate::Certificate,
) -> wire::IssuerStatus {
    wire::IssuerStatus {
        id: id.clone(),
        subject: certificate.subject().to_string(),
        serial: certificate.serial().clone(),
        key_algorithm: certificate.public_key().key_type().to_string(),
        not_after: certificate.not_after(),
        sha256: hex::encode(certificate.fingerprint()),
    }
}

/// Translates a record, without its chain.
fn to_wire(record: CertificateRecord, now: Timestamp) -> wire::CertificateRecord {
    use wire::CertificateStatus as Status;
    let is_revoked = record
        .revocation
        .as_ref()
        .is_some_and(|revocation| revocation.current.is_revoked());
    let intent = record.intent;
    let (status, issued_at) = match record.state {
        CertificateState::Pending => (Status::Pending, None),
        CertificateState::Abandoned { .. } => (Status::Abandoned, None),
        CertificateState::Issued { at, .. } if is_revoked => (Status::Revoked, Some(at)),
        CertificateState::Issued { at, .. } if intent.not_after < now => {
            (Status::Expired, Some(at))
        }
        CertificateState::Issued { at, .. } => (Status::Valid, Some(at)),
    };
    wire::CertificateRecord {
        serial: intent.serial,
        status,
        issuer: intent.issuer,
        profile: intent.profile,
        subject: intent.subject,
        names: intent.names,
        not_before: intent.not_before,
        not_after: intent.not_after,
        public_key_sha256: hex::encode(intent.public_key_sha256),
        requester: intent.requester,
        request_id: Some(intent.request_id),
        recorded_at: intent.recorded_at,
        issued_at,
        revocation: record
            .revocation
            .filter(|revocation| revocation.current.is_revoked())
            .map(|revocation| wire::Revocation {
                at: revocation.current.revoked_at,
                reason: revocation.current.reason,
                invalidity_date: revocation.current.invalidity_date,
            }),
        chain_pem: None,
    }
}
