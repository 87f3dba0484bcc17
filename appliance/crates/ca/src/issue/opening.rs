//! What is looked at once, before anything is issued.

use std::sync::Arc;

use hsm_keystore::KeyStore;
use model::Timestamp;
use pki::key_check::{BlockedKeys, KeyPolicy};
use store::{CertificateFilter, CertificateState, CertificateStore};
use tracing::info;

use crate::authority::{Authorities, Authority, root_signer};
use crate::config::CheckedCaConfig;
use crate::error::Error;
use crate::publication::{AuthorityCertificates, Publication};
use crate::refusal::chain;

/// Finds the root's key where it is in the same keystore: then its CRL is issued
/// by itself, too.
pub(super) fn root_key(
    config: &CheckedCaConfig,
    keystore: &dyn KeyStore,
    authorities: &Authorities,
) -> Option<Authority> {
    let plan = &config.ceremony.root;
    if plan.keystore != config.ceremony.issuing.keystore {
        return None;
    }
    match root_signer(config, &authorities.root, keystore) {
        Ok(root) => Some(root),
        Err(error) => {
            info!(
                issuer = %plan.id,
                "the CRL of authority {} is issued by command alone: {}", plan.id, chain(&error)
            );
            None
        }
    }
}

/// Holds the certificates kept as files to those on the token, which count.
pub(super) async fn check_kept(
    config: &CheckedCaConfig,
    authorities: &Authorities,
    publication: &Publication,
) -> Result<(), Error> {
    let on_token = AuthorityCertificates {
        root: authorities.root.clone(),
        issuing: authorities.issuing.certificate.clone(),
    };
    let kept = &publication.certificates;
    let is_same =
        kept.root.der() == on_token.root.der() && kept.issuing.der() == on_token.issuing.der();
    let directory = publication.directory.path().to_owned();
    let (config, target) = (config.clone(), directory.clone());
    tokio::task::spawn_blocking(move || on_token.keep(&config, &target)).await??;
    if is_same {
        Ok(())
    } else {
        Err(Error::PublishedOther { directory })
    }
}

/// Reads which keys are taken.
pub(super) fn key_policy(config: &CheckedCaConfig) -> Result<KeyPolicy, Error> {
    let mut policy = KeyPolicy::default();
    if let Some(path) = &config.blocked_keys {
        let text = std::fs::read_to_string(path).map_err(|source| Error::ReadBlockedKeys {
            path: path.clone(),
            source,
        })?;
        let blocked = BlockedKeys::parse(&text).map_err(|source| Error::BlockedKeys {
            path: path.clone(),
            source,
        })?;
        info!(keys = blocked.len(), "{} keys are blocked", blocked.len());
        policy.blocked = Arc::new(blocked);
    }
    Ok(policy)
}

/// Finds the time of the newest recorded act.
pub(crate) async fn newest_act(store: &dyn CertificateStore) -> Result<Option<Timestamp>, Error> {
    let page = store
        .certificates(CertificateFilter::default(), None, 1)
        .await?;
    Ok(page.records.first().map(|record| match &record.state {
        CertificateState::Pending => record.intent.recorded_at,
        CertificateState::Issued { at, .. } | CertificateState::Abandoned { at, .. } => *at,
    }))
}
