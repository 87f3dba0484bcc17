//! Whom profiles believe about builds: what signers of provenance lead to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use attest::trusted_root::{TrustedRoot, TrustedRootError};
use pki::public_key::{InvalidPublicKey, PublicKey};

use crate::config::CheckedSigningConfig;

/// Most octets of a file of trust.
const MAX_BYTES: u64 = 16 << 20;

/// What vouches for a signer.
#[derive(Debug)]
pub(crate) enum Anchor {
    /// Authorities.
    Root(Box<TrustedRoot>),
    /// One key, for envelopes without certificates.
    Key(Box<PublicKey>),
}

/// Why a file of trust cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read.
    #[error("cannot read what builders' signers lead to, {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: mesh::Error,
    },
    /// There is none.
    #[error("what builders' signers lead to, {path:?}, is not there")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("{path:?} is neither a trusted root (JSON) nor certificates or a public key (PEM)")]
    Root {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TrustedRootError,
    },
    /// A public key that is none.
    #[error("{path:?} holds a public key that cannot be used")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: InvalidPublicKey,
    },
}

/// What vouches for builders' signers.
#[derive(Debug)]
pub(crate) struct BuilderTrust {
    /// This installation's own trusted root.
    own: ArcSwap<Anchor>,
    /// By file of the configuration.
    files: BTreeMap<PathBuf, Arc<Anchor>>,
}

impl BuilderTrust {
    /// Reads every file that profiles name.
    pub(crate) fn open(config: &CheckedSigningConfig) -> Result<Self, TrustError> {
        let builders = config
            .profiles
            .values()
            .flat_map(|profile| &profile.policy.provenance.builders);
        let mut files = BTreeMap::new();
        for path in builders.filter_map(|builder| builder.trust.as_ref()) {
            if !files.contains_key(path) {
                files.insert(path.clone(), Arc::new(read(path)?));
            }
        }
        let nobody = TrustedRoot {
            certificate_authorities: Vec::new(),
            time_stamp_authorities: Vec::new(),
            logs: Vec::new(),
            ct_logs: Vec::new(),
        };
        Ok(Self {
            own: ArcSwap::from_pointee(Anchor::Root(Box::new(nobody))),
            files,
        })
    }

    /// Takes this installation's own trusted root, whenever it changes.
    pub(crate) fn set_own(&self, root: TrustedRoot) {
        self.own.store(Arc::new(Anchor::Root(Box::new(root))));
    }

    /// Returns what vouches for a builder's signer.
    pub(crate) fn of(&self, file: Option<&Path>) -> Option<Arc<Anchor>> {
        match file {
            None => Some(self.own.load_full()),
            Some(path) => self.files.get(path).map(Arc::clone),
        }
    }
}

/// Reads one file.
fn read(path: &Path) -> Result<Anchor, TrustError> {
    let text = mesh::kept::read(path, MAX_BYTES)
        .map_err(|source| TrustError::Read {
            path: path.to_owned(),
            source,
        })?
        .ok_or_else(|| TrustError::Missing {
            path: path.to_owned(),
        })?;
    if let Ok(spki_der) = pki::pem::read_public_key(&text) {
        let key = PublicKey::from_spki_der(&spki_der).map_err(|source| TrustError::Key {
            path: path.to_owned(),
            source,
        })?;
        return Ok(Anchor::Key(Box::new(key)));
    }
    TrustedRoot::read(&text)
        .map(|root| Anchor::Root(Box::new(root)))
        .map_err(|source| TrustError::Root {
            path: path.to_owned(),
            source,
        })
}
