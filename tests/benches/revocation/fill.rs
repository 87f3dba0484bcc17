//! A store with many certificates, made without signing them.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::rand;
use model::{IssuerId, NodePrefix, ProfileName, RequestId, SerialNumber, Timestamp};
use store::{CertificateStore, Certificates, Intent, StoreConfig, StoreMetrics};

/// Acts under way at a time.
const TASKS: u64 = 256;

/// Octets of each TBSCertificate and each certificate, about what they have in the field.
const OCTETS: usize = 600;

/// Records so many certificates in a store that nobody has open.
pub(crate) fn fill(directory: &Path, count: u64) -> Result<Vec<SerialNumber>, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let store = Arc::new(Certificates::open(
        &StoreConfig::at(directory.to_owned()),
        StoreMetrics::default(),
    )?);
    let filled = runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| tokio::spawn(record(Arc::clone(&store), count / TASKS)))
            .collect();
        let mut serials = Vec::new();
        for task in tasks {
            serials.extend(task.await.map_err(|error| error.to_string())??);
        }
        Ok::<_, String>(serials)
    })?;
    Ok(filled)
}

/// Records so many, one after the other.
async fn record(store: Arc<Certificates>, count: u64) -> Result<Vec<SerialNumber>, String> {
    let told = |error: &dyn Error| error.to_string();
    let issuer = IssuerId::new("issuing").map_err(|error| told(&error))?;
    let profile = ProfileName::new("tls-server").map_err(|error| told(&error))?;
    let request_id = RequestId::new("bench").map_err(|error| told(&error))?;
    let now = Timestamp::try_from(std::time::SystemTime::now()).map_err(|error| told(&error))?;
    let mut serials = Vec::new();
    for _ in 0..count {
        let mut random = [0; SerialNumber::RANDOM_LEN];
        rand::fill(&mut random).map_err(|_| "no random bytes")?;
        let serial = SerialNumber::from_random(NodePrefix::default(), random);
        let intent = Intent {
            serial: serial.clone(),
            issuer: issuer.clone(),
            profile: profile.clone(),
            tbs_der: vec![0; OCTETS],
            not_before: now,
            not_after: now + std::time::Duration::from_secs(90 * 86_400),
            subject: "CN=bench".to_owned(),
            names: Vec::new(),
            public_key_sha256: [0; 32],
            requester: None,
            request_id: request_id.clone(),
            idempotency: None,
            recorded_at: now,
        };
        store
            .record_intent(intent)
            .await
            .map_err(|error| told(&error))?;
        store
            .record_issued(&serial, vec![0; OCTETS], now)
            .await
            .map_err(|error| told(&error))?;
        serials.push(serial);
    }
    Ok(serials)
}
