//! Trusted roots as they are written and read.

use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::*;

/// Two authorities, one below the other, and a certificate below both.
struct Chain {
    /// The root.
    root: Certificate,
    /// Below it.
    issuing: Certificate,
    /// Below both, no CA.
    leaf: Certificate,
}

impl Chain {
    /// Makes them.
    fn new() -> Self {
        let params = |name: &str, ca: bool| {
            let mut params = CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params
                .distinguished_name
                .push(DnType::OrganizationName, "Example");
            params.distinguished_name.push(DnType::CommonName, name);
            if ca {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
            params
        };
        let keys = [(); 3].map(|()| KeyPair::generate().unwrap());
        let parse = |certificate: rcgen::Certificate| Certificate::from_der(certificate.der());
        let root_params = params("Root", true);
        let root = parse(root_params.self_signed(&keys[0]).unwrap()).unwrap();
        let issuer = Issuer::new(root_params, &keys[0]);
        let issuing_params = params("Issuing", true);
        let issuing = parse(issuing_params.signed_by(&keys[1], &issuer).unwrap()).unwrap();
        let issuer = Issuer::new(issuing_params, &keys[1]);
        let leaf = parse(params("Leaf", false).signed_by(&keys[2], &issuer).unwrap()).unwrap();
        Self {
            root,
            issuing,
            leaf,
        }
    }
}

/// Makes a trusted root with something of everything.
fn everything(chain: &Chain) -> TrustedRoot {
    let since = Validity::since("2026-01-02T03:04:05Z".parse().unwrap());
    let until = Validity {
        end: Some("2027-01-02T03:04:05Z".parse().unwrap()),
        ..since
    };
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let key = PublicKey::from_spki_der(&ed25519.subject_public_key_info()).unwrap();
    let note_key = NoteKey::new("log.example.internal", key).unwrap();
    TrustedRoot {
        certificate_authorities: vec![Authority::new(
            "https://ca.example.internal",
            vec![chain.issuing.clone(), chain.root.clone()],
            since,
        )],
        time_stamp_authorities: vec![Authority::new(
            "https://signing.example.internal/v1/timestamps",
            vec![
                chain.leaf.clone(),
                chain.issuing.clone(),
                chain.root.clone(),
            ],
            until,
        )],
        logs: vec![LogInstance::signatures(&note_key, since)],
        ct_logs: vec![LogInstance::certificates(
            "https://ct.example.internal",
            chain.leaf.public_key().clone(),
            since,
        )],
    }
}

/// Returns SubjectPublicKeyInfo octets through rcgen.
trait Spki {
    /// Them.
    fn subject_public_key_info(&self) -> Vec<u8>;
}

impl Spki for KeyPair {
    fn subject_public_key_info(&self) -> Vec<u8> {
        rcgen::PublicKeyData::subject_public_key_info(self)
    }
}

#[test]
fn a_trusted_root_is_one_line_and_is_read_as_it_is_written() {
    let root = everything(&Chain::new());
    let json = root.to_json();
    assert_eq!(json.matches('\n').count(), 1);
    assert!(json.ends_with("}\n"));
    let read = TrustedRoot::read(json.as_bytes()).unwrap();
    assert_eq!(read.to_json(), json);
    assert_eq!(
        read.logs[0].note_key().unwrap().origin(),
        "log.example.internal"
    );
    assert_eq!(read.certificate_authorities[0].valid_for.end, None);
}

#[test]
fn members_are_named_as_protocol_buffers_have_them() {
    let value: serde_json::Value =
        serde_json::from_str(&everything(&Chain::new()).to_json()).unwrap();
    assert_eq!(value["mediaType"], MEDIA_TYPE);
    let authority = &value["certificateAuthorities"][0];
    assert_eq!(authority["subject"]["organization"], "Example");
    assert_eq!(authority["subject"]["commonName"], "Root");
    assert_eq!(authority["uri"], "https://ca.example.internal");
    assert_eq!(authority["validFor"]["start"], "2026-01-02T03:04:05Z");
    assert_eq!(authority["validFor"].get("end"), None);
    let certificates = &value["timestampAuthorities"][0]["certChain"]["certificates"];
    assert_eq!(certificates.as_array().unwrap().len(), 3);
    assert!(certificates[0]["rawBytes"].is_string());
    let log = &value["tlogs"][0];
    assert_eq!(log["baseUrl"], "https://log.example.internal");
    assert_eq!(log["hashAlgorithm"], "SHA2_256");
    assert_eq!(log["publicKey"]["keyDetails"], "PKIX_ED25519");
    assert!(log["logId"]["keyId"].is_string());
    assert_eq!(
        value["ctlogs"][0]["publicKey"]["keyDetails"],
        "PKIX_ECDSA_P256_SHA_256"
    );
}

#[test]
fn pem_holds_each_ca_once_and_roots_last() {
    let chain = Chain::new();
    let pem = everything(&chain).to_pem();
    let read = TrustedRoot::read(pem.as_bytes()).unwrap();
    for authorities in [&read.certificate_authorities, &read.time_stamp_authorities] {
        let ders: Vec<&[u8]> = authorities[0]
            .certificates
            .iter()
            .map(Certificate::der)
            .collect();
        assert_eq!(ders, [chain.issuing.der(), chain.root.der()]);
    }
    assert!(read.logs.is_empty());
    let issuing = pki::pem::write_certificate(chain.issuing.der());
    assert_eq!(
        TrustedRoot::read(issuing.as_bytes()).unwrap_err(),
        TrustedRootError::NoRoot
    );
}

#[test]
fn what_is_no_trusted_root_says_why() {
    let json = everything(&Chain::new()).to_json();
    let altered = |from: &str, to: &str| {
        assert!(json.contains(from), "{from}");
        TrustedRoot::read(json.replacen(from, to, 1).as_bytes()).map(|root| root.logs.len())
    };
    assert!(matches!(
        altered("version=0.1", "version=9"),
        Err(TrustedRootError::MediaType { .. })
    ));
    assert_eq!(
        altered("\"certificates\":[", "\"certificates\":[],\"x\":["),
        Err(TrustedRootError::Certificates { count: 0, max: 64 })
    );
    assert!(matches!(
        altered(
            "\"certificates\":[",
            "\"certificates\":[{\"rawBytes\":\"AA==\"},"
        ),
        Err(TrustedRootError::Certificate(_))
    ));
    assert!(matches!(
        altered("2026-01-02", "2026-13-02"),
        Err(TrustedRootError::Json(_))
    ));
    // A log with a tree or a key of a kind to come is no reason to refuse the rest.
    assert_eq!(altered("SHA2_256", "SHA3_256"), Ok(0));
    assert_eq!(altered("\"rawBytes\":\"MCow", "\"rawBytes\":\"MCoX"), Ok(0));
    assert_eq!(TrustedRoot::read(b"").unwrap_err(), TrustedRootError::Pem);
}

#[test]
fn trust_is_joined() {
    let mut root = TrustedRoot::from_certificates(vec![Chain::new().root]).unwrap();
    root.merge(everything(&Chain::new()));
    assert_eq!(root.certificate_authorities.len(), 2);
    assert_eq!(root.time_stamp_authorities.len(), 2);
    assert_eq!(root.logs.len() + root.ct_logs.len(), 2);
}

proptest! {
    #[test]
    fn no_octets_panic(octets: Vec<u8>) {
        let _ = TrustedRoot::read(&octets);
    }
}
