//! CMS signatures and time-stamps before OpenSSL and GnuTLS, and theirs before us.

use std::path::PathBuf;

use model::Timestamp;
use model::signing::ArtifactDigest;
use pki::algorithm::{HashAlgorithm, SignatureAlgorithm, digest_of};
use pki::certificate::Certificate;
use pki::cms::{self, CmsPlan, CmsQuestion, CmsSigner, SignedData};
use pki::path::PathQuestion;
use pki::pem;
use pki::profile::{ExtendedKeyUsage, PlanRequest, Profile, ProfileConfig, ProfileKind};
use pki::public_key::PublicKey;
use pki::timestamp::{
    self, Accuracy, AuthoritySettings, FailureInfo, Precision, RequestPlan, Stamped,
    TimeStampAuthority, TimeStampRequest, TimeStampResponse, TimeStampToken, TokenQuestion,
};

use super::support::{Authority, TestKey, now, serial};
use super::{ask, judge};

/// The artifact.
const ARTIFACT: &[u8] = b"an artifact\r\nof two lines\n";

/// A hierarchy, and files for judges.
struct Bench {
    /// Where files are.
    directory: tempfile::TempDir,
    /// The root.
    root: Certificate,
    /// The issuing authority.
    issuing: Authority,
    /// The root's file.
    root_pem: String,
    /// The issuing authority's file.
    issuing_pem: String,
    /// The artifact's file.
    artifact: String,
    /// The file of another artifact.
    altered: String,
}

impl Bench {
    /// Makes a hierarchy.
    fn new() -> Self {
        let root = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
        let issuing = root.subordinate(TestKey::p256(), &ProfileConfig::default());
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, contents: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, contents).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let certificate = |one: &Certificate| pem::write_certificate(one.der());
        Self {
            root_pem: write("root.pem", certificate(&root.certificate).as_bytes()),
            issuing_pem: write("issuing.pem", certificate(&issuing.certificate).as_bytes()),
            artifact: write("artifact", ARTIFACT),
            altered: write("altered", b"an artifact\r\nof three lines\n"),
            root: root.certificate,
            issuing,
            directory,
        }
    }

    /// Returns the path of a file.
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the path of a file as text.
    fn named(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file and returns its path.
    fn write(&self, name: &str, contents: &[u8]) -> String {
        std::fs::write(self.path(name), contents).unwrap();
        self.named(name)
    }

    /// Reads a file.
    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Issues a certificate by a profile.
    fn issue(&self, kind: ProfileKind, public_key: &PublicKey) -> Certificate {
        let profile = Profile::built_in(kind).unwrap();
        let subject = "CN=Example Unit 1,O=Example,C=DE".parse().unwrap();
        let request = PlanRequest::new(public_key, &subject, serial(9), now());
        self.issuing.issue(&profile, &request)
    }

    /// Has openssl make a key, and issues a certificate for it; returns the key's file
    /// and the certificate's.
    fn openssl_signer(&self, kind: ProfileKind, options: &[&str]) -> (String, String) {
        let (key, public) = (self.named("openssl.key"), self.named("openssl.pub"));
        judge("openssl", &[&["genpkey", "-out", &key], options].concat());
        let export = ["pkey", "-in", &key, "-pubout", "-out", &public];
        judge("openssl", &export);
        let spki = pem::read_public_key(&self.read("openssl.pub")).unwrap();
        let certificate = self.issue(kind, &PublicKey::from_spki_der(&spki).unwrap());
        let pem = pem::write_certificate(certificate.der());
        (key, self.write("openssl.pem", pem.as_bytes()))
    }

    /// Signs the artifact by a key.
    fn sign(&self, key: &TestKey, algorithm: SignatureAlgorithm, hash: HashAlgorithm) -> Vec<u8> {
        let leaf = self.issue(ProfileKind::CodeSigning, &key.public_key());
        let chain = [leaf, self.issuing.certificate.clone()];
        let signer = CmsSigner::new(&chain, algorithm).unwrap();
        let digest = digest_of(hash, ARTIFACT);
        let plan = CmsPlan {
            digest,
            signing_time: now(),
        };
        let linted = cms::lint(plan.encode(&signer), &digest, &signer, now()).unwrap();
        let signature = key.sign(linted.signature_algorithm(), linted.der());
        linted.assemble(&signature).unwrap()
    }

    /// Asks openssl whether a signature is of some content.
    fn openssl_cms(&self, file: &str, content: &str, options: &[&str]) -> (bool, String) {
        let mut arguments = vec!["cms", "-verify", "-binary", "-inform", "DER", "-in", file];
        arguments.extend(["-content", content, "-CAfile", &self.root_pem]);
        arguments.extend(["-purpose", "any", "-out", "/dev/null"]);
        arguments.extend(options);
        ask("openssl", &arguments)
    }

    /// Stamps what a request asks for.
    fn stamp(&self, stamper: &Stamper, request_der: &[u8]) -> TimeStampToken {
        let request = TimeStampRequest::parse(request_der).unwrap();
        let authority = &stamper.authority;
        let planned = authority.plan(&request, &serial(7), now()).unwrap();
        let linted = timestamp::lint(planned, &request, authority, now()).unwrap();
        let signature = stamper.key.sign(linted.signature_algorithm(), linted.der());
        linted.assemble(&signature).unwrap()
    }

    /// Makes a time-stamping authority.
    fn stamper(&self, key: TestKey, algorithm: SignatureAlgorithm) -> Stamper {
        let certificate = self.issue(ProfileKind::TimeStamping, &key.public_key());
        let settings = AuthoritySettings {
            policy: "1.3.6.1.4.1.99999.1".parse().unwrap(),
            accuracy: Some(Accuracy {
                seconds: 1,
                millis: 250,
                micros: 3,
            }),
            ordering: true,
            precision: Precision::Millis,
            named: true,
        };
        Stamper {
            authority: TimeStampAuthority::new(&certificate, algorithm, settings).unwrap(),
            key,
        }
    }

    /// Has openssl verify a response by what it is about.
    fn openssl_ts(&self, file: &str, about: &[&str]) -> (bool, String) {
        let mut arguments = vec!["ts", "-verify", "-in", file, "-CAfile", &self.root_pem];
        arguments.extend(["-untrusted", &self.issuing_pem]);
        arguments.extend(about);
        ask("openssl", &arguments)
    }

    /// Verifies a response of somebody about the artifact.
    fn verify_response(
        &self,
        response_der: &[u8],
        nonce: Option<&[u8]>,
    ) -> Result<timestamp::VerifiedTimeStamp, timestamp::TimeStampRefused> {
        let roots = [self.root.clone()];
        let intermediates = [self.issuing.certificate.clone()];
        let question = TokenQuestion {
            stamped: Stamped::Message(ARTIFACT),
            nonce,
            policy: None,
            intermediates: &intermediates,
            roots: &roots,
        };
        timestamp::verify_response(response_der, &question)
    }

    /// Verifies a signature of somebody by its digest of the artifact.
    fn verify_cms(
        &self,
        cms_der: &[u8],
        content: &[u8],
    ) -> Result<cms::VerifiedCms, cms::CmsRefused> {
        let signed = SignedData::parse(cms_der).unwrap();
        let digest: ArtifactDigest = digest_of(signed.digest_algorithm(), content);
        let roots = [self.root.clone()];
        let path = PathQuestion {
            intermediates: &[],
            roots: &roots,
            at: now(),
            purpose: Some(ExtendedKeyUsage::CODE_SIGNING),
        };
        cms::verify_detached(cms_der, &CmsQuestion { digest, path })
    }
}

/// A time-stamping authority and its key.
struct Stamper {
    /// The authority.
    authority: TimeStampAuthority,
    /// The key.
    key: TestKey,
}

/// Every algorithm that signs contents, with a key, and the hashes that it signs here.
fn algorithms() -> Vec<(TestKey, SignatureAlgorithm, Vec<HashAlgorithm>)> {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    let all = vec![Sha256, Sha384, Sha512];
    vec![
        (
            TestKey::p256(),
            SignatureAlgorithm::Ecdsa(Sha256),
            vec![Sha256],
        ),
        (
            TestKey::p384(),
            SignatureAlgorithm::Ecdsa(Sha384),
            vec![Sha384],
        ),
        (
            TestKey::rsa3072(),
            SignatureAlgorithm::RsaPkcs1(Sha256),
            all.clone(),
        ),
        (TestKey::rsa3072(), SignatureAlgorithm::RsaPss(Sha256), all),
    ]
}

#[test]
fn openssl_and_gnutls_take_our_signatures_and_no_other_content() {
    let bench = Bench::new();
    for (key, algorithm, hashes) in algorithms() {
        for hash in hashes {
            let cms = bench.sign(&key, algorithm, hash);
            let file = bench.write("ours.p7s", &cms);
            // -cades has the signing certificate looked at, too.
            for options in [&[][..], &["-cades"]] {
                let (content, words) = bench.openssl_cms(&file, &bench.artifact, options);
                assert!(content, "{algorithm} {hash} {options:?}: {words}");
            }
            let (content, words) = bench.openssl_cms(&file, &bench.altered, &[]);
            assert!(
                !content && words.contains("content verify error"),
                "{words}"
            );
            // GnuTLS takes the hash of every PSS signature in CMS to be SHA-256.
            if algorithm == SignatureAlgorithm::RsaPss(HashAlgorithm::Sha256)
                && hash != HashAlgorithm::Sha256
            {
                continue;
            }
            let trust = ["--load-ca-certificate", &bench.root_pem];
            let verify = ["--p7-verify", "--inder", "--infile", &file, "--load-data"];
            let (content, words) = ask(
                "certtool",
                &[&trust[..], &verify, &[&bench.artifact]].concat(),
            );
            assert!(content, "{algorithm} {hash}: {words}");
            let (content, words) = ask(
                "certtool",
                &[&trust[..], &verify, &[&bench.altered]].concat(),
            );
            assert!(!content, "{algorithm} {hash}: {words}");
        }
    }
}

#[test]
fn openssl_takes_our_signatures_with_their_time_stamps() {
    let bench = Bench::new();
    let sha256 = HashAlgorithm::Sha256;
    let ecdsa = SignatureAlgorithm::Ecdsa(sha256);
    let cms = bench.sign(&TestKey::p256(), ecdsa, sha256);
    let signature = SignedData::parse(&cms).unwrap().signature().to_vec();
    let stamper = bench.stamper(TestKey::p256(), ecdsa);
    let request = RequestPlan {
        digest: digest_of(sha256, &signature),
        policy: None,
        nonce: None,
        certificate: true,
    };
    let token = bench.stamp(&stamper, &request.encode());
    let stamped = cms::add_time_stamp(&cms, token.der()).unwrap();
    let file = bench.write("stamped.p7s", &stamped);
    let (content, words) = bench.openssl_cms(&file, &bench.artifact, &["-cades"]);
    assert!(content, "{words}");
    let (_, text) = ask(
        "openssl",
        &["cms", "-cmsout", "-print", "-inform", "DER", "-in", &file],
    );
    assert!(text.contains("id-smime-aa-timeStampToken"), "{text}");
    // The token taken out again is openssl's to verify.
    let read = SignedData::parse(&stamped).unwrap();
    let token_file = bench.write("token.der", read.time_stamp_token().unwrap());
    let signature_file = bench.write("signature", &signature);
    let about = ["-token_in", "-data", &signature_file];
    let (content, words) = bench.openssl_ts(&token_file, &about);
    assert!(content, "{words}");
    assert!(bench.verify_cms(&stamped, ARTIFACT).is_ok());
}

#[test]
fn openssl_takes_our_time_stamps_and_tells_what_they_say() {
    let bench = Bench::new();
    let stamping = |algorithm| !matches!(algorithm, SignatureAlgorithm::RsaPss(_));
    for (key, algorithm, _) in algorithms()
        .into_iter()
        .filter(|(_, algorithm, _)| stamping(*algorithm))
    {
        let stamper = bench.stamper(key, algorithm);
        for hash in ["-sha256", "-sha384", "-sha512"] {
            let query = bench.named("query.tsq");
            let mut arguments = vec!["ts", "-query", "-data", &bench.artifact, hash];
            arguments.extend(["-cert", "-out", &query]);
            judge("openssl", &arguments);
            let asked = bench.read("query.tsq");
            let token = bench.stamp(&stamper, &asked);
            let file = bench.write("ours.tsr", &token.to_response());
            let (content, words) = bench.openssl_ts(&file, &["-queryfile", &query]);
            assert!(content, "{algorithm} {hash}: {words}");
            let (content, words) = bench.openssl_ts(&file, &["-data", &bench.artifact]);
            assert!(content, "{algorithm} {hash}: {words}");
            let (content, words) = bench.openssl_ts(&file, &["-data", &bench.altered]);
            assert!(!content && words.contains("imprint"), "{words}");
            // Of another query the nonce differs.
            judge("openssl", &arguments);
            let (content, words) = bench.openssl_ts(&file, &["-queryfile", &query]);
            assert!(!content && words.contains("nonce"), "{words}");
            let (content, text) = ask("openssl", &["ts", "-reply", "-in", &file, "-text"]);
            assert!(content, "{text}");
            for line in [
                "Status: Granted.",
                "Policy OID: 1.3.6.1.4.1.99999.1",
                "Accuracy: 0x01 seconds, 0xFA millis, 0x03 micros",
                "Ordering: yes",
                "TSA: DirName:/C=DE/O=Example/CN=Example Unit 1",
            ] {
                assert!(text.contains(line), "{line} is not in: {text}");
            }
        }
    }
}

#[test]
fn openssl_takes_our_time_stamps_without_a_certificate() {
    let bench = Bench::new();
    let ecdsa = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256);
    let stamper = bench.stamper(TestKey::p256(), ecdsa);
    let query = bench.named("query.tsq");
    let mut arguments = vec!["ts", "-query", "-data", &bench.artifact, "-sha256"];
    arguments.extend(["-out", &query]);
    judge("openssl", &arguments);
    let token = bench.stamp(&stamper, &bench.read("query.tsq"));
    let file = bench.write("ours.tsr", &token.to_response());
    let about = ["-queryfile", &query];
    let (content, words) = bench.openssl_ts(&file, &about);
    assert!(!content && words.contains("signer certificate"), "{words}");
    let chain = [
        stamper.authority.certificate().der(),
        bench.issuing.certificate.der(),
    ];
    let chain = bench.write("chain.pem", pem::write_chain(chain).as_bytes());
    let trust = ["-CAfile", &bench.root_pem, "-untrusted", &chain];
    let verify = ["ts", "-verify", "-in", &file];
    judge("openssl", &[&verify[..], &about, &trust].concat());
}

#[test]
fn openssl_reads_our_requests_and_refusals() {
    let bench = Bench::new();
    let request = RequestPlan {
        digest: digest_of(HashAlgorithm::Sha384, ARTIFACT),
        policy: Some("1.2.3.4".parse().unwrap()),
        nonce: Some(&[0xff, 1]),
        certificate: true,
    };
    let query = bench.write("ours.tsq", &request.encode());
    let (content, text) = ask("openssl", &["ts", "-query", "-in", &query, "-text"]);
    assert!(content, "{text}");
    for line in [
        "Hash Algorithm: sha384",
        "Policy OID: 1.2.3.4",
        "Nonce: 0xFF01",
        "Certificate required: yes",
    ] {
        assert!(text.contains(line), "{line} is not in: {text}");
    }
    for (failure, told) in [
        (FailureInfo::BadAlg, "unrecognized or unsupported algorithm"),
        (FailureInfo::BadRequest, "transaction not permitted"),
        (
            FailureInfo::BadDataFormat,
            "the data submitted has the wrong format",
        ),
        (
            FailureInfo::TimeNotAvailable,
            "the TSA's time source is not available",
        ),
        (
            FailureInfo::UnacceptedPolicy,
            "the requested TSA policy is not supported",
        ),
        (
            FailureInfo::UnacceptedExtension,
            "the requested extension is not supported",
        ),
        (FailureInfo::AddInfoNotAvailable, "additional information"),
        (FailureInfo::SystemFailure, "system failure"),
    ] {
        let der = timestamp::rejection(failure, "why it is so");
        assert_eq!(
            TimeStampResponse::parse(&der),
            Ok(TimeStampResponse::Rejected {
                status: 2,
                failure: Some(failure)
            })
        );
        let file = bench.write("refused.tsr", &der);
        let (_, text) = ask("openssl", &["ts", "-reply", "-in", &file, "-text"]);
        assert!(text.contains("Status: Rejected."), "{text}");
        assert!(text.contains("why it is so"), "{text}");
        assert!(text.contains(told), "{failure}: {text}");
    }
}

#[test]
fn signatures_by_openssl_are_read_and_verified() {
    let bench = Bench::new();
    let ec = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let ec384 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
    let rsa = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"];
    let pss = [
        "-keyopt",
        "rsa_padding_mode:pss",
        "-keyopt",
        "rsa_pss_saltlen:digest",
    ];
    for (key, options, bound) in [
        (&ec, &[][..], false),
        (&ec, &["-cades"], true),
        (&ec, &["-keyid", "-cades", "-md", "sha512"], true),
        (&ec, &["-nosmimecap"], false),
        (&ec384, &["-md", "sha384", "-cades"], true),
        (&rsa, &["-md", "sha256"], false),
        (&rsa, &["-md", "sha512", "-cades"], true),
        (&rsa, &pss, false),
    ] {
        let (key, certificate) = bench.openssl_signer(ProfileKind::CodeSigning, key);
        let out = bench.named("theirs.p7s");
        let mut arguments = vec!["cms", "-sign", "-binary", "-in", &bench.artifact];
        arguments.extend(["-signer", &certificate, "-inkey", &key]);
        arguments.extend(["-certfile", &bench.issuing_pem]);
        arguments.extend(["-outform", "DER", "-out", &out]);
        arguments.extend(options);
        judge("openssl", &arguments);
        let cms = bench.read("theirs.p7s");
        let verified = bench
            .verify_cms(&cms, ARTIFACT)
            .unwrap_or_else(|error| panic!("{options:?}: {error}"));
        assert_eq!(verified.certificate_bound, bound, "{options:?}");
        assert!(verified.signing_time.is_some());
        assert_eq!(
            bench.verify_cms(&cms, b"altered").unwrap_err(),
            cms::CmsRefused::Digest
        );
    }
}

#[test]
fn time_stamps_by_openssl_are_read_and_verified() {
    let bench = Bench::new();
    for (key, digest) in [
        (
            ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "sha256",
        ),
        (
            ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
            "sha512",
        ),
    ] {
        let (key, certificate) = bench.openssl_signer(ProfileKind::TimeStamping, &key);
        let config = format!(
            "[tsa]\ndefault_tsa = one\n[one]\nserial = {}\ndefault_policy = 1.2.3.4.1\n\
             digests = sha256, sha384, sha512\naccuracy = secs:1, millisecs:500, microsecs:100\n\
             clock_precision_digits = 3\nordering = yes\ntsa_name = yes\n\
             signer_digest = {digest}\ness_cert_id_alg = {digest}\n\
             certs = {}\ness_cert_id_chain = yes\n",
            bench.named("tsa-serial"),
            bench.issuing_pem
        );
        let config = bench.write("tsa.cnf", config.as_bytes());
        let nonce = [1, 2, 3, 4, 5, 6, 7, 8];
        for nonce in [None, Some(&nonce[..])] {
            let request = RequestPlan {
                digest: digest_of(HashAlgorithm::Sha256, ARTIFACT),
                policy: None,
                nonce,
                certificate: true,
            };
            let query = bench.write("ours.tsq", &request.encode());
            let out = bench.named("theirs.tsr");
            let mut arguments = vec!["ts", "-reply", "-config", &config, "-section", "one"];
            arguments.extend(["-queryfile", &query, "-signer", &certificate]);
            arguments.extend(["-inkey", &key, "-out", &out]);
            judge("openssl", &arguments);
            let response = bench.read("theirs.tsr");
            let verified = bench.verify_response(&response, nonce).unwrap();
            let far = verified.gen_time.duration_since(now());
            assert!(far.as_secs().abs() < 600, "{}", verified.gen_time);
            assert_eq!(verified.policy.to_string(), "1.2.3.4.1");
            assert!(verified.ordering);
            assert_eq!(
                verified.accuracy,
                Some(Accuracy {
                    seconds: 1,
                    millis: 500,
                    micros: 100
                })
            );
            assert_eq!(
                bench.verify_response(&response, Some(&[9, 9])).unwrap_err(),
                timestamp::TimeStampRefused::Nonce
            );
        }
    }
}

#[test]
fn a_request_by_openssl_for_what_is_not_done_is_refused_by_its_reason() {
    let bench = Bench::new();
    let stamper = bench.stamper(
        TestKey::p256(),
        SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256),
    );
    let query = bench.named("query.tsq");
    for hash in ["-sha1", "-md5", "-sha224", "-sha3-256"] {
        let arguments = [
            "ts",
            "-query",
            "-data",
            &bench.artifact,
            hash,
            "-out",
            &query,
        ];
        judge("openssl", &arguments);
        let refused = TimeStampRequest::parse(&bench.read("query.tsq")).unwrap_err();
        assert_eq!(refused.failure(), FailureInfo::BadAlg, "{hash}");
    }
    let mut arguments = vec!["ts", "-query", "-data", &bench.artifact, "-sha256"];
    arguments.extend(["-tspolicy", "1.2.3.4", "-out", &query]);
    judge("openssl", &arguments);
    let asked = bench.read("query.tsq");
    let request = TimeStampRequest::parse(&asked).unwrap();
    let now: Timestamp = now();
    let refused = stamper
        .authority
        .plan(&request, &serial(1), now)
        .unwrap_err();
    assert_eq!(refused.wished.to_string(), "1.2.3.4");
}
