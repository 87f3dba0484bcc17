//! Trusted roots: whom a verifier believes, in sigstore's JSON and in PEM.
//!
//! JSON tells authorities of signing and of time from each other, says from when until
//! when each counts, and holds the keys of logs. PEM is a heap of certificates: those that
//! issued themselves are roots, for everything; what may be signed with what is below them
//! is told by the extended key usages.

mod wire;

use pki::certificate::{Certificate, CertificateError};
use pki::public_key::PublicKey;

use crate::json::{self, JsonError};
pub use crate::sigstore::Validity;
use crate::tlog::{NoteKey, UnsuitableKey};

/// The media type of a trusted root.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";

/// Whom a verifier believes.
#[derive(Debug, Clone, Default)]
pub struct TrustedRoot {
    /// Who certifies signers.
    pub certificate_authorities: Vec<Authority>,
    /// Who says what time it is.
    pub time_stamp_authorities: Vec<Authority>,
    /// Transparency logs of signatures.
    pub logs: Vec<LogInstance>,
    /// Transparency logs of certificates.
    pub ct_logs: Vec<LogInstance>,
}

/// An authority: certificates from the one nearest to what it signs up to the root.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Where it is.
    pub uri: String,
    /// Its certificates, the root last; for time, the signing certificate first.
    pub certificates: Vec<Certificate>,
    /// When it counts.
    pub valid_for: Validity,
}

/// A log and its key.
#[derive(Debug, Clone)]
pub struct LogInstance {
    /// Where it is; its host is the log's name in checkpoints.
    pub base_url: String,
    /// Its key.
    pub public_key: PublicKey,
    /// When the key counts.
    pub valid_for: Validity,
    /// Its identifier.
    pub log_id: Vec<u8>,
}

/// Why bytes are no trusted root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustedRootError {
    /// Not JSON as evidence must be, or without the members of a trusted root.
    #[error("the trusted root is not one in JSON: {0}")]
    Json(#[from] JsonError),
    /// Another media type.
    #[error("{given:?} is no media type of a trusted root known here: {MEDIA_TYPE} is")]
    MediaType {
        /// The media type, shortened.
        given: String,
    },
    /// An authority without certificates, or with too many.
    #[error("an authority of the trusted root has {count} certificates; 1 to {max} are taken")]
    Certificates {
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// A certificate that is none.
    #[error("a certificate of the trusted root is refused")]
    Certificate(#[from] CertificateError),
    /// More of something than is looked at.
    #[error("the trusted root holds {count} {what}; at most {max} are taken")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// A log without a key.
    #[error("a log of the trusted root has no key")]
    NoKey,
    /// Not PEM.
    #[error("the trusted root is neither JSON nor PEM with certificates")]
    Pem,
    /// PEM without a certificate that issued itself.
    #[error("none of the certificates is a root: no certificate issued itself")]
    NoRoot,
}

impl Authority {
    /// Joins an authority's certificates.
    #[must_use]
    pub fn new(
        uri: impl Into<String>,
        certificates: Vec<Certificate>,
        valid_for: Validity,
    ) -> Self {
        Self {
            uri: uri.into(),
            certificates,
            valid_for,
        }
    }
}

impl Authority {
    /// Describes a time-stamping authority by its certificate, the one that issued it and
    /// the root, for as long as its certificate is valid.
    ///
    /// There are two, of which verifiers take the one they can follow: npm's wants a root
    /// that issued itself at the end, the crate `sigstore-verify` wants every certificate
    /// between both ends to be for time-stamping alone, which an authority that issues
    /// other certificates as well is not.
    #[must_use]
    pub fn time_stamping(
        uri: &str,
        leaf: &Certificate,
        issuing: &Certificate,
        root: &Certificate,
    ) -> [Self; 2] {
        let valid_for = Validity {
            start: Some(leaf.not_before()),
            end: Some(leaf.not_after()),
        };
        let whole = vec![leaf.clone(), issuing.clone(), root.clone()];
        let short = vec![leaf.clone(), issuing.clone()];
        [whole, short].map(|certificates| Self::new(uri, certificates, valid_for))
    }

    /// Returns the certificates that paths may end at, and those that they may go
    /// through.
    pub(crate) fn anchors(&self) -> (Vec<Certificate>, Vec<Certificate>) {
        let (mut roots, mut between): (Vec<_>, Vec<_>) = self
            .certificates
            .iter()
            .cloned()
            .partition(Certificate::is_self_issued);
        // The last is believed as it is, even if it did not issue itself.
        if roots.is_empty() {
            roots.extend(between.pop());
        }
        (roots, between)
    }
}

impl LogInstance {
    /// Describes a log of certificates: its identifier is SHA-256 of its key
    /// (RFC 6962, 3.2).
    #[must_use]
    pub fn certificates(
        base_url: impl Into<String>,
        public_key: PublicKey,
        valid_for: Validity,
    ) -> Self {
        Self {
            base_url: base_url.into(),
            log_id: public_key.sha256().to_vec(),
            public_key,
            valid_for,
        }
    }

    /// Describes a log of signatures by the name and key of its checkpoints.
    #[must_use]
    pub fn signatures(key: &NoteKey, valid_for: Validity) -> Self {
        Self {
            base_url: format!("https://{}", key.origin()),
            public_key: key.public_key().clone(),
            valid_for,
            log_id: key.key_id().to_vec(),
        }
    }

    /// Returns the name and key of the log's checkpoints.
    ///
    /// # Errors
    ///
    /// When the key is not of the kind that signs checkpoints here, or the URL has no
    /// host that is a log's name.
    pub fn note_key(&self) -> Result<NoteKey, UnsuitableKey> {
        let name = self
            .base_url
            .split_once("://")
            .map_or(self.base_url.as_str(), |(_, name)| name);
        NoteKey::new(name.trim_end_matches('/'), self.public_key.clone())
    }
}

impl TrustedRoot {
    /// Writes the trusted root: one line and its end, as `gh` reads it.
    #[must_use]
    pub fn to_json(&self) -> String {
        wire::write(self)
    }

    /// Reads a trusted root in JSON.
    ///
    /// Bytes are hostile: never panics, allocates no more than a few times their length.
    /// Logs whose keys are of a kind not known here are left out: nothing is verified
    /// with them.
    ///
    /// # Errors
    ///
    /// Each as it says.
    pub fn parse(json: &[u8]) -> Result<Self, TrustedRootError> {
        wire::read(json::parse(json, &wire::LIMITS)?)
    }

    /// Writes every CA certificate once, roots last.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let mut seen: Vec<&Certificate> = Vec::new();
        let authorities = [&self.certificate_authorities, &self.time_stamp_authorities];
        for certificate in authorities
            .into_iter()
            .flatten()
            .flat_map(|authority| &authority.certificates)
        {
            let constraints = certificate.extensions().basic_constraints;
            let is_ca = constraints.is_some_and(|constraints| constraints.ca);
            if is_ca && !seen.iter().any(|known| known.der() == certificate.der()) {
                seen.push(certificate);
            }
        }
        seen.sort_by_key(|certificate| certificate.is_self_issued());
        pki::pem::write_chain(seen.into_iter().map(Certificate::der))
    }

    /// Reads certificates in PEM: roots, and those between them and signers.
    ///
    /// They vouch for signers and for time alike, as far as their usages allow.
    ///
    /// # Errors
    ///
    /// `Pem`, `Certificate`, `Certificates` for too many, `NoRoot`.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TrustedRootError> {
        let ders = pki::pem::read_certificates(pem).map_err(|_| TrustedRootError::Pem)?;
        let certificates = ders
            .iter()
            .map(|der| Certificate::from_der(der))
            .collect::<Result<Vec<_>, _>>()?;
        Self::from_certificates(certificates)
    }

    /// Believes roots, with those between them and signers.
    ///
    /// # Errors
    ///
    /// `Certificates` for too many, `NoRoot`.
    pub fn from_certificates(mut certificates: Vec<Certificate>) -> Result<Self, TrustedRootError> {
        if certificates.len() > wire::MAX_CERTIFICATES {
            return Err(TrustedRootError::Certificates {
                count: certificates.len(),
                max: wire::MAX_CERTIFICATES,
            });
        }
        if !certificates.iter().any(Certificate::is_self_issued) {
            return Err(TrustedRootError::NoRoot);
        }
        certificates.sort_by_key(Certificate::is_self_issued);
        let authority = Authority::new("", certificates, Validity::default());
        Ok(Self {
            certificate_authorities: vec![authority.clone()],
            time_stamp_authorities: vec![authority],
            ..Self::default()
        })
    }

    /// Reads a trusted root in JSON or PEM.
    ///
    /// # Errors
    ///
    /// As [`TrustedRoot::parse`] for what begins as JSON, as [`TrustedRoot::from_pem`]
    /// for the rest.
    pub fn read(bytes: &[u8]) -> Result<Self, TrustedRootError> {
        match bytes.trim_ascii_start().first() {
            Some(b'{') => Self::parse(bytes),
            Some(_) | None => Self::from_pem(bytes),
        }
    }

    /// Believes another's as well.
    pub fn merge(&mut self, other: Self) {
        self.certificate_authorities
            .extend(other.certificate_authorities);
        self.time_stamp_authorities
            .extend(other.time_stamp_authorities);
        self.logs.extend(other.logs);
        self.ct_logs.extend(other.ct_logs);
    }
}

#[cfg(test)]
mod tests;
