//! Connecting: names to addresses, addresses through the rules, and then to
//! exactly those.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use model::acme::Identifier;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::{AddressRefused, AddressRules, CheckedAddress};
use crate::resolve::{DnsFailure, DnsProblem, RecordKind, Resolve};

/// Why a host was not connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialFailure {
    /// DNS did not give the addresses.
    #[error(transparent)]
    Dns(#[from] DnsFailure),
    /// No address of the host may be dialled.
    #[error("cannot connect to {host}: {refused}")]
    Address {
        /// The host.
        host: Box<str>,
        /// Why its first address is not dialled.
        refused: AddressRefused,
    },
    /// Nothing answered at the address.
    #[error("connecting to {host} at {address}: {}", connect_problem(*kind))]
    Connect {
        /// The host.
        host: Box<str>,
        /// The address dialled.
        address: SocketAddr,
        /// What the system said.
        kind: io::ErrorKind,
    },
}

/// Most addresses of one host that are tried.
const MAX_TRIED: usize = 4;

/// Connects to hosts.
#[derive(Debug)]
pub struct Dialler {
    /// Asks DNS.
    resolve: Arc<dyn Resolve>,
    /// Which addresses may be dialled.
    rules: AddressRules,
    /// Time to connect to one address.
    connect_timeout: Duration,
}

/// A host to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// By name.
    Name(Box<str>),
    /// By address.
    Ip(IpAddr),
}

impl From<&Identifier> for Host {
    fn from(identifier: &Identifier) -> Self {
        match identifier {
            // A device is nowhere; it stands in messages only.
            Identifier::Dns(text) | Identifier::PermanentIdentifier(text) => {
                Self::Name(text.clone())
            }
            Identifier::Ip(address) => Self::Ip(*address),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl Dialler {
    /// Makes a dialler; `connect_timeout` is the time for each address.
    #[must_use]
    pub fn new(resolve: Arc<dyn Resolve>, rules: AddressRules, connect_timeout: Duration) -> Self {
        Self {
            resolve,
            rules,
            connect_timeout,
        }
    }

    /// Returns what asks DNS.
    #[must_use]
    pub fn resolve(&self) -> &dyn Resolve {
        &*self.resolve
    }

    /// Connects to a host.
    ///
    /// # Errors
    ///
    /// `Dns` when the name has no addresses, `Address` when none may be dialled,
    /// `Connect` when none answered; of several the first is told.
    pub async fn connect(
        &self,
        host: &Host,
        port: u16,
    ) -> Result<(TcpStream, SocketAddr), DialFailure> {
        let mut first = None;
        for address in self.addresses(host).await? {
            let address = address.at(port);
            match self.connect_to(host, address).await {
                Ok(stream) => return Ok((stream, address)),
                Err(failure) => {
                    first.get_or_insert(failure);
                }
            }
        }
        Err(first.unwrap_or_else(|| no_addresses(host)))
    }

    /// Returns the addresses of a host that may be dialled, in the order in which
    /// they are tried; never none.
    async fn addresses(&self, host: &Host) -> Result<Vec<CheckedAddress>, DialFailure> {
        let found = match host {
            Host::Ip(address) => vec![*address],
            Host::Name(name) => self.resolve.addresses(name).await?,
        };
        let mut open = Vec::new();
        let mut refused = None;
        for address in found {
            match self.rules.check(address) {
                Ok(address) if open.contains(&address) => {}
                Ok(address) => open.push(address),
                Err(why) => {
                    refused.get_or_insert(why);
                }
            }
        }
        if !open.is_empty() {
            return Ok(alternate(open));
        }
        Err(match refused {
            Some(refused) => DialFailure::Address {
                host: host.to_string().into(),
                refused,
            },
            None => no_addresses(host),
        })
    }

    /// Connects to one address.
    async fn connect_to(&self, host: &Host, address: SocketAddr) -> Result<TcpStream, DialFailure> {
        let failed = |kind| DialFailure::Connect {
            host: host.to_string().into(),
            address,
            kind,
        };
        match timeout(self.connect_timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(failed(error.kind())),
            Err(_) => Err(failed(io::ErrorKind::TimedOut)),
        }
    }
}

/// Says that a host has no address at all.
fn no_addresses(host: &Host) -> DialFailure {
    DialFailure::Dns(DnsFailure {
        name: host.to_string().into(),
        kind: RecordKind::Address,
        problem: DnsProblem::NoRecords,
    })
}

/// Says what an attempt to connect came to.
fn connect_problem(kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".to_owned(),
        io::ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
        io::ErrorKind::HostUnreachable => "there is no route to the host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "there is no route to its network".to_owned(),
        io::ErrorKind::TimedOut => "no answer in time; a firewall may drop the packets".to_owned(),
        other => other.to_string(),
    }
}

/// Puts the families in turns, IPv6 first (RFC 8305, 4), and takes the first few.
fn alternate(addresses: Vec<CheckedAddress>) -> Vec<CheckedAddress> {
    let (six, four): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.ip().is_ipv6());
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut order = Vec::new();
    loop {
        let before = order.len();
        order.extend(six.next());
        order.extend(four.next());
        if order.len() == before || order.len() >= MAX_TRIED {
            order.truncate(MAX_TRIED);
            return order;
        }
    }
}
