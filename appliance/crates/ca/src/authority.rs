//! The authorities as the service uses them: certificates, and the key that signs.

use std::sync::Arc;

use hsm_keystore::{KeyStore, PrivateKey, SignatureScheme};
use model::IssuerId;
use pki::certificate::Certificate;
use pki::issuer::IssuerFacts;
use pki::pem;

use crate::ceremony::{check_key, public_key};
use crate::config::CheckedCaConfig;
use crate::error::Error;
use crate::publication::AuthorityCertificates;
use crate::schemes::signature_algorithm;

/// An authority that issues: its certificate and its key.
#[derive(Debug)]
pub struct Authority {
    /// Its name in URLs and records.
    pub(crate) id: IssuerId,
    /// Its certificate.
    pub(crate) certificate: Certificate,
    /// Its key.
    pub(crate) key: Arc<dyn PrivateKey>,
    /// How it signs.
    pub(crate) scheme: SignatureScheme,
    /// What the certificates under it depend on.
    pub(crate) facts: IssuerFacts,
    /// The chain above a leaf: its certificate and those above, without the root.
    pub(crate) chain_pem: String,
}

/// Every authority of one installation.
#[derive(Debug)]
pub struct Authorities {
    /// The root's name.
    pub(crate) root_id: IssuerId,
    /// The root's certificate; its key may be away.
    pub(crate) root: Certificate,
    /// The authority that issues.
    pub(crate) issuing: Authority,
}

impl Authorities {
    /// Opens what the ceremony left on the keystore of the issuing authority.
    ///
    /// Blocks for as long as the token takes.
    ///
    /// # Errors
    ///
    /// `NoCeremony` when there is no authority yet, `AuthorityDiffers` when what
    /// is there is not what is configured, `KeyStore` when the token cannot be
    /// asked.
    pub fn open(config: &CheckedCaConfig, keystore: &dyn KeyStore) -> Result<Self, Error> {
        let plan = &config.ceremony;
        let AuthorityCertificates {
            root,
            issuing: certificate,
        } = AuthorityCertificates::read(config, keystore)?;
        let key = keystore
            .get_private_key(&plan.issuing.key)
            .map_err(|source| match source {
                hsm_keystore::Error::NoKey { .. } => Error::NoCeremony {
                    authority: plan.issuing.id.clone(),
                    source,
                },
                source => Error::KeyStore {
                    what: "find the issuing authority's key",
                    source,
                },
            })?;
        check_key(
            &plan.issuing,
            &certificate,
            &public_key(&plan.issuing, key.as_ref())?,
        )?;
        let facts = IssuerFacts::from_certificate(
            &certificate,
            signature_algorithm(plan.issuing.scheme),
            config.issuer_urls(&plan.issuing.id, false),
        )
        .map_err(|source| Error::NotAnIssuer {
            authority: plan.issuing.id.clone(),
            source,
        })?;
        Ok(Self {
            root_id: plan.root.id.clone(),
            issuing: Authority {
                id: plan.issuing.id.clone(),
                chain_pem: pem::write_certificate(certificate.der()),
                certificate,
                key,
                scheme: plan.issuing.scheme,
                facts,
            },
            root,
        })
    }

    /// Returns the root's certificate: what relying parties trust.
    #[must_use]
    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// Returns the issuing authority.
    #[must_use]
    pub fn issuing(&self) -> &Authority {
        &self.issuing
    }

    /// Finds an authority's certificate.
    pub(crate) fn certificate(&self, id: &IssuerId) -> Option<&Certificate> {
        if *id == self.issuing.id {
            Some(&self.issuing.certificate)
        } else {
            (*id == self.root_id).then_some(&self.root)
        }
    }

    /// Returns the chain above leafs with its root, PEM.
    pub(crate) fn whole_chain_pem(&self) -> String {
        pem::write_chain([self.issuing.certificate.der(), self.root.der()])
    }
}

impl Authority {
    /// Returns its name in URLs and records.
    #[must_use]
    pub fn id(&self) -> &IssuerId {
        &self.id
    }

    /// Returns its certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// Finds the root's key in a keystore, for its CRL.
///
/// Blocks for as long as the token takes.
///
/// # Errors
///
/// `KeyStore` when the key is not there, `AuthorityDiffers` or `NotAnIssuer` when
/// it is another one.
pub(crate) fn root_signer(
    config: &CheckedCaConfig,
    certificate: &Certificate,
    keystore: &dyn KeyStore,
) -> Result<Authority, Error> {
    let plan = &config.ceremony.root;
    let key = keystore
        .get_private_key(&plan.key)
        .map_err(|source| Error::KeyStore {
            what: "find the root's key",
            source,
        })?;
    check_key(plan, certificate, &public_key(plan, key.as_ref())?)?;
    let facts = IssuerFacts::from_certificate(
        certificate,
        signature_algorithm(plan.scheme),
        config.issuer_urls(&plan.id, true),
    )
    .map_err(|source| Error::NotAnIssuer {
        authority: plan.id.clone(),
        source,
    })?;
    Ok(Authority {
        id: plan.id.clone(),
        chain_pem: pem::write_certificate(certificate.der()),
        certificate: certificate.clone(),
        key,
        scheme: plan.scheme,
        facts,
    })
}

/// Reads an authority's certificate from a keystore.
pub(crate) fn kept_certificate(
    keystore: &dyn KeyStore,
    authority: &IssuerId,
    key: &hsm_keystore::KeyId,
) -> Result<Certificate, Error> {
    let der = keystore
        .get_certificate(key)
        .map_err(|source| match source {
            hsm_keystore::Error::NoCertificate { .. } => Error::NoCeremony {
                authority: authority.clone(),
                source,
            },
            source => Error::KeyStore {
                what: "read an authority's certificate",
                source,
            },
        })?;
    Certificate::from_der(&der).map_err(|source| Error::Certificate {
        authority: authority.clone(),
        source,
    })
}
