//! Bytes that are no requests, tokens or responses, or not ones that are taken.

use proptest::prelude::*;

use super::*;
use crate::support::der;

/// AlgorithmIdentifiers.
const SHA256: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const SHA256_NULL: &[u8] = b"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00";
const SHA1: &[u8] = b"\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00";
const MD5: &[u8] = b"\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05\x05\x00";

/// INTEGER 1, 1.2.3.4, and TRUE.
const V1: &[u8] = &[2, 1, 1];
const POLICY: &[u8] = &[6, 3, 0x2a, 3, 4];
const TRUE: &[u8] = &[1, 1, 0xff];

/// Writes a MessageImprint.
fn imprint(hash: &[u8], len: usize) -> Vec<u8> {
    der(0x30, &[hash, &der(4, &[&vec![7; len]])])
}

/// Reads a request of fields.
fn read(fields: &[&[u8]]) -> Result<bool, TimeStampRequestError> {
    let request = der(0x30, fields);
    TimeStampRequest::parse(&request).map(|request| request.wants_certificate())
}

#[test]
fn requests_are_read_in_every_form_that_clients_write() {
    let imprint = imprint(SHA256, 32);
    let with_null = self::imprint(SHA256_NULL, 32);
    let nonce = der(2, &[&[0x80; 64]]);
    assert_eq!(read(&[V1, &imprint]), Ok(false));
    assert_eq!(read(&[V1, &with_null, TRUE]), Ok(true));
    // The default written out, which RFC 3161 and DER do not have.
    assert_eq!(read(&[V1, &imprint, &[1, 1, 0]]), Ok(false));
    assert_eq!(read(&[V1, &imprint, POLICY, &nonce, TRUE]), Ok(true));
    let request = der(0x30, &[V1, &with_null, POLICY, &nonce, TRUE]);
    let request = TimeStampRequest::parse(&request).unwrap();
    assert_eq!(request.nonce(), Some(&[0x80; 64][..]));
    assert_eq!(request.policy(), Some("1.2.3.4".parse().unwrap()));
    assert_eq!(request.digest(), ArtifactDigest::sha256([7; 32]));
    assert_eq!(request.imprint_der(), with_null);
}

#[test]
fn each_request_that_is_wrong_is_refused_by_its_reason() {
    use FailureInfo::{BadAlg, BadDataFormat, BadRequest, UnacceptedExtension};
    let good = imprint(SHA256, 32);
    let extension = der(0x30, &[POLICY, &der(4, &[&[5, 0]])]);
    let critical = der(0x30, &[POLICY, TRUE, &der(4, &[&[5, 0]])]);
    let long_nonce = der(2, &[&[1; 65]]);
    for (fields, failure) in [
        (&[&[2, 1, 2], &good[..]][..], BadRequest),
        (&[&good], BadRequest),
        (&[V1], BadRequest),
        (&[V1, &imprint(SHA1, 20)], BadAlg),
        (&[V1, &imprint(MD5, 16)], BadAlg),
        // A hash that is not known, whatever its length.
        (&[V1, &imprint(&der(0x30, &[POLICY]), 32)], BadAlg),
        (&[V1, &imprint(SHA256, 20)], BadDataFormat),
        (&[V1, &imprint(SHA256, 33)], BadDataFormat),
        (&[V1, &imprint(SHA256, 0)], BadDataFormat),
        (&[V1, &good, &long_nonce], BadRequest),
        (&[V1, &good, &[2, 2, 0, 1]], BadRequest),
        (&[V1, &good, &[1, 1, 1]], BadRequest),
        (&[V1, &good, TRUE, POLICY], BadRequest),
        (&[V1, &good, &der(0xa0, &[&extension])], UnacceptedExtension),
        (&[V1, &good, &der(0xa0, &[&critical])], UnacceptedExtension),
        (&[V1, &good, &[5, 0]], BadRequest),
    ] {
        let refused = read(fields).unwrap_err();
        assert_eq!(refused.failure(), failure, "{refused}");
    }
    let whole = ask(HashAlgorithm::Sha256);
    for len in 0..whole.len() {
        assert!(TimeStampRequest::parse(&whole[..len]).is_err());
    }
    let long = [&whole[..], &[0]].concat();
    assert!(TimeStampRequest::parse(&long).is_err());
    assert!(matches!(
        TimeStampRequest::parse(&[0x30; 4097]),
        Err(TimeStampRequestError::TooLong { len: 4097, .. })
    ));
}

/// Reads a TSTInfo: these fields behind version, policy and imprint.
fn info(fields: &[&[u8]]) -> Result<(), TstInfoError> {
    let head = [V1, POLICY, &imprint(SHA256, 32)].concat();
    let der = der(0x30, &[&head, &fields.concat()]);
    TstInfo::parse(&der).map(drop)
}

#[test]
fn each_token_content_that_is_wrong_is_refused_by_its_reason() {
    let serial: &[u8] = &[2, 1, 5];
    let time = &der(0x18, &[b"20260101000000Z"])[..];
    assert_eq!(info(&[serial, time]), Ok(()));
    // A number of 160 bits has a sign octet besides.
    let largest = der(2, &[&[0], &[0xff; 20]]);
    assert_eq!(info(&[&largest, time]), Ok(()));
    let too_large = der(2, &[&[1], &[0xff; 20]]);
    for serial in [&too_large[..], &[2, 1, 0x80]] {
        assert_eq!(info(&[serial, time]), Err(TstInfoError::Serial));
    }
    assert_eq!(info(&[&[2, 1, 0], time]), Ok(()));
    // Accuracies.
    for (parts, sound) in [
        (&[2, 1, 1][..], true),
        (&[2, 1, 1, 0x80, 2, 3, 0xe7, 0x81, 1, 1], true),
        (&[0x81, 1, 1], true),
        (&[2, 1, 0xff], false),
        (&[2, 5, 1, 0, 0, 0, 0], false),
        (&[0x80, 1, 0], false),
        (&[0x80, 2, 3, 0xe8], false),
        (&[0x81, 1, 1, 0x80, 1, 1], false),
    ] {
        let parts = der(0x30, &[parts]);
        assert_eq!(info(&[serial, time, &parts]).is_ok(), sound, "{parts:?}");
    }
    let extension = |critical: &[u8]| der(0x30, &[POLICY, critical, &der(4, &[&[5, 0]])]);
    let list = |extensions: &[&[u8]]| der(0xa1, extensions);
    assert_eq!(info(&[serial, time, &list(&[&extension(&[])])]), Ok(()));
    assert_eq!(
        info(&[serial, time, &list(&[&extension(TRUE)])]),
        Err(TstInfoError::CriticalExtension)
    );
    let twice = list(&[&extension(&[]), &extension(&[])]);
    assert_eq!(
        info(&[serial, time, &twice]),
        Err(TstInfoError::RepeatedExtension)
    );
    assert_eq!(
        info(&[serial, time, &der(2, &[&[1; 65]])]),
        Err(TstInfoError::Nonce)
    );
    // A name that is no directoryName, and two of them.
    let dns = [0x82, 1, b'a'];
    assert_eq!(info(&[serial, time, &der(0xa0, &[&dns])]), Ok(()));
    for odd in [
        &der(0xa0, &[&dns, &dns])[..],
        // The default written out; another kind of time; what does not belong.
        &[1, 1, 0],
        &[5, 0],
    ] {
        assert!(matches!(
            info(&[serial, time, odd]),
            Err(TstInfoError::Encoding(_))
        ));
    }
    let utc = der(0x17, &[b"260101000000Z"]);
    assert!(info(&[serial, &utc]).is_err());
    let sha1 = der(0x30, &[V1, POLICY, &imprint(SHA1, 20), serial, time]);
    assert_eq!(TstInfo::parse(&sha1).unwrap_err(), TstInfoError::Imprint);
    let v2 = der(
        0x30,
        &[&[2, 1, 2], POLICY, &imprint(SHA256, 32), serial, time],
    );
    assert_eq!(TstInfo::parse(&v2).unwrap_err(), TstInfoError::Version);
}

#[test]
fn each_response_that_is_wrong_is_refused() {
    let status = |fields: &[&[u8]]| der(0x30, fields);
    let token: &[u8] = &[0x30, 0];
    let granted = status(&[&[2, 1, 1]]);
    let response = der(0x30, &[&granted, token]);
    assert_eq!(
        TimeStampResponse::parse(&response),
        Ok(TimeStampResponse::Granted(token))
    );
    // Several bits, and one that is not known: the first that is known.
    let bits = status(&[&[2, 1, 2], &[3, 3, 1, 0x50, 2]]);
    assert_eq!(
        TimeStampResponse::parse(&der(0x30, &[&bits])),
        Ok(TimeStampResponse::Rejected {
            status: 2,
            failure: Some(FailureInfo::TimeNotAvailable)
        })
    );
    let silent = status(&[&[2, 1, 4]]);
    assert_eq!(
        TimeStampResponse::parse(&der(0x30, &[&silent])),
        Ok(TimeStampResponse::Rejected {
            status: 4,
            failure: None
        })
    );
    for (parts, error) in [
        (&[&granted[..]][..], Some(TimeStampResponseError::Token)),
        (&[&bits, token], Some(TimeStampResponseError::Token)),
        (&[&granted, token, token], None),
        (&[&status(&[]), token], None),
        (
            &[&status(&[&[2, 1, 0], &der(0x30, &[&[4, 0]])]), token],
            None,
        ),
        (&[&status(&[&[2, 1, 2], &[3, 1, 9]])], None),
    ] {
        let refused = TimeStampResponse::parse(&der(0x30, parts)).unwrap_err();
        match error {
            Some(error) => assert_eq!(refused, error),
            None => assert!(matches!(refused, TimeStampResponseError::Encoding(_))),
        }
    }
    assert!(matches!(
        TimeStampResponse::parse(&vec![0x30; 256 * 1024 + 1]),
        Err(TimeStampResponseError::TooLong { .. })
    ));
}

#[test]
fn every_octet_of_a_token_counts() {
    let stage = Stage::p256();
    let token = stage.stamp(&ask(HashAlgorithm::Sha256));
    let der = token.der();
    // digestAlgorithms tells nothing that is not told again.
    let untold = {
        let sets = crate::support::der(0x31, &[SHA256]);
        let at = der
            .windows(sets.len())
            .position(|window| window == sets)
            .unwrap();
        at + 2..at + sets.len()
    };
    for place in (0..der.len()).filter(|place| !untold.contains(place)) {
        let mut altered = der.to_vec();
        altered[place] ^= 0x01;
        // Only the form of the version is signed by nobody: 3 and 2, 1, 5.
        assert!(stage.verify(&altered).is_err(), "octet {place}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = TimeStampRequest::parse(&bytes);
        let _ = TimeStampResponse::parse(&bytes);
        let _ = TokenRead::parse(&bytes);
        let _ = TstInfo::parse(&bytes);
    }

    #[test]
    fn what_is_asked_is_read(
        digest: [u8; 32], nonce in prop::option::of(prop::collection::vec(any::<u8>(), 1..63)),
        certificate: bool, policy in prop::option::of("[0-2]\\.[1-3][0-9]?(\\.[1-9][0-9]{0,6}){1,6}"),
    ) {
        let policy = policy.map(|text| text.parse::<PolicyOid>().unwrap());
        let digest = ArtifactDigest::sha256(digest);
        let der = RequestPlan { digest, policy, nonce: nonce.as_deref(), certificate }.encode();
        let request = TimeStampRequest::parse(&der).unwrap();
        prop_assert_eq!(request.digest(), digest);
        prop_assert_eq!(request.policy(), policy);
        prop_assert_eq!(request.wants_certificate(), certificate);
        let strip = |octets: &[u8]| {
            let zeros = octets.iter().take_while(|octet| **octet == 0).count();
            octets[zeros..].to_vec()
        };
        prop_assert_eq!(request.nonce().map(strip), nonce.as_deref().map(strip));
    }

    #[test]
    fn refusals_of_any_text_are_read(place in 0..FailureInfo::ALL.len(), text in "\\PC{0,300}") {
        let failure = FailureInfo::ALL[place];
        let read = TimeStampResponse::Rejected { status: 2, failure: Some(failure) };
        let der = rejection(failure, &text);
        prop_assert_eq!(TimeStampResponse::parse(&der), Ok(read));
    }
}
