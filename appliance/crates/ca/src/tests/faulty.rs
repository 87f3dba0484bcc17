//! A keystore and a store that work until they are told not to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hsm_keystore::{
    Entry, Error as KeyError, KeyAlgorithm, KeyId, KeyStore, PendingSignature, PrivateKey,
    Provenance, SignJob, Unavailable,
};
use model::{IssuerId, SerialNumber, Timestamp};
use store::{
    AbandonReason, BlockedKey, CertificateFilter, CertificateRecord, CertificateStore, CrlRecord,
    CrlScope, Cursor, Error as StoreError, ForeignRevocation, Intent, IntentOutcome, IssuedFrom,
    IssuedSerial, LastCrls, OpenIntent, Page, Revocation, RevocationRecord, RevocationStore,
    Revoked, Status, TimestampRecord,
};
use tokio::sync::Semaphore;

/// What signing does.
#[derive(Debug, Clone, Default)]
pub(super) enum Signing {
    /// Works.
    #[default]
    Works,
    /// Fails so.
    Fails(KeyError),
    /// Gives octets that are no signature.
    Garbage,
}

/// The switches of a keystore.
#[derive(Debug, Default)]
pub(super) struct KeySwitches {
    /// What signing does.
    signing: Mutex<Signing>,
    /// Whether keeping a certificate fails.
    import_fails: Mutex<bool>,
    /// Whether the store says it is away.
    away: Mutex<bool>,
    /// Signatures asked for.
    asked: AtomicUsize,
}

impl KeySwitches {
    /// Sets what signing does.
    pub(super) fn sign(&self, signing: Signing) {
        *self.signing.lock().unwrap() = signing;
    }

    /// Sets whether keeping a certificate fails.
    pub(super) fn fail_import(&self, fails: bool) {
        *self.import_fails.lock().unwrap() = fails;
    }

    /// Sets whether the store says it is away.
    pub(super) fn away(&self, away: bool) {
        *self.away.lock().unwrap() = away;
    }

    /// Counts the signatures asked for.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A keystore with switches.
#[derive(Debug)]
pub(super) struct FaultyKeyStore {
    /// The real one.
    pub(super) inner: Arc<dyn KeyStore>,
    /// The switches.
    pub(super) switches: Arc<KeySwitches>,
}

/// A key with switches.
#[derive(Debug)]
struct FaultyKey {
    /// The real one.
    inner: Arc<dyn PrivateKey>,
    /// The switches.
    switches: Arc<KeySwitches>,
}

/// States that the token is away.
pub(super) fn unavailable() -> KeyError {
    KeyError::Unavailable(Unavailable::Closed)
}

impl FaultyKeyStore {
    /// Puts switches on a key.
    fn wrap(&self, key: Arc<dyn PrivateKey>) -> Arc<dyn PrivateKey> {
        Arc::new(FaultyKey {
            inner: key,
            switches: Arc::clone(&self.switches),
        })
    }
}

impl KeyStore for FaultyKeyStore {
    fn get_private_key(&self, id: &KeyId) -> Result<Arc<dyn PrivateKey>, KeyError> {
        self.inner.get_private_key(id).map(|key| self.wrap(key))
    }

    fn import_private_key(
        &self,
        id: &KeyId,
        pkcs8_der: zeroize::Zeroizing<Vec<u8>>,
    ) -> Result<Arc<dyn PrivateKey>, KeyError> {
        self.inner.import_private_key(id, pkcs8_der)
    }

    fn generate_private_key(
        &self,
        id: &KeyId,
        algorithm: KeyAlgorithm,
    ) -> Result<Arc<dyn PrivateKey>, KeyError> {
        self.inner
            .generate_private_key(id, algorithm)
            .map(|key| self.wrap(key))
    }

    fn get_certificate(&self, id: &KeyId) -> Result<Vec<u8>, KeyError> {
        self.inner.get_certificate(id)
    }

    fn import_certificate(&self, id: &KeyId, certificate_der: &[u8]) -> Result<(), KeyError> {
        if *self.switches.import_fails.lock().unwrap() {
            return Err(unavailable());
        }
        self.inner.import_certificate(id, certificate_der)
    }

    fn list(&self) -> Result<Vec<Entry>, KeyError> {
        self.inner.list()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), KeyError> {
        self.inner.fill_random(bytes)
    }

    fn ready(&self) -> Result<(), Unavailable> {
        if *self.switches.away.lock().unwrap() {
            return Err(Unavailable::Closed);
        }
        self.inner.ready()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

impl PrivateKey for FaultyKey {
    fn id(&self) -> &KeyId {
        self.inner.id()
    }

    fn algorithm(&self) -> KeyAlgorithm {
        self.inner.algorithm()
    }

    fn public_key_der(&self) -> &[u8] {
        self.inner.public_key_der()
    }

    fn sign(&self, job: SignJob) -> PendingSignature {
        self.switches.asked.fetch_add(1, Ordering::SeqCst);
        match self.switches.signing.lock().unwrap().clone() {
            Signing::Works => self.inner.sign(job),
            Signing::Fails(error) => PendingSignature::settled(Err(error)),
            Signing::Garbage => PendingSignature::settled(Ok(vec![0x30, 0x00])),
        }
    }

    fn provenance(&self) -> Provenance {
        self.inner.provenance()
    }
}

/// An act of the store that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Act {
    /// `record_intent`.
    Intend,
    /// `record_issued`.
    Issue,
    /// `abandon_intent`.
    Abandon,
    /// `revoke` and `import_revocation`.
    Revoke,
    /// `block_key`.
    BlockKey,
    /// `record_crl`.
    RecordCrl,
    /// `record_timestamp`.
    Timestamp,
}

/// What an act does.
#[derive(Debug, Clone)]
pub(super) enum Acting {
    /// Fails so, and nothing is recorded.
    Fails(StoreError),
    /// Waits before it is recorded until there is a permit.
    Waits(Arc<Semaphore>),
    /// Is recorded, and never answers.
    Mute,
}

/// A store with switches.
#[derive(Debug)]
pub(super) struct FaultyStore {
    /// The real one.
    pub(super) inner: Arc<dyn RevocationStore>,
    /// What acts do that do not work.
    acts: Mutex<HashMap<Act, Acting>>,
    /// Acts that have been asked for.
    begun: Mutex<HashMap<Act, usize>>,
}

impl FaultyStore {
    /// Puts switches on a store.
    pub(super) fn over(inner: Arc<dyn RevocationStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            acts: Mutex::default(),
            begun: Mutex::default(),
        })
    }

    /// Sets what an act does; nothing: it works.
    pub(super) fn set(&self, act: Act, acting: Option<Acting>) {
        let mut acts = self.acts.lock().unwrap();
        match acting {
            Some(acting) => acts.insert(act, acting),
            None => acts.remove(&act),
        };
    }

    /// Counts how often an act was asked for.
    pub(super) fn begun(&self, act: Act) -> usize {
        self.begun.lock().unwrap().get(&act).copied().unwrap_or(0)
    }

    /// Does what the switch says before the act; tells whether it is mute after.
    async fn before(&self, act: Act) -> Result<bool, StoreError> {
        *self.begun.lock().unwrap().entry(act).or_default() += 1;
        let acting = self.acts.lock().unwrap().get(&act).cloned();
        match acting {
            None => Ok(false),
            Some(Acting::Fails(error)) => Err(error),
            Some(Acting::Waits(gate)) => {
                gate.acquire().await.unwrap().forget();
                Ok(false)
            }
            Some(Acting::Mute) => Ok(true),
        }
    }
}

/// Never answers.
async fn mute(mute: bool) {
    if mute {
        std::future::pending::<()>().await;
    }
}

#[async_trait]
impl CertificateStore for FaultyStore {
    async fn record_intent(&self, intent: Intent) -> Result<IntentOutcome, StoreError> {
        let is_mute = self.before(Act::Intend).await?;
        let outcome = self.inner.record_intent(intent).await;
        mute(is_mute).await;
        outcome
    }

    async fn record_issued(
        &self,
        serial: &SerialNumber,
        certificate_der: Vec<u8>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let is_mute = self.before(Act::Issue).await?;
        let outcome = self.inner.record_issued(serial, certificate_der, at).await;
        mute(is_mute).await;
        outcome
    }

    async fn abandon_intent(
        &self,
        serial: &SerialNumber,
        why: AbandonReason,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let is_mute = self.before(Act::Abandon).await?;
        let outcome = self.inner.abandon_intent(serial, why, at).await;
        mute(is_mute).await;
        outcome
    }

    async fn record_timestamp(&self, record: TimestampRecord) -> Result<(), StoreError> {
        let is_mute = self.before(Act::Timestamp).await?;
        let outcome = self.inner.record_timestamp(record).await;
        mute(is_mute).await;
        outcome
    }

    async fn certificate(
        &self,
        serial: &SerialNumber,
    ) -> Result<Option<CertificateRecord>, StoreError> {
        self.inner.certificate(serial).await
    }

    async fn certificates(
        &self,
        filter: CertificateFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.inner.certificates(filter, cursor, limit).await
    }

    async fn open_intents(&self) -> Result<Vec<OpenIntent>, StoreError> {
        self.inner.open_intents().await
    }

    fn status(&self) -> Status {
        self.inner.status()
    }
}

#[async_trait]
impl RevocationStore for FaultyStore {
    async fn revoke(&self, revocation: Revocation) -> Result<RevocationRecord, StoreError> {
        let is_mute = self.before(Act::Revoke).await?;
        let outcome = self.inner.revoke(revocation).await;
        mute(is_mute).await;
        outcome
    }

    async fn import_revocation(
        &self,
        foreign: ForeignRevocation,
    ) -> Result<RevocationRecord, StoreError> {
        let is_mute = self.before(Act::Revoke).await?;
        let outcome = self.inner.import_revocation(foreign).await;
        mute(is_mute).await;
        outcome
    }

    async fn revocation(
        &self,
        issuer: &IssuerId,
        serial: &SerialNumber,
    ) -> Result<Option<RevocationRecord>, StoreError> {
        self.inner.revocation(issuer, serial).await
    }

    async fn revocations(
        &self,
        issuer: &IssuerId,
        after: Option<&SerialNumber>,
        limit: usize,
    ) -> Result<Vec<Revoked>, StoreError> {
        self.inner.revocations(issuer, after, limit).await
    }

    async fn issued(
        &self,
        issuer: &IssuerId,
        from: IssuedFrom,
        limit: usize,
    ) -> Result<Vec<IssuedSerial>, StoreError> {
        self.inner.issued(issuer, from, limit).await
    }

    async fn serials_of_key(
        &self,
        public_key_sha256: &[u8; 32],
        after: Option<&SerialNumber>,
        limit: usize,
    ) -> Result<Vec<SerialNumber>, StoreError> {
        self.inner
            .serials_of_key(public_key_sha256, after, limit)
            .await
    }

    async fn block_key(&self, key: BlockedKey) -> Result<BlockedKey, StoreError> {
        let is_mute = self.before(Act::BlockKey).await?;
        let outcome = self.inner.block_key(key).await;
        mute(is_mute).await;
        outcome
    }

    async fn blocked_key(
        &self,
        public_key_sha256: &[u8; 32],
    ) -> Result<Option<BlockedKey>, StoreError> {
        self.inner.blocked_key(public_key_sha256).await
    }

    async fn blocked_keys(
        &self,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<BlockedKey>, StoreError> {
        self.inner.blocked_keys(after, limit).await
    }

    async fn record_crl(&self, crl: CrlRecord) -> Result<(), StoreError> {
        let is_mute = self.before(Act::RecordCrl).await?;
        let outcome = self.inner.record_crl(crl).await;
        mute(is_mute).await;
        outcome
    }

    async fn last_crls(&self, issuer: &IssuerId, scope: CrlScope) -> Result<LastCrls, StoreError> {
        self.inner.last_crls(issuer, scope).await
    }
}
