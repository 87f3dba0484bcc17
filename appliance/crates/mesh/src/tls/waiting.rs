//! Keys whose signatures may take long, on threads that have other work.

use std::sync::Arc;

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error as TlsError, SignatureAlgorithm, SignatureScheme};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// A key that hands its thread's other tasks to another thread while it signs.
///
/// Without that, tasks queued on a thread that waits for the token would wait
/// with it, although other threads are free.
#[derive(Debug)]
pub(super) struct WaitingKey(pub(super) Arc<dyn SigningKey>);

/// One signature of such a key.
#[derive(Debug)]
struct WaitingSigner(Box<dyn Signer>);

impl SigningKey for WaitingKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let signer = self.0.choose_scheme(offered)?;
        Some(Box::new(WaitingSigner(signer)))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.0.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl Signer for WaitingSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TlsError> {
        let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
        match flavor {
            Ok(RuntimeFlavor::MultiThread) => block_in_place(|| self.0.sign(message)),
            // Elsewhere there is no other thread to hand anything to.
            _ => self.0.sign(message),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.0.scheme()
    }
}
