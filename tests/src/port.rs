//! Ports that nobody else takes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::Error;

/// First port handed out.
const FIRST: u32 = 12_000;
/// How many there are: all below those that the kernel gives to clients.
const COUNT: u32 = 20_000;

/// A loopback port, ours from here until dropped: a service that restarts finds it again.
///
/// No listener is held, so that a service can take it. What keeps other tests off, in
/// this process and in others, is an abstract socket of the port's name, which the
/// kernel removes with its process.
#[derive(Debug)]
pub struct Port {
    /// The number.
    number: u16,
    /// Held for as long as the port is ours.
    _claim: UnixListener,
}

impl Port {
    /// Finds a free port.
    ///
    /// # Errors
    ///
    /// `NoPort` when all are taken.
    pub fn reserve() -> Result<Self, Error> {
        /// Counts attempts, so that threads do not try the same ports.
        static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
        let start = std::process::id().wrapping_mul(7919);
        (0..COUNT)
            .find_map(|_| {
                let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
                let offset = start.wrapping_add(attempt) % COUNT;
                Self::claim(u16::try_from(FIRST + offset).ok()?)
            })
            .ok_or(Error::NoPort)
    }

    /// Claims a port if it is free.
    fn claim(number: u16) -> Option<Self> {
        let name = UnixAddr::from_abstract_name(format!("chancery-tests-port-{number}")).ok()?;
        let claim = UnixListener::bind_addr(&name).ok()?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
        free.then_some(Self {
            number,
            _claim: claim,
        })
    }

    /// Returns the number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Returns the address on the loopback interface.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
