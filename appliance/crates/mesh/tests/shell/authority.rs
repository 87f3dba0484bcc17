//! An authority of the test's own that signs CRLs and OCSP responses: shared
//! with the unit tests of the library.

#![allow(
    dead_code,
    reason = "the unit tests and the tests over sockets each use a part of it"
)]

use std::sync::Arc;
use std::time::Duration;

use model::{IssuerId, RevocationReason, SerialNumber, Timestamp};
use pki::algorithm::{HashAlgorithm, SignatureAlgorithm};
use pki::certificate::Certificate;
use pki::crl::{CrlNumber, CrlPlan, IssuingPoint, encode_entry};
use pki::issuer::{IssuerFacts, IssuerUrls};
use pki::ocsp::{Answer, CertId, CertIdHash, CertStatus, IssuerHashes, Responder, ResponsePlan};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SigningKey,
};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey as TlsKey;

/// The moment at which the tests' CRLs begin.
pub(crate) fn start() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// So many seconds later.
pub(crate) fn later(seconds: u64) -> Timestamp {
    start() + Duration::from_secs(seconds)
}

/// A serial number of 18 octets that ends with `last`.
pub(crate) fn serial(last: u16) -> SerialNumber {
    let [high, low] = last.to_be_bytes();
    let mut octets = [0x40; 18];
    octets[16..].copy_from_slice(&[high, low]);
    SerialNumber::from_unsigned(&octets).unwrap()
}

/// A CA certificate and its key.
pub(crate) struct Authority {
    /// Certifies leaves, where the test made it.
    issuer: Option<CertifiedIssuer<'static, KeyPair>>,
    pub(crate) certificate: Certificate,
    pub(crate) facts: IssuerFacts,
    pub(crate) key: KeyPair,
}

/// A CRL to be signed.
#[derive(Clone)]
pub(crate) struct CrlSpec {
    pub(crate) number: u64,
    pub(crate) this_update: Timestamp,
    pub(crate) life: Duration,
    pub(crate) base: Option<u64>,
    pub(crate) point: Option<IssuingPoint>,
    pub(crate) entries: Vec<(SerialNumber, RevocationReason)>,
}

impl CrlSpec {
    /// A full CRL of one day.
    pub(crate) fn full(number: u64, serials: &[SerialNumber]) -> Self {
        let reason = RevocationReason::KeyCompromise;
        Self {
            number,
            this_update: start(),
            life: Duration::from_secs(86_400),
            base: None,
            point: None,
            entries: serials
                .iter()
                .map(|serial| (serial.clone(), reason))
                .collect(),
        }
    }

    /// The same, later.
    pub(crate) fn at(mut self, this_update: Timestamp) -> Self {
        self.this_update = this_update;
        self
    }

    /// A delta CRL of one day.
    pub(crate) fn delta(
        number: u64,
        base: u64,
        entries: &[(SerialNumber, RevocationReason)],
    ) -> Self {
        Self {
            base: Some(base),
            entries: entries.to_vec(),
            ..Self::full(number, &[])
        }
    }
}

impl Authority {
    /// Makes a root.
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2046, 1, 1);
        let key = KeyPair::generate().unwrap();
        let key_pem = key.serialize_pem();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let issuer_der = issuer.der().clone();
        Self {
            issuer: Some(issuer),
            ..Self::of(issuer_der.as_ref(), &key_pem)
        }
    }

    /// Certifies a new key for a server: chain and key.
    pub(crate) fn leaf(&self) -> (Vec<CertificateDer<'static>>, Arc<dyn TlsKey>) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2046, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params
            .signed_by(&key, self.issuer.as_ref().unwrap())
            .unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let chain = vec![
            certificate.der().clone(),
            self.certificate.der().to_vec().into(),
        ];
        (chain, any_supported_type(&key).unwrap())
    }

    /// Signs an OCSP response about a leaf, from `this_update` for so long.
    pub(crate) fn ocsp(
        &self,
        leaf_der: &[u8],
        status: CertStatus,
        this_update: Timestamp,
        life: Duration,
    ) -> Vec<u8> {
        let leaf = Certificate::from_der(leaf_der).unwrap();
        let hashes = IssuerHashes::of(&self.certificate);
        let cert_id = hashes.cert_id_der(CertIdHash::Sha1, leaf.serial());
        let answers = [Answer {
            cert_id: CertId::from_der(&cert_id).unwrap(),
            status,
            this_update,
            next_update: this_update + life,
            archive_cutoff: None,
        }];
        let plan = ResponsePlan {
            produced_at: this_update,
            answers: &answers,
            nonce: None,
            extended_revoke: false,
        };
        let responder = Responder::issuer(&self.facts);
        let linted = pki::ocsp::lint(plan.encode(&responder), &responder, this_update).unwrap();
        let signature = self.key.sign(linted.der()).unwrap();
        linted.assemble(&signature).unwrap().to_der(&responder)
    }

    /// Takes a certificate and its key.
    pub(crate) fn of(certificate_der: &[u8], key_pem: &str) -> Self {
        let certificate = Certificate::from_der(certificate_der).unwrap();
        let algorithm = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256);
        Self {
            issuer: None,
            facts: IssuerFacts::from_certificate(&certificate, algorithm, IssuerUrls::default())
                .unwrap(),
            certificate,
            key: KeyPair::from_pem(key_pem).unwrap(),
        }
    }

    /// Signs a CRL.
    pub(crate) fn crl(&self, spec: &CrlSpec) -> Vec<u8> {
        let mut plan = CrlPlan::full(
            CrlNumber::from(spec.number),
            spec.this_update,
            spec.this_update + spec.life,
        );
        plan.delta_base = spec.base.map(CrlNumber::from);
        plan.issuing_point = spec.point.clone();
        let entries: Vec<_> = spec
            .entries
            .iter()
            .map(|(serial, reason)| encode_entry(serial, spec.this_update, *reason, None).unwrap())
            .collect();
        let planned = plan
            .encode(&self.facts, entries.iter().map(AsRef::as_ref))
            .unwrap();
        let linted = pki::crl::lint(planned, &plan, &self.facts, spec.this_update).unwrap();
        let signature = self.key.sign(linted.tbs_der()).unwrap();
        linted.assemble(&signature).unwrap()
    }
}

/// The name by which the tests' authority is watched.
pub(crate) fn issuing() -> IssuerId {
    "issuing".parse().unwrap()
}
