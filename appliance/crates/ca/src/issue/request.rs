//! What is asked of the CA, by whom, and what comes of it.

use aws_lc_rs::digest;
use model::{IdempotencyKey, Identity, ProfileName, RequestId, SerialNumber};
use pki::forge::ForgeClaims;
use pki::profile::Lifetime;
use store::Idempotency;

use crate::certify::Circumstances;

/// Who asks for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requester {
    /// A peer, who may do what its role is granted.
    Peer(Identity),
    /// The CA itself, for its own certificates and the first identities; may
    /// use every profile but roots'.
    Ca,
}

/// What is to be issued.
#[derive(Debug, Clone)]
pub struct IssueRequest {
    /// The certificate request, DER.
    pub csr_der: Vec<u8>,
    /// The profile; the default one if none.
    pub profile: Option<ProfileName>,
    /// Validity from now on; the profile's if none.
    pub validity: Option<Lifetime>,
    /// The identity to certify; the peer's own where its role is granted that.
    pub identity: Option<Identity>,
    /// What a forge said of a build, for profiles that carry it.
    pub forge: Option<ForgeClaims>,
    /// Who asks.
    pub requester: Requester,
    /// The request by which it came.
    pub request_id: RequestId,
    /// Makes a repeated request the same.
    pub idempotency: Option<IdempotencyKey>,
}

/// What was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Its serial number.
    pub serial: SerialNumber,
    /// The certificate, DER.
    pub certificate_der: Vec<u8>,
    /// Whether an earlier request with the same idempotency key issued it.
    pub replayed: bool,
}

impl Requester {
    /// Returns the requester as the log has it.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Peer(peer) => peer.to_string(),
            Self::Ca => "the CA itself".to_owned(),
        }
    }
}

impl IssueRequest {
    /// Collects what is recorded beside the certificate.
    pub(super) fn circumstances(&self, profile: &ProfileName) -> Circumstances {
        let requester = match &self.requester {
            Requester::Peer(peer) => Some(peer.clone()),
            Requester::Ca => None,
        };
        Circumstances {
            profile: profile.clone(),
            request_id: self.request_id.clone(),
            idempotency: self.idempotency.clone().map(|key| Idempotency {
                key,
                // The same key of another peer is another key.
                scope: requester
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                fingerprint: self.fingerprint(profile),
            }),
            requester,
        }
    }

    /// Hashes everything that the request asks for.
    fn fingerprint(&self, profile: &ProfileName) -> [u8; 32] {
        let validity = self.validity.map(|validity| validity.duration().as_secs());
        let identity = self.identity.as_ref().map(ToString::to_string);
        let validity = validity.map_or([0; 8], u64::to_be_bytes);
        let identity = identity.unwrap_or_default();
        let mut parts: Vec<&[u8]> = vec![
            &self.csr_der,
            profile.as_str().as_bytes(),
            &validity,
            identity.as_bytes(),
        ];
        // Behind the others, so that requests without any hash as they always have.
        for (claim, value) in self.forge.iter().flat_map(|claims| claims.iter()) {
            parts.extend([claim.as_str().as_bytes(), value.as_bytes()]);
        }
        fingerprint(&parts)
    }
}

/// Hashes parts so that no two lists of parts give the same octets.
pub(crate) fn fingerprint(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut octets = [0; 32];
    octets.copy_from_slice(context.finish().as_ref());
    octets
}
