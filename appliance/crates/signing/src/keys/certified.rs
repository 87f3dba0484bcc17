//! A key, what certifies it, and how it signs.

use std::sync::Arc;

use hsm_keystore::{KeyAlgorithm, PrivateKey, SignatureScheme};
use jiff::{SignedDuration, Timestamp};
use model::signing::HashAlgorithm;
use pki::algorithm::SignatureAlgorithm;
use pki::certificate::Certificate;
use pki::cms::CmsSigner;
use pki::profile::ExtendedKeyUsage;
use pki::timestamp::{Accuracy, AuthoritySettings, PolicyOid, Precision, TimeStampAuthority};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It signs artifacts and what is attested of them.
    Artifacts,
    /// It signs time-stamps.
    TimeStamps {
        /// Under which policy.
        policy: PolicyOid,
        /// How far the clock may be from true time.
        accuracy: Option<SignedDuration>,
    },
}

/// A key with the certificate of the moment: what one request signs with, start to end.
#[derive(Debug)]
pub struct CertifiedKey {
    /// The key's handle.
    key: Arc<dyn PrivateKey>,
    /// Its certificate, then those that issued it, without the root.
    chain: Vec<Certificate>,
    /// The chain in PEM.
    chain_pem: String,
    /// How it signs CMS.
    cms: CmsSigner,
    /// How it signs time-stamps, where it does.
    authority: Option<TimeStampAuthority>,
    /// What securesystemslib calls it, where it can use it.
    key_id: Option<String>,
    /// When it is to be certified anew.
    renew_at: Timestamp,
}

impl CertifiedKey {
    /// Puts key and chain together.
    ///
    /// # Errors
    ///
    /// Why the chain is of no use for the key and the purpose.
    pub(super) fn new(
        key: Arc<dyn PrivateKey>,
        mut chain: Vec<Certificate>,
        purpose: Purpose,
    ) -> Result<Self, String> {
        chain.retain(|certificate| !certificate.is_self_issued());
        let leaf = chain.first().ok_or("it holds no certificate of the key")?;
        if leaf.public_key().spki_der() != key.public_key_der() {
            return Err("its key is another one".to_owned());
        }
        let wanted = match purpose {
            Purpose::Artifacts => ExtendedKeyUsage::CODE_SIGNING,
            Purpose::TimeStamps { .. } => ExtendedKeyUsage::TIME_STAMPING,
        };
        if !leaf.extensions().extended_key_usages.contains(&wanted) {
            return Err(format!("it is not for {wanted}"));
        }
        let algorithm = algorithm_of(key.algorithm(), HashAlgorithm::Sha256)
            .or_else(|| algorithm_of(key.algorithm(), HashAlgorithm::Sha384))
            .ok_or("keys of this algorithm sign no digests")?;
        let cms = CmsSigner::new(&chain, algorithm).map_err(|error| error.to_string())?;
        let authority = match purpose {
            Purpose::Artifacts => None,
            Purpose::TimeStamps { policy, accuracy } => {
                let settings = AuthoritySettings {
                    policy,
                    accuracy: accuracy.map(accuracy_of),
                    ordering: false,
                    // @sigstore/verify reads times of whole seconds or milliseconds alone.
                    precision: Precision::Seconds,
                    named: false,
                };
                let authority = TimeStampAuthority::new(leaf, algorithm, settings)
                    .map_err(|error| error.to_string())?;
                Some(authority)
            }
        };
        let life = leaf.not_after().duration_since(leaf.not_before());
        Ok(Self {
            renew_at: leaf.not_before() + life * 2 / 3,
            key_id: attest::dsse::key_id(leaf.public_key()),
            chain_pem: pki::pem::write_chain(chain.iter().map(Certificate::der)),
            key,
            chain,
            cms,
            authority,
        })
    }

    /// Puts a key for artifacts and a chain together that certifies it for a CI job.
    ///
    /// # Errors
    ///
    /// Why the chain is of no use for the key.
    pub(crate) fn for_artifacts(
        key: Arc<dyn PrivateKey>,
        chain: Vec<Certificate>,
    ) -> Result<Self, String> {
        Self::new(key, chain, Purpose::Artifacts)
    }

    /// Returns the key's handle.
    #[must_use]
    pub fn key(&self) -> &Arc<dyn PrivateKey> {
        &self.key
    }

    /// Returns the key's certificate.
    #[must_use]
    pub fn leaf(&self) -> &Certificate {
        self.cms.certificate()
    }

    /// Returns its certificate and those that issued it, without the root.
    #[must_use]
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// Returns the chain in PEM.
    #[must_use]
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// Returns how it signs CMS.
    #[must_use]
    pub fn cms(&self) -> &CmsSigner {
        &self.cms
    }

    /// Returns how it signs time-stamps, where it does.
    #[must_use]
    pub fn authority(&self) -> Option<&TimeStampAuthority> {
        self.authority.as_ref()
    }

    /// Returns what securesystemslib calls it.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Returns when it is to be certified anew: two thirds of the certificate's life.
    #[must_use]
    pub fn renew_at(&self) -> Timestamp {
        self.renew_at
    }

    /// Returns how it signs digests of a hash, if it does.
    #[must_use]
    pub fn scheme(&self, hash: HashAlgorithm) -> Option<SignatureScheme> {
        scheme_of(self.key.algorithm(), hash)
    }

    /// Returns the hash by which it signs messages of ours.
    #[must_use]
    pub fn message_hash(&self) -> HashAlgorithm {
        match self.key.algorithm() {
            KeyAlgorithm::EcP384 => HashAlgorithm::Sha384,
            _ => HashAlgorithm::Sha256,
        }
    }
}

/// Returns how a key signs digests of a hash, if it does.
pub(crate) const fn scheme_of(
    algorithm: KeyAlgorithm,
    hash: HashAlgorithm,
) -> Option<SignatureScheme> {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    match (algorithm, hash) {
        (KeyAlgorithm::EcP256, Sha256) => Some(SignatureScheme::EcdsaP256Sha256),
        (KeyAlgorithm::EcP384, Sha384) => Some(SignatureScheme::EcdsaP384Sha384),
        (KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096, hash) => {
            Some(match hash {
                Sha256 => SignatureScheme::RsaPkcs1Sha256,
                Sha384 => SignatureScheme::RsaPkcs1Sha384,
                Sha512 => SignatureScheme::RsaPkcs1Sha512,
            })
        }
        (KeyAlgorithm::EcP256 | KeyAlgorithm::EcP384 | KeyAlgorithm::Ed25519, _) => None,
    }
}

/// Returns how certificates name the way a key signs digests of a hash.
fn algorithm_of(algorithm: KeyAlgorithm, hash: HashAlgorithm) -> Option<SignatureAlgorithm> {
    scheme_of(algorithm, hash)?;
    Some(match algorithm {
        KeyAlgorithm::EcP256 | KeyAlgorithm::EcP384 => SignatureAlgorithm::Ecdsa(hash),
        KeyAlgorithm::Rsa2048
        | KeyAlgorithm::Rsa3072
        | KeyAlgorithm::Rsa4096
        | KeyAlgorithm::Ed25519 => SignatureAlgorithm::RsaPkcs1(hash),
    })
}

/// Takes the accuracy apart.
fn accuracy_of(accuracy: SignedDuration) -> Accuracy {
    let micros = u64::from(accuracy.subsec_nanos().unsigned_abs() / 1000);
    Accuracy {
        seconds: u32::try_from(accuracy.as_secs()).unwrap_or(u32::MAX),
        millis: u16::try_from(micros / 1000).unwrap_or(999),
        micros: u16::try_from(micros % 1000).unwrap_or(999),
    }
}
