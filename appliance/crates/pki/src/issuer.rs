//! What a plan must know of the authority that will sign it.

use std::sync::Arc;

use model::Timestamp;

use crate::algorithm::SignatureAlgorithm;
use crate::certificate::Certificate;
use crate::name::DistinguishedName;
use crate::name_constraints::NameConstraints;
use crate::public_key::{KeyIdentifier, PublicKey};

/// Where relying parties find what an issuer publishes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssuerUrls {
    /// The issuer's certificate, DER (`id-ad-caIssuers`).
    pub ca_issuers: Option<String>,
    /// The OCSP responder (`id-ad-ocsp`).
    pub ocsp: Option<String>,
    /// The full CRL.
    pub crl: Option<String>,
    /// One shard's CRL, `{shard}` standing for its number.
    pub crl_shard: Option<String>,
}

/// An issuing authority, as the certificates under it depend on it.
#[derive(Debug, Clone)]
pub struct IssuerFacts {
    /// The subject, octet for octet as certificates repeat it.
    pub(crate) subject_der: Arc<[u8]>,
    /// The key that signs.
    pub(crate) public_key: Arc<PublicKey>,
    /// The subject key identifier.
    pub(crate) key_identifier: KeyIdentifier,
    /// How it signs.
    pub(crate) signature_algorithm: SignatureAlgorithm,
    /// Whether it may sign CRLs (RFC 5280, 4.2.1.3: cRLSign).
    pub(crate) may_sign_crls: bool,
    /// First and last second of its certificate; none where it signs itself.
    pub(crate) validity: Option<(Timestamp, Timestamp)>,
    /// How many CA certificates may follow it.
    pub(crate) path_length: Option<u8>,
    /// The names it may issue.
    pub(crate) name_constraints: NameConstraints,
    /// Where it publishes.
    pub(crate) urls: IssuerUrls,
}

/// Why a certificate cannot be an issuer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnIssuer {
    /// Its basic constraints do not say CA (RFC 5280, 6.1.4 (k)).
    #[error("the certificate is not a CA's")]
    NotACa,
    /// Its key usage lacks keyCertSign (RFC 5280, 6.1.4 (n)).
    #[error("the certificate's key may not sign certificates (no keyCertSign)")]
    MayNotSign,
    /// It has no subject key identifier of 20 octets to point at.
    #[error("the certificate has no subject key identifier of 20 octets")]
    NoKeyIdentifier,
    /// Its key cannot sign by the algorithm chosen.
    #[error("a {key_type} key cannot sign {algorithm}")]
    Algorithm {
        /// The key.
        key_type: crate::public_key::KeyType,
        /// The algorithm chosen.
        algorithm: SignatureAlgorithm,
    },
}

impl IssuerFacts {
    /// Takes the facts from a CA certificate.
    ///
    /// # Errors
    ///
    /// Why the certificate is none to issue under.
    pub fn from_certificate(
        certificate: &Certificate,
        signature_algorithm: SignatureAlgorithm,
        urls: IssuerUrls,
    ) -> Result<Self, NotAnIssuer> {
        let extensions = certificate.extensions();
        let constraints = extensions.basic_constraints.unwrap_or_default();
        if !constraints.ca {
            return Err(NotAnIssuer::NotACa);
        }
        if !extensions
            .key_usage
            .is_none_or(|usage| usage.contains(crate::profile::KeyUsage::KeyCertSign))
        {
            return Err(NotAnIssuer::MayNotSign);
        }
        let key_identifier = extensions
            .subject_key_identifier
            .as_deref()
            .and_then(|octets| KeyIdentifier::try_from(octets).ok())
            .ok_or(NotAnIssuer::NoKeyIdentifier)?;
        Self::check_algorithm(certificate.public_key(), signature_algorithm)?;
        Ok(Self {
            subject_der: certificate.subject_der().into(),
            public_key: Arc::new(certificate.public_key().clone()),
            key_identifier,
            signature_algorithm,
            may_sign_crls: extensions
                .key_usage
                .is_none_or(|usage| usage.contains(crate::profile::KeyUsage::CrlSign)),
            validity: Some((certificate.not_before(), certificate.not_after())),
            path_length: constraints.path_length,
            name_constraints: extensions.name_constraints.clone().unwrap_or_default(),
            urls,
        })
    }

    /// Forms the facts of a root about to sign itself.
    ///
    /// # Errors
    ///
    /// `Algorithm` when the key cannot sign that way.
    pub fn self_signed(
        subject: &DistinguishedName,
        public_key: &PublicKey,
        signature_algorithm: SignatureAlgorithm,
    ) -> Result<Self, NotAnIssuer> {
        Self::check_algorithm(public_key, signature_algorithm)?;
        Ok(Self {
            subject_der: subject.to_der().into(),
            key_identifier: public_key.key_identifier(),
            public_key: Arc::new(public_key.clone()),
            signature_algorithm,
            may_sign_crls: true,
            validity: None,
            path_length: None,
            name_constraints: NameConstraints::default(),
            urls: IssuerUrls::default(),
        })
    }

    /// Checks that the key signs by the algorithm, with a hash fit for it.
    fn check_algorithm(
        public_key: &PublicKey,
        algorithm: SignatureAlgorithm,
    ) -> Result<(), NotAnIssuer> {
        if public_key.can_sign(algorithm) {
            return Ok(());
        }
        Err(NotAnIssuer::Algorithm {
            key_type: public_key.key_type(),
            algorithm,
        })
    }

    /// Returns the key that signs.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns how the issuer signs.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// Returns the DER Name that certificates repeat as their issuer.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.subject_der
    }

    /// Returns the subject key identifier.
    #[must_use]
    pub fn key_identifier(&self) -> KeyIdentifier {
        self.key_identifier
    }

    /// Tells whether the issuer signs itself: a root in the making.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.validity.is_none()
    }

    /// Returns where the issuer publishes.
    #[must_use]
    pub fn urls(&self) -> &IssuerUrls {
        &self.urls
    }
}
