//! Keys and certificates: made, kept, renewed.

use std::sync::Arc;
use std::time::Duration;

use hsm_keystore::{KeyId, KeyStore};
use model::{Clock, Identity, PeerName, Role, TrustDomain};

use super::authority::TestAuthority;
use super::keystore::TestKeyStore;
use super::server::TestClock;
use crate::keys::{KeyPlan, KeysError, SigningKeys};
use crate::{CheckedSigningConfig, SigningConfig};

/// What keys are obtained with here.
struct Stage {
    /// Everything on disk.
    directory: tempfile::TempDir,
    /// The CA.
    authority: Arc<TestAuthority>,
    /// The time.
    clock: Arc<TestClock>,
    /// The keystore.
    keystore: Arc<TestKeyStore>,
}

impl Stage {
    /// Sets it up.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            keystore: TestKeyStore::open(&directory.path().join("keys")),
            authority: Arc::new(TestAuthority::new()),
            clock: Arc::default(),
            directory,
        }
    }

    /// Obtains the keys.
    async fn obtain(&self, config: &CheckedSigningConfig) -> Result<Arc<SigningKeys>, KeysError> {
        let plan = KeyPlan {
            keystore: Arc::clone(&self.keystore) as _,
            ca: Arc::clone(&self.authority) as _,
            clock: Arc::clone(&self.clock) as _,
            identity: Identity {
                role: Role::ServiceSigning,
                name: PeerName::new("signing").unwrap(),
            },
            domain: TrustDomain::new("test.internal").unwrap(),
            directory: self.directory.path().join("chains"),
        };
        SigningKeys::obtain(config, plan).await
    }
}

/// Reads `[signing]`.
fn config(text: &str) -> CheckedSigningConfig {
    let config: SigningConfig = toml::from_str(text).unwrap();
    config.check().unwrap()
}

#[tokio::test]
async fn what_is_missing_is_made_certified_and_kept_once() {
    let stage = Stage::new();
    let keys = stage.obtain(&config("")).await.unwrap();
    assert_eq!(stage.authority.signed(), 2);
    let asked = stage.authority.asked();
    let profiles: Vec<_> = asked
        .iter()
        .map(|request| request.profile.clone().unwrap().to_string())
        .collect();
    assert_eq!(profiles, ["code-signing", "time-stamping"]);
    let key = keys.artifact_key("default").unwrap();
    let names = key.leaf().facts().names;
    assert_eq!(names, ["uri:https://test.internal/service/signing/signing"]);
    // Leaf and issuing authority; the root is in trusted roots.
    assert_eq!(key.chain().len(), 2);
    let id = KeyId::new("signing-default").unwrap();
    assert_eq!(
        stage.keystore.get_certificate(&id).unwrap(),
        key.leaf().der()
    );
    // Again: the same keys and certificates.
    let again = stage.obtain(&config("")).await.unwrap();
    assert_eq!(stage.authority.signed(), 2);
    assert_eq!(
        again.artifact_key("default").unwrap().leaf().der(),
        key.leaf().der()
    );
    // Another name is certified anew, for the same key.
    let renamed = config("[keys.default]\nuri = \"https://sign.example/release\"");
    let renamed = stage.obtain(&renamed).await.unwrap();
    assert_eq!(stage.authority.signed(), 3);
    let renamed = renamed.artifact_key("default").unwrap();
    assert_eq!(
        renamed.leaf().facts().names,
        ["uri:https://sign.example/release"]
    );
    assert_eq!(renamed.key().public_key_der(), key.key().public_key_der());
    let report = again.report();
    let names: Vec<_> = report.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["default", "timestamps"]);
}

#[tokio::test]
async fn a_ca_that_is_away_is_waited_for_unless_what_is_kept_counts() {
    let stage = Stage::new();
    stage.authority.set_away(true);
    let error = stage.obtain(&config("")).await.unwrap_err();
    assert!(
        matches!(error, KeysError::Ca { .. }) && error.is_transient(),
        "{error}"
    );
    stage.authority.set_away(false);
    stage.obtain(&config("")).await.unwrap();
    // Past two thirds of its life, and the CA away again: it serves on.
    stage.authority.set_away(true);
    stage.clock.advance(70 * 86_400);
    stage.obtain(&config("")).await.unwrap();
    stage.clock.advance(30 * 86_400);
    let error = stage.obtain(&config("")).await.unwrap_err();
    assert!(matches!(error, KeysError::Ca { .. }), "{error}");
}

#[tokio::test]
async fn certificates_are_renewed_at_two_thirds_and_old_stampers_stay_known() {
    let stage = Stage::new();
    stage.authority.set_life(300);
    let keys = stage.obtain(&config("")).await.unwrap();
    let first = keys.artifact_key("default").unwrap();
    let stamper = keys.timestamp_key().unwrap();
    stage
        .clock
        .advance(first.renew_at().duration_since(stage.clock.now()).as_secs() + 1);
    let renewing = tokio::spawn(Arc::clone(&keys).keep_current());
    let renewed = async {
        loop {
            let next = keys.artifact_key("default").unwrap();
            let stamps = keys.timestamp_key().unwrap();
            if next.leaf().der() != first.leaf().der()
                && stamps.leaf().der() != stamper.leaf().der()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), renewed)
        .await
        .unwrap();
    renewing.abort();
    // Once each: a CA whose clock lags is not asked without end.
    assert_eq!(stage.authority.signed(), 4);
    let known = keys.timestamp_certificates();
    assert_eq!(known.len(), 2);
    assert_eq!(known[0].der(), stamper.leaf().der());
    let again = stage.obtain(&config("")).await.unwrap();
    let remembered = again.timestamp_certificates();
    let known: Vec<_> = known.iter().map(|one| one.der().to_vec()).collect();
    let remembered: Vec<_> = remembered.iter().map(|one| one.der().to_vec()).collect();
    assert!(remembered.starts_with(&known));
}

#[tokio::test]
async fn a_key_of_another_algorithm_is_told_and_left_alone() {
    let stage = Stage::new();
    stage.obtain(&config("")).await.unwrap();
    let other = config("[keys.default]\nalgorithm = \"p384\"");
    let error = stage.obtain(&other).await.unwrap_err();
    assert!(
        matches!(error, KeysError::Algorithm { .. }) && !error.is_transient(),
        "{error}"
    );
    let other = config("[keys.default]\nkey = \"another\"\nalgorithm = \"p384\"");
    let keys = stage.obtain(&other).await.unwrap();
    let key = keys.artifact_key("default").unwrap();
    assert_eq!(key.message_hash(), model::signing::HashAlgorithm::Sha384);
}

#[tokio::test]
async fn a_damaged_chain_is_replaced_and_a_damaged_history_refused() {
    let stage = Stage::new();
    stage.obtain(&config("")).await.unwrap();
    let chains = stage.directory.path().join("chains");
    std::fs::write(chains.join("signing-default-chain.pem"), "nothing").unwrap();
    stage.obtain(&config("")).await.unwrap();
    assert_eq!(stage.authority.signed(), 3);
    std::fs::write(chains.join("timestamps-past.pem"), "nothing").unwrap();
    let error = stage.obtain(&config("")).await.unwrap_err();
    assert!(matches!(error, KeysError::Damaged { .. }), "{error}");
}
