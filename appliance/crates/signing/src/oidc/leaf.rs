//! Keys of this service that sign for a build: certified for ten minutes, with what the
//! forge said of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hsm_keystore::PrivateKey;
use jiff::SignedDuration;
use mesh::csr::{self, CsrContent};
use mesh::{CaClient, CaClientError, Fingerprint, PeerCertificate, SignRequest};
use model::{Clock, IdempotencyKey, ProfileName, RequestId, Timestamp};
use pki::certificate::{Certificate, CertificateError};
use pki::forge::ForgeClaims;
use pki::pem;
use rustls::pki_types::CertificateDer;

/// The CA's profile of such leaves.
const PROFILE: &str = "code-signing-forge";

/// A leaf that ends sooner is not used any more: what it signs is time-stamped first.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// Most leaves that are kept.
const MAX_LEAVES: usize = 1024;

/// A certificate over an artifact key for a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeLeaf {
    /// The leaf, then its issuers without the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// First moment of the leaf.
    pub not_before: Timestamp,
    /// Last moment of the leaf.
    pub not_after: Timestamp,
}

/// Why there is no such leaf.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgeLeafError {
    /// The peer is no build.
    #[error("the client's certificate carries no claims of a forge")]
    NoClaims,
    /// The key did not sign the request.
    #[error("the request for a certificate over the artifact key could not be made")]
    Request(#[from] mesh::Error),
    /// The system has no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    /// A name that is none; only a fault of ours.
    #[error(transparent)]
    Name(#[from] model::InvalidName),
    /// The CA did not certify it.
    #[error(transparent)]
    Ca(#[from] CaClientError),
    /// What the CA sent is no chain.
    #[error("the CA's chain cannot be read")]
    Pem(#[from] pem::PemError),
    /// What the CA sent cannot be read.
    #[error("the CA's certificate cannot be read")]
    Certificate(#[from] CertificateError),
    /// What the CA certified is something else.
    #[error("the CA certified another key, or other claims, than it was asked to")]
    Other,
}

/// Has a key of this service certified for the build that a peer is.
///
/// # Errors
///
/// `NoClaims` for any other peer; what kept the certificate away; `Other` when the CA
/// certified something else.
pub async fn forge_leaf(
    peer: &PeerCertificate,
    key: &dyn PrivateKey,
    ca: &dyn CaClient,
    request_id: Option<RequestId>,
) -> Result<ForgeLeaf, ForgeLeafError> {
    let claims = peer.forge_claims().ok_or(ForgeLeafError::NoClaims)?;
    let request = SignRequest {
        // The CA takes names and claims from what this service vouches for.
        csr_der: csr::build(key, &CsrContent::default()).await?,
        profile: Some(ProfileName::new(PROFILE)?),
        validity: None,
        identity: None,
        forge: Some(claims.clone()),
        idempotency: fresh_key()?,
        request_id,
    };
    let signed = ca.sign(request).await?;
    read_chain(&signed.chain_pem, key, claims)
}

/// Reads the chain, and whether it is what was asked for.
fn read_chain(
    chain_pem: &str,
    key: &dyn PrivateKey,
    claims: &ForgeClaims,
) -> Result<ForgeLeaf, ForgeLeafError> {
    let chain = pem::read_certificates(chain_pem.as_bytes())?;
    let leaf = chain.first().ok_or(ForgeLeafError::Other)?;
    let leaf = Certificate::from_der(leaf)?;
    let as_asked = leaf.public_key().spki_der() == key.public_key_der()
        && leaf.extensions().forge.as_ref() == Some(claims);
    if !as_asked {
        return Err(ForgeLeafError::Other);
    }
    Ok(ForgeLeaf {
        not_before: leaf.not_before(),
        not_after: leaf.not_after(),
        chain: chain.into_iter().map(CertificateDer::from).collect(),
    })
}

/// Makes a key under which one leaf is signed.
fn fresh_key() -> Result<IdempotencyKey, ForgeLeafError> {
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| ForgeLeafError::NoRandomness)?;
    Ok(IdempotencyKey::new(&format!(
        "forge-leaf-{}",
        hex::encode(octets)
    ))?)
}

/// Whose build, and which key.
type LeafKey = (Fingerprint, Box<[u8]>);

/// Leaves that are good for some time yet, so that a build which has many artifacts
/// signed costs the CA one certificate.
#[derive(Debug)]
pub struct ForgeLeaves {
    /// Certifies.
    ca: Arc<dyn CaClient>,
    /// The time.
    clock: Arc<dyn Clock>,
    /// The leaves.
    held: Mutex<HashMap<LeafKey, Arc<ForgeLeaf>>>,
}

impl ForgeLeaves {
    /// Begins with none.
    #[must_use]
    pub fn new(ca: Arc<dyn CaClient>, clock: Arc<dyn Clock>) -> Self {
        Self {
            ca,
            clock,
            held: Mutex::default(),
        }
    }

    /// Returns a leaf that is good for a minute at least.
    ///
    /// # Errors
    ///
    /// As [`forge_leaf`].
    pub async fn leaf(
        &self,
        peer: &PeerCertificate,
        key: &dyn PrivateKey,
        request_id: Option<RequestId>,
    ) -> Result<Arc<ForgeLeaf>, ForgeLeafError> {
        let place = (peer.fingerprint, Box::from(key.public_key_der()));
        if let Some(leaf) = self.find(&place) {
            return Ok(leaf);
        }
        let leaf = Arc::new(forge_leaf(peer, key, self.ca.as_ref(), request_id).await?);
        let earliest = self.earliest();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MAX_LEAVES {
            held.retain(|_, leaf| leaf.not_after >= earliest);
        }
        // One more than fit is used once.
        if held.len() < MAX_LEAVES {
            held.insert(place, Arc::clone(&leaf));
        }
        Ok(leaf)
    }

    /// Finds a leaf that is good for long enough.
    fn find(&self, place: &LeafKey) -> Option<Arc<ForgeLeaf>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let leaf = held.get(place)?;
        (leaf.not_after >= self.earliest()).then(|| Arc::clone(leaf))
    }

    /// Returns when a leaf must end at the earliest.
    fn earliest(&self) -> Timestamp {
        let now = self.clock.now();
        now.saturating_add(MARGIN).unwrap_or(now)
    }
}
