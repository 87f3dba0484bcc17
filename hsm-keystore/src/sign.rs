//! What is asked of a key, and the signature that is on its way.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest;

use crate::algorithm::SignatureScheme;
use crate::error::Error;

/// Which waiting signature goes first when a lane is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// CRLs and OCSP responses: relying parties wait for these everywhere.
    Revocation,
    /// TLS handshakes and everything else a peer waits for.
    Interactive,
    /// Issuance in bulk.
    Bulk,
}

impl Priority {
    /// Every priority, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Revocation, Self::Interactive, Self::Bulk];

    /// Returns the name used in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revocation => "revocation",
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }

    /// Returns its place among all of them.
    pub(crate) const fn place(self) -> usize {
        match self {
            Self::Revocation => 0,
            Self::Interactive => 1,
            Self::Bulk => 2,
        }
    }
}

/// What is signed: a digest, or a message where the scheme wants one.
#[derive(Clone, PartialEq, Eq)]
pub enum SignInput {
    /// The scheme's hash of the message, exactly as long as that hash.
    Digest(Box<[u8]>),
    /// The message itself (Ed25519 alone).
    Message(Box<[u8]>),
}

impl fmt::Debug for SignInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(octets) => write!(f, "Digest({} octets)", octets.len()),
            Self::Message(octets) => write!(f, "Message({} octets)", octets.len()),
        }
    }
}

/// One signature to be made.
#[derive(Debug, Clone)]
pub struct SignJob {
    scheme: SignatureScheme,
    input: SignInput,
    priority: Priority,
    timeout: Duration,
}

impl SignJob {
    /// How long a job waits and works before it fails, unless told otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// Signs `message`, hashing it here where the scheme signs a hash.
    #[must_use]
    pub fn message(scheme: SignatureScheme, message: &[u8]) -> Self {
        let input = match scheme.digest() {
            Some(algorithm) => {
                SignInput::Digest(digest::digest(algorithm, message).as_ref().into())
            }
            None => SignInput::Message(message.into()),
        };
        Self::new(scheme, input)
    }

    /// Signs a digest that was made elsewhere, in one pass over the data.
    ///
    /// # Errors
    ///
    /// `DigestLength` unless `digest` is as long as the scheme's hash; Ed25519
    /// signs no digests.
    pub fn digest(scheme: SignatureScheme, digest: &[u8]) -> Result<Self, Error> {
        let expected = scheme.digest().map_or(0, digest::Algorithm::output_len);
        if expected == 0 || digest.len() != expected {
            return Err(Error::DigestLength {
                scheme,
                expected,
                given: digest.len(),
            });
        }
        Ok(Self::new(scheme, SignInput::Digest(digest.into())))
    }

    /// Bulk priority and the default time, until told otherwise.
    fn new(scheme: SignatureScheme, input: SignInput) -> Self {
        Self {
            scheme,
            input,
            priority: Priority::Bulk,
            timeout: Self::DEFAULT_TIMEOUT,
        }
    }

    /// Puts the job in another lane of the queue.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Bounds the time from now until the signature is there.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns how the key is to sign.
    #[must_use]
    pub fn scheme(&self) -> SignatureScheme {
        self.scheme
    }

    /// Returns what is to be signed.
    #[must_use]
    pub fn input(&self) -> &SignInput {
        &self.input
    }

    /// Returns the job's place in the queue.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Returns the time the job has, from being asked to being answered.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }
}
