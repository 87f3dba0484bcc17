//! The certificate store against real directories.

mod acts;
mod crash;
mod damage;
mod model;
mod space;

use std::path::Path;

use ::model::{
    IdempotencyKey, Identity, IssuerId, PeerName, ProfileName, RequestId, Role, SerialNumber,
    Timestamp,
};

use super::{Certificates, Idempotency, Intent};
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
