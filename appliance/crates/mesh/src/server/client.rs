//! The client's address, also behind proxies.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;
use ipnet::IpNet;

/// Returns the client's address: the connection's, or what proxies that are
/// trusted say of theirs.
#[must_use]
pub fn client_address(request: &HttpRequest, trusted: &[IpNet]) -> IpAddr {
    let peer = request
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
            peer.ip().to_canonical()
        });
    let forwarded = request
        .headers()
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok());
    nearest(peer, forwarded, trusted)
}

/// Goes from the connection outwards until an address is no trusted proxy's: what
/// stands further left is anyone's to write.
fn nearest<'h>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'h str>,
    trusted: &[IpNet],
) -> IpAddr {
    let is_proxy = |address: &IpAddr| trusted.iter().any(|block| block.contains(address));
    let mut nearest = peer;
    let told = forwarded.rev().flat_map(|value| value.rsplit(','));
    for text in told {
        if !is_proxy(&nearest) {
            break;
        }
        match text.trim().parse::<IpAddr>() {
            Ok(address) => nearest = address.to_canonical(),
            Err(_) => break,
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let of = |peer: &str, told: &[&str]| nearest(ip(peer), told.iter().copied(), &trusted);
        assert_eq!(of("192.0.2.1", &["203.0.113.9"]), ip("192.0.2.1"));
        assert_eq!(of("10.0.0.1", &["203.0.113.9"]), ip("203.0.113.9"));
        assert_eq!(of("10.0.0.1", &["1.1.1.1, 203.0.113.9"]), ip("203.0.113.9"));
        assert_eq!(
            of("10.0.0.1", &["203.0.113.9", "10.0.0.2"]),
            ip("203.0.113.9")
        );
        assert_eq!(of("10.0.0.1", &["nonsense"]), ip("10.0.0.1"));
        assert_eq!(of("10.0.0.1", &[]), ip("10.0.0.1"));
    }
}
