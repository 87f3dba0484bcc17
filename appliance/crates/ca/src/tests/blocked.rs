//! Keys on the operator's list are never certified.

use pki::csr::{CheckedCsr, CsrLimits};
use pki::key_check::{KeyPolicy, WeakKey};

use super::installation::{Installation, request};
use crate::{Error, Refusal};

#[tokio::test]
async fn a_blocked_key_is_refused_and_others_are_not() {
    let mut installation = Installation::ready("").await;
    let (blocked, other) = (
        installation.csr("a.example").await,
        installation.csr("b.example").await,
    );
    let checked =
        CheckedCsr::parse(&blocked, &CsrLimits::default(), &KeyPolicy::default()).unwrap();
    let list = installation.directory.path().join("blocked");
    let line = hex::encode(checked.public_key().sha256());
    std::fs::write(
        &list,
        format!("# leaked in a repository\n{line} # a.example\n"),
    )
    .unwrap();
    installation.config.issuance.blocked_keys = Some(list);

    let (ca, _store) = installation.open().await;
    let refused = ca.clone().issue(request(blocked)).await.unwrap_err();
    assert!(
        matches!(
            &refused,
            Refusal::Csr(pki::csr::CsrError::WeakKey(WeakKey::Blocked))
        ),
        "{refused:?}"
    );
    ca.issue(request(other)).await.unwrap();
}

#[tokio::test]
async fn a_list_that_cannot_be_read_stops_the_start() {
    let mut installation = Installation::ready("").await;
    let list = installation.directory.path().join("blocked");
    installation.config.issuance.blocked_keys = Some(list.clone());
    let missing = installation.open_over(installation.store()).await;
    assert!(
        matches!(missing, Err(Error::ReadBlockedKeys { .. })),
        "{missing:?}"
    );

    std::fs::write(&list, "\nnot a fingerprint\n").unwrap();
    let garbled = installation.open_over(installation.store()).await;
    let Err(Error::BlockedKeys { source, .. }) = garbled else {
        panic!("opened with a garbled list: {garbled:?}");
    };
    assert_eq!(source.line, 2);
}
