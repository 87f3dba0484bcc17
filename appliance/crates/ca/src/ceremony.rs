//! The ceremony: keys and certificates of the authorities, made once.
//!
//! For each authority, the root first:
//!
//! 1. Its key: found under its name and of the configured algorithm, or made.
//! 2. Its certificate: found beside the key and as configured, or issued like
//!    any other (planned, linted, intent, signature, record) and put there.
//!
//! Everything found is left as it is. Interrupted anywhere, the ceremony goes on
//! where it was: the store knows the certificate by the key it certifies. When
//! the root lives in a keystore of its own, its certificate is also kept on the
//! issuing authority's, so that the service needs the one alone.

mod found;
mod report;

use std::sync::Arc;

use hsm_keystore::{KeyAlgorithm, KeyStore, PrivateKey};
use model::{Clock, IdempotencyKey, IssuerId, RequestId};
use pki::certificate::Certificate;
use pki::issuer::{IssuerFacts, NotAnIssuer};
use pki::lint;
use pki::profile::PlanRequest;
use pki::public_key::PublicKey;
use store::{CertificateStore, Idempotency};
use tracing::info;

pub use report::{AuthorityReport, CeremonyReport};

pub(crate) use found::{check_certificate, check_key, public_key};
use found::{keep, kept, keystore_error};
use report::report;

use crate::certify::{Certified, Certifier, Circumstances, Signer};
use crate::config::{AuthorityPlan, CheckedCaConfig};
use crate::error::Error;
use crate::issue::fingerprint;
use crate::metrics::CaMetrics;
use crate::refusal::Refusal;
use crate::schemes::signature_algorithm;
use crate::serial::SerialSource;
use crate::settle::settle;

/// Opens the keystore of a name in `[keystores]`, or the default one.
pub type OpenKeyStore<'a> = dyn Fn(Option<&str>) -> Result<Arc<dyn KeyStore>, Box<dyn std::error::Error + Send + Sync>>
    + 'a;

/// What a ceremony is performed with.
pub struct Ceremony<'a> {
    /// The configuration.
    pub config: &'a CheckedCaConfig,
    /// Opens keystores; the root's only if its certificate is not there yet.
    pub keystores: &'a OpenKeyStore<'a>,
    /// Where certificates are recorded.
    pub store: Arc<dyn CertificateStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Told before each thing that takes time, for a progress display.
    pub progress: &'a dyn Fn(Progress<'_>),
}

/// What a ceremony is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Makes an authority's key.
    MakingKey {
        /// The authority.
        authority: &'a IssuerId,
        /// The key's algorithm.
        algorithm: KeyAlgorithm,
    },
    /// Issues an authority's certificate.
    Issuing {
        /// The authority.
        authority: &'a IssuerId,
    },
}

/// An authority as the ceremony finds or makes it.
struct Made {
    /// Its key; none where a certificate was enough.
    key: Option<Arc<dyn PrivateKey>>,
    /// Its certificate.
    certificate: Certificate,
    /// What to tell about it.
    report: AuthorityReport,
}

impl Ceremony<'_> {
    /// Performs the ceremony, or what is left of it.
    ///
    /// Waits for tokens on the thread that polls it: for a command, not for a
    /// runtime that serves others.
    ///
    /// # Errors
    ///
    /// `KeyDiffers` or `AuthorityDiffers` when something is there that is not
    /// as configured: nothing is changed then. `OpenKeyStore`, `KeyStore`,
    /// `Store` or `NotIssued` when one of them does not serve; performing it
    /// again goes on from there.
    pub async fn perform(&self) -> Result<CeremonyReport, Error> {
        let plan = &self.config.ceremony;
        let metrics = CaMetrics::default();
        let settled = settle(self.store.as_ref(), self.clock.as_ref(), &metrics).await?;
        let certifier = Certifier {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            metrics,
            sign_timeout: self.config.sign_timeout,
        };
        let home = self.open(&plan.issuing)?;
        let root = self.root(&home, &certifier).await?;
        let issuing = self.issuing(&home, &root, &certifier).await?;
        Ok(CeremonyReport {
            authorities: vec![root.report, issuing.report],
            settled,
        })
    }

    /// Finds the root beside the issuing authority, or finds or makes it in its
    /// own keystore.
    async fn root(&self, home: &Arc<dyn KeyStore>, certifier: &Certifier) -> Result<Made, Error> {
        let plan = &self.config.ceremony.root;
        let same_store = plan.keystore == self.config.ceremony.issuing.keystore;
        if !same_store && let Some(certificate) = kept(plan, home.as_ref())? {
            // The ceremony was complete: the root's keystore may be in its safe.
            check_certificate(plan, &certificate, certificate.public_key())?;
            if self.is_complete(home.as_ref())? {
                let report = report(plan, home.as_ref(), &certificate, false, false);
                return Ok(Made {
                    key: None,
                    certificate,
                    report,
                });
            }
        }
        let keystore = if same_store {
            Arc::clone(home)
        } else {
            self.open(plan)?
        };
        let (key, key_made) = self.key(plan, keystore.as_ref())?;
        let public_key = public_key(plan, key.as_ref())?;
        let made = match kept(plan, keystore.as_ref())? {
            Some(certificate) => {
                check_certificate(plan, &certificate, &public_key)?;
                check_key(plan, &certificate, &public_key)?;
                let report = report(plan, keystore.as_ref(), &certificate, key_made, false);
                Made {
                    key: Some(key),
                    certificate,
                    report,
                }
            }
            None => {
                let facts = IssuerFacts::self_signed(
                    &plan.subject,
                    &public_key,
                    signature_algorithm(plan.scheme),
                )
                .map_err(|source| not_an_issuer(plan, source))?;
                let signer = Signing {
                    facts: &facts,
                    public_key: &public_key,
                    key: key.as_ref(),
                    plan,
                };
                let certificate = self
                    .certify(plan, &public_key, &signer, keystore.as_ref(), certifier)
                    .await?;
                let report = report(plan, keystore.as_ref(), &certificate, key_made, true);
                Made {
                    key: Some(key),
                    certificate,
                    report,
                }
            }
        };
        if !same_store {
            keep(plan, home.as_ref(), made.certificate.der())?;
        }
        Ok(made)
    }

    /// Finds or makes the issuing authority.
    async fn issuing(
        &self,
        home: &Arc<dyn KeyStore>,
        root: &Made,
        certifier: &Certifier,
    ) -> Result<Made, Error> {
        let plan = &self.config.ceremony.issuing;
        let (key, key_made) = self.key(plan, home.as_ref())?;
        let own_key = public_key(plan, key.as_ref())?;
        let root_key = root.certificate.public_key();
        if let Some(certificate) = kept(plan, home.as_ref())? {
            check_certificate(plan, &certificate, root_key)?;
            check_key(plan, &certificate, &own_key)?;
            let report = report(plan, home.as_ref(), &certificate, key_made, false);
            return Ok(Made {
                key: Some(key),
                certificate,
                report,
            });
        }
        let root_plan = &self.config.ceremony.root;
        let facts = IssuerFacts::from_certificate(
            &root.certificate,
            signature_algorithm(root_plan.scheme),
            self.config.issuer_urls(&root_plan.id, true),
        )
        .map_err(|source| not_an_issuer(root_plan, source))?;
        let root_signs = match &root.key {
            Some(key) => Arc::clone(key),
            // Complete a moment ago: only if somebody removed things meanwhile.
            None => {
                let keystore = self.open(root_plan)?;
                self.key(root_plan, keystore.as_ref())?.0
            }
        };
        let signer = Signing {
            facts: &facts,
            public_key: root_key,
            key: root_signs.as_ref(),
            plan: root_plan,
        };
        let certificate = self
            .certify(plan, &own_key, &signer, home.as_ref(), certifier)
            .await?;
        let report = report(plan, home.as_ref(), &certificate, key_made, true);
        Ok(Made {
            key: Some(key),
            certificate,
            report,
        })
    }

    /// Tells whether the issuing authority has key and certificate.
    fn is_complete(&self, home: &dyn KeyStore) -> Result<bool, Error> {
        let plan = &self.config.ceremony.issuing;
        match home.get_private_key(&plan.key) {
            Ok(_) => Ok(kept(plan, home)?.is_some()),
            Err(hsm_keystore::Error::NoKey { .. }) => Ok(false),
            Err(source) => Err(keystore_error("find the issuing authority's key")(source)),
        }
    }

    /// Opens an authority's keystore.
    fn open(&self, plan: &AuthorityPlan) -> Result<Arc<dyn KeyStore>, Error> {
        (self.keystores)(plan.keystore.as_deref()).map_err(|source| Error::OpenKeyStore {
            authority: plan.id.clone(),
            source,
        })
    }

    /// Finds an authority's key, or makes it; tells which.
    fn key(
        &self,
        plan: &AuthorityPlan,
        keystore: &dyn KeyStore,
    ) -> Result<(Arc<dyn PrivateKey>, bool), Error> {
        match keystore.get_private_key(&plan.key) {
            Ok(key) if key.algorithm() == plan.algorithm => Ok((key, false)),
            Ok(key) => Err(Error::KeyDiffers {
                authority: plan.id.clone(),
                key: plan.key.clone(),
                wanted: plan.algorithm,
                found: key.algorithm(),
            }),
            Err(hsm_keystore::Error::NoKey { .. }) => {
                // A certificate without its key would be orphaned by a new one.
                if let Some(certificate) = kept(plan, keystore)? {
                    return Err(Error::AuthorityDiffers {
                        authority: plan.id.clone(),
                        what: "key",
                        wanted: "beside its certificate".into(),
                        found: format!(
                            "missing, while certificate {} is there",
                            certificate.serial()
                        )
                        .into(),
                    });
                }
                (self.progress)(Progress::MakingKey {
                    authority: &plan.id,
                    algorithm: plan.algorithm,
                });
                let key = keystore
                    .generate_private_key(&plan.key, plan.algorithm)
                    .map_err(keystore_error("make an authority's key"))?;
                info!(issuer = %plan.id, key = %plan.key, "made the key of authority {}", plan.id);
                Ok((key, true))
            }
            Err(source) => Err(keystore_error("find an authority's key")(source)),
        }
    }

    /// Issues an authority's certificate, or takes the one an interrupted
    /// ceremony recorded, and puts it beside the key.
    async fn certify(
        &self,
        plan: &AuthorityPlan,
        public_key: &PublicKey,
        signing: &Signing<'_>,
        keystore: &dyn KeyStore,
        certifier: &Certifier,
    ) -> Result<Certificate, Error> {
        (self.progress)(Progress::Issuing {
            authority: &plan.id,
        });
        let not_issued = |refusal: Refusal| Error::NotIssued {
            authority: plan.id.clone(),
            source: Box::new(refusal),
        };
        let serial = SerialSource::new(self.config.node, keystore)?.draw()?;
        let request = PlanRequest::new(public_key, &plan.subject, serial, self.clock.now());
        let planned = plan
            .profile
            .plan(&request, signing.facts)
            .map_err(|source| Refusal::Profile {
                profile: plan.profile.name().clone(),
                source,
            })
            .map_err(not_issued)?;
        let linted = lint::lint(planned, &plan.profile, signing.facts)
            .map_err(|findings| not_issued(findings.into()))?;
        let signer = Signer {
            issuer: &signing.plan.id,
            key: signing.key,
            scheme: signing.plan.scheme,
        };
        let circumstances = circumstances(plan, public_key, signing.public_key)?;
        let certified = certifier
            .certify(signer, linted, circumstances)
            .await
            .map_err(not_issued)?;
        let der = match &certified {
            Certified::New { certificate, .. } => certificate.der(),
            Certified::Replayed(record) => record.certificate_der().ok_or_else(|| {
                not_issued(Refusal::InProgress {
                    serial: record.intent.serial.clone(),
                })
            })?,
        };
        let certificate = Certificate::from_der(der).map_err(|source| Error::Certificate {
            authority: plan.id.clone(),
            source,
        })?;
        check_certificate(plan, &certificate, signing.public_key)?;
        keep(plan, keystore, certificate.der())?;
        info!(
            issuer = %plan.id,
            cert.serial = %certificate.serial(),
            "issued the certificate of authority {}", plan.id
        );
        Ok(certificate)
    }
}

/// Who signs an authority's certificate.
struct Signing<'a> {
    /// What certificates under it depend on.
    facts: &'a IssuerFacts,
    /// Its public key.
    public_key: &'a PublicKey,
    /// Its key.
    key: &'a dyn PrivateKey,
    /// What it is.
    plan: &'a AuthorityPlan,
}

/// Who asks for authorities' certificates, in the store.
const SCOPE: &str = "ceremony";

/// Ties the record to the key it certifies, so that an interrupted ceremony
/// finds it again.
fn circumstances(
    plan: &AuthorityPlan,
    own: &PublicKey,
    signer: &PublicKey,
) -> Result<Circumstances, Error> {
    let own_hash = hex::encode(own.sha256());
    let names = || {
        Ok::<_, model::InvalidName>((
            IdempotencyKey::new(own_hash.get(..32).unwrap_or_default())?,
            RequestId::new(SCOPE)?,
        ))
    };
    let (key, request_id) = names().map_err(|_| Error::NoRandomness)?;
    let validity = plan.validity.duration().as_secs();
    Ok(Circumstances {
        profile: plan.profile.name().clone(),
        requester: None,
        request_id,
        idempotency: Some(Idempotency {
            key,
            scope: SCOPE.to_owned(),
            fingerprint: fingerprint(&[
                own.spki_der(),
                signer.spki_der(),
                &plan.subject.to_der(),
                &validity.to_be_bytes(),
            ]),
        }),
    })
}

/// States that an authority cannot issue.
fn not_an_issuer(plan: &AuthorityPlan, source: NotAnIssuer) -> Error {
    Error::NotAnIssuer {
        authority: plan.id.clone(),
        source,
    }
}

impl std::fmt::Debug for Ceremony<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ceremony")
            .field("plan", &self.config.ceremony)
            .finish_non_exhaustive()
    }
}
