//! CRLs made, signed and read back.

mod lints;

use std::time::Duration;

use aws_lc_rs::digest;
use model::{RevocationReason, SerialNumber, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::algorithm::{HashAlgorithm, SignatureAlgorithm};
use crate::issuer::IssuerFacts;
use crate::support::{Authority, TestKey, der, extension, now, serial};

/// Returns a time some seconds from now.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() + seconds).unwrap()
}

/// A plan that begins now and lasts a day.
fn plan() -> CrlPlan {
    CrlPlan::full(CrlNumber::from(7), now(), at(86_400))
}

/// One entry for each number, revoked a minute ago.
fn entries(numbers: impl IntoIterator<Item = u8>) -> Vec<Box<[u8]>> {
    numbers
        .into_iter()
        .map(|number| {
            encode_entry(
                &serial(number),
                at(-60),
                RevocationReason::KeyCompromise,
                None,
            )
            .unwrap()
        })
        .collect()
}

/// Plans, lints, signs and assembles.
fn issue(plan: &CrlPlan, authority: &Authority, entries: &[Box<[u8]>]) -> Vec<u8> {
    let planned = plan
        .encode(&authority.facts, entries.iter().map(|entry| &**entry))
        .unwrap();
    let linted = lint(planned, plan, &authority.facts, now()).unwrap();
    let signature = authority
        .key
        .sign(linted.signature_algorithm(), linted.tbs_der());
    linted.assemble(&signature).unwrap()
}

/// A P-256 root.
fn authority() -> Authority {
    Authority::root(TestKey::p256(), TestKey::p256().algorithm())
}

#[test]
fn what_is_issued_is_read_back() {
    let authority = authority();
    let der = issue(&plan(), &authority, &entries(1..=9));
    let crl = Crl::parse(&der).unwrap();
    assert_eq!(crl.len(), 9);
    assert_eq!(crl.number(), Some(CrlNumber::from(7)));
    assert_eq!(crl.next_update(), Some(at(86_400)));
    crl.verify_issued_by(&authority.certificate).unwrap();
    crl.check_fresh(now(), Duration::ZERO).unwrap();
    let entry = crl.find(&serial(4)).unwrap();
    assert_eq!(entry.reason(), RevocationReason::KeyCompromise);
    assert_eq!(entry.serial(), serial(4));
    assert_eq!(crl.find(&serial(10)), None);
    assert_eq!(crl.entries().count(), 9);
}

/// An entry as nobody here encodes it.
fn odd_entry(date: &[u8], extensions: &[Vec<u8>]) -> Box<[u8]> {
    let serial = der(0x02, &[serial(7).as_der_content()]);
    let list = der(0x30, &[&extensions.concat()]);
    der(0x30, &[&serial, date, &list]).into()
}

/// A UTCTime of the past.
const PAST: &[u8] = b"\x17\x0d240101000000Z";
/// Object identifier of cRLReason, encoded.
const REASON: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x15];
/// Object identifier of invalidityDate, encoded.
const INVALIDITY: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x18];

#[test]
fn golden_entries_are_what_openssl_reads() {
    let serial: SerialNumber = "0123456789".parse().unwrap();
    let at: Timestamp = "2026-03-04T05:06:07Z".parse().unwrap();
    let since: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let encoded = encode_entry(&serial, at, RevocationReason::KeyCompromise, Some(since)).unwrap();
    // openssl asn1parse -inform DER -i
    //     0:d=0  hl=2 l=  62 cons: SEQUENCE
    //     2:d=1  hl=2 l=   5 prim:  INTEGER           :0123456789
    //     9:d=1  hl=2 l=  13 prim:  UTCTIME           :260304050607Z
    //    24:d=1  hl=2 l=  38 cons:  SEQUENCE
    //    26:d=2  hl=2 l=  10 cons:   SEQUENCE
    //    28:d=3  hl=2 l=   3 prim:    OBJECT            :X509v3 CRL Reason Code
    //    33:d=3  hl=2 l=   3 prim:    OCTET STRING      [HEX DUMP]:0A0101
    //    38:d=2  hl=2 l=  24 cons:   SEQUENCE
    //    40:d=3  hl=2 l=   3 prim:    OBJECT            :Invalidity Date
    //    45:d=3  hl=2 l=  17 prim:    OCTET STRING      [HEX DUMP]:180F32303236303330313030303030305A
    assert_eq!(
        hex::encode(&encoded),
        concat!(
            "303e",
            "02050123456789",
            "170d3236303330343035303630375a",
            "3026",
            "300a0603551d1504030a0101",
            "30180603551d180411180f32303236303330313030303030305a",
        )
    );
    let plain = encode_entry(&serial, at, RevocationReason::Unspecified, None).unwrap();
    //     0:d=0  hl=2 l=  22 cons: SEQUENCE
    //     2:d=1  hl=2 l=   5 prim:  INTEGER           :0123456789
    //     9:d=1  hl=2 l=  13 prim:  UTCTIME           :260304050607Z
    assert_eq!(
        hex::encode(plain),
        "301602050123456789170d3236303330343035303630375a"
    );
}

#[test]
fn entries_that_no_list_can_carry_are_refused_when_made() {
    let refused = |at: &str, since: Option<&str>| {
        let parse = |text: &str| text.parse::<Timestamp>().unwrap();
        let since = since.map(parse);
        encode_entry(&serial(1), parse(at), RevocationReason::Superseded, since).is_err()
    };
    assert!(refused("1949-12-31T23:59:59Z", None));
    assert!(refused("-000001-01-01T00:00:00Z", None));
    assert!(refused(
        "2026-01-01T00:00:00Z",
        Some("1900-01-01T00:00:00Z")
    ));
    assert!(refused(
        "2026-01-01T00:00:00Z",
        Some("2026-01-01T00:00:01Z")
    ));
    // Fractions are not written.
    assert!(!refused(
        "2026-01-01T00:00:00.1Z",
        Some("2026-01-01T00:00:00.2Z")
    ));
    let mut out = vec![1];
    let date = Timestamp::MIN;
    let appended = append_entry(
        &mut out,
        &serial(1),
        date,
        RevocationReason::Superseded,
        None,
    );
    assert_eq!(appended, Err(InvalidEntry::Date { date }));
    assert_eq!(out, [1]);
}

#[test]
fn joined_and_single_entries_make_the_same_list() {
    let authority = authority();
    let single = entries(1..=200);
    let joined: Vec<u8> = single.iter().flat_map(|entry| entry.to_vec()).collect();
    let one = plan()
        .encode(&authority.facts, single.iter().map(|entry| &**entry))
        .unwrap();
    let two = plan().encode(&authority.facts, [&joined[..]]).unwrap();
    assert_eq!(one.tbs_der(), two.tbs_der());
    let linted = lint(one, &plan(), &authority.facts, now()).unwrap();
    let digest = digest::digest(&digest::SHA256, linted.tbs_der());
    assert_eq!(linted.digest(), digest.as_ref());
    assert_eq!(linted.sign_input(), CrlSignInput::Digest(digest.as_ref()));
    assert_eq!(linted.facts().entries, 200);
}

#[test]
fn an_ed25519_key_is_given_the_message() {
    let authority = Authority::root(TestKey::ed25519(), SignatureAlgorithm::Ed25519);
    let planned = plan().encode(&authority.facts, []).unwrap();
    let linted = lint(planned, &plan(), &authority.facts, now()).unwrap();
    assert_eq!(linted.sign_input(), CrlSignInput::Message(linted.tbs_der()));
}

#[test]
fn lists_of_every_length_are_signed_in_place() {
    let authority = authority();
    // From no entry to beyond 64 KiB: every number of length octets, and its seams.
    for count in [0, 1, 2, 3, 4, 5, 6, 700, 1260, 1262, 1264, 1266, 1268, 1400] {
        let entries: Vec<Box<[u8]>> = (1..=count)
            .map(|number: u32| {
                let serial =
                    SerialNumber::from_unsigned(&[&[1; 14][..], &number.to_be_bytes()].concat());
                encode_entry(
                    &serial.unwrap(),
                    at(-60),
                    RevocationReason::Superseded,
                    None,
                )
                .unwrap()
            })
            .collect();
        let der = issue(&plan(), &authority, &entries);
        let crl = Crl::parse(&der).unwrap();
        assert_eq!(crl.len(), count as usize);
        crl.verify_issued_by(&authority.certificate).unwrap();
    }
    let planned = plan().encode(&authority.facts, []).unwrap();
    let linted = lint(planned, &plan(), &authority.facts, now()).unwrap();
    assert!(linted.assemble(&[0; 64]).is_err(), "no ECDSA signature");
}

#[test]
fn x509_cert_writes_the_same_list() {
    use x509_cert::crl::{RevokedCert, TbsCertList};
    use x509_cert::der::asn1::UtcTime;
    use x509_cert::der::{Decode, Encode};
    use x509_cert::ext::pkix::{AuthorityKeyIdentifier, SubjectKeyIdentifier};
    use x509_cert::ext::{Extensions, ToExtension};
    let authority = authority();
    let issuer = x509_cert::Certificate::from_der(authority.certificate.der()).unwrap();
    let issuer = issuer.tbs_certificate();
    let list = entries(1..=3);
    let ours = issue(&plan(), &authority, &list);
    let time = |at: Timestamp| {
        let since = Duration::from_secs(at.as_second() as u64);
        x509_cert::time::Time::UtcTime(UtcTime::from_unix_duration(since).unwrap())
    };
    // As x509-cert's CrlBuilder does it.
    let mut extensions = Extensions::new();
    let number = x509_cert::ext::pkix::CrlNumber::try_from(7u64).unwrap();
    extensions.push(number.to_extension(issuer.subject(), &extensions).unwrap());
    let (_, own) = issuer
        .get_extension::<SubjectKeyIdentifier>()
        .unwrap()
        .unwrap();
    let identifier = AuthorityKeyIdentifier {
        key_identifier: Some(own.0),
        ..AuthorityKeyIdentifier::default()
    };
    extensions.push(
        identifier
            .to_extension(issuer.subject(), &extensions)
            .unwrap(),
    );
    let revoked = list
        .iter()
        .map(|entry| RevokedCert::from_der(entry).unwrap());
    let theirs = TbsCertList::<x509_cert::certificate::Rfc5280> {
        version: x509_cert::Version::V2,
        signature: issuer.signature().clone(),
        issuer: issuer.subject().clone(),
        this_update: time(now()),
        next_update: Some(time(at(86_400))),
        revoked_certificates: Some(revoked.collect()),
        crl_extensions: Some(extensions),
    };
    let tbs = Crl::parse(&ours).unwrap().tbs_der();
    assert_eq!(hex::encode(theirs.to_der().unwrap()), hex::encode(tbs));
}

#[test]
fn x509_cert_reads_a_shard_as_it_was_planned() {
    use x509_cert::crl::CertificateList;
    use x509_cert::der::{Decode, Encode};
    use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
    let authority = authority();
    let mut shard = plan();
    shard.freshest = Some("http://a.example/d.crl".to_owned());
    shard.issuing_point = Some(IssuingPoint {
        urls: vec!["http://a.example/1.crl".to_owned()],
        only: CoveredKinds::UserCertificates,
    });
    let ours = issue(&shard, &authority, &entries(1..=3));
    let theirs = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&ours).unwrap();
    assert_eq!(theirs.to_der().unwrap(), ours, "read and written: the same");
    let extensions = theirs.tbs_cert_list.crl_extensions.unwrap();
    let point = extensions
        .iter()
        .find(|one| one.extn_id.to_string() == "2.5.29.28")
        .unwrap();
    assert!(point.critical);
    let point = IssuingDistributionPoint::from_der(point.extn_value.as_bytes()).unwrap();
    assert!(point.only_contains_user_certs && !point.only_contains_ca_certs);
    let crl = Crl::parse(&ours).unwrap();
    assert_eq!(crl.issuing_point(), shard.issuing_point.as_ref());
    assert_eq!(crl.freshest(), ["http://a.example/d.crl"]);
}

#[test]
fn a_list_is_relied_upon_only_where_it_applies() {
    let authority = authority();
    let der = issue(&plan(), &authority, &entries(1..=3));
    let crl = Crl::parse(&der).unwrap();
    let minute = Duration::from_secs(60);
    assert_eq!(crl.check_fresh(at(86_400), Duration::ZERO), Ok(()));
    let stale = CrlRefused::Stale {
        next_update: at(86_400),
    };
    assert_eq!(crl.check_fresh(at(86_401), Duration::ZERO), Err(stale));
    assert_eq!(crl.check_fresh(at(86_460), minute), Ok(()));
    assert!(crl.check_fresh(at(-1), Duration::ZERO).is_err());
    assert_eq!(crl.check_fresh(at(-60), minute), Ok(()));
    // Another key with the same name; another name.
    let other = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
    assert_eq!(
        crl.verify_issued_by(&other.certificate),
        Err(CrlRefused::KeyIdentifier)
    );
    let below = authority.subordinate(TestKey::p256(), &Default::default());
    assert_eq!(
        crl.verify_issued_by(&below.certificate),
        Err(CrlRefused::Issuer)
    );
    let mut altered = der.clone();
    *altered.last_mut().unwrap() ^= 1;
    let altered = Crl::parse(&altered).unwrap();
    assert_eq!(
        altered.verify_issued_by(&authority.certificate),
        Err(CrlRefused::Signature)
    );
    for (only, covers) in [
        (CoveredKinds::All, true),
        (CoveredKinds::UserCertificates, false),
        (CoveredKinds::CaCertificates, true),
    ] {
        let mut partial = plan();
        partial.issuing_point = Some(IssuingPoint {
            urls: below.certificate.extensions().crl.clone(),
            only,
        });
        let der = issue(&partial, &authority, &[]);
        let crl = Crl::parse(&der).unwrap();
        assert_eq!(crl.check_covers(&below.certificate).is_ok(), covers);
        // The root names no distribution point.
        assert!(crl.check_covers(&authority.certificate).is_err());
    }
}

#[test]
fn hostile_lists_are_refused_by_name() {
    let authority = authority();
    let good = issue(&plan(), &authority, &entries(1..=3));
    for len in 0..good.len() {
        assert!(Crl::parse(&good[..len]).is_err(), "cut at {len}");
    }
    let mut trailing = good.clone();
    trailing.push(0);
    assert!(matches!(Crl::parse(&trailing), Err(CrlError::Encoding(_))));
    let mut indefinite = good.clone();
    indefinite.splice(..4, [0x30, 0x80]);
    indefinite.extend([0, 0]);
    assert!(matches!(
        Crl::parse(&indefinite),
        Err(CrlError::Encoding(_))
    ));
    let reason = |code: u8| extension(REASON, &[0x0a, 0x01, code]);
    for (entry, refused) in [
        (odd_entry(PAST, &[]), false),
        (odd_entry(PAST, &[reason(1)]), true),
        (odd_entry(PAST, &[reason(7)]), false),
        (odd_entry(PAST, &[reason(11)]), false),
        (odd_entry(PAST, &[reason(1), reason(1)]), false),
        (odd_entry(b"\x17\x0d241301000000Z", &[reason(1)]), false),
        (
            odd_entry(PAST, &[extension(INVALIDITY, b"\x17\x0d240101000000Z")]),
            false,
        ),
        // certificateIssuer, critical: an indirect CRL.
        (
            odd_entry(
                PAST,
                &[der(
                    0x30,
                    &[
                        &[0x06, 0x03, 0x55, 0x1d, 0x1d, 0x01, 0x01, 0xff],
                        &der(0x04, &[&[0x30, 0x00]]),
                    ],
                )],
            ),
            false,
        ),
        (der(0x30, &[&[0x02, 0x01, 0x00], PAST]).into(), false),
        (der(0x30, &[&[0x02, 0x01, 0x80], PAST]).into(), false),
        (der(0x30, &[&[0x02, 0x02, 0x00, 0x01], PAST]).into(), false),
        (der(0x30, &[&der(0x02, &[&[1; 21]]), PAST]).into(), false),
        (der(0x30, &[&[0x02, 0x01, 0x01], PAST]).into(), true),
    ] {
        let planned = plan().encode(&authority.facts, [&*entry]).unwrap();
        let read = read::Tbs::parse(planned.tbs_der(), |_| {});
        assert_eq!(read.is_ok(), refused, "{}", hex::encode(&entry));
    }
}

proptest! {
    #[test]
    fn any_revocation_comes_back_as_it_was(
        magnitude in prop::collection::vec(any::<u8>(), 1..19),
        second in -631_152_000i64..253_402_300_800,
        reason in prop::sample::select(&RevocationReason::ALL[..]),
        earlier in prop::option::of(0i64..100_000_000),
    ) {
        prop_assume!(magnitude.iter().any(|octet| *octet != 0));
        let serial = SerialNumber::from_unsigned(&magnitude).unwrap();
        let date = Timestamp::from_second(second).unwrap();
        let since = earlier
            .map(|earlier| Timestamp::from_second(second - earlier).unwrap())
            .filter(|since| since.as_second() >= -631_152_000);
        let encoded = encode_entry(&serial, date, reason, since).unwrap();
        let mut entries = Entries::from_list(&encoded, 1);
        let entry = entries.next().unwrap();
        prop_assert_eq!(entry.serial(), serial);
        prop_assert_eq!(entry.revoked_at(), date);
        prop_assert_eq!(entry.reason(), reason);
        prop_assert_eq!(entry.invalidity_date(), since);
        prop_assert!(entry.revoked_at.canonical);
        prop_assert_eq!(entries.next(), None);
        prop_assert_eq!(entry.der(), &*encoded);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Crl::parse(&bytes);
        let _ = read::Tbs::parse(&bytes, |_| {});
    }
}
