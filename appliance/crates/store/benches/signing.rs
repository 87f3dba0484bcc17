//! Signatures a second with SBOM and provenance of 100 KiB each, all their acts on
//! disk, and CPU for each; time-stamps a second.
//!
//! `cargo bench -p store --bench signing` prints Markdown. The directory is
//! `STORE_BENCH_DIR`, else the system's temporary one, which should be a real disk.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::signing::{ArtifactDigest, MediaType, SignatureId, SignerLabel, SigningProfileName};
use model::{IdempotencyKey, RequestId, SerialNumber, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use store::StoreConfig;
use store::signing::{
    Begun, Document, DocumentKind, Documents, Intended, NewSignature, NewTimestamp, Signed,
    SigningOptions, SigningRecords, SigningStore, SigningStoreMetrics, Stage, TimestampIntent,
    ToBeSigned,
};

/// How long each measurement runs.
const RUN: Duration = Duration::from_secs(4);

/// Octets of an SBOM, and of a provenance.
const EVIDENCE: usize = 100 * 1024;

/// What stops a measurement.
type Stopped = Box<dyn std::error::Error + Send + Sync>;

/// What is measured.
#[derive(Clone, Copy)]
enum Work {
    /// Whole signatures.
    Signatures,
    /// Time-stamps asked for by themselves.
    Timestamps,
}

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
        "| what | tasks | a second | p50 ms | p99 ms | CPU µs each | journal KiB each |\n|---|---|---|---|---|---|---|"
    )?;
    for (name, work) in [
        ("signatures", Work::Signatures),
        ("time-stamps", Work::Timestamps),
    ] {
        for tasks in [1, 8, 32] {
            let path = directory.path().join(format!("{name}-{tasks}"));
            let line = measure(&path, work, tasks, run)?;
            writeln!(out, "| {name} | {tasks} | {line}")?;
            std::fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// Works for a while; returns the rest of a line of the table.
fn measure(path: &Path, work: Work, tasks: u32, run: Duration) -> Result<String, Stopped> {
    let config = StoreConfig {
        segment_mib: 64,
        ..StoreConfig::at(path)
    };
    let (options, metrics) = (SigningOptions::default(), SigningStoreMetrics::default());
    let store = Arc::new(SigningRecords::open(&config, options, metrics)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()?;
    let next = Arc::new(AtomicU32::new(0));
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut took = runtime.block_on(async {
        let running: Vec<_> = (0..tasks)
            .map(|_| {
                let (store, next) = (Arc::clone(&store), Arc::clone(&next));
                tokio::spawn(async move {
                    let mut took = Vec::new();
                    while began.elapsed() < run {
                        let start = Instant::now();
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        match work {
                            Work::Signatures => sign(&store, number).await?,
                            Work::Timestamps => stamp(&store, number).await?,
                        }
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
    let done = took.len() as f64;
    let percentile = |share: usize| {
        let at = (took.len() * share / 100).min(took.len().saturating_sub(1));
        took.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    Ok(format!(
        "{:.0} | {:.2} | {:.2} | {:.0} | {:.1} |",
        done / elapsed,
        percentile(50),
        percentile(99),
        cpu / done * 1e6,
        store.status().journal_bytes as f64 / done / 1024.0,
    ))
}

/// Returns a document of a length that no other number has.
fn document(number: u32, tag: u8, len: usize) -> Result<Document, Stopped> {
    let mut octets = vec![tag; len];
    if let Some(start) = octets.first_chunk_mut() {
        *start = number.to_be_bytes();
    }
    let media_type = MediaType::new("application/json")?;
    Ok(Document::new(media_type, octets.into()))
}

/// Returns ten octets that stand for a number.
fn random(number: u32) -> [u8; 10] {
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    random[4..8].copy_from_slice(&number.to_be_bytes());
    random
}

/// Returns a serial number that stands for a number.
fn serial(number: u32) -> SerialNumber {
    SerialNumber::from_random(Default::default(), {
        let mut octets = [0x5a; 16];
        octets[..10].copy_from_slice(&random(number));
        octets
    })
}

/// Takes one signature through its life: three acts, one after another.
async fn sign(store: &SigningRecords, number: u32) -> Result<(), Stopped> {
    let now: Timestamp = "2026-11-25T00:00:00Z".parse()?;
    let at = now + Duration::from_millis(u64::from(number));
    let id = SignatureId::new(at, random(number));
    let mut digest = [0; 32];
    digest[..10].copy_from_slice(&random(number));
    let digest = ArtifactDigest::sha256(digest);
    let begun = store
        .begin(NewSignature {
            id,
            signer: SignerLabel::new("signer/ci-1")?,
            idempotency: Some((IdempotencyKey::new(&format!("key-{number}"))?, [1; 32])),
            profile: SigningProfileName::new("releases")?,
            request_id: RequestId::new("r")?,
            digests: vec![digest],
            name: None,
            media_type: None,
            builder: Some("https://builder.example/ci".into()),
            verdict_json: Bytes::from_static(&[b' '; 2000]),
            facts_json: Bytes::from_static(b"{}"),
            to_be_signed: (0..5)
                .map(|_| ToBeSigned {
                    label: "artifact".into(),
                    key: "default".into(),
                    content: Intended::Digest(digest),
                })
                .collect(),
            documents: Documents::from([
                (DocumentKind::Sbom, document(number, 1, EVIDENCE)?),
                (DocumentKind::Provenance, document(number, 2, EVIDENCE)?),
            ]),
            room: 4 * EVIDENCE as u64,
            at,
        })
        .await?;
    if !matches!(begun, Begun::New) {
        return Err("begun before".into());
    }
    let stage = Stage {
        timestamps: vec![TimestampIntent {
            label: "artifact".into(),
            serial: serial(number),
            tst_info_der: Bytes::from_static(&[0x30; 120]),
        }],
        leaves: vec![Bytes::from_static(&[b'x'; 1500])],
        at,
    };
    store.record_stage(&id, stage).await?;
    // Base64 of a statement that holds the evidence, as a bundle carries it.
    let attestation = EVIDENCE * 4 / 3 + 4000;
    let documents = Documents::from([
        (DocumentKind::Signature, document(number, 3, 71)?),
        (DocumentKind::Certificate, document(0, 4, 2000)?),
        (DocumentKind::Bundle, document(number, 5, 6000)?),
        (DocumentKind::Cms, document(number, 6, 2500)?),
        (DocumentKind::Timestamp, document(number, 7, 2000)?),
        (DocumentKind::Vsa, document(number, 8, 6000)?),
        (
            DocumentKind::SbomAttestation,
            document(number, 9, attestation)?,
        ),
        (
            DocumentKind::ProvenanceAttestation,
            document(number, 10, attestation)?,
        ),
    ]);
    let signed = Signed {
        documents,
        answer_json: Bytes::from_static(b"{}"),
        deliveries: Vec::new(),
        at,
    };
    store.complete(&id, signed).await?;
    Ok(())
}

/// Records one time-stamp.
async fn stamp(store: &SigningRecords, number: u32) -> Result<(), Stopped> {
    let at: Timestamp = "2026-11-25T00:00:00Z".parse()?;
    let new = NewTimestamp {
        serial: serial(number),
        imprint: ArtifactDigest::sha256([number as u8; 32]),
        gen_time: at,
        tst_info_der: Bytes::from_static(&[0x30; 120]),
        requester: None,
        request_id: None,
        at,
    };
    store.begin_timestamp(new).await?;
    Ok(())
}

/// Returns the CPU seconds that this process has used, its kernel time included.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
