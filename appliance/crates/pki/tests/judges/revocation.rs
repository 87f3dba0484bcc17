//! CRLs and OCSP responses of every kind of issuer, before judges that are not ours.

use std::path::PathBuf;

use model::{RevocationReason, SerialNumber, Timestamp};
use pki::algorithm::{HashAlgorithm, SignatureAlgorithm};
use pki::certificate::Certificate;
use pki::crl::{self, Crl, CrlNumber, CrlPlan, IssuingPoint};
use pki::issuer::IssuerFacts;
use pki::name::DistinguishedName;
use pki::names::AlternativeName;
use pki::ocsp::{self, CertIdHash, CertStatus, IssuerHashes, Responder};
use pki::pem;
use pki::profile::{PlanRequest, Profile, ProfileConfig, ProfileKind};

use super::support::{Authority, TestKey, now, serial, urls};
use super::{ask, judge};

/// The shard that certificates and CRLs here name.
const SHARD: &str = "http://127.0.0.1:8080/crl/issuing-3.crl";
/// Where deltas are.
const DELTA: &str = "http://127.0.0.1:8080/crl/issuing-delta.crl";

/// Returns a time some seconds from now.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() + seconds).unwrap()
}

/// An issuer, its root, and two certificates: 9, which is revoked, and 10, which is not.
struct Stage {
    /// Files for the judges.
    directory: tempfile::TempDir,
    /// Who revokes.
    issuing: Authority,
    /// The file of the root.
    root_pem: String,
    /// The file of the issuer.
    issuing_pem: String,
}

/// A certificate and its file.
struct Leaf {
    /// The certificate.
    certificate: Certificate,
    /// Its file.
    file: String,
}

impl Stage {
    /// Makes the hierarchy; the issuer signs by the algorithm given.
    fn new(key: TestKey, algorithm: SignatureAlgorithm) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
        let mut issuing = root.subordinate(key, &ProfileConfig::default());
        issuing.facts =
            IssuerFacts::from_certificate(&issuing.certificate, algorithm, urls()).unwrap();
        let write = |name: &str, certificate: &Certificate| {
            let path = directory.path().join(name);
            std::fs::write(&path, pem::write_certificate(certificate.der())).unwrap();
            path.to_str().unwrap().to_owned()
        };
        Self {
            root_pem: write("root.pem", &root.certificate),
            issuing_pem: write("issuing.pem", &issuing.certificate),
            directory,
            issuing,
        }
    }

    /// Returns the path of a file.
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file and returns its path.
    fn write(&self, name: &str, contents: &[u8]) -> String {
        std::fs::write(self.path(name), contents).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Issues a TLS server's certificate.
    fn leaf(&self, number: u8, crl_shard: Option<u32>) -> Leaf {
        let profile = Profile::built_in(ProfileKind::TlsServer).unwrap();
        let subject: DistinguishedName = "CN=www.example.org".parse().unwrap();
        let names: [AlternativeName; 1] = ["dns:www.example.org".parse().unwrap()];
        let public_key = TestKey::p256().public_key();
        let mut request = PlanRequest::new(&public_key, &subject, serial(number), now());
        request.names = &names;
        request.crl_shard = crl_shard;
        let certificate = self.issuing.issue(&profile, &request);
        let pem = pem::write_certificate(certificate.der());
        Leaf {
            file: self.write(&format!("leaf-{number}.pem"), pem.as_bytes()),
            certificate,
        }
    }

    /// Issues a CRL and puts it before every judge that sees CRLs alone.
    fn crl(&self, name: &str, plan: &CrlPlan, entries: &[Box<[u8]>]) -> String {
        let entries = entries.iter().map(|entry| &**entry);
        let planned = plan.encode(&self.issuing.facts, entries).unwrap();
        let linted = crl::lint(planned, plan, &self.issuing.facts, now()).unwrap();
        let signature = self
            .issuing
            .key
            .sign(linted.signature_algorithm(), linted.tbs_der());
        let der = linted.assemble(&signature).unwrap();
        Crl::parse(&der)
            .unwrap()
            .verify_issued_by(&self.issuing.certificate)
            .unwrap();
        let der_file = self.write(&format!("{name}.crl"), &der);
        let file = self.path(&format!("{name}.pem"));
        let file = file.to_str().unwrap().to_owned();
        let convert = ["crl", "-inform", "DER", "-in", &der_file, "-out", &file];
        judge("openssl", &convert);
        let verify = ["crl", "-noout", "-in", &file, "-CAfile", &self.issuing_pem];
        let (content, words) = ask("openssl", &verify);
        assert!(content && words.contains("verify OK"), "{name}: {words}");
        self.judge_by_gnutls(&file);
        let profile = ["-t", "CRL", "-p", "PKIX"];
        judge_by_pkilint("lint_crl", &profile, &der_file);
        file
    }

    /// Has GnuTLS verify a CRL by its issuer.
    fn judge_by_gnutls(&self, file: &str) {
        let trust = ["--load-ca-certificate", &self.issuing_pem];
        let verify = ["--verify-crl", "--infile", file];
        let (content, words) = ask("certtool", &[&trust[..], &verify].concat());
        assert!(content && words.contains("Verified"), "{file}: {words}");
    }

    /// Asks openssl about a certificate by some CRLs; returns its words if it objects.
    fn check(&self, options: &[&str], crls: &[&str], leaf: &Leaf) -> Result<(), String> {
        let mut arguments = vec!["verify", "-x509_strict", "-crl_check"];
        arguments.extend(["-CAfile", &self.root_pem, "-untrusted", &self.issuing_pem]);
        arguments.extend(options);
        arguments.extend(crls.iter().flat_map(|crl| ["-CRLfile", crl]));
        arguments.push(&leaf.file);
        let (content, words) = ask("openssl", &arguments);
        if content { Ok(()) } else { Err(words) }
    }

    /// Signs a response and returns its file, linted by pkilint.
    fn response(
        &self,
        name: &str,
        responder: (&Responder, &TestKey),
        plan: &ocsp::ResponsePlan<'_>,
    ) -> String {
        let (responder, key) = responder;
        let linted = ocsp::lint(plan.encode(responder), responder, now()).unwrap();
        let signature = key.sign(linted.signature_algorithm(), linted.der());
        let signed = linted.assemble(&signature).unwrap();
        let file = self.write(name, &signed.to_der(responder));
        judge_by_pkilint("lint_ocsp_response", &[], &file);
        file
    }

    /// Has openssl and GnuTLS verify a response about a certificate.
    fn judge_response(&self, file: &str, leaf: &Leaf, nonce: Option<&[u8]>, status: &str) {
        // Of our request openssl takes the nonce, which must be the response's.
        let cert_id = IssuerHashes::of(&self.issuing.certificate)
            .cert_id_der(CertIdHash::Sha1, leaf.certificate.serial());
        let asked = ocsp::encode_request(&[&cert_id], nonce);
        let asked = self.write("asked.der", &asked);
        let question = ["ocsp", "-no_nonce", "-reqin", &asked, "-respin", file];
        let who = ["-issuer", &self.issuing_pem, "-cert", &leaf.file];
        let trust = [
            "-CAfile",
            &self.root_pem,
            "-verify_other",
            &self.issuing_pem,
        ];
        let (content, words) = ask("openssl", &[&question[..], &who, &trust].concat());
        let told = words.contains(&format!("{}: {status}", leaf.file));
        let verified = words.contains("Response verify OK");
        assert!(content && told && verified, "{file}: {words}");
        // GnuTLS finds an issuer that answers for itself by the subject key identifier
        // alone, which is SHA-1 in none of our certificates: then it must be told.
        let trust = if file.contains("own") {
            "--load-signer"
        } else {
            "--load-trust"
        };
        let verify = ["--verify-response", "--load-response", file];
        let (content, words) = ask(
            "ocsptool",
            &[&verify[..], &[trust, &self.issuing_pem]].concat(),
        );
        assert!(content && words.contains("Success"), "{file}: {words}");
    }
}

/// Has pkilint look at a file.
fn judge_by_pkilint(program: &str, options: &[&str], file: &str) {
    let mut arguments = vec!["lint", "-s", "WARNING"];
    arguments.extend(options);
    arguments.push(file);
    let (content, words) = ask(program, &arguments);
    assert!(
        content && words.trim().is_empty(),
        "{program} {file}: {words}"
    );
}

/// Encodes an entry of a minute ago.
fn entry(number: &SerialNumber, reason: RevocationReason) -> Box<[u8]> {
    crl::encode_entry(number, at(-60), reason, None).unwrap()
}

/// Puts CRLs of every kind before every judge.
fn judge_crls(stage: &Stage) {
    let (revoked, good) = (stage.leaf(9, None), stage.leaf(10, None));
    let compromised = crl::encode_entry(
        &serial(9),
        at(-60),
        RevocationReason::KeyCompromise,
        Some(at(-7200)),
    );
    let mut entries = vec![compromised.unwrap()];
    entries.extend([
        entry(&serial(11), RevocationReason::Unspecified),
        entry(&serial(12), RevocationReason::CertificateHold),
        entry(&"ff".parse().unwrap(), RevocationReason::Superseded),
    ]);
    let mut full = CrlPlan::full(CrlNumber::from(7 << 40), now(), at(86_400));
    full.freshest = Some(DELTA.to_owned());
    full.expired_certs_on_crl = Some(at(-86_400));
    let full_file = stage.crl("full", &full, &entries);
    stage.check(&[], &[&full_file], &good).unwrap();
    let objection = stage.check(&[], &[&full_file], &revoked).unwrap_err();
    assert!(objection.contains("certificate revoked"), "{objection}");

    // A delta that revokes the good one as well.
    let mut delta = CrlPlan::full(CrlNumber::from((7 << 40) + 1), now(), at(3600));
    delta.delta_base = Some(full.number);
    let released = entry(&serial(12), RevocationReason::RemoveFromCrl);
    let added = entry(&serial(10), RevocationReason::Superseded);
    let delta_file = stage.crl("delta", &delta, &[added, released]);
    let deltas = ["-extended_crl", "-use_deltas"];
    let objection = stage
        .check(&deltas, &[&full_file, &delta_file], &good)
        .unwrap_err();
    assert!(objection.contains("certificate revoked"), "{objection}");

    // Without a single entry.
    let empty = CrlPlan::full(CrlNumber::from(0), now(), at(86_400));
    let empty_file = stage.crl("empty", &empty, &[]);
    stage.check(&[], &[&empty_file], &revoked).unwrap();
}

/// Puts a shard before every judge, with certificates of it and of none.
fn judge_shards(stage: &Stage) {
    let (inside, outside) = (stage.leaf(9, Some(3)), stage.leaf(10, None));
    assert_eq!(inside.certificate.extensions().crl, [SHARD]);
    let mut shard = CrlPlan::full(CrlNumber::from(8), now(), at(86_400));
    shard.issuing_point = Some(IssuingPoint {
        urls: vec![SHARD.to_owned()],
        ..IssuingPoint::default()
    });
    let entries = [entry(&serial(9), RevocationReason::KeyCompromise)];
    let file = stage.crl("shard", &shard, &entries);
    let objection = stage.check(&[], &[&file], &inside).unwrap_err();
    assert!(objection.contains("certificate revoked"), "{objection}");
    let objection = stage.check(&[], &[&file], &outside).unwrap_err();
    assert!(objection.contains("scope"), "{objection}");
}

/// Puts responses of every kind before every judge.
fn judge_responses(stage: &Stage, algorithm: SignatureAlgorithm, key: TestKey) {
    let (leaf, issuer) = (stage.leaf(9, None), &stage.issuing.certificate);
    let profile = Profile::built_in(ProfileKind::OcspResponder).unwrap();
    let subject: DistinguishedName = "CN=Example OCSP 1".parse().unwrap();
    let public_key = key.public_key();
    let request = PlanRequest::new(&public_key, &subject, serial(200), now());
    let certificate = stage.issuing.issue(&profile, &request);
    let delegated = Responder::delegated(&certificate, issuer, algorithm).unwrap();
    let own = Responder::issuer(&stage.issuing.facts);
    let hashes = IssuerHashes::of(issuer);
    let revoked = CertStatus::Revoked {
        at: at(-60),
        reason: RevocationReason::KeyCompromise,
    };
    for (place, (status, word)) in [
        (CertStatus::Good, "good"),
        (revoked, "revoked"),
        (CertStatus::Unknown, "unknown"),
        (CertStatus::not_issued(), "revoked"),
    ]
    .into_iter()
    .enumerate()
    {
        let ids =
            [CertIdHash::Sha1, CertIdHash::Sha256].map(|hash| hashes.cert_id_der(hash, &serial(9)));
        let answers = [&ids[0], &ids[1]].map(|id| ocsp::Answer {
            cert_id: ocsp::CertId::from_der(id).unwrap(),
            status,
            this_update: now(),
            next_update: at(86_400),
            archive_cutoff: (word == "good").then(|| at(-86_400)),
        });
        for (count, who, name) in [
            (1, (&delegated, &key), "delegated"),
            (1, (&own, &stage.issuing.key), "own"),
            (2, (&delegated, &key), "both-hashes"),
        ] {
            let plan = ocsp::ResponsePlan {
                produced_at: now(),
                answers: &answers[..count],
                nonce: (place % 2 == 1).then_some(&[7; 32]),
                extended_revoke: status == CertStatus::not_issued(),
            };
            let file = stage.response(&format!("{name}-{place}.der"), who, &plan);
            stage.judge_response(&file, &leaf, plan.nonce, word);
        }
    }
}

/// Puts everything that one kind of issuer signs before every judge.
fn judge_all(key: fn() -> TestKey, algorithm: SignatureAlgorithm) {
    let stage = Stage::new(key(), algorithm);
    judge_crls(&stage);
    judge_shards(&stage);
    judge_responses(&stage, algorithm, key());
    judge_requests(&stage);
}

/// Has openssl and GnuTLS ask, and reads their requests.
fn judge_requests(stage: &Stage) {
    let leaf = stage.leaf(9, None);
    let hashes = IssuerHashes::of(&stage.issuing.certificate);
    let file = stage.path("request.der");
    let file = file.to_str().unwrap();
    let asked = |hash: Option<CertIdHash>, nonce: bool| {
        let der = std::fs::read(file).unwrap();
        let request = ocsp::OcspRequest::parse(&der, &ocsp::RequestLimits::default()).unwrap();
        let cert_id = request.first();
        assert!(hashes.matches(&cert_id));
        assert_eq!((request.len(), cert_id.serial()), (1, Some(serial(9))));
        assert_eq!(request.nonce().is_some(), nonce);
        assert!(hash.is_none() || cert_id.hash() == hash);
    };
    for (option, hash) in [
        ("-sha1", CertIdHash::Sha1),
        ("-sha256", CertIdHash::Sha256),
        ("-sha512", CertIdHash::Sha512),
    ] {
        for nonce in ["-nonce", "-no_nonce"] {
            let who = ["-issuer", &stage.issuing_pem, option, "-cert", &leaf.file];
            let how = ["ocsp", "-reqout", file, nonce];
            judge("openssl", &[&how[..], &who].concat());
            asked(Some(hash), nonce == "-nonce");
        }
    }
    let who = [
        "--load-issuer",
        &stage.issuing_pem,
        "--load-cert",
        &leaf.file,
    ];
    // ocsptool sends nonces only where it asks over HTTP.
    let how = ["--generate-request", "--outfile", file];
    judge("ocsptool", &[&how[..], &who].concat());
    asked(None, false);
    // And the other way round: both read what we ask.
    let cert_id = hashes.cert_id_der(CertIdHash::Sha256, &serial(9));
    let ours = stage.write(
        "ours.der",
        &ocsp::encode_request(&[&cert_id], Some(&[7; 32])),
    );
    let (content, words) = ask("openssl", &["ocsp", "-reqin", &ours, "-req_text"]);
    let wanted = format!("Serial Number: {}", serial(9)).to_uppercase();
    assert!(content && words.to_uppercase().contains(&wanted), "{words}");
    judge("ocsptool", &["--request-info", "--load-request", &ours]);
}

#[test]
fn judges_are_content_with_revocation_under_p256() {
    judge_all(
        TestKey::p256,
        SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256),
    );
}

#[test]
fn judges_are_content_with_revocation_under_p384() {
    judge_all(
        TestKey::p384,
        SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha384),
    );
}

#[test]
fn judges_are_content_with_revocation_under_rsa() {
    judge_all(
        TestKey::rsa3072,
        SignatureAlgorithm::RsaPkcs1(HashAlgorithm::Sha256),
    );
}

#[test]
fn judges_are_content_with_revocation_under_rsa_pss() {
    judge_all(
        TestKey::rsa3072,
        SignatureAlgorithm::RsaPss(HashAlgorithm::Sha256),
    );
}

#[test]
fn judges_are_content_with_revocation_under_ed25519() {
    judge_all(TestKey::ed25519, SignatureAlgorithm::Ed25519);
}
