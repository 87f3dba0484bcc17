//! Clients that order one certificate after the other, each with an account and a
//! connection of its own.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Barrier, mpsc};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use crate::challenges::Challenges;
use crate::client::{Client, ClientError};
use crate::cpu::{used_by, used_here};
use crate::disk::written_by;
use crate::servers::Server;

/// How long clients may take to become ready, and how long orders may take to end
/// when time is up; then the server is killed.
const GRACE: Duration = Duration::from_secs(30);

/// Orders that fail one after the other before a client gives up.
const FAILURES: u32 = 5;

/// What a load found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Orders that ended with a certificate.
    pub(crate) orders: u64,
    /// Orders that came to nothing.
    pub(crate) failed: u64,
    /// Why one of them did.
    pub(crate) failure: Option<String>,
    /// Nonces that were refused.
    pub(crate) refused_nonces: u64,
    /// Whether the server had to be killed.
    pub(crate) hung: bool,
    /// Time from the start until the last order ended.
    pub(crate) elapsed: Duration,
    /// Processor time of the server meanwhile.
    pub(crate) server_cpu: Duration,
    /// Processor time of clients and their challenges meanwhile.
    pub(crate) client_cpu: Duration,
    /// Octets that the server had written meanwhile.
    pub(crate) written: u64,
    /// Time of each order, sorted.
    latencies: Vec<Duration>,
}

impl Found {
    /// Returns orders per second.
    pub(crate) fn per_second(&self) -> f64 {
        if self.orders == 0 {
            return 0.0;
        }
        self.orders as f64 / self.elapsed.as_secs_f64()
    }

    /// Returns the time within which this part of the orders ended, in milliseconds.
    pub(crate) fn quantile_ms(&self, part: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * part).round() as usize;
        self.latencies
            .get(at)
            .map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }
}

/// What one client found.
#[derive(Debug, Default)]
struct Share {
    /// Time of each order.
    latencies: Vec<Duration>,
    /// When the last of them ended.
    last: Option<Instant>,
    /// Orders that came to nothing.
    failed: u64,
    /// Why the last of them did.
    failure: Option<String>,
    /// Nonces that were refused.
    refused_nonces: u64,
}

/// Loads a server for some time.
pub(crate) fn run(
    server: &Server,
    clients: usize,
    time: Duration,
    challenges: &Challenges,
) -> Result<Found, rcgen::Error> {
    let keys = (0..16)
        .map(|_| KeyPair::generate())
        .collect::<Result<Vec<_>, _>>()?;
    let start = Barrier::new(clients + 1);
    let mut found = Found::default();
    std::thread::scope(|scope| {
        let (ended, end) = mpsc::channel::<()>();
        let watchdog = scope.spawn(move || {
            let late = end.recv_timeout(time + 2 * GRACE) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                server.kill();
            }
            late
        });
        let threads: Vec<_> = (0..clients)
            .zip(keys.iter().cycle())
            .map(|(_, key)| {
                let start = &start;
                scope.spawn(move || client(server, key, time, challenges, start))
            })
            .collect();
        start.wait();
        let began = Instant::now();
        let (cpu, own) = (used_by(server.process), used_here());
        let written = written_by(server.process);
        let mut last = began;
        for thread in threads {
            let share = thread.join().unwrap_or_default();
            last = last.max(share.last.unwrap_or(began));
            found.latencies.extend(share.latencies);
            found.failed += share.failed;
            found.refused_nonces += share.refused_nonces;
            found.failure = found.failure.take().or(share.failure);
        }
        // A server that hangs is not charged with the time it took to find out.
        found.elapsed = last - began;
        found.server_cpu = used_by(server.process).saturating_sub(cpu);
        found.client_cpu = used_here().saturating_sub(own);
        found.written = written_by(server.process).saturating_sub(written);
        drop(ended);
        found.hung = watchdog.join().unwrap_or_default();
    });
    found.latencies.sort_unstable();
    found.orders = found.latencies.len() as u64;
    Ok(found)
}

/// Is one client: an order before the start, so that everything is warm, then as many
/// as the time allows.
fn client(
    server: &Server,
    key: &KeyPair,
    time: Duration,
    challenges: &Challenges,
    start: &Barrier,
) -> Share {
    let mut share = Share::default();
    let ready = Client::register(&server.endpoint).and_then(|mut client| {
        one(&mut client, key, challenges)?;
        Ok(client)
    });
    // Everybody waits for everybody, even who failed.
    start.wait();
    let mut client = match ready {
        Ok(client) => client,
        Err(error) => {
            share.failed = 1;
            share.failure = Some(format!("before the start: {error}"));
            return share;
        }
    };
    client.refused_nonces = 0;
    let began = Instant::now();
    let mut failures = 0;
    while began.elapsed() < time && failures < FAILURES {
        let asked = Instant::now();
        match one(&mut client, key, challenges) {
            Ok(()) => {
                share.latencies.push(asked.elapsed());
                share.last = Some(Instant::now());
                failures = 0;
            }
            Err(error) => {
                share.failed += 1;
                share.failure = Some(error.to_string());
                failures += 1;
            }
        }
    }
    share.refused_nonces = client.refused_nonces;
    share
}

/// Makes one order, for an address that no other order names.
fn one(client: &mut Client, key: &KeyPair, challenges: &Challenges) -> Result<(), ClientError> {
    let identifier = next_identifier();
    let csr_der = request(identifier, key).map_err(|error| ClientError::Unexpected {
        step: "the certificate request",
        seen: error.to_string(),
    })?;
    client.order(identifier, &csr_der, challenges)
}

/// Returns an address of this machine that was not returned before: every one of
/// 127.0.0.0/8 leads here, and none needs a name server.
fn next_identifier() -> Ipv4Addr {
    /// Counts them.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) & 0x003f_ffff;
    Ipv4Addr::from_bits(0x7f40_0000 | number)
}

/// Makes a request for an address.
fn request(identifier: Ipv4Addr, key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut parameters = CertificateParams::new([identifier.to_string()])?;
    parameters.distinguished_name = DistinguishedName::new();
    Ok(parameters.serialize_request(key)?.der().to_vec())
}
