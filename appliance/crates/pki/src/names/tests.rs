use proptest::prelude::*;

use super::*;

/// Reads one GeneralName from its DER.
fn general_name(der: &[u8]) -> Result<AlternativeName, InvalidAlternativeName> {
    AlternativeName::from_tlv(Reader::new(der).next().unwrap())
}

#[test]
fn dns_names_are_letters_digits_and_inner_hyphens() {
    for name in [
        "example.org",
        "a",
        "localhost",
        "1and1.com",
        "*.example.org",
        "xn--mnchen-3ya.de",
        "xn--bcher-kva.example",
        "xn--ls8h.la",
    ] {
        assert!(DnsName::new(name).is_ok(), "{name}");
    }
    let long_label = format!("{}.org", "a".repeat(64));
    let long_name = format!("{}org", "abc.".repeat(63));
    for name in [
        "",
        ".",
        "example.org.",
        ".example.org",
        "a..b",
        "-a.org",
        "a-.org",
        "a_b.org",
        "a b.org",
        "a\0.org",
        "é.org",
        "*",
        "*.*.org",
        "a.*.org",
        "a*.org",
        "*a.org",
        "**.org",
        "192.0.2.1",
        "host.1",
        "xn--.org",
        "xn--a-.org",
        "xn--\u{7f}.org",
        "xn--99999999.org",
        "ab--cd.org",
        "http://a.org",
        "a.org:443",
        long_label.as_str(),
        long_name.as_str(),
    ] {
        assert!(DnsName::new(name).is_err(), "{name:?}");
    }
}

#[test]
fn dns_names_are_taken_in_lower_case() {
    assert_eq!(
        DnsName::new("WWW.Example.ORG").unwrap().as_str(),
        "www.example.org"
    );
}

#[test]
fn a_domain_holds_itself_and_what_is_below_label_by_label() {
    let name = DnsName::new("a.example.org").unwrap();
    assert!(name.is_within("example.org"));
    assert!(name.is_within("a.example.org"));
    assert!(name.is_within(".example.org"));
    assert!(!name.is_within(".a.example.org"));
    assert!(!name.is_within("ample.org"));
    assert!(!name.is_within(".ample.org"));
}

#[test]
fn addresses_have_four_or_sixteen_octets() {
    assert_eq!(
        general_name(&[0x87, 4, 192, 0, 2, 1]).unwrap().to_string(),
        "ip:192.0.2.1"
    );
    assert_eq!(
        general_name(&[0x87, 5, 192, 0, 2, 1, 0]),
        Err(InvalidAlternativeName::AddressLength { len: 5 })
    );
    // A directoryName.
    assert_eq!(
        general_name(&[0xa4, 2, 0x30, 0]),
        Err(InvalidAlternativeName::UnsupportedType { tag: 4 })
    );
    // A DNS name with a NUL inside.
    assert_eq!(
        general_name(&[0x82, 3, b'a', 0, b'b']),
        Err(InvalidAlternativeName::Octet { octet: 0 })
    );
}

#[test]
fn mailboxes_are_dot_atoms_at_domains() {
    for address in ["a@example.org", "first.last+tag@mail.example.org"] {
        assert!(EmailAddress::new(address).is_ok(), "{address}");
    }
    for address in [
        "a",
        "@example.org",
        "a@",
        "a@b@c",
        "\"a b\"@example.org",
        ".a@example.org",
        "a..b@example.org",
        "a@[192.0.2.1]",
        "a@*.example.org",
        "a@example.org\n",
    ] {
        assert!(EmailAddress::new(address).is_err(), "{address}");
    }
}

#[test]
fn uris_are_absolute_with_a_proper_host() {
    for uri in [
        "spiffe://chancery.internal/service/acme/acme-1",
        "spiffe://trust_domain/x",
        "https://example.org:8443/a?b=c%20d",
        "http://[2001:db8::1]/",
        "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    ] {
        assert!(UriName::new(uri).is_ok(), "{uri}");
    }
    for uri in [
        "example.org",
        "/a",
        "://x",
        "http://",
        "http://a b/",
        "http://user@host/",
        "http://a/%zz",
        "http://a/%2",
        "1http://a",
        "http://[::1",
        "http://a:99999/",
        "http://é/",
    ] {
        assert!(UriName::new(uri).is_err(), "{uri}");
    }
    assert!(UriName::new("SPIFFE://a/b").unwrap().is_spiffe());
    assert_eq!(
        UriName::new("https://example.org:8443/a").unwrap().host(),
        "example.org"
    );
}

/// A PermanentIdentifier with an assigner, as `openssl asn1parse` tells it.
//
//  0:d=0  hl=2 l=  25 cons: cont [ 0 ]
//  2:d=1  hl=2 l=   8 prim: OBJECT            :Permanent Identifier
// 12:d=1  hl=2 l=  13 cons: cont [ 0 ]
// 14:d=2  hl=2 l=  11 cons: SEQUENCE
// 16:d=3  hl=2 l=   4 prim: UTF8STRING        :C02X
// 22:d=3  hl=2 l=   3 prim: OBJECT            :1.2.3.4
const PERMANENT: &str = "a01906082b06010505070803a00d300b0c044330325806032a0304";

#[test]
fn permanent_identifiers_are_other_names_of_their_type() {
    let read = |hexadecimal: &str| general_name(&hex::decode(hexadecimal).unwrap());
    let name = read(PERMANENT).unwrap();
    assert_eq!(name.to_string(), "permanent-identifier:C02X/1.2.3.4");
    assert_eq!(name.kind(), NameKind::PermanentIdentifier);
    let name = read("a01606082b06010505070803a00a30080c0643303258314b").unwrap();
    assert_eq!(name.value(), "C02X1K");
    // An otherName of another type: a Microsoft UPN.
    assert_eq!(
        read("a016060a2b060104018237140203a0080c0661406f72672e"),
        Err(InvalidAlternativeName::UnsupportedType { tag: 0 })
    );
    for bad in [
        // No value; an assigner alone; a value that is no UTF8String; two values.
        "a00e06082b06010505070803a0023000",
        "a01306082b06010505070803a007300506032a0304",
        "a01406082b06010505070803a0083006130443303258",
        "a01a06082b06010505070803a00e300c0c04433032580c0443303258",
        // Something after the sequence, after the value, and no value at all.
        "a01606082b06010505070803a00a30060c04433032580500",
        "a01606082b06010505070803a00830060c04433032580500",
        "a00a06082b06010505070803",
        // Empty; a space; a slash; beyond ASCII; not UTF-8.
        "a01006082b06010505070803a00430020c00",
        "a01106082b06010505070803a00530030c0120",
        "a01106082b06010505070803a00530030c012f",
        "a01206082b06010505070803a00630040c02c3a9",
        "a01106082b06010505070803a00530030c01ff",
    ] {
        assert_eq!(
            read(bad),
            Err(InvalidAlternativeName::PermanentIdentifier),
            "{bad}"
        );
    }
    let long = "7".repeat(PermanentIdentifier::MAX_LEN + 1);
    for text in ["", "a b", "a/", "a/1.2/3", "a/b", "a/1.02", "/1.2", &long] {
        assert!(text.parse::<PermanentIdentifier>().is_err(), "{text}");
    }
}

#[test]
fn names_read_as_they_print() {
    for text in [
        "dns:*.a.org",
        "ip:2001:db8::1",
        "email:a@b.org",
        "uri:urn:a:b",
        "permanent-identifier:C02X",
        "permanent-identifier:a:b/1.2.840.113549",
    ] {
        assert_eq!(text.parse::<AlternativeName>().unwrap().to_string(), text);
    }
    assert_eq!(
        "a.org".parse::<AlternativeName>(),
        Err(InvalidAlternativeName::Prefix)
    );
}

proptest! {
    #[test]
    fn no_octets_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_names(&bytes, 10);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = (DnsName::new(text), EmailAddress::new(text), UriName::new(text));
            let _ = text.parse::<PermanentIdentifier>();
        }
    }

    #[test]
    fn no_a_label_panics(text in "xn--[a-z0-9-]{0,59}") {
        let _ = DnsName::new(&text);
    }

    #[test]
    fn what_is_taken_prints_and_reads_back(text in "(\\*\\.)?[a-z0-9-]{1,20}(\\.[A-Z0-9-]{1,20}){0,4}") {
        if let Ok(name) = DnsName::new(&text) {
            let printed = AlternativeName::Dns(name.clone()).to_string();
            prop_assert_eq!(printed.parse::<AlternativeName>().unwrap(), AlternativeName::Dns(name));
        }
    }
}
