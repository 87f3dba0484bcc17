//! Orders a second, all their acts on disk, and CPU for each.
//!
//! `cargo bench -p store --bench acme` prints Markdown. The directory is
//! `STORE_BENCH_DIR`, else the system's temporary one, which should be a real disk.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use model::acme::{
    AccountId, AuthorizationId, CertificateId, ChallengeId, ChallengeKind, Finalization,
    Identifier, IssuedCertificate, OrderId,
};
use model::{SerialNumber, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use store::acme::{
    AccountKey, AcmeRecords, AcmeStore, NewAccount, NewAuthorization, NewOrder, Retention,
    Validation,
};
use store::{StoreConfig, StoreMetrics};

/// How long each measurement runs.
const RUN: Duration = Duration::from_secs(4);

/// What stops a measurement.
type Stopped = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Stopped> {
    // `cargo test --benches` only asks whether it runs.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let run = if quick {
        Duration::from_millis(50)
    } else {
        RUN
    };
    let base = std::env::var_os("STORE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(base)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "| tasks | orders/s | acts/s | p50 ms | p99 ms | CPU µs/order | journal KiB/order |\n|---|---|---|---|---|---|---|"
    )?;
    for tasks in [1, 8, 32, 128] {
        let line = measure(&directory.path().join(format!("tasks-{tasks}")), tasks, run)?;
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Takes orders through their lives for a while; returns a line of the table.
fn measure(path: &Path, tasks: u32, run: Duration) -> Result<String, Stopped> {
    let store = AcmeRecords::open(
        &StoreConfig::at(path),
        StoreMetrics::default(),
        Retention::default(),
    )?;
    let store = Arc::new(store);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()?;
    let next = Arc::new(AtomicU32::new(0));
    let now: Timestamp = "2026-11-25T00:00:00Z".parse()?;
    let account = NewAccount {
        id: AccountId::new(now, [0; 10]),
        key: AccountKey {
            thumbprint: [0; 32],
            jwk_json: "{}".into(),
        },
        contacts: Vec::new(),
        terms_agreed: None,
        binding: None,
        peer: None,
        at: now,
    };
    runtime.block_on(store.create_account(account))?;
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut took = runtime.block_on(async {
        let running: Vec<_> = (0..tasks)
            .map(|_| {
                let (store, next) = (Arc::clone(&store), Arc::clone(&next));
                tokio::spawn(async move {
                    let mut took = Vec::new();
                    while began.elapsed() < run {
                        let start = Instant::now();
                        order(&store, next.fetch_add(1, Ordering::Relaxed), now).await?;
                        took.push(start.elapsed());
                    }
                    Ok::<_, Stopped>(took)
                })
            })
            .collect();
        let mut took = Vec::new();
        for task in running {
            took.extend(task.await??);
        }
        Ok::<_, Stopped>(took)
    })?;
    let (elapsed, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    took.sort_unstable();
    let orders = took.len() as f64;
    let status = store.status();
    let percentile = |share: usize| {
        let at = (took.len() * share / 100).min(took.len().saturating_sub(1));
        took.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    Ok(format!(
        "| {tasks} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} | {:.1} |",
        orders / elapsed,
        status.sequence as f64 / elapsed,
        percentile(50),
        percentile(99),
        cpu / orders * 1e6,
        status.journal_bytes as f64 / orders / 1024.0,
    ))
}

/// Takes one order through its life: five acts, one after another.
async fn order(store: &AcmeRecords, number: u32, now: Timestamp) -> Result<(), Stopped> {
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    random[4..8].copy_from_slice(&number.to_be_bytes());
    let at = now + Duration::from_millis(u64::from(number));
    let (id, authorization) = (OrderId::new(at, random), AuthorizationId::new(at, random));
    let identifier = Identifier::dns(&format!("host-{number}.example"))?;
    let new = NewOrder {
        id,
        account: AccountId::new(now, [0; 10]),
        identifiers: vec![(
            identifier,
            NewAuthorization {
                id: authorization,
                token: "a".repeat(43).into(),
                challenges: vec![
                    ChallengeKind::Http01,
                    ChallengeKind::Dns01,
                    ChallengeKind::TlsAlpn01,
                ],
                expires_at: at + Duration::from_secs(86_400),
            },
        )],
        profile: None,
        not_before: None,
        not_after: None,
        replaces: None,
        at,
        expires_at: at + Duration::from_secs(86_400),
        reuse_valid_until: None,
        repeat_since: Some(now),
    };
    store.create_order(new).await?;
    let challenge = ChallengeId {
        authorization,
        kind: ChallengeKind::Http01,
    };
    store.begin_challenge(&challenge, at).await?;
    let validation = Validation::Succeeded {
        valid_until: at + Duration::from_secs(30 * 86_400),
        attested_key: None,
    };
    store.record_validation(&challenge, validation, at).await?;
    let finalization = Finalization {
        csr_der: vec![0x30; 280],
        csr_sha256: [1; 32],
        request_id: None,
        at,
    };
    store.begin_finalize(&id, finalization).await?;
    let serial = SerialNumber::from_random(Default::default(), {
        let mut octets = [0x5a; 16];
        octets[..10].copy_from_slice(&random);
        octets
    });
    let certificate = IssuedCertificate {
        csr_sha256: [1; 32],
        serial: serial.clone(),
        certificate_id: CertificateId {
            issuer_key_id: [2; 20].into(),
            serial,
        },
        not_before: at,
        not_after: at + Duration::from_secs(90 * 86_400),
        chains_pem: vec!["M".repeat(2000).into()],
        at,
    };
    store.record_certificate(&id, certificate).await?;
    Ok(())
}

/// Returns the CPU seconds that this process has used, its kernel time included.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
