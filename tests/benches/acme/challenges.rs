//! Answers http-01 challenges for every client of the benchmark (RFC 8555, 8.3).

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The port to which validation goes unless it is told another.
const HTTP: u16 = 80;

/// Threads that answer.
const THREADS: usize = 8;

/// How long an asker may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be answered, by token.
type Expected = Arc<Mutex<HashMap<String, String>>>;

/// The server of challenges; it ends with the process.
#[derive(Debug)]
pub(crate) struct Challenges {
    /// What is to be answered.
    expected: Expected,
    /// Where it answers.
    port: u16,
}

impl Challenges {
    /// Listens on every address of this machine, on port 80 if it may.
    pub(crate) fn start() -> io::Result<Self> {
        let anywhere = Ipv4Addr::UNSPECIFIED;
        let listener =
            TcpListener::bind((anywhere, HTTP)).or_else(|_| TcpListener::bind((anywhere, 0)))?;
        let port = listener.local_addr()?.port();
        let expected = Expected::default();
        for _ in 0..THREADS {
            let (listener, expected) = (listener.try_clone()?, Arc::clone(&expected));
            std::thread::spawn(move || {
                for asker in listener.incoming().flatten() {
                    // Who breaks off asks again.
                    let _told = answer(asker, &expected);
                }
            });
        }
        Ok(Self { expected, port })
    }

    /// Returns the port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Tells whether validation finds it that goes to the protocol's own port.
    pub(crate) const fn is_on_http_port(&self) -> bool {
        self.port == HTTP
    }

    /// Answers a token from now on.
    pub(crate) fn expect(&self, token: &str, answer: String) {
        lock(&self.expected).insert(token.to_owned(), answer);
    }

    /// Answers a token no longer.
    pub(crate) fn forget(&self, token: &str) {
        lock(&self.expected).remove(token);
    }
}

/// Locks what is to be answered; a thread that panicked left it whole.
fn lock(expected: &Expected) -> MutexGuard<'_, HashMap<String, String>> {
    expected.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one question, and closes.
fn answer(mut asker: TcpStream, expected: &Expected) -> io::Result<()> {
    if !asker.peer_addr()?.ip().is_loopback() {
        return Ok(());
    }
    asker.set_read_timeout(Some(PATIENCE))?;
    asker.set_nodelay(true)?;
    let mut asked = Vec::new();
    let mut chunk = [0; 2048];
    while !asked.ends_with(b"\r\n\r\n") {
        match asker.read(&mut chunk)? {
            0 => return Ok(()),
            count => asked.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
        if asked.len() > 16 * 1024 {
            return Ok(());
        }
    }
    let asked = String::from_utf8_lossy(&asked);
    let known = asked
        .split(' ')
        .nth(1)
        .and_then(|path| path.strip_prefix("/.well-known/acme-challenge/"))
        .and_then(|token| lock(expected).get(token).cloned());
    let (status, body) = match &known {
        Some(body) => ("200 OK", body.as_str()),
        None => ("404 Not Found", "unknown"),
    };
    let message = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    asker.write_all(message.as_bytes())
}
