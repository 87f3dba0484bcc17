//! Clients that keep their connections and ask one after the other.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use chancery_tests::{Connection, TlsClient};

use crate::cpu::used_by;

/// What a load found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Answers that were as wanted.
    pub(crate) answers: u64,
    /// Time it took.
    pub(crate) elapsed: Duration,
    /// Processor time of the server meanwhile.
    pub(crate) server_cpu: Duration,
    /// Time of each answer, sorted.
    latencies: Vec<Duration>,
}

impl Found {
    /// Returns answers per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64()
    }

    /// Returns microseconds of the server's processor time for one answer.
    pub(crate) fn server_micros(&self) -> f64 {
        crate::cpu::micros_each(self.server_cpu, self.answers)
    }

    /// Returns the time within which this part of the answers came, in milliseconds.
    pub(crate) fn quantile_ms(&self, part: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * part).round() as usize;
        self.latencies
            .get(at)
            .map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }
}

/// When a load ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// After this time.
    Time(Duration),
    /// After this many answers of each client.
    Each(u64),
}

/// Where a load goes.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A server behind TLS.
    Tls(TlsClient, SocketAddr),
    /// A server without.
    Plain(SocketAddr),
}

impl Target {
    /// Connects.
    fn connect(&self) -> Result<Connection, chancery_tests::Error> {
        match self {
            Self::Tls(client, address) => client.connect(*address),
            Self::Plain(address) => Connection::plain(*address),
        }
    }
}

/// What a load sends.
pub(crate) trait Messages: Sync {
    /// Returns what a client sends when it is its turn again; made in `room` unless it is
    /// there already.
    fn message<'a>(&'a self, client: usize, turn: usize, room: &'a mut Vec<u8>) -> &'a [u8];
}

impl Messages for Vec<Vec<u8>> {
    /// Each client begins at another, and takes one after the other.
    fn message<'a>(&'a self, client: usize, turn: usize, _: &'a mut Vec<u8>) -> &'a [u8] {
        let at = (client * 37 + turn) % self.len().max(1);
        self.get(at).map_or(&[], Vec::as_slice)
    }
}

/// Loads a server: each client on a connection of its own, which is warm at the start.
pub(crate) fn run(
    target: &Target,
    server: u32,
    clients: usize,
    until: Until,
    messages: &impl Messages,
    wanted: u16,
) -> Result<Found, Box<dyn Error>> {
    let start = Barrier::new(clients + 1);
    let outcome: Result<_, String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|number| {
                let start = &start;
                scope.spawn(move || client(target, number, until, messages, wanted, start))
            })
            .collect();
        start.wait();
        let (cpu, began) = (used_by(server), Instant::now());
        let latencies: Result<Vec<_>, String> = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a client panicked".to_owned())?)
            .collect();
        let found = (began.elapsed(), used_by(server) - cpu);
        latencies.map(|latencies| (latencies.concat(), found))
    });
    let (mut latencies, (elapsed, server_cpu)) = outcome?;
    latencies.sort_unstable();
    Ok(Found {
        answers: latencies.len() as u64,
        elapsed,
        server_cpu,
        latencies,
    })
}

/// Is one client.
fn client(
    target: &Target,
    number: usize,
    until: Until,
    messages: &impl Messages,
    wanted: u16,
    start: &Barrier,
) -> Result<Vec<Duration>, String> {
    let told = |error: chancery_tests::Error| format!("{error}: {:?}", Error::source(&error));
    let mut room = Vec::new();
    let connected = target.connect().and_then(|mut connection| {
        connection.exchange(messages.message(number, 0, &mut room))?;
        Ok(connection)
    });
    // Everybody waits for everybody, even who failed.
    start.wait();
    let mut connection = connected.map_err(told)?;
    let began = Instant::now();
    let mut latencies = Vec::new();
    for turn in 1.. {
        let done = match until {
            Until::Time(time) => began.elapsed() >= time,
            Until::Each(count) => latencies.len() as u64 >= count,
        };
        if done {
            break;
        }
        let message = messages.message(number, turn, &mut room);
        let asked = Instant::now();
        let answer = connection.exchange(message).map_err(told)?;
        latencies.push(asked.elapsed());
        if answer.status != wanted {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            return Err(format!("{} {body}", answer.head));
        }
    }
    Ok(latencies)
}
