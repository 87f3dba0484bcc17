//! What can go wrong with a key, by who can mend it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cryptoki::context::Function;
use cryptoki::error::RvError;

use crate::algorithm::{KeyAlgorithm, SignatureScheme};
use crate::key_id::KeyId;
use crate::pkcs11::{PinError, UriError};

/// Why a keystore did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No private key of this name.
    #[error("there is no private key {id} in this store; `chancery key list` shows what is")]
    NoKey {
        /// The name asked for.
        id: KeyId,
    },
    /// The name is taken; nothing existing is ever replaced.
    #[error("{id} already exists; choose another name, nothing is ever overwritten")]
    KeyExists {
        /// The name asked for.
        id: KeyId,
    },
    /// Several objects answer to one name, so none is used.
    #[error("{found} {what} answer to {id}; remove or rename all but one, none is used until then")]
    Ambiguous {
        /// The name asked for.
        id: KeyId,
        /// What was looked for.
        what: ObjectKind,
        /// How many were found.
        found: usize,
    },
    /// No certificate is kept beside this name.
    #[error("no certificate is kept beside {id}")]
    NoCertificate {
        /// The name asked for.
        id: KeyId,
    },
    /// Bytes that are no X.509 certificate in DER.
    #[error("these bytes are no X.509 certificate in DER")]
    MalformedCertificate,
    /// A certificate for another key.
    #[error("the certificate is not for the key {id}: their public keys differ")]
    KeyMismatch {
        /// The key's name.
        id: KeyId,
    },
    /// Bytes that are no private key we can take.
    #[error("these bytes are no sound PKCS#8 private key: {fault}")]
    MalformedKey {
        /// What is wrong with them.
        fault: KeyFault,
    },
    /// A key of a kind the store does not carry.
    #[error("this store carries no key {kind}")]
    UnsupportedKey {
        /// What kind of key was met.
        kind: UnsupportedKind,
    },
    /// The token made or holds a key without the protection asked for.
    #[error(
        "the token did not keep {attribute} on {id}; the new key was destroyed, \
         for a key that can leave the token is worth nothing"
    )]
    UnprotectedKey {
        /// The key's name.
        id: KeyId,
        /// The attribute that reads wrong.
        attribute: &'static str,
    },
    /// The token holds the private key and nothing that tells its public half.
    #[error(
        "the token holds {id} without its public key; import its public key or certificate \
         with the same CKA_ID"
    )]
    NoPublicKey {
        /// The key's name.
        id: KeyId,
    },
    /// A digest that is not as long as the scheme's hash.
    #[error("{scheme} signs a digest of {expected} octets, not {given}")]
    DigestLength {
        /// The scheme asked for.
        scheme: SignatureScheme,
        /// Octets of its hash; 0 where it signs no digests.
        expected: usize,
        /// Octets given.
        given: usize,
    },
    /// The key is of another algorithm.
    #[error("a {algorithm} key cannot sign by {scheme}")]
    SchemeMismatch {
        /// The key's algorithm.
        algorithm: KeyAlgorithm,
        /// The scheme asked for.
        scheme: SignatureScheme,
    },
    /// The queue is full; nothing was sent to the token.
    #[error(
        "{waiting} signatures of the same priority already wait for the token; try again shortly"
    )]
    Busy {
        /// Jobs of the same priority in the queue.
        waiting: usize,
    },
    /// The answer did not come in the time the caller gave.
    #[error("the token did not answer within {after:?}")]
    DeadlineExceeded {
        /// The time that was given.
        after: Duration,
    },
    /// The token returned a signature that its public key does not verify.
    #[error("the signature that came back for {id} does not verify; it was withheld")]
    BadSignature {
        /// The key's name.
        id: KeyId,
    },
    /// The store cannot be used now; see its reason.
    #[error("the keystore is unavailable: {0}")]
    Unavailable(#[from] Unavailable),
    /// The token refused this request; repeating it will not help.
    #[error("the token refused: {failure}")]
    Refused {
        /// The call and its code.
        failure: TokenFailure,
    },
    /// The PKCS#11 module could not be loaded.
    #[error("the PKCS#11 module {} cannot be loaded: {reason}", path.display())]
    Module {
        /// The path configured.
        path: PathBuf,
        /// The loader's words.
        reason: Arc<cryptoki::error::Error>,
    },
    /// A PIN could not be had.
    #[error("no PIN for the token")]
    Pin(#[from] PinError),
    /// A PKCS#11 URI that cannot be used.
    #[error("the token's address cannot be used")]
    Uri(#[from] UriError),
    /// A configuration that names no token, or names it twice.
    #[error("the keystore's configuration: {fault}")]
    Configuration {
        /// What is wrong with it.
        fault: ConfigurationFault,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What stopped it.
        source: Arc<io::Error>,
    },
    /// A key file that others can read or write.
    #[error(
        "{} has mode {mode:04o}: others could read or replace the key; \
         run `chmod {wanted:o} {}`", path.display(), path.display()
    )]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The permission bits it should have.
        wanted: u32,
    },
    /// A key file that belongs to another user.
    #[error("{} belongs to user {owner}, and this process runs as {runs_as}; give it to that user \
         with `chown {runs_as}`", path.display())]
    ForeignOwner {
        /// The file or directory.
        path: PathBuf,
        /// The user it belongs to.
        owner: u32,
        /// The user this process is.
        runs_as: u32,
    },
}

impl Error {
    /// Returns how long a peer should wait before it asks again, where asking
    /// again can help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { .. } | Self::DeadlineExceeded { .. } => Some(Duration::from_secs(1)),
            Self::Unavailable(reason) => reason.retry_after(),
            _ => None,
        }
    }

    /// Returns the short name of this kind of failure, for metrics and tests.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoKey { .. } => "no_key",
            Self::KeyExists { .. } => "key_exists",
            Self::Ambiguous { .. } => "ambiguous",
            Self::NoCertificate { .. } => "no_certificate",
            Self::MalformedCertificate => "malformed_certificate",
            Self::KeyMismatch { .. } => "key_mismatch",
            Self::MalformedKey { .. } => "malformed_key",
            Self::UnsupportedKey { .. } => "unsupported_key",
            Self::UnprotectedKey { .. } => "unprotected_key",
            Self::NoPublicKey { .. } => "no_public_key",
            Self::DigestLength { .. } => "digest_length",
            Self::SchemeMismatch { .. } => "scheme_mismatch",
            Self::Busy { .. } => "busy",
            Self::DeadlineExceeded { .. } => "deadline_exceeded",
            Self::BadSignature { .. } => "bad_signature",
            Self::Unavailable(_) => "unavailable",
            Self::Refused { .. } => "refused",
            Self::Module { .. } => "module",
            Self::Pin(_) => "pin",
            Self::Uri(_) => "uri",
            Self::Configuration { .. } => "configuration",
            Self::File { .. } => "file",
            Self::Exposed { .. } => "exposed",
            Self::ForeignOwner { .. } => "foreign_owner",
        }
    }
}

/// What a search for a name looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// Private keys.
    PrivateKey,
    /// Public keys.
    PublicKey,
    /// Certificates.
    Certificate,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrivateKey => "private keys",
            Self::PublicKey => "public keys",
            Self::Certificate => "certificates",
        })
    }
}

/// What is wrong with the bytes of a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Not one block of PEM called PRIVATE KEY.
    #[error("the file is not one PEM block called PRIVATE KEY")]
    NotPem,
    /// Not the DER structure of RFC 5958 or of the key inside it.
    #[error("their DER does not parse")]
    NotDer,
    /// The parts do not belong together.
    #[error("the parts of the key do not fit together")]
    Inconsistent,
}

/// A kind of key that a store does not carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedKind {
    /// An algorithm we know and the token lacks.
    #[error("of algorithm {0}")]
    Algorithm(KeyAlgorithm),
    /// An algorithm or size we do not know.
    #[error("other than p256, p384, rsa2048, rsa3072, rsa4096 or ed25519")]
    Unknown,
}

/// A configuration that cannot be acted upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationFault {
    /// Neither an address nor a label or serial.
    #[error("no token is named; set `uri`, or `module` and `token` or `serial`")]
    NoToken,
    /// No module path anywhere.
    #[error("no PKCS#11 module is named; set `module`, or `module-path` in `uri`")]
    NoModule,
    /// The token is named twice.
    #[error("`uri` already names the token; remove `token` and `serial`")]
    NamedTwice,
    /// A number outside what can work.
    #[error("`{key}` must be between {least} and {most}")]
    OutOfRange {
        /// The key in the configuration.
        key: &'static str,
        /// Its least value.
        least: u64,
        /// Its greatest value.
        most: u64,
    },
}

/// A call to the token and the code it came back with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenFailure(Came);

/// What came back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    /// A call's code.
    Code(CallName, RvError),
    /// Nothing that could be used.
    Unusable(&'static str),
}

/// A call's name; a wrapper because the library's type compares by nothing.
#[derive(Clone, Copy)]
struct CallName(Function);

impl PartialEq for CallName {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(&self.0) == std::mem::discriminant(&other.0)
    }
}

impl Eq for CallName {}

impl TokenFailure {
    /// Keeps what the library made of a call.
    pub(crate) fn of(error: &cryptoki::error::Error) -> Self {
        use cryptoki::error::Error as Call;
        Self(match error {
            Call::Pkcs11(code, call) => Came::Code(CallName(*call), *code),
            Call::NullFunctionPointer => Came::Unusable("the module lacks the function"),
            Call::LibraryLoading(_) | Call::MissingSymbol(_) => {
                Came::Unusable("the module cannot be loaded")
            }
            _ => Came::Unusable("the module's answer makes no sense"),
        })
    }

    /// Returns the code, if there was one.
    pub(crate) fn code(&self) -> Option<RvError> {
        match self.0 {
            Came::Code(_, code) => Some(code),
            Came::Unusable(_) => None,
        }
    }
}

impl fmt::Display for TokenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (call, code) = match self.0 {
            Came::Code(call, code) => (call, code),
            Came::Unusable(words) => return f.write_str(words),
        };
        write!(f, "C_{:?} answered ", call.0)?;
        match code {
            RvError::VendorDefined(code) => write!(f, "the vendor's code 0x{code:08X}"),
            RvError::UnknownErrorCode(code) => write!(f, "the unknown code 0x{code:08X}"),
            code => {
                f.write_str("CKR")?;
                // The library's variant is the code's name in another spelling.
                for letter in format!("{code:?}").chars() {
                    if letter.is_ascii_uppercase() {
                        f.write_str("_")?;
                    }
                    write!(f, "{}", letter.to_ascii_uppercase())?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for TokenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why the store behind the keys cannot be used now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The token stopped working; it is being brought back.
    #[error("the token is away ({failure}); it is looked for until it is back")]
    TokenAway {
        /// The call that told.
        failure: TokenFailure,
    },
    /// The module works and shows no such token.
    #[error(
        "no token in the module is the one configured ({wanted}); it is looked for until it is back"
    )]
    NotFound {
        /// What was looked for: label, serial, manufacturer, model.
        wanted: Arc<str>,
        /// How many tokens there are.
        present: usize,
    },
    /// Several tokens answer to the configured name.
    #[error("{matching} tokens answer to {wanted}; name the serial number too")]
    SeveralTokens {
        /// What was looked for.
        wanted: Arc<str>,
        /// How many answer.
        matching: usize,
    },
    /// A call into the module does not come back.
    #[error(
        "a call into the PKCS#11 module has not come back for {since:?}; restart the service if it does not"
    )]
    Hung {
        /// How long it had been away when that was noticed.
        since: Duration,
    },
    /// The token has no session left for us.
    #[error("the token has no free session ({failure}); close other programs that use it")]
    NoSession {
        /// The call that told.
        failure: TokenFailure,
    },
    /// The token did not take the PIN, and it will not be offered again.
    #[error(
        "the token did not take the PIN ({failure}); it is not offered again, \
         for tokens lock after few wrong ones: correct it and restart"
    )]
    PinRefused {
        /// The call that told.
        failure: TokenFailure,
    },
    /// The module itself does not work.
    #[error("the PKCS#11 module does not work: {reason}")]
    ModuleFailed {
        /// Its words.
        reason: Arc<str>,
    },
    /// The store was closed.
    #[error("the keystore is closed")]
    Closed,
}

impl Unavailable {
    /// Returns how long a peer should wait before it asks again; none where
    /// only an operator can mend it.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TokenAway { .. } | Self::NotFound { .. } | Self::NoSession { .. } => {
                Some(Duration::from_secs(5))
            }
            Self::Hung { .. } => Some(Duration::from_secs(30)),
            Self::SeveralTokens { .. }
            | Self::PinRefused { .. }
            | Self::ModuleFailed { .. }
            | Self::Closed => None,
        }
    }

    /// Returns a stable word for readiness reports and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TokenAway { .. } => "token-away",
            Self::NotFound { .. } => "token-not-found",
            Self::SeveralTokens { .. } => "several-tokens",
            Self::Hung { .. } => "token-hung",
            Self::NoSession { .. } => "no-session",
            Self::PinRefused { .. } => "pin-refused",
            Self::ModuleFailed { .. } => "module-failed",
            Self::Closed => "closed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_call_and_the_code_as_the_standard_spells_them() {
        let failure = TokenFailure::of(&cryptoki::error::Error::Pkcs11(
            RvError::SessionHandleInvalid,
            Function::SignInit,
        ));
        assert_eq!(
            failure.to_string(),
            "C_SignInit answered CKR_SESSION_HANDLE_INVALID"
        );
    }
}
