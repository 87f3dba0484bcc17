//! The ACME store against real directories.

mod accounts;
mod acts;
mod crash;
mod model;
mod retention;

use std::path::Path;

use ::model::acme::{
    AccountId, AuthorizationId, CertificateId, ChallengeId, ChallengeKind, EabKeyId, Failure,
    Finalization, Identifier, IssuedCertificate, OrderId, OrderState,
};
use ::model::{Identity, PeerName, ProfileName, RequestId, Role, SerialNumber, Timestamp};

use super::record::{
    AccountKey, AccountOutcome, EabKey, EabKeyState, MacKey, NewAccount, NewAuthorization,
    NewOrder, Order, OrderOutcome, Validation,
};
use super::{AcmeRecords, AcmeStore, Retention};
use crate::config::StoreConfig;
use crate::metrics::StoreMetrics;

/// Seconds that a new order may be finalized in.
const ORDER_LIFE: i64 = 3600;

/// Seconds that a valid authorization lasts.
const AUTHORIZATION_LIFE: i64 = 86_400;

/// Returns a small store's configuration.
fn config(directory: &Path) -> StoreConfig {
    StoreConfig {
        segment_mib: 1,
        index_cache_mib: 4,
        min_free_mib: 0,
        ..StoreConfig::at(directory)
    }
}

/// Opens a small store.
fn open(directory: &Path) -> AcmeRecords {
    AcmeRecords::open(
        &config(directory),
        StoreMetrics::default(),
        Retention::default(),
    )
    .unwrap()
}

/// Returns a time.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// Returns random octets that a number stands for.
fn octets(number: u32) -> [u8; 10] {
    let mut octets = [0xab; 10];
    octets[..4].copy_from_slice(&number.to_be_bytes());
    octets
}

/// Returns an account's name.
pub(crate) fn account_id(number: u32) -> AccountId {
    AccountId::new(at(0), octets(number))
}

/// Returns an order's name.
pub(crate) fn order_id(number: u32) -> OrderId {
    OrderId::new(at(0), octets(number))
}

/// Returns the name of an order's authorization.
pub(crate) fn authorization_id(order: u32, position: u8) -> AuthorizationId {
    let mut octets = octets(order);
    octets[9] = position;
    AuthorizationId::new(at(0), octets)
}

/// Returns an http-01 challenge's name.
fn challenge(order: u32, position: u8) -> ChallengeId {
    ChallengeId {
        authorization: authorization_id(order, position),
        kind: ChallengeKind::Http01,
    }
}

/// Returns an account's key.
fn key(number: u32) -> AccountKey {
    let mut thumbprint = [0x11; 32];
    thumbprint[..4].copy_from_slice(&number.to_be_bytes());
    AccountKey {
        thumbprint,
        jwk_json: format!(r#"{{"crv":"P-256","kty":"EC","x":"{number}","y":"{number}"}}"#).into(),
    }
}

/// Returns an account to be made.
fn new_account(number: u32) -> NewAccount {
    NewAccount {
        id: account_id(number),
        key: key(number),
        contacts: vec!["mailto:a@example.org".into()],
        terms_agreed: Some("https://ca.example/terms".into()),
        binding: None,
        peer: Some(Identity {
            role: Role::Operator,
            name: PeerName::new("ada").unwrap(),
        }),
        at: at(0),
    }
}

/// Returns an EAB key.
pub(crate) fn eab_key(name: &str) -> EabKey {
    EabKey {
        id: EabKeyId::new(name).unwrap(),
        secret: MacKey::new([7; 32]),
        label: "the printers".into(),
        policy: Some("printers".into()),
        created_at: at(0),
        expires_at: Some(at(1000)),
        state: EabKeyState::Unused,
    }
}

/// Returns a name that belongs to an order.
pub(crate) fn name(order: u32, position: u8) -> Identifier {
    Identifier::dns(&format!("n{position}.order-{order}.example")).unwrap()
}

/// Returns what to make for an identifier of an order.
fn new_authorization(order: u32, position: u8, second: i64) -> NewAuthorization {
    NewAuthorization {
        id: authorization_id(order, position),
        token: format!("{order:0>42}x").into(),
        challenges: vec![ChallengeKind::Http01, ChallengeKind::Dns01],
        expires_at: at(second + ORDER_LIFE),
    }
}

/// Returns an order of account 1 for some identifiers, made at a second.
fn new_order(number: u32, identifiers: &[Identifier], second: i64) -> NewOrder {
    NewOrder {
        id: order_id(number),
        account: account_id(1),
        identifiers: (0..)
            .zip(identifiers)
            .map(|(position, identifier)| {
                (
                    identifier.clone(),
                    new_authorization(number, position, second),
                )
            })
            .collect(),
        profile: Some(ProfileName::new("tls-server").unwrap()),
        not_before: None,
        not_after: Some(at(second + 90 * 86_400)),
        replaces: None,
        at: at(second),
        expires_at: at(second + ORDER_LIFE),
        reuse_valid_until: None,
        repeat_since: None,
    }
}

/// Returns an order as it is when new.
pub(crate) fn order(number: u32) -> Order {
    Order {
        id: order_id(number),
        account: account_id(1),
        state: OrderState::Pending,
        identifiers: vec![name(number, 0)],
        authorizations: vec![authorization_id(number, 0)],
        profile: None,
        not_before: None,
        not_after: None,
        replaces: None,
        created_at: at(0),
        expires_at: at(ORDER_LIFE),
    }
}

/// Returns a finalization.
pub(crate) fn finalization(content: u8, second: i64) -> Finalization {
    Finalization {
        csr_der: vec![content; 300],
        csr_sha256: [content; 32],
        request_id: Some(RequestId::new("r1").unwrap()),
        at: at(second),
    }
}

/// Returns a serial number.
fn serial(number: u32) -> SerialNumber {
    SerialNumber::from_unsigned(&(u64::from(number) + 1).to_be_bytes()).unwrap()
}

/// Returns how renewal information names a certificate.
pub(crate) fn certificate_id(number: u32) -> CertificateId {
    CertificateId {
        issuer_key_id: [9; 20].into(),
        serial: serial(number),
    }
}

/// Returns the certificate of an order finalized with `content`.
pub(crate) fn certificate(number: u32, content: u8, second: i64) -> IssuedCertificate {
    IssuedCertificate {
        csr_sha256: [content; 32],
        serial: serial(number),
        certificate_id: certificate_id(number),
        not_before: at(second),
        not_after: at(second + 90 * 86_400),
        chains_pem: vec!["-----BEGIN CERTIFICATE-----\n".repeat(60).into()],
        at: at(second),
    }
}

/// Returns an error.
fn failure() -> Failure {
    Failure::new("connection", "connection refused by 192.0.2.1:80")
}

/// Returns a validation that succeeded.
fn success(second: i64) -> Validation {
    Validation::Succeeded {
        valid_until: at(second + AUTHORIZATION_LIFE),
        attested_key: None,
    }
}

/// Makes account 1.
async fn with_account(store: &AcmeRecords) {
    let made = store.create_account(new_account(1)).await.unwrap();
    assert!(matches!(made, AccountOutcome::Created(_)), "{made:?}");
}

/// Makes an order for its own name, and returns it.
async fn create(store: &AcmeRecords, number: u32) -> std::sync::Arc<Order> {
    let new = new_order(number, &[name(number, 0)], 0);
    match store.create_order(new).await.unwrap() {
        OrderOutcome::Created(order) => order,
        OrderOutcome::Repeated(order) => panic!("there already: {order:?}"),
    }
}

/// Runs a future to its end.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
