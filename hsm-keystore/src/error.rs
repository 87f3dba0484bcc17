//! What can go wrong with a key, by who can mend it.

use crate::algorithm::{KeyAlgorithm, SignatureScheme};
use crate::key_id::KeyId;

/// Why a keystore did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No private key of this name.
    #[error("there is no private key {id:?}")]
    NoKey {
        /// The name asked for.
        id: KeyId,
    },
    /// The store cannot be used now; see its reason.
    #[error("the keystore is unavailable")]
    Unavailable(#[from] Unavailable),
    /// A digest that is not as long as the scheme's hash.
    #[error("{scheme:?} signs a digest of {expected} octets, not {given}")]
    DigestLength {
        /// The scheme asked for.
        scheme: SignatureScheme,
        /// Octets of its hash; 0 where it signs no digests.
        expected: usize,
        /// Octets given.
        given: usize,
    },
    /// The key is of another algorithm.
    #[error("a {algorithm} key cannot sign by {scheme:?}")]
    SchemeMismatch {
        /// The key's algorithm.
        algorithm: KeyAlgorithm,
        /// The scheme asked for.
        scheme: SignatureScheme,
    },
}

/// Why the store behind the keys cannot be used now.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unavailable {
    /// The token is gone; it is being looked for.
    #[error("the token is away")]
    TokenAway,
}
