//! Requests, sound and hostile.

use super::*;

/// Reads a request by the usual limits.
fn count(der: &[u8]) -> Result<usize, OcspRequestError> {
    OcspRequest::parse(der, &RequestLimits::default()).map(|request| {
        assert_eq!(request.cert_ids().count(), request.len());
        request.len()
    })
}

#[test]
fn requests_are_read_up_to_their_limits() {
    let stage = Stage::new(TestKey::p256);
    let id = stage.hashes.cert_id_der(CertIdHash::Sha1, &serial(7));
    let request = |count: usize, nonce: Option<usize>| {
        let nonce = nonce.map(|len| vec![7; len]);
        encode_request(&vec![&id[..]; count], nonce.as_deref())
    };
    assert_eq!(count(&request(1, None)), Ok(1));
    assert_eq!(count(&request(64, Some(32))), Ok(64));
    assert_eq!(
        count(&request(65, None)),
        Err(OcspRequestError::TooMany { max: 64 })
    );
    assert!(matches!(
        count(&request(5000, None)),
        Err(OcspRequestError::TooLong { .. })
    ));
    let roomy = RequestLimits {
        max_bytes: 1 << 20,
        max_certificates: 5000,
    };
    assert!(OcspRequest::parse(&request(5000, None), &roomy).is_ok());
    assert!(matches!(
        count(&request(0, None)),
        Err(OcspRequestError::Encoding(_))
    ));
    // RFC 9654, 2.1.
    for (len, read_len) in [
        (0, None),
        (1, Some(1)),
        (32, Some(32)),
        (128, Some(128)),
        (129, None),
        (4000, None),
    ] {
        let der = request(1, Some(len));
        let parsed = OcspRequest::parse(&der, &RequestLimits::default());
        match read_len {
            Some(read_len) => {
                assert_eq!(parsed.unwrap().nonce().map(<[u8]>::len), Some(read_len));
            }
            None => assert_eq!(parsed.unwrap_err(), OcspRequestError::Nonce { len }),
        }
    }
}

#[test]
fn hostile_requests_are_refused_by_name() {
    let stage = Stage::new(TestKey::p256);
    let id = stage.hashes.cert_id_der(CertIdHash::Sha1, &serial(7));
    let good = encode_request(&[&id], Some(&[7; 32]));
    for len in 0..good.len() {
        assert!(count(&good[..len]).is_err(), "cut at {len}");
    }
    let mut trailing = good.clone();
    trailing.push(0);
    assert!(count(&trailing).is_err());
    let one = der_of(0x30, &[&id]);
    let list = der_of(0x30, &[&one]);
    let wrap = |parts: &[&[u8]]| der_of(0x30, &[&der_of(0x30, parts)]);
    let extensions = |list: &[&[u8]]| der_of(0xa2, &[&der_of(0x30, list)]);
    let unknown = |critical: &[u8]| der_of(0x30, &[&[0x06, 0x01, 0x2a], critical, &[0x04, 0x00]]);
    let name = der_of(0xa1, &[&der_of(0x86, &[b"a:b"])]);
    assert_eq!(count(&wrap(&[&list])), Ok(1));
    assert_eq!(count(&wrap(&[&name, &list])), Ok(1));
    assert_eq!(count(&wrap(&[&list, &extensions(&[&unknown(&[])])])), Ok(1));
    let critical = extensions(&[&unknown(&[0x01, 0x01, 0xff])]);
    assert_eq!(
        count(&wrap(&[&list, &critical])),
        Err(OcspRequestError::CriticalExtension)
    );
    let twice = extensions(&[&unknown(&[]), &unknown(&[])]);
    assert_eq!(
        count(&wrap(&[&list, &twice])),
        Err(OcspRequestError::RepeatedExtension)
    );
    let version = |number: u8| der_of(0xa0, &[&[0x02, 0x01, number]]);
    assert_eq!(
        count(&wrap(&[&version(1), &list])),
        Err(OcspRequestError::Version)
    );
    assert!(count(&wrap(&[&version(0), &list])).is_err(), "a default");
    // Indefinite length (BER).
    let mut indefinite = vec![0x30, 0x80];
    indefinite.extend(der_of(0x30, &[&list]));
    indefinite.extend([0, 0]);
    assert!(count(&indefinite).is_err());
    // A hash of another length than SHA-1 has.
    let short = der_of(
        0x30,
        &[
            &der_of(0x30, &[&[0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a]]),
            &der_of(0x04, &[&[1; 19]]),
            &der_of(0x04, &[&[1; 20]]),
            &[0x02, 0x01, 0x01],
        ],
    );
    assert!(count(&wrap(&[&der_of(0x30, &[&der_of(0x30, &[&short])])])).is_err());
    // A hash that nobody here knows, and a serial number that no certificate has, are
    // questions all the same.
    let strange = der_of(
        0x30,
        &[
            &der_of(0x30, &[&[0x06, 0x01, 0x2a]]),
            &der_of(0x04, &[&[1; 3]]),
            &der_of(0x04, &[]),
            &der_of(0x02, &[&[0x80; 40]]),
        ],
    );
    let der = wrap(&[&der_of(0x30, &[&der_of(0x30, &[&strange])])]);
    let request = OcspRequest::parse(&der, &RequestLimits::default()).unwrap();
    let first = request.first();
    assert_eq!((first.hash(), first.serial()), (None, None));
    assert!(!stage.hashes.matches(&first));
}
