//! The certificate store against real directories.

mod acts;
mod crash;
mod crls;
mod damage;
mod keys;
mod layout;
mod model;
mod revocations;
mod space;

use std::path::Path;

use ::model::{
    IdempotencyKey, Identity, IssuerId, PeerName, ProfileName, RequestId, RevocationReason, Role,
    SerialNumber, Timestamp,
};

use super::{
    BlockedKey, Certificates, CrlRecord, CrlScope, ForeignRevocation, Idempotency, Intent,
    Revocation,
};
use crate::config::StoreConfig;
use crate::metrics::StoreMetrics;

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
fn open(directory: &Path) -> Certificates {
    Certificates::open(&config(directory), StoreMetrics::default()).unwrap()
}

/// Returns a time.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// Returns a serial number.
fn serial(number: u32) -> SerialNumber {
    SerialNumber::from_unsigned(&(u64::from(number) + 1).to_be_bytes()).unwrap()
}

/// Returns an intent that differs from others in every field it may.
fn intent(number: u32) -> Intent {
    Intent {
        serial: serial(number),
        issuer: IssuerId::new("issuing").unwrap(),
        profile: ProfileName::new(if number.is_multiple_of(3) {
            "service"
        } else {
            "tls-server"
        })
        .unwrap(),
        tbs_der: number.to_be_bytes().repeat(180),
        not_before: at(i64::from(number)),
        not_after: at(1_000_000 - i64::from(number) * 7),
        subject: format!("CN=Host {number}"),
        names: vec![format!("host-{number}.example")],
        public_key_sha256: [number as u8; 32],
        requester: Some(Identity {
            role: Role::ServiceAcme,
            name: PeerName::new("acme-1").unwrap(),
        }),
        request_id: RequestId::new(&format!("r{number}")).unwrap(),
        idempotency: None,
        recorded_at: at(i64::from(number)),
    }
}

/// Returns what makes a request repeatable.
fn idempotency(key: u32, content: u8) -> Option<Idempotency> {
    Some(Idempotency {
        key: IdempotencyKey::new(&format!("order-{key}")).unwrap(),
        scope: "service:acme/acme-1".to_owned(),
        fingerprint: [content; 32],
    })
}

/// Returns the issuer of every intent.
fn issuer() -> IssuerId {
    IssuerId::new("issuing").unwrap()
}

/// Returns a step of a revocation.
fn revocation(number: u32, reason: RevocationReason) -> Revocation {
    Revocation {
        serial: serial(number),
        reason,
        revoked_at: at(100 + i64::from(reason.code())),
        invalidity_date: (reason == RevocationReason::KeyCompromise).then(|| at(50)),
        requester: Some(Identity {
            role: Role::Operator,
            name: PeerName::new("eve").unwrap(),
        }),
        request_id: RequestId::new(&format!("revoke-{number}")).unwrap(),
        recorded_at: at(200),
    }
}

/// Returns a step of a revocation taken over from elsewhere.
fn foreign(number: u32, reason: RevocationReason) -> ForeignRevocation {
    ForeignRevocation {
        issuer: issuer(),
        not_after: number.is_multiple_of(2).then(|| at(5_000)),
        revocation: revocation(number, reason),
    }
}

/// Returns a key to block.
fn block(key: u8) -> BlockedKey {
    BlockedKey {
        public_key_sha256: [key; 32],
        requester: None,
        request_id: RequestId::new(&format!("block-{key}")).unwrap(),
        recorded_at: at(300),
    }
}

/// Returns a CRL; a delta if it has a base.
fn crl(number: u64, base: Option<u64>) -> CrlRecord {
    CrlRecord {
        issuer: issuer(),
        scope: CrlScope::Whole,
        number,
        base,
        through: number,
        entries: 7,
        this_update: at(400),
        next_update: at(500),
        tbs_sha256: [number as u8; 32],
        recorded_at: at(400),
    }
}

/// Records an intent and its certificate.
fn issue(store: &Certificates, number: u32) {
    use super::CertificateStore;
    wait(store.record_intent(intent(number))).unwrap();
    wait(store.record_issued(&serial(number), certificate(number), at(1))).unwrap();
}

/// Returns the bytes that stand for a certificate.
fn certificate(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(200)
}

/// Runs a future to its end.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
