//! Where serial numbers come from.

use aws_lc_rs::hmac;
use hsm_keystore::KeyStore;
use model::{NodePrefix, SerialNumber};

use crate::error::Error;

/// Draws serial numbers of 128 random bits behind the node's prefix.
///
/// A token's generator is slow, so it is asked once: each number is
/// HMAC-SHA-256 of fresh bytes of the operating system, keyed with bytes of the
/// token, and so is unpredictable while either of the two is.
#[derive(Debug)]
pub(crate) struct SerialSource {
    /// This node's prefix.
    node: NodePrefix,
    /// Keyed with the token's bytes.
    mixer: hmac::Key,
}

/// Random octets taken from the token and, for each number, from the system.
const SEED_LEN: usize = 32;

impl SerialSource {
    /// Takes random bytes from the token. Blocks for as long as it takes.
    pub(crate) fn new(node: NodePrefix, keystore: &dyn KeyStore) -> Result<Self, Error> {
        let mut seed = [0; SEED_LEN];
        keystore
            .fill_random(&mut seed)
            .map_err(|source| Error::KeyStore {
                what: "take random bytes from the token",
                source,
            })?;
        Ok(Self {
            node,
            mixer: hmac::Key::new(hmac::HMAC_SHA256, &seed),
        })
    }

    /// Draws a number.
    pub(crate) fn draw(&self) -> Result<SerialNumber, Error> {
        let mut fresh = [0; SEED_LEN];
        aws_lc_rs::rand::fill(&mut fresh).map_err(|_| Error::NoRandomness)?;
        let tag = hmac::sign(&self.mixer, &fresh);
        let mut random = [0; SerialNumber::RANDOM_LEN];
        for (octet, mixed) in random.iter_mut().zip(tag.as_ref()) {
            *octet = *mixed;
        }
        Ok(SerialNumber::from_random(self.node, random))
    }
}
