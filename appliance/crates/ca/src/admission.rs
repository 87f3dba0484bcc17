//! Who is let in on the CA's own listener: by memory, so that a revocation counts
//! at once, in handshakes and on every request of open connections.

use std::fmt;
use std::sync::Arc;

use mesh::{AdmitPeer, PeerCertificate, Refusal};

use crate::publication::Publication;

/// Admits peers whose certificate was not revoked.
pub(crate) struct Admission(pub(crate) Arc<Publication>);

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admission")
    }
}

impl AdmitPeer for Admission {
    fn admit(&self, peer: &PeerCertificate) -> Result<(), Refusal> {
        // The verifier's one anchor is the issuing authority; a certificate with
        // another issuer came through a CA below it, whose own certificate counts
        // no longer than it is not revoked.
        let issuing = &self.0.certificates.issuing;
        if peer.issuer_der != issuing.subject_der() {
            return Err(Refusal::Unknown);
        }
        match self.0.revocations.lookup(&self.0.issuing_id, &peer.serial) {
            None => Ok(()),
            Some(_) => Err(Refusal::Revoked),
        }
    }
}
