//! Bytes that are no signatures, or not ones that are taken.

use proptest::prelude::*;

use super::*;
use crate::support::der;
use crate::tlv::Problem;

/// Object identifiers, encoded.
const SIGNED_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
const ENVELOPED_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03";
const CONTENT_TYPE: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03";
const MESSAGE_DIGEST: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04";
const SIGNING_TIME: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05";
const SIGNING_CERTIFICATE_V2: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x2f";
const TIME_STAMP_TOKEN: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x0e";

/// AlgorithmIdentifiers.
const SHA256: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const SHA256_NULL: &[u8] = b"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00";
const SHA1: &[u8] = b"\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00";

/// Parts of a message with one signer, each of which can be wrong.
#[derive(Clone)]
struct Parts {
    /// SignedData's version.
    version: u8,
    /// encapContentInfo.
    encapsulated: Vec<u8>,
    /// What stands between that and the signers.
    between: Vec<u8>,
    /// SignerInfo's version.
    signer_version: u8,
    /// The SignerIdentifier.
    id: Vec<u8>,
    /// The signer's digestAlgorithm.
    hash: Vec<u8>,
    /// signedAttrs, in their order.
    attributes: Option<Vec<Vec<u8>>>,
    /// signatureAlgorithm.
    algorithm: Vec<u8>,
    /// unsignedAttrs.
    unsigned: Vec<u8>,
    /// How many signers.
    signers: usize,
}

/// Writes an Attribute.
fn attribute(kind: &[u8], values: &[&[u8]]) -> Vec<u8> {
    der(0x30, &[kind, &der(0x31, values)])
}

impl Parts {
    /// A message that is read, its signature aside.
    fn sound() -> Self {
        Self {
            version: 1,
            encapsulated: der(0x30, &[DATA]),
            between: Vec::new(),
            signer_version: 1,
            id: der(0x30, &[&[0x30, 0], &[2, 1, 5]]),
            hash: SHA256.to_vec(),
            attributes: Some(vec![
                attribute(CONTENT_TYPE, &[DATA]),
                attribute(MESSAGE_DIGEST, &[&der(4, &[&[7; 32]])]),
            ]),
            algorithm: SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256)
                .identifier_der()
                .to_vec(),
            unsigned: Vec::new(),
            signers: 1,
        }
    }

    /// Changes the attributes.
    fn with_attributes(attributes: &[Vec<u8>]) -> Self {
        Self {
            attributes: Some(attributes.to_vec()),
            ..Self::sound()
        }
    }

    /// Adds an attribute behind the usual two.
    fn with_attribute(attribute: Vec<u8>) -> Self {
        let mut parts = Self::sound();
        parts.attributes.get_or_insert_default().push(attribute);
        parts
    }

    /// Writes the ContentInfo.
    fn to_der(&self) -> Vec<u8> {
        let attributes = match &self.attributes {
            Some(attributes) => der(0xa0, &[&attributes.concat()]),
            None => Vec::new(),
        };
        let signer = der(
            0x30,
            &[
                &[2, 1, self.signer_version],
                &self.id,
                &self.hash,
                &attributes,
                &self.algorithm,
                &[4, 1, 0],
                &self.unsigned,
            ],
        );
        let signed = der(
            0x30,
            &[
                &[2, 1, self.version],
                &der(0x31, &[SHA256]),
                &self.encapsulated,
                &self.between,
                &der(0x31, &[&signer.repeat(self.signers)]),
            ],
        );
        der(0x30, &[SIGNED_DATA, &der(0xa0, &[&signed])])
    }

    /// Returns why it is not read.
    fn refused(&self) -> CmsError {
        SignedData::parse(&self.to_der()).unwrap_err()
    }
}

/// Tells whether an error is about the encoding.
fn is_encoding(error: CmsError) -> bool {
    matches!(error, CmsError::Encoding(_))
}

#[test]
fn a_sound_message_is_read_in_every_form_that_is_der() {
    let sound = Parts::sound();
    let der_octets = sound.to_der();
    let read = SignedData::parse(&der_octets).unwrap();
    assert_eq!(read.signature(), [0]);
    assert_eq!(read.signing_time(), None);
    assert_eq!(read.time_stamp_token(), None);
    for parts in [
        Parts {
            hash: SHA256_NULL.to_vec(),
            ..sound.clone()
        },
        Parts {
            signer_version: 3,
            id: der(0x80, &[&[1; 20]]),
            version: 3,
            ..sound.clone()
        },
        // An attribute certificate and a CRL, both passed over.
        Parts {
            between: [der(0xa0, &[&[0xa2, 0]]), der(0xa1, &[&[0x30, 0]])].concat(),
            version: 5,
            ..sound.clone()
        },
        Parts {
            unsigned: der(0xa1, &[&attribute(DATA, &[&[5, 0]])]),
            ..sound.clone()
        },
    ] {
        let der = parts.to_der();
        let read = SignedData::parse(&der).unwrap();
        assert_eq!(read.certificates().count(), 0);
    }
}

#[test]
fn what_ends_early_or_goes_on_or_is_ber_is_refused() {
    let stage = Stage::p256();
    let cms = stage.sign(&digest(HashAlgorithm::Sha256));
    for len in 0..cms.len() {
        assert!(SignedData::parse(&cms[..len]).is_err(), "{len} octets");
    }
    let long = [&cms[..], &[0]].concat();
    assert!(is_encoding(SignedData::parse(&long).unwrap_err()));
    // The same contents with an indefinite length.
    let contents = crate::tlv::read_only(&cms, 0x30).unwrap().content;
    let ber = [&[0x30, 0x80], contents, &[0, 0]].concat();
    assert!(matches!(
        SignedData::parse(&ber),
        Err(CmsError::Encoding(malformed)) if malformed.problem == Problem::IndefiniteLength
    ));
    // A constructed OCTET STRING for the content.
    let parts = Parts {
        encapsulated: der(0x30, &[DATA, &der(0xa0, &[&der(0x24, &[&[4, 1, 7]])])]),
        ..Parts::sound()
    };
    assert!(is_encoding(parts.refused()));
    let len = 256 * 1024 + 1;
    assert_eq!(
        SignedData::parse(&vec![0x30; len]).unwrap_err(),
        CmsError::TooLong {
            len,
            max: 256 * 1024
        }
    );
}

#[test]
fn each_part_that_is_wrong_is_refused_by_its_reason() {
    let sound = Parts::sound();
    let other_kind = der(0x30, &[ENVELOPED_DATA, &der(0xa0, &[&[0x30, 0]])]);
    assert_eq!(
        SignedData::parse(&other_kind).unwrap_err(),
        CmsError::ContentType
    );
    let many = der(0xa0, &[&[0x30, 0].repeat(17)]);
    for (parts, error) in [
        (
            Parts {
                version: 2,
                ..sound.clone()
            },
            CmsError::Version,
        ),
        (
            Parts {
                signer_version: 3,
                ..sound.clone()
            },
            CmsError::Version,
        ),
        (
            Parts {
                id: der(0x80, &[&[1; 20]]),
                ..sound.clone()
            },
            CmsError::Version,
        ),
        (
            Parts {
                signers: 0,
                ..sound.clone()
            },
            CmsError::Signers,
        ),
        (
            Parts {
                signers: 2,
                ..sound.clone()
            },
            CmsError::Signers,
        ),
        (
            Parts {
                between: many,
                ..sound.clone()
            },
            CmsError::TooManyCertificates { max: 16 },
        ),
        (
            Parts {
                hash: SHA1.to_vec(),
                ..sound.clone()
            },
            CmsError::DigestAlgorithm,
        ),
        (
            Parts {
                attributes: None,
                ..sound.clone()
            },
            CmsError::NoSignedAttributes,
        ),
        (
            // Of another hash than the content's.
            Parts {
                algorithm: SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha384)
                    .identifier_der()
                    .to_vec(),
                ..sound.clone()
            },
            CmsError::SignatureAlgorithm,
        ),
        (
            Parts {
                algorithm: SignatureAlgorithm::Ed25519.identifier_der().to_vec(),
                ..sound.clone()
            },
            CmsError::SignatureAlgorithm,
        ),
        (
            Parts {
                encapsulated: der(0x30, &[ENVELOPED_DATA]),
                ..sound.clone()
            },
            CmsError::OtherContentType,
        ),
        (
            Parts {
                unsigned: der(
                    0xa1,
                    &[&attribute(TIME_STAMP_TOKEN, &[&[0x30, 0]]).repeat(2)],
                ),
                ..sound
            },
            CmsError::RepeatedAttribute,
        ),
    ] {
        assert_eq!(parts.refused(), error);
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn each_attribute_that_is_wrong_is_refused_by_its_reason() {
    let content_type = attribute(CONTENT_TYPE, &[DATA]);
    let message_digest = attribute(MESSAGE_DIGEST, &[&der(4, &[&[7; 32]])]);
    for (attributes, missing) in [
        (vec![message_digest.clone()], "contentType"),
        (vec![content_type.clone()], "messageDigest"),
        (vec![], "contentType"),
    ] {
        assert_eq!(
            Parts::with_attributes(&attributes).refused(),
            CmsError::MissingAttribute { attribute: missing }
        );
    }
    let short = attribute(MESSAGE_DIGEST, &[&der(4, &[&[7; 20]])]);
    assert_eq!(
        Parts::with_attributes(&[content_type.clone(), short]).refused(),
        CmsError::DigestLength
    );
    // Twice, in different words: what stands there twice alike is out of order.
    let longer = attribute(CONTENT_TYPE, &[DATA, DATA]);
    let twice = [content_type.clone(), longer.clone(), message_digest.clone()];
    assert_eq!(
        Parts::with_attributes(&twice).refused(),
        CmsError::RepeatedAttribute
    );
    let unsorted = [message_digest.clone(), content_type.clone()];
    assert!(is_encoding(Parts::with_attributes(&unsorted).refused()));
    let alike = [content_type.clone(), content_type, message_digest.clone()];
    assert!(is_encoding(Parts::with_attributes(&alike).refused()));
    // Two values of one.
    let two = [longer, message_digest];
    assert!(is_encoding(Parts::with_attributes(&two).refused()));
    // RFC 5652, 11.3: GeneralizedTime only from 2050 on.
    for (value, read) in [
        (der(0x17, &[b"491231235959Z"]), true),
        (der(0x18, &[b"20491231235959Z"]), false),
        (der(0x17, &[b"4912312359Z"]), false),
    ] {
        let attribute = attribute(SIGNING_TIME, &[&value]);
        let mut parts = Parts::with_attribute(attribute);
        parts.attributes.get_or_insert_default().sort();
        assert_eq!(SignedData::parse(&parts.to_der()).is_ok(), read);
    }
}

#[test]
fn each_name_of_the_certificate_that_is_wrong_is_refused_by_its_reason() {
    let value = |id: &[&[u8]]| {
        let id = der(0x30, id);
        let value = der(0x30, &[&der(0x30, &[&id])]);
        Parts::with_attribute(attribute(SIGNING_CERTIFICATE_V2, &[&value]))
    };
    let hash = der(4, &[&[1; 32]]);
    let name = der(0xa4, &[&[0x30, 0]]);
    for sound in [
        &[&hash[..]][..],
        &[SHA256, &hash],
        &[&hash, &der(0x30, &[&der(0x30, &[&name]), &[2, 1, 5]])],
    ] {
        let der = value(sound).to_der();
        let read = SignedData::parse(&der).unwrap();
        assert!(read.attributes().signing_certificate.is_some());
    }
    // Of several the first is the signer's (RFC 5035, 3).
    let other = der(0x30, &[&der(4, &[&[2; 32]])]);
    let both = [der(0x30, &[&hash]), other].concat();
    let several = der(0x30, &[&der(0x30, &[&both])]);
    let der_octets = Parts::with_attribute(attribute(SIGNING_CERTIFICATE_V2, &[&several])).to_der();
    let read = SignedData::parse(&der_octets).unwrap();
    let named = read.attributes().signing_certificate.unwrap();
    assert_eq!(named.cert_hash, [1; 32]);
    assert_eq!(read.attributes().certificates_named, 2);
    assert_eq!(
        value(&[SHA1, &hash]).refused(),
        CmsError::SigningCertificate
    );
    let two = [&name[..], &name].concat();
    for odd in [
        // Several names, another form of name, no number.
        der(0x30, &[&der(0x30, &[&two]), &[2, 1, 5]]),
        der(0x30, &[&der(0x30, &[&[0x82, 1, b'a']]), &[2, 1, 5]]),
        der(0x30, &[&der(0x30, &[&name])]),
    ] {
        assert!(is_encoding(value(&[&hash, &odd]).refused()));
    }
    assert!(is_encoding(value(&[]).refused()));
}

#[test]
fn attributes_without_end_are_not_collected() {
    let mut attributes: Vec<Vec<u8>> = (0..40)
        .map(|number| attribute(&[6, 2, 0x2a, number], &[&[5, 0]]))
        .collect();
    attributes.sort();
    assert!(is_encoding(Parts::with_attributes(&attributes).refused()));
}

#[test]
fn a_message_that_holds_its_content_is_not_detached() {
    let stage = Stage::p256();
    let sha256 = digest(HashAlgorithm::Sha256);
    let parts = Parts {
        encapsulated: der(0x30, &[DATA, &der(0xa0, &[&der(4, &[ARTIFACT])])]),
        ..Parts::sound()
    };
    let cms = parts.to_der();
    assert_eq!(SignedData::parse(&cms).unwrap().content(), Some(ARTIFACT));
    assert_eq!(
        stage.verify(&cms, sha256).unwrap_err(),
        CmsRefused::NotDetached
    );
}

#[test]
fn a_signer_that_is_nowhere_is_not_found() {
    let stage = Stage::p256();
    let digest = ArtifactDigest::sha256([7; 32]);
    assert_eq!(
        stage.verify(&Parts::sound().to_der(), digest).unwrap_err(),
        CmsRefused::NoSigner
    );
}

#[test]
fn another_signature_in_its_place_is_refused() {
    let stage = Stage::p256();
    let sha256 = digest(HashAlgorithm::Sha256);
    let plan = CmsPlan {
        digest: sha256,
        signing_time: now(),
    };
    let linted = lint(plan.encode(&stage.signer), &sha256, &stage.signer, now()).unwrap();
    let stranger = TestKey::p256();
    let signature = stranger.sign(linted.signature_algorithm(), linted.der());
    let cms = linted.assemble(&signature).unwrap();
    assert_eq!(
        stage.verify(&cms, sha256).unwrap_err(),
        CmsRefused::Signature
    );
}

#[test]
fn a_key_that_may_not_sign_is_refused() {
    let stage = Stage::p256();
    let config: ProfileConfig =
        toml::from_str("key_usages = [\"key-cert-sign\", \"crl-sign\"]").unwrap();
    let Authority {
        key, certificate, ..
    } = stage.root.subordinate(TestKey::p256(), &config);
    let chain = std::slice::from_ref(&certificate);
    assert_eq!(
        CmsSigner::new(chain, key.algorithm()).unwrap_err(),
        NotASigner::MayNotSign
    );
    let sha256 = digest(HashAlgorithm::Sha256);
    let signed = crate::encode::cms::SignedAttributes {
        content_type: crate::oid::DATA,
        message_digest: sha256.octets(),
        signing_time: None,
        signing_certificate: &crate::encode::cms::signing_certificate(
            &certificate.fingerprint(),
            certificate.issuer_der(),
            certificate.serial(),
        ),
    }
    .to_der();
    let algorithm = key.algorithm();
    let cms = crate::encode::cms::SignedData {
        content_type: crate::oid::DATA,
        content: None,
        certificates: &der(0xa0, &[certificate.der()]),
        issuer_and_serial: &crate::encode::cms::issuer_and_serial(
            certificate.issuer_der(),
            certificate.serial(),
        ),
        hash: HashAlgorithm::Sha256,
        signed_attributes: &signed,
        algorithm,
        signature: &key.sign(algorithm, &signed),
    };
    assert_eq!(
        stage.verify(&cms.to_der(), sha256).unwrap_err(),
        CmsRefused::MayNotSign
    );
}

#[test]
fn only_a_time_stamp_of_the_signature_is_added_and_once() {
    use crate::timestamp::{TimeStampRefused, TokenError};
    let stage = Stage::p256();
    let cms = stage.sign(&digest(HashAlgorithm::Sha256));
    assert!(matches!(
        add_time_stamp(&cms, &cms),
        Err(AddTimeStampError::Token(TimeStampRefused::Unreadable(
            TokenError::Content
        )))
    ));
    assert!(matches!(
        add_time_stamp(b"", &cms),
        Err(AddTimeStampError::Cms(_))
    ));
    let signature = SignedData::parse(&cms).unwrap().signature().to_vec();
    let token = |message: &[u8]| {
        let info = crate::encode::timestamp::TstInfo {
            policy: &crate::oid::DATA,
            imprint_der: &crate::encode::timestamp::imprint(&algorithm::digest_of(
                HashAlgorithm::Sha512,
                message,
            )),
            serial: &serial(1),
            gen_time: b"20260101000000Z",
            accuracy: None,
            ordering: false,
            nonce: None,
            name_der: None,
        };
        let signed = crate::encode::cms::SignedAttributes {
            content_type: crate::oid::TST_INFO,
            message_digest: &[7; 32],
            signing_time: None,
            signing_certificate: stage.signer.signing_certificate_der(),
        };
        crate::encode::cms::SignedData {
            content_type: crate::oid::TST_INFO,
            content: Some(&info.to_der()),
            certificates: &[],
            issuer_and_serial: stage.signer.issuer_and_serial_der(),
            hash: HashAlgorithm::Sha256,
            signed_attributes: &signed.to_der(),
            algorithm: stage.key.algorithm(),
            signature: &[0],
        }
        .to_der()
    };
    assert!(matches!(
        add_time_stamp(&cms, &token(b"another")),
        Err(AddTimeStampError::Token(TimeStampRefused::Imprint))
    ));
    let token = token(&signature);
    let stamped = add_time_stamp(&cms, &token).unwrap();
    let read = SignedData::parse(&stamped).unwrap();
    assert_eq!(read.time_stamp_token(), Some(&token[..]));
    assert_eq!(read.signature(), signature);
    assert!(
        stage
            .verify(&stamped, digest(HashAlgorithm::Sha256))
            .is_ok()
    );
    assert!(matches!(
        add_time_stamp(&stamped, &token),
        Err(AddTimeStampError::Unsigned)
    ));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = SignedData::parse(&bytes);
        let _ = add_time_stamp(&bytes, &bytes);
    }

    #[test]
    fn no_altered_message_panics(
        place in any::<prop::sample::Index>(), octet: u8, cut in any::<prop::sample::Index>(),
    ) {
        let mut der = Parts::with_attribute(attribute(SIGNING_CERTIFICATE_V2, &[&[
            0x30, 0x0a, 0x30, 0x08, 0x30, 0x06, 0x04, 0x01, 0x01, 0x30, 0x01, 0x00,
        ]])).to_der();
        let place = place.index(der.len());
        der[place] = octet;
        let _ = SignedData::parse(&der);
        der.remove(cut.index(der.len()));
        let _ = SignedData::parse(&der);
    }
}
