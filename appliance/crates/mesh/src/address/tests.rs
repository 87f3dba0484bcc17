//! The rules, address by address.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

/// Reads an address.
fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Rules of a configuration with these blocks.
fn rules(public: bool, allow: &[&str], deny: &[&str]) -> AddressRules {
    config(public, allow, deny).check().unwrap()
}

/// A configuration with these blocks.
fn config(public: bool, allow: &[&str], deny: &[&str]) -> AddressConfig {
    let blocks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    AddressConfig {
        public,
        allow: blocks(allow),
        deny: blocks(deny),
    }
}

#[test]
fn only_public_addresses_are_open_by_default() {
    let rules = AddressConfig::default().check().unwrap();
    for open in [
        "1.1.1.1",
        "93.184.216.34",
        "2606:4700:4700::1111",
        "64:ff9b::101:101",
    ] {
        assert!(rules.check(ip(open)).is_ok(), "{open}");
    }
    for closed in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0.0.0.0",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:101:101::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(rules.check(ip(closed)).is_err(), "{closed}");
    }
}

#[test]
fn listed_blocks_open_their_range_and_nothing_besides() {
    let rules = rules(
        false,
        &["10.1.0.0/16", "fd00::/8", "127.0.0.1/32"],
        &["10.1.9.0/24"],
    );
    for open in ["10.1.0.1", "fd12::1", "127.0.0.1", "::ffff:10.1.0.1"] {
        assert!(rules.check(ip(open)).is_ok(), "{open}");
    }
    for closed in [
        "10.2.0.1",
        "10.1.9.1",
        "::ffff:10.1.9.1",
        "127.0.0.2",
        "::1",
        "1.1.1.1",
    ] {
        assert!(rules.check(ip(closed)).is_err(), "{closed}");
    }
}

#[test]
fn a_wide_block_does_not_open_what_lies_within_by_accident() {
    let rules = rules(false, &["0.0.0.0/0", "::/0"], &[]);
    assert!(rules.check(ip("1.1.1.1")).is_ok());
    for closed in ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "fe80::1"] {
        assert!(rules.check(ip(closed)).is_err(), "{closed}");
    }
}

#[test]
fn an_address_that_carries_a_refused_one_is_refused() {
    let rules = rules(
        true,
        &["2002::/16", "64:ff9b:1::/48", "::/96"],
        &["192.0.2.0/24", "8.8.8.8/32"],
    );
    assert!(rules.check(ip("2002:101:101::1")).is_ok());
    for closed in [
        "2002:a9fe:a9fe::1",
        "2002:808:808::",
        "64:ff9b::808:808",
        "64:ff9b:1::7f00:1",
        "::10.0.0.1",
    ] {
        assert!(rules.check(ip(closed)).is_err(), "{closed}");
    }
}

#[test]
fn a_mapped_address_is_dialled_as_what_it_is() {
    let rules = rules(true, &["10.0.0.0/8"], &[]);
    let checked = rules.check(ip("::ffff:10.0.0.7")).unwrap();
    assert_eq!(checked.at(80).to_string(), "10.0.0.7:80");
}

#[test]
fn a_refusal_says_why() {
    let refusal = AddressConfig::default()
        .check()
        .unwrap()
        .check(ip("::ffff:169.254.169.254"));
    assert_eq!(
        refusal.unwrap_err().to_string(),
        "169.254.169.254 is a link-local address, which this server does not connect to"
    );
}

#[test]
fn blocks_that_do_not_do_what_they_say_are_refused() {
    let refused = |public, allow: &[&str]| config(public, allow, &[]).check().unwrap_err();
    assert!(matches!(
        refused(true, &["0.0.0.0/0"]),
        InvalidAddressConfig::OpensNothing { .. } | InvalidAddressConfig::NeverDialled { .. }
    ));
    assert!(matches!(
        refused(true, &["8.8.8.0/24"]),
        InvalidAddressConfig::OpensNothing { .. }
    ));
    assert!(matches!(
        refused(true, &["224.0.0.0/8"]),
        InvalidAddressConfig::NeverDialled { .. }
    ));
    assert!(matches!(
        refused(false, &["0.0.0.0/32"]),
        InvalidAddressConfig::NeverDialled { .. }
    ));
    assert_eq!(refused(false, &[]), InvalidAddressConfig::NothingAllowed);
}

proptest! {
    #[test]
    fn no_dress_opens_a_closed_ipv4_address(octets: [u8; 4]) {
        let rules = AddressConfig::default().check().unwrap();
        let plain = IpAddr::from(octets);
        let [a, b, c, d] = octets;
        let dresses = [
            format!("::ffff:{a}.{b}.{c}.{d}"),
            format!("64:ff9b::{a}.{b}.{c}.{d}"),
        ];
        for dress in dresses {
            prop_assert_eq!(rules.check(ip(&dress)).is_ok(), rules.check(plain).is_ok(), "{}", dress);
        }
    }

    #[test]
    fn what_is_denied_stays_closed(octets: [u8; 16], bits in 0u8..=128) {
        let address = IpAddr::from(octets);
        let block = IpNet::new(address, bits).unwrap();
        let rules = AddressRules { public: true, allow: [block].into(), deny: [block].into() };
        prop_assert!(rules.check(address).is_err());
    }
}
