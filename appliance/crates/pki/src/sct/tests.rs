//! Timestamps as they stand, and as they prove nothing.

use proptest::prelude::*;

use super::*;
use crate::name::DistinguishedName;
use crate::names::AlternativeName;
use crate::profile::{PlanRequest, Profile, ProfileKind};
use crate::support::{Authority, TestKey, now, serial};

/// A leaf with a timestamp, the authority that issued it and the log's key.
fn timestamped() -> (Certificate, Authority, TestKey) {
    let root = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
    let authority = root.subordinate(TestKey::p256(), &Default::default());
    let log = TestKey::p256();
    let leaf = issue(&authority, &log);
    (leaf, authority, log)
}

/// Issues a leaf with a timestamp at the 1,234,567th millisecond.
fn issue(authority: &Authority, log: &TestKey) -> Certificate {
    let profile = Profile::built_in(ProfileKind::CodeSigning).unwrap();
    let subject: DistinguishedName = "CN=Example".parse().unwrap();
    let key = TestKey::p256().public_key();
    let names: [AlternativeName; 1] = ["uri:https://example.org/signer".parse().unwrap()];
    let mut request = PlanRequest::new(&key, &subject, serial(9), now());
    request.names = &names;
    authority.issue_timestamped(&profile, &request, log, 1_234_567)
}

#[test]
fn an_embedded_timestamp_is_verified_under_its_log_and_issuer_alone() {
    let (leaf, authority, log) = timestamped();
    let issuer = authority.key.public_key();
    let log_key = log.public_key();
    let verified = verify(
        &leaf,
        &issuer,
        &[TestKey::p256().public_key(), log_key.clone()],
    );
    let expected = VerifiedSct {
        log_id: log_id(&log_key),
        timestamp: Timestamp::from_millisecond(1_234_567).unwrap(),
    };
    assert_eq!(verified, Ok(vec![expected]));
    let log_id = log_id(&log_key);
    assert_eq!(
        verify(
            &leaf,
            &TestKey::p256().public_key(),
            std::slice::from_ref(&log_key)
        ),
        Err(SctError::BadSignature { log_id })
    );
    assert_eq!(
        verify(&leaf, &issuer, &[TestKey::p256().public_key()]),
        Err(SctError::UnknownLog { log_id })
    );
    assert_eq!(
        verify(&authority.certificate, &issuer, &[log_key]),
        Err(SctError::Absent)
    );
}

#[test]
fn another_time_or_certificate_is_not_what_the_log_signed() {
    let (leaf, authority, log) = timestamped();
    let (issuer, log_key) = (authority.key.public_key(), log.public_key());
    let scts = leaf.extensions().scts.clone().unwrap();
    let (other_leaf, _, _) = timestamped();
    let sct = scts.iter().next().unwrap();
    let holds = |tbs_der: &[u8], timestamp_ms| {
        let signed = signed_octets(&issuer.sha256(), tbs_der, timestamp_ms);
        let algorithm = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256);
        log_key.verify(algorithm, &signed, &sct.signature).is_ok()
    };
    let seen = precertificate_tbs(&leaf).unwrap();
    assert!(holds(&seen, 1_234_567));
    assert!(!holds(&seen, 1_234_568));
    assert!(!holds(leaf.tbs_der(), 1_234_567));
    assert!(!holds(&precertificate_tbs(&other_leaf).unwrap(), 1_234_567));
}

#[test]
fn what_is_left_without_timestamps_is_der_and_the_same_but_for_them() {
    let (leaf, authority, _) = timestamped();
    let seen = precertificate_tbs(&leaf).unwrap();
    crate::lint::encoding::check(&seen).unwrap();
    let tbs = crate::certificate::Tbs::parse(&seen).unwrap();
    assert_eq!(tbs.extensions.scts, None);
    assert_eq!(tbs.serial, *leaf.serial());
    assert_eq!(
        tbs.extensions.order.len() + 1,
        leaf.extensions().order.len()
    );
    assert_eq!(without_scts(&seen), Ok(None));
    assert_eq!(without_scts(authority.certificate.tbs_der()), Ok(None));
}

#[test]
fn lists_have_one_form() {
    let (leaf, _, _) = timestamped();
    let list = leaf.extensions().scts.clone().unwrap();
    let octets = list.to_octets();
    assert_eq!(SctList::from_octets(&octets), Ok(list));
    // Length of the list, of the one timestamp, then its version.
    let refused = |place: usize, octet: u8| {
        let mut octets = octets.clone();
        octets[place] = octet;
        assert!(SctList::from_octets(&octets).is_err(), "octet {place}");
    };
    refused(1, 0);
    refused(3, 0);
    refused(4, 1);
    // Hash and signature algorithm.
    refused(4 + 1 + 32 + 8 + 2, 2);
    refused(4 + 1 + 32 + 8 + 3, 1);
    assert!(SctList::from_octets(&[]).is_err());
    assert!(SctList::from_octets(&[0, 0]).is_err());
    assert!(SctList::from_octets(&[octets.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn a_log_key_of_another_kind_is_refused() {
    for key in [TestKey::p384(), TestKey::ed25519()] {
        assert!(matches!(
            check_log_key(&key.public_key()),
            Err(SctError::KeyType { .. })
        ));
    }
    assert_eq!(check_log_key(&TestKey::p256().public_key()), Ok(()));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(list) = SctList::from_octets(&bytes) {
            prop_assert_eq!(list.to_octets(), bytes.clone());
        }
        let _ = without_scts(&bytes);
    }

    #[test]
    fn no_damaged_certificate_panics(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        static LEAF: std::sync::OnceLock<(Vec<u8>, PublicKey, PublicKey)> = std::sync::OnceLock::new();
        let (der, issuer, log) = LEAF.get_or_init(|| {
            let (leaf, authority, log) = timestamped();
            (leaf.der().to_vec(), authority.key.public_key(), log.public_key())
        });
        let mut damaged = der.clone();
        let place = at.index(damaged.len());
        damaged[place] = to;
        let changed = damaged != *der;
        if let Ok(leaf) = Certificate::from_der(&damaged) {
            let verified = verify(&leaf, issuer, std::slice::from_ref(log));
            // What the log signed is the TBSCertificate: only the authority's signature
            // lies outside of it.
            let signature_alone = leaf.tbs_der() == Certificate::from_der(der).unwrap().tbs_der();
            prop_assert!(verified.is_err() || !changed || signature_alone);
        }
    }
}
