//! Commits a second and CPU for each, beside a bare append and sync in the same
//! run; then opening time and memory with 100,000 certificates that are all
//! revoked, and the time to load them, as the OCSP responder does at its start.
//!
//! `cargo bench -p store` prints Markdown. The directory is `STORE_BENCH_DIR`,
//! else the system's temporary one, which should be a real disk; the number of
//! certificates is `STORE_BENCH_RECORDS`.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use model::{IssuerId, ProfileName, RequestId, RevocationReason, SerialNumber, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use store::{
    CertificateStore, Certificates, Intent, IssuedFrom, MAX_BATCH, Revocation, RevocationStore,
    StoreConfig, StoreMetrics,
};

/// How long each measurement runs.
const RUN: Duration = Duration::from_secs(4);

/// Certificates in the store that is opened, unless the environment says.
const RECORDS: u32 = 100_000;

/// What stops a measurement.
type Stopped = Box<dyn std::error::Error + Send + Sync>;

/// Argument that makes this process open a store and nothing else.
const OPEN: &str = "--open";

fn main() -> Result<(), Stopped> {
    let mut arguments = std::env::args().skip(1);
    if let (Some(OPEN), Some(path)) = (arguments.next().as_deref(), arguments.next()) {
        return open_and_tell(Path::new(&path));
    }
    // `cargo test --benches` only asks whether it runs.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let run = if quick {
        Duration::from_millis(50)
    } else {
        RUN
    };
    let asked = std::env::var("STORE_BENCH_RECORDS").ok();
    let records = match asked {
        Some(asked) => asked.parse()?,
        None if quick => 200,
        None => RECORDS,
    };
    let base = std::env::var_os("STORE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(base)?;
    let mut out = std::io::stdout().lock();

    writeln!(out, "| writer | acts/s | CPU µs/act |\n|---|---|---|")?;
    let (rate, cpu) = raw(directory.path(), run)?;
    writeln!(
        out,
        "| append + fdatasync, 1 KiB, one thread | {rate:.0} | {cpu:.1} |"
    )?;
    for tasks in [1, 8, 32, 64] {
        let path = directory.path().join(format!("tasks-{tasks}"));
        let (rate, cpu) = commit(&path, tasks, Limit::Time(run))?;
        writeln!(out, "| store, {tasks} tasks | {rate:.0} | {cpu:.1} |")?;
    }

    let path = directory.path().join("large");
    commit(&path, 64, Limit::Count(records))?;
    // The rest of the certificates in one run each, so that all are revoked.
    let mut first = 0;
    for (tasks, count) in [(1, records / 20), (64, records - records / 20)] {
        let (rate, cpu) = revoke(&path, tasks, first..first + count)?;
        first += count;
        writeln!(
            out,
            "| revocations, {tasks} tasks, {records} certificates | {rate:.0} | {cpu:.1} |"
        )?;
    }
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let rebuilt = store::rebuild(&StoreConfig::at(&path))?;
    writeln!(
        out,
        "\nindex made anew from {} records in {:.1} s, {:.1} s of CPU",
        rebuilt.frames_replayed,
        began.elapsed().as_secs_f64(),
        cpu_seconds() - cpu
    )?;
    // In a process of its own, whose memory is the store's alone.
    let told = Command::new(std::env::current_exe()?)
        .arg(OPEN)
        .arg(&path)
        .output()?;
    out.write_all(&told.stdout)?;
    Ok(())
}

/// Opens a store and tells how long it took and what it holds.
fn open_and_tell(path: &Path) -> Result<(), Stopped> {
    let before = resident_kib()?;
    let began = Instant::now();
    let store = Certificates::open(&StoreConfig::at(path), StoreMetrics::default())?;
    let opened = began.elapsed();
    let status = store.status();
    writeln!(
        std::io::stdout(),
        "\n{} certificates: opened in {:.0} ms ({} frames replayed), {} KiB resident ({} before), {} MiB of journal",
        status.issued,
        opened.as_secs_f64() * 1e3,
        status.recovered.frames_replayed,
        resident_kib()?,
        before,
        status.journal_bytes >> 20,
    )?;
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let revoked = tokio::runtime::Builder::new_current_thread()
        .build()?
        .block_on(load(&store))?;
    writeln!(
        std::io::stdout(),
        "{revoked} revocations and as many certificates loaded in {:.0} ms, {:.0} ms of CPU",
        began.elapsed().as_secs_f64() * 1e3,
        (cpu_seconds() - cpu) * 1e3
    )?;
    Ok(())
}

/// Loads every revocation and every certificate in batches; returns how many.
async fn load(store: &Certificates) -> Result<usize, Stopped> {
    let issuer = IssuerId::new("issuing")?;
    let (mut revoked, mut after) = (0, None);
    loop {
        let batch = store
            .revocations(&issuer, after.as_ref(), MAX_BATCH)
            .await?;
        revoked += batch.len();
        match batch.last() {
            Some(last) => after = Some(last.serial.clone()),
            None => break,
        }
    }
    let (mut issued, mut from) = (0, IssuedFrom::expiring("2026-11-24T00:00:00Z".parse()?));
    loop {
        let batch = store.issued(&issuer, from, MAX_BATCH).await?;
        issued += batch.len();
        match batch.last() {
            Some(last) => from = last.next(),
            None => break,
        }
    }
    if issued != revoked {
        return Err(format!("{issued} certificates, {revoked} revocations").into());
    }
    Ok(revoked)
}

/// When a run ends.
#[derive(Clone, Copy)]
enum Limit {
    /// After this time.
    Time(Duration),
    /// After this many certificates.
    Count(u32),
}

/// Appends and syncs; returns acts a second and CPU microseconds for each.
fn raw(directory: &Path, run: Duration) -> Result<(f64, f64), Stopped> {
    let file = File::create(directory.join("raw"))?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 64 << 20)?;
    file.sync_all()?;
    let block = [7; 1024];
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut acts = 0_u32;
    while began.elapsed() < run {
        file.write_all_at(&block, u64::from(acts % 60_000) * 1024)?;
        file.sync_data()?;
        acts += 1;
    }
    Ok(per_act(acts, began, cpu))
}

/// Records intents and certificates; returns acts a second and CPU for each.
fn commit(path: &Path, tasks: u32, limit: Limit) -> Result<(f64, f64), Stopped> {
    let store = Arc::new(Certificates::open(
        &StoreConfig::at(path),
        StoreMetrics::default(),
    )?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()?;
    let next = Arc::new(AtomicU32::new(0));
    let (began, cpu) = (Instant::now(), cpu_seconds());
    runtime.block_on(async {
        let running: Vec<_> = (0..tasks)
            .map(|_| {
                let (store, next) = (Arc::clone(&store), Arc::clone(&next));
                tokio::spawn(async move { write(&store, &next, began, limit).await })
            })
            .collect();
        for task in running {
            task.await??;
        }
        Ok::<(), Stopped>(())
    })?;
    let acts = u32::try_from(store.status().sequence)?;
    Ok(per_act(acts, began, cpu))
}

/// Revokes the certificates of a store; returns acts a second and CPU for each.
fn revoke(path: &Path, tasks: u32, numbers: std::ops::Range<u32>) -> Result<(f64, f64), Stopped> {
    let store = Arc::new(Certificates::open(
        &StoreConfig::at(path),
        StoreMetrics::default(),
    )?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()?;
    let now: Timestamp = "2026-11-24T00:00:00Z".parse()?;
    let next = Arc::new(AtomicU32::new(numbers.start));
    let (began, cpu) = (Instant::now(), cpu_seconds());
    runtime.block_on(async {
        let running: Vec<_> = (0..tasks)
            .map(|_| {
                let (store, next, end) = (Arc::clone(&store), Arc::clone(&next), numbers.end);
                tokio::spawn(async move {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= end {
                            return Ok::<(), Stopped>(());
                        }
                        let revocation = Revocation {
                            serial: scattered(number)?,
                            reason: RevocationReason::Superseded,
                            revoked_at: now,
                            invalidity_date: None,
                            requester: None,
                            request_id: RequestId::new("bench")?,
                            recorded_at: now,
                        };
                        store.revoke(revocation).await?;
                    }
                })
            })
            .collect();
        for task in running {
            task.await??;
        }
        Ok::<(), Stopped>(())
    })?;
    Ok(per_act(numbers.end - numbers.start, began, cpu))
}

/// Records one certificate after another until the limit.
async fn write(
    store: &Certificates,
    next: &AtomicU32,
    began: Instant,
    limit: Limit,
) -> Result<(), Stopped> {
    let now: Timestamp = "2026-11-24T00:00:00Z".parse()?;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let done = match limit {
            Limit::Time(run) => began.elapsed() >= run,
            Limit::Count(count) => number >= count,
        };
        if done {
            return Ok(());
        }
        let serial = scattered(number)?;
        let intent = Intent {
            serial: serial.clone(),
            issuer: IssuerId::new("issuing")?,
            profile: ProfileName::new("tls-server")?,
            tbs_der: vec![0x30; 620],
            not_before: now,
            not_after: now + Duration::from_secs(90 * 86_400 + u64::from(number)),
            subject: format!("CN=host-{number}.example"),
            names: vec![format!("host-{number}.example")],
            public_key_sha256: [7; 32],
            requester: None,
            request_id: RequestId::new("bench")?,
            idempotency: None,
            recorded_at: now,
        };
        store.record_intent(intent).await?;
        store.record_issued(&serial, vec![0x30; 710], now).await?;
    }
}

/// Scatters numbers over the serial space as random ones are.
fn scattered(number: u32) -> Result<SerialNumber, Stopped> {
    let mixed = (u128::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Ok(SerialNumber::from_random(
        Default::default(),
        mixed.to_be_bytes(),
    ))
}

/// Divides what a run took by its acts.
fn per_act(acts: u32, began: Instant, cpu: f64) -> (f64, f64) {
    let acts = f64::from(acts);
    let rate = acts / began.elapsed().as_secs_f64();
    (rate, (cpu_seconds() - cpu) / acts * 1e6)
}

/// Returns the CPU seconds that this process has used, its kernel time included.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Returns the memory that this process holds.
fn resident_kib() -> Result<u64, Stopped> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.ok_or("no VmRSS in /proc/self/status")?.parse()?)
}
