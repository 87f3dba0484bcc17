//! Leaves over the service's own keys, for a build.

use std::sync::Arc;

use mesh::PeerCertificate;
use model::Clock;
use pki::certificate::Certificate;

use super::super::{ForgeLeafError, ForgeLeaves, forge_leaf};
use super::exchange::Stage;

/// Enrols a build and returns its certificate.
async fn peer(stage: &Stage, jti: &str, key: &str) -> PeerCertificate {
    let csr = stage.csr(key).await;
    let certified = stage.exchange(&stage.token(jti), csr).await.unwrap();
    let chain = pki::pem::read_certificates(certified.chain_pem.as_bytes()).unwrap();
    PeerCertificate::parse(&chain[0]).unwrap()
}

#[tokio::test]
async fn a_leaf_says_of_the_build_what_its_client_certificate_said() {
    let stage = Stage::new();
    let peer = peer(&stage, "1", "client").await;
    let key = stage.key("artifacts");
    let leaf = forge_leaf(&peer, key.as_ref(), stage.ca.as_ref(), None)
        .await
        .unwrap();
    let certificate = Certificate::from_der(&leaf.chain[0]).unwrap();
    assert_eq!(certificate.public_key().spki_der(), key.public_key_der());
    assert_eq!(certificate.extensions().forge.as_ref(), peer.forge_claims());
    let name = peer.forge_claims().unwrap().build_signer_uri();
    assert_eq!(certificate.facts().names, [format!("uri:{name}")]);
    assert!(certificate.subject().is_empty());
    let left = leaf.not_after.duration_since(stage.clock.now());
    assert_eq!(left.as_secs(), 599);
}

#[tokio::test]
async fn a_peer_without_claims_gets_none() {
    let stage = Stage::new();
    let peer = PeerCertificate::parse(stage.ca.root.der()).unwrap();
    let key = stage.key("artifacts");
    let refused = forge_leaf(&peer, key.as_ref(), stage.ca.as_ref(), None).await;
    assert!(matches!(refused, Err(ForgeLeafError::NoClaims)));
    assert!(stage.ca.signed().is_empty());
}

#[tokio::test]
async fn a_build_that_signs_much_costs_one_certificate_while_that_is_good() {
    let stage = Stage::new();
    let leaves = ForgeLeaves::new(Arc::clone(&stage.ca) as _, Arc::clone(&stage.clock) as _);
    let (one, other) = (
        peer(&stage, "1", "client").await,
        peer(&stage, "2", "other").await,
    );
    let key = stage.key("artifacts");
    let first = leaves.leaf(&one, key.as_ref(), None).await.unwrap();
    let again = leaves.leaf(&one, key.as_ref(), None).await.unwrap();
    assert_eq!(again, first);
    // Another build, or another key, has its own.
    let others = leaves.leaf(&other, key.as_ref(), None).await.unwrap();
    assert_ne!(others, first);
    let second_key = stage.key("more-artifacts");
    let of_second = leaves.leaf(&one, second_key.as_ref(), None).await.unwrap();
    assert_ne!(of_second, first);
    stage.clock.advance(539);
    assert_eq!(leaves.leaf(&one, key.as_ref(), None).await.unwrap(), first);
    stage.clock.advance(1);
    let renewed = leaves.leaf(&one, key.as_ref(), None).await.unwrap();
    assert_ne!(renewed, first);
    assert!(renewed.not_after > first.not_after);
}
