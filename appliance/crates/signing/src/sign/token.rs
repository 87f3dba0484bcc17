//! Signatures of the token: many at once, all or none.

use std::time::Duration;

use futures_util::future::try_join_all;
use hsm_keystore::{Priority, SignJob};
use model::signing::{ArtifactDigest, HashAlgorithm};

use crate::digests::implementation;
use crate::keys::CertifiedKey;
use crate::problem::SigningProblem;

/// One signature that is to be made.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// What it is for, as records have it.
    pub(super) label: &'static str,
    /// The digest that is signed.
    pub(super) digest: ArtifactDigest,
}

/// Digests a message as a key signs messages.
pub(super) fn digest(
    hash: HashAlgorithm,
    message: &[u8],
) -> Result<ArtifactDigest, SigningProblem> {
    let digest = aws_lc_rs::digest::digest(implementation(hash), message);
    ArtifactDigest::new(hash, digest.as_ref()).map_err(SigningProblem::internal)
}

/// Has the token sign, all at once; as soon as one fails, the others are given up.
pub(super) async fn sign_all(
    key: &CertifiedKey,
    wanted: &[Wanted],
    timeout: Duration,
) -> Result<Vec<Vec<u8>>, SigningProblem> {
    let jobs = wanted
        .iter()
        .map(|wanted| {
            let scheme = key
                .scheme(wanted.digest.algorithm())
                .ok_or_else(|| SigningProblem::internal(NoScheme))?;
            let job = SignJob::digest(scheme, wanted.digest.octets())?
                .with_priority(Priority::Bulk)
                .with_timeout(timeout);
            Ok(key.key().sign(job))
        })
        .collect::<Result<Vec<_>, SigningProblem>>()?;
    Ok(try_join_all(jobs).await?)
}

/// A digest that the key does not sign, although policy said it does.
#[derive(Debug, thiserror::Error)]
#[error("the key signs no digests of this hash")]
struct NoScheme;
