//! Signatures straight from a module: what a token can do, to measure others by.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

use crate::error::Error;
use crate::token::{Token, slot_of};

/// DER of the object identifier of P-256 (RFC 5480, 2.1.1.1).
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// DER of a DigestInfo over SHA-256 up to the digest (RFC 8017, 9.2).
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// A kind of key to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawKey {
    /// ECDSA on P-256.
    P256,
    /// RSA with 2048 bits, PKCS#1 v1.5.
    Rsa2048,
}

/// What a measurement found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawRate {
    /// Signatures made.
    pub signatures: u64,
    /// Time it took, on the clock.
    pub elapsed: Duration,
}

/// A module with a session key of its own, to be called in a bare loop.
#[derive(Debug)]
pub struct RawSigner {
    /// The module.
    pkcs11: Pkcs11,
    /// The login, which keeps the key alive.
    anchor: Session,
    /// The key.
    key: ObjectHandle,
    /// Its kind.
    kind: RawKey,
}

impl RawSigner {
    /// Makes a key for this process's lifetime on a token behind a module, which nothing
    /// else in the process may have loaded.
    ///
    /// # Errors
    ///
    /// When the module refuses.
    pub fn new(token: &Token, module: &Path, kind: RawKey) -> Result<Self, Error> {
        let refused = |act| {
            move |source| Error::Token {
                act,
                module: module.to_owned(),
                source,
            }
        };
        let pkcs11 = Pkcs11::new(module).map_err(refused("be loaded"))?;
        pkcs11
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            .map_err(refused("be initialized"))?;
        let (slot, _) = slot_of(&pkcs11, token.label())
            .map_err(refused("list its slots"))?
            .ok_or_else(|| Error::NoFreeSlot {
                module: module.to_owned(),
            })?;
        let anchor = pkcs11
            .open_rw_session(slot)
            .map_err(refused("open a session"))?;
        anchor
            .login(UserType::User, Some(&AuthPin::from(token.user_pin())))
            .map_err(refused("log in"))?;
        let (mechanism, mut public) = match kind {
            RawKey::P256 => (
                Mechanism::EccKeyPairGen,
                vec![Attribute::EcParams(P256.to_vec())],
            ),
            RawKey::Rsa2048 => (
                Mechanism::RsaPkcsKeyPairGen,
                vec![
                    Attribute::ModulusBits(2048.into()),
                    Attribute::PublicExponent(vec![1, 0, 1]),
                ],
            ),
        };
        public.extend([Attribute::Token(false), Attribute::Verify(true)]);
        let private = [
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Sign(true),
        ];
        let (_, key) = anchor
            .generate_key_pair(&mechanism, &public, &private)
            .map_err(refused("make a key"))?;
        Ok(Self {
            pkcs11,
            anchor,
            key,
            kind,
        })
    }

    /// Signs in a bare loop on this many threads, each with a session, for this long.
    ///
    /// # Errors
    ///
    /// When a session cannot be had or a signature fails.
    pub fn measure(
        &self,
        threads: usize,
        time: Duration,
    ) -> Result<RawRate, cryptoki::error::Error> {
        let slot = self.anchor.get_session_info()?.slot_id();
        let sessions = (0..threads)
            .map(|_| self.pkcs11.open_ro_session(slot))
            .collect::<Result<Vec<_>, _>>()?;
        let count = AtomicU64::new(0);
        let began = Instant::now();
        let outcome: Result<(), cryptoki::error::Error> = std::thread::scope(|scope| {
            let workers: Vec<_> = sessions
                .into_iter()
                .map(|session| {
                    let (count, key, kind) = (&count, self.key, self.kind);
                    scope.spawn(move || {
                        while began.elapsed() < time {
                            sign(&session, key, kind)?;
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(())
                    })
                })
                .collect();
            workers
                .into_iter()
                .try_for_each(|worker| match worker.join() {
                    Ok(outcome) => outcome,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
        });
        outcome.map(|()| RawRate {
            signatures: count.load(Ordering::Relaxed),
            elapsed: began.elapsed(),
        })
    }

    /// Ends the module, for others to load it.
    ///
    /// # Errors
    ///
    /// When the module refuses.
    pub fn finish(self) -> Result<(), cryptoki::error::Error> {
        let Self { pkcs11, anchor, .. } = self;
        drop(anchor);
        pkcs11.finalize()
    }
}

/// Makes one signature over a digest.
fn sign(session: &Session, key: ObjectHandle, kind: RawKey) -> Result<(), cryptoki::error::Error> {
    let digest = [0x5a; 32];
    match kind {
        RawKey::P256 => session.sign(&Mechanism::Ecdsa, key, &digest),
        RawKey::Rsa2048 => {
            let mut info = [0; SHA256_INFO.len() + 32];
            info[..SHA256_INFO.len()].copy_from_slice(&SHA256_INFO);
            info[SHA256_INFO.len()..].copy_from_slice(&digest);
            session.sign(&Mechanism::RsaPkcs, key, &info)
        }
    }
    .map(drop)
}
