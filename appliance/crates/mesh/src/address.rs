//! Which addresses a service may dial on the word of others, to validate a name
//! or to fetch an artifact: the defence against requests forged through this
//! server (SSRF) and names whose addresses change under the check (DNS rebinding).
//!
//! A connection is dialled to a [`CheckedAddress`] and nothing else, and only
//! [`AddressRules::check`] makes one: the address that was checked is the one
//! that is dialled, whatever DNS says a moment later.

mod ranges;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use ranges::{Range, embedded_ipv4, range_around, range_of};

/// `[acme.validation.addresses]` or `[signing.fetch.addresses]`, as written.
///
/// Every special range is closed until a block within it is listed; a block that
/// is wider than the range it lies across opens nothing of it, so that `0.0.0.0/0`
/// never opens loopback or a cloud's metadata service by accident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AddressConfig {
    /// Whether addresses of the public Internet may be dialled.
    pub public: bool,
    /// Blocks that may be dialled besides: private networks (`10.0.0.0/8`,
    /// `fd00::/8`), and loopback or link-local addresses where need be.
    pub allow: Vec<IpNet>,
    /// Blocks that are never dialled, whatever else is allowed.
    pub deny: Vec<IpNet>,
}

impl Default for AddressConfig {
    fn default() -> Self {
        Self {
            public: true,
            allow: Vec::new(),
            deny: Vec::new(),
        }
    }
}

/// Why the section cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddressConfig {
    /// A block of addresses that can never be dialled.
    #[error("`allow`: {block} lies in {range}, which nothing can be dialled in")]
    NeverDialled {
        /// The block.
        block: IpNet,
        /// What it lies in.
        range: &'static str,
    },
    /// A block that opens nothing.
    #[error(
        "`allow`: {block} opens nothing: public addresses are open already (`public = true`), and \
         a private range is opened by a block within it, such as 10.0.0.0/8 or fd00::/8"
    )]
    OpensNothing {
        /// The block.
        block: IpNet,
    },
    /// Nothing can be dialled at all.
    #[error("no address can be dialled: set `public` or list blocks in `allow`")]
    NothingAllowed,
}

impl AddressConfig {
    /// Checks the blocks.
    ///
    /// # Errors
    ///
    /// The first block that cannot do what whoever wrote it must have meant.
    pub fn check(&self) -> Result<AddressRules, InvalidAddressConfig> {
        if !self.public && self.allow.is_empty() {
            return Err(InvalidAddressConfig::NothingAllowed);
        }
        for block in &self.allow {
            match range_around(block) {
                Some(range) if !range.can_be_opened => {
                    return Err(InvalidAddressConfig::NeverDialled {
                        block: *block,
                        range: range.name,
                    });
                }
                None if self.public => {
                    return Err(InvalidAddressConfig::OpensNothing { block: *block });
                }
                Some(_) | None => {}
            }
        }
        Ok(AddressRules {
            public: self.public,
            allow: self.allow.clone().into(),
            deny: self.deny.clone().into(),
        })
    }
}

/// The rules by which addresses may be dialled.
#[derive(Debug, Clone)]
pub struct AddressRules {
    /// Whether public addresses are open.
    public: bool,
    /// Blocks opened besides.
    allow: Box<[IpNet]>,
    /// Blocks closed whatever else is open.
    deny: Box<[IpNet]>,
}

/// An address that the rules let be dialled.
///
/// Never an IPv4 address in IPv6 clothes: an IPv4-mapped one is checked and
/// dialled as the IPv4 address that the kernel would make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CheckedAddress(IpAddr);

/// Why an address is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefused {
    /// The operator closed it.
    #[error("{address} is closed by this server's configuration")]
    Denied {
        /// The address.
        address: IpAddr,
    },
    /// It lies in a special range that is not opened.
    #[error("{address} is {range}, which this server does not connect to")]
    Special {
        /// The address, or the one embedded in it.
        address: IpAddr,
        /// The range in words.
        range: &'static str,
    },
    /// Public addresses are not open here.
    #[error("{address} is not in a network that this server connects to")]
    Public {
        /// The address.
        address: IpAddr,
    },
}

impl AddressRules {
    /// Checks an address.
    ///
    /// # Errors
    ///
    /// Why it is not dialled. An IPv6 address that carries an IPv4 address
    /// (NAT64, 6to4, Teredo, IPv4-compatible) is refused when either is.
    pub fn check(&self, address: IpAddr) -> Result<CheckedAddress, AddressRefused> {
        // RFC 4291, 2.5.5.2: the kernel connects to ::ffff:a.b.c.d by IPv4.
        let address = address.to_canonical();
        self.check_one(address)?;
        if let IpAddr::V6(outer) = address
            && let Some(inner) = embedded_ipv4(outer)
        {
            self.check_one(IpAddr::V4(inner))?;
        }
        Ok(CheckedAddress(address))
    }

    /// Checks an address as it stands.
    fn check_one(&self, address: IpAddr) -> Result<(), AddressRefused> {
        if self.deny.iter().any(|block| block.contains(&address)) {
            return Err(AddressRefused::Denied { address });
        }
        match range_of(address) {
            Some(range) if self.opens(range, address) => Ok(()),
            Some(range) => Err(AddressRefused::Special {
                address,
                range: range.name,
            }),
            None if self.public || self.allow.iter().any(|block| block.contains(&address)) => {
                Ok(())
            }
            None => Err(AddressRefused::Public { address }),
        }
    }

    /// Tells whether a listed block within a special range opens an address of it.
    fn opens(&self, range: &Range, address: IpAddr) -> bool {
        range.can_be_opened
            && self
                .allow
                .iter()
                .any(|block| block.contains(&address) && range.contains_block(block))
    }
}

impl CheckedAddress {
    /// Returns the address.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// Adds the port.
    #[must_use]
    pub fn at(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.0, port)
    }
}

impl fmt::Display for CheckedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
