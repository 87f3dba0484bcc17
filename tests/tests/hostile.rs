//! The fuzz targets' stable runner: seeds that are real, mutated without end but for the
//! clock.
//!
//! A failure prints the bytes in hexadecimal; they belong into a test of the parser's
//! crate. `CHANCERY_HOSTILE_SECONDS` gives each target another time than three seconds.

#[expect(unreachable_pub, reason = "the file is a library for the fuzz targets")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

#[cfg(test)]
#[path = "hostile/bundles.rs"]
mod bundles;

#[cfg(test)]
#[path = "hostile/forge.rs"]
mod forge;

#[cfg(test)]
#[path = "hostile/signatures.rs"]
mod signatures;

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::{Duration, Instant};

    use chancery_tests::{Builder, KeyKind, Request};
    use model::{NodePrefix, RevocationReason, SerialNumber};
    use pki::algorithm::{HashAlgorithm, SignatureAlgorithm};
    use pki::certificate::Certificate;
    use pki::crl::{self, CoveredKinds, CrlNumber, CrlPlan, IssuingPoint};
    use pki::issuer::{IssuerFacts, IssuerUrls};
    use pki::ocsp::{
        self, Answer, CertId, CertIdHash, CertStatus, ErrorStatus, IssuerHashes, Responder,
        ResponsePlan,
    };

    use super::bundles::Bundles;
    use super::signatures::Signatures;
    use super::targets::{TARGETS, Target};

    /// Returns the time that each target gets.
    fn time() -> Duration {
        let seconds = std::env::var("CHANCERY_HOSTILE_SECONDS")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(3);
        Duration::from_secs(seconds)
    }

    /// Returns a target by its name.
    fn target(name: &str) -> Target {
        TARGETS.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): the same inputs in every run.
    struct Random(u64);

    impl Random {
        /// Returns the next number.
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^ (bits >> 31)
        }
    }

    /// Returns a number below a bound.
    fn below(random: &mut Random, bound: usize) -> usize {
        (random.next() % bound.max(1) as u64) as usize
    }

    /// Changes bytes in one of the ways in which parsers are surprised.
    fn mutate(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = below(random, bytes.len());
        match below(random, 9) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << below(random, 8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0x84, 0xff][below(random, 6)],
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.next().to_le_bytes()[0]),
            4 if !bytes.is_empty() => drop(bytes.remove(at)),
            5 => {
                let to = at + below(random, 40);
                let copy = bytes[at..to.min(bytes.len())].to_vec();
                bytes.splice(at..at, copy);
            }
            6 => {
                let from = below(random, other.len());
                let to = (from + below(random, 64)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            7 => bytes.extend_from_slice(&random.next().to_le_bytes()),
            _ => bytes.extend_from_slice(other),
        }
        bytes.truncate(256 * 1024);
    }

    /// Gives a target each seed as it is, then mutations of them until time is up.
    fn run(name: &str, seeds: &[Vec<u8>]) {
        let target = target(name);
        let mut random = Random(0x5eed);
        for seed in seeds {
            target(seed);
        }
        let (began, time) = (Instant::now(), time());
        let mut tried = 0_u64;
        while began.elapsed() < time {
            let mut bytes = seeds[below(&mut random, seeds.len())].clone();
            for _ in 0..=below(&mut random, 4) {
                let other = &seeds[below(&mut random, seeds.len())];
                mutate(&mut random, &mut bytes, other);
            }
            if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
                let mut hex = String::new();
                for byte in &bytes {
                    write!(hex, "{byte:02x}").unwrap();
                }
                panic!("{name} panicked after {tried} inputs at: {hex}");
            }
            tried += 1;
        }
        assert!(tried > 100, "{name}: only {tried} inputs in {time:?}");
    }

    /// Makes requests of every kind.
    fn requests() -> Vec<Request> {
        let kinds = [
            KeyKind::P256,
            KeyKind::P384,
            KeyKind::Rsa2048,
            KeyKind::Ed25519,
        ];
        let names = [
            "DNS:a.example.internal",
            "IP:192.0.2.1",
            "email:a@b.example",
            "URI:a:b",
        ];
        kinds
            .into_iter()
            .map(|kind| Request::with(kind, "/C=DE/O=Example/CN=a", &names).unwrap())
            .collect()
    }

    /// What is said about revocation, by nobody's key: signatures are not verified here.
    struct Revocation {
        /// CRLs.
        crls: Vec<Vec<u8>>,
        /// OCSP requests.
        requests: Vec<Vec<u8>>,
        /// OCSP responses.
        responses: Vec<Vec<u8>>,
    }

    impl Revocation {
        /// Makes some of every kind, of an issuer of their own.
        fn new() -> Self {
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let key = rcgen::KeyPair::generate().unwrap();
            let issuer = params.self_signed(&key).unwrap();
            let issuer = &Certificate::from_der(issuer.der()).unwrap();
            let now = issuer.not_before();
            let later = now + Duration::from_secs(86_400);
            let serials: Vec<_> = (1..=6)
                .map(|number| SerialNumber::from_random(NodePrefix::default(), [number; 16]))
                .collect();
            let algorithm = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256);
            let facts =
                IssuerFacts::from_certificate(issuer, algorithm, IssuerUrls::default()).unwrap();
            // r and s of one.
            let signature = [0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01];
            let entries: Vec<_> = serials
                .iter()
                .zip(RevocationReason::ALL)
                .map(|(serial, reason)| crl::encode_entry(serial, now, reason, Some(now)).unwrap())
                .collect();
            let mut full = CrlPlan::full(CrlNumber::from(7), now, later);
            full.freshest = Some("http://a.example/delta.crl".to_owned());
            full.expired_certs_on_crl = Some(now);
            let mut delta = CrlPlan::full(CrlNumber::from(8), now, later);
            delta.delta_base = Some(full.number);
            delta.issuing_point = Some(IssuingPoint {
                urls: vec!["http://a.example/3.crl".to_owned()],
                only: CoveredKinds::UserCertificates,
            });
            let crls = [(&full, 0), (&full, entries.len()), (&delta, 1)].map(|(plan, count)| {
                let entries = entries[..count].iter().map(|entry| &**entry);
                let planned = plan.encode(&facts, entries).unwrap();
                let linted = crl::lint(planned, plan, &facts, now).unwrap();
                linted.assemble(&signature).unwrap()
            });
            let hashes = IssuerHashes::of(issuer);
            let ids: Vec<_> = CertIdHash::ALL
                .iter()
                .zip(serials.iter().cycle())
                .map(|(hash, serial)| hashes.cert_id_der(*hash, serial))
                .collect();
            let all: Vec<&[u8]> = ids.iter().map(Vec::as_slice).collect();
            let requests = [(1, None), (1, Some([7; 32])), (all.len(), Some([7; 32]))].map(
                |(count, nonce)| {
                    ocsp::encode_request(&all[..count], nonce.as_ref().map(|nonce| &nonce[..]))
                },
            );
            let statuses = [
                CertStatus::Good,
                CertStatus::not_issued(),
                CertStatus::Unknown,
            ];
            let answers: Vec<_> = all
                .iter()
                .zip(statuses.into_iter().cycle())
                .map(|(id, status)| Answer {
                    cert_id: CertId::from_der(id).unwrap(),
                    status,
                    this_update: now,
                    next_update: later,
                    archive_cutoff: Some(now),
                })
                .collect();
            let responder = Responder::issuer(&facts);
            let mut responses: Vec<_> = [(1, None), (answers.len(), Some(&[7; 32][..]))]
                .map(|(count, nonce)| {
                    let plan = ResponsePlan {
                        produced_at: now,
                        answers: &answers[..count],
                        nonce,
                        extended_revoke: count > 1,
                    };
                    let linted = ocsp::lint(plan.encode(&responder), &responder, now).unwrap();
                    linted.assemble(&signature).unwrap().to_der(&responder)
                })
                .into();
            responses.push(ErrorStatus::TryLater.der().to_vec());
            Self {
                crls: crls.into(),
                requests: requests.into(),
                responses,
            }
        }
    }

    #[test]
    fn no_crl_and_no_ocsp_make_their_parsers_panic() {
        let revocation = Revocation::new();
        run("crl", &revocation.crls);
        run("ocsp_request", &revocation.requests);
        run("ocsp_response", &revocation.responses);
    }

    #[test]
    fn no_signature_and_no_time_stamp_make_their_parsers_panic() {
        let signatures = Signatures::new();
        run("cms", &signatures.cms);
        run("timestamp_request", &signatures.requests);
        run("timestamp_token", &signatures.tokens);
    }

    #[test]
    fn no_request_makes_its_parser_panic() {
        let seeds: Vec<_> = requests()
            .iter()
            .map(|request| request.der().unwrap())
            .collect();
        for seed in &seeds {
            let (limits, policy) = Default::default();
            pki::csr::CheckedCsr::parse(seed, &limits, &policy).unwrap();
        }
        run("csr", &seeds);
    }

    #[test]
    fn no_bundle_no_trusted_root_and_no_checkpoint_make_their_readers_panic() {
        let seeds = Bundles::new();
        for bundle in &seeds.bundles {
            attest::bundle::Bundle::parse_lines(bundle).unwrap();
        }
        for root in &seeds.roots {
            attest::trusted_root::TrustedRoot::read(root).unwrap();
        }
        run("bundle", &seeds.bundles);
        run("trusted_root", &seeds.roots);
        run("checkpoint", &seeds.checkpoints);
    }

    #[test]
    fn no_pem_makes_its_parser_panic() {
        let mut seeds: Vec<_> = requests()
            .iter()
            .map(|request| request.pem().to_vec())
            .collect();
        seeds.push(b"-----BEGIN CERTIFICATE-----\r\nMAA=\r\n-----END CERTIFICATE-----".to_vec());
        seeds.push(b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n".to_vec());
        run("pem", &seeds);
    }

    #[test]
    fn no_address_of_a_token_makes_its_parser_panic() {
        let seeds = [
            "pkcs11:token=My%20token?module-path=/usr/lib/m.so&pin-source=file:/etc/pin",
            "pkcs11:serial=0123;manufacturer=A%2FB;model=v2?pin-source=env:PIN",
            "pkcs11:token=%E2%82%AC;slot-id=3;object=x;type=private;id=%01%02?module-name=m",
        ];
        run("token_uri", &seeds.map(|seed| seed.as_bytes().to_vec()));
    }

    #[test]
    fn no_name_of_the_signing_service_makes_its_reader_panic() {
        let digest = |hash: &str, len: usize| format!("{hash}:{}", "0f".repeat(len));
        let seeds = [
            digest("sha256", 32),
            digest("sha384", 48),
            digest("sha512", 64),
            "sig-06gc8k3c03vvvvvvvvvvvvvvvs".to_owned(),
            "evt-cpnmuoj1000000000000000000".to_owned(),
            "dlv-0000000000000000000000000g".to_owned(),
            "72d3162e-cc78-11e3-81ab-4c9367dc0958".to_owned(),
        ];
        run("signing_name", &seeds.map(String::into_bytes));
    }

    #[test]
    fn no_webhooks_message_makes_its_judge_panic() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        let file = format!(
            r#"{{"name":"app.tar.gz","url":"https://forge.test/1","digest":"{digest}"}},
               {{"name":"app.tar.gz.cdx.json","url":"https://forge.test/2","digest":null}}"#
        );
        let seeds = [
            format!(r#"{{"action":"published","release":{{"assets":[{file}]}}}}"#),
            format!(r#"{{"type":"published","data":{{"artifacts":[{file}]}}}}"#),
            r#"{"action":"edited","release":{"assets":[]}}"#.to_owned(),
        ];
        run("webhook", &seeds.map(String::into_bytes));
    }

    #[test]
    fn no_file_of_checksums_makes_its_reader_panic() {
        let digest = "0f".repeat(32);
        let seeds = [
            format!("{digest}  app.tar.gz\n{digest} *./app.tar.gz\r\n"),
            format!("SHA256 (app.tar.gz) = {digest}\n# more\n"),
            format!("{}  app.tar.gz\n", "0f".repeat(64)),
        ];
        run("checksums", &seeds.map(String::into_bytes));
    }

    #[test]
    fn no_caa_record_makes_its_judge_panic() {
        let seeds = [
            "\x00\x05issueca1.example.net; account=230123",
            "\u{0}\u{9}issuewild;",
            "\x00\x05issueca1.example.net; validationmethods=dns-01,http-01; accounturi=https://a/1",
            "\x01\x05iodefmailto:security@example.com",
            "\x7f\x03tbsUnknown",
        ];
        run("caa", &seeds.map(|seed| seed.as_bytes().to_vec()));
    }

    #[test]
    fn no_certificate_of_a_challenge_makes_its_reader_panic() {
        let proof = acme::validate::KeyAuthorization::new("token", "thumbprint");
        let name = model::acme::Identifier::Dns("www.example.org".into());
        let seed = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut params = rcgen::CertificateParams::new(names).unwrap();
            let digest = proof.digest();
            params.custom_extensions = vec![rcgen::CustomExtension::new_acme_identifier(&digest)];
            let key = rcgen::KeyPair::generate().unwrap();
            params.self_signed(&key).unwrap().der().to_vec()
        };
        let seeds = [seed(&["www.example.org"]), seed(&["192.0.2.1", "a.test"])];
        acme::validate::check_tls_alpn_certificate(&seeds[0], &name, &proof).unwrap();
        run("tls_alpn", &seeds);
    }

    #[test]
    fn no_attestation_makes_its_verifier_panic() {
        use rcgen::SigningKey;
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        // A YubiKey's serial number, 0x01020304.
        params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(
            &[1, 3, 6, 1, 4, 1, 41482, 3, 7],
            vec![2, 4, 1, 2, 3, 4],
        )];
        let leaf = params.self_signed(&key).unwrap().der().to_vec();
        let signature = key.sign(b"token.thumbprint").unwrap();
        // CBOR (RFC 8949, 3): a byte string of two octets of length, and the object.
        let octets = |octets: &[u8]| {
            let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
            [&[0x59][..], &length, octets].concat()
        };
        let object = [
            b"\xa2\x63fmt\x64step\x67attStmt\xa3\x63alg\x26\x63sig".to_vec(),
            octets(&octets(&signature)),
            b"\x63x5c\x81".to_vec(),
            octets(&leaf),
        ]
        .concat();
        let parsed = acme::validate::AttestationObject::parse(&object).unwrap();
        assert_eq!(parsed.signature(), Some(&signature[..]));
        assert_eq!(parsed.chain_der(), [leaf]);
        run("attestation", &[object]);
    }

    #[test]
    fn no_signed_request_makes_its_reader_panic() {
        let seeds = [
            include_str!("../fuzz/seeds/jws/es256.json"),
            include_str!("../fuzz/seeds/jws/es384.json"),
            include_str!("../fuzz/seeds/jws/eddsa.json"),
            include_str!("../fuzz/seeds/jws/rs256.json"),
            include_str!("../fuzz/seeds/jws/key-change.json"),
            include_str!("../fuzz/seeds/jws/binding.json"),
        ];
        for seed in seeds {
            let jws = acme::jws::Jws::parse(seed.as_bytes()).unwrap();
            if let acme::jws::KeyReference::Jwk(jwk) = jws.key() {
                let key = acme::jws::AccountKey::from_jwk(jwk, &Default::default()).unwrap();
                jws.verify(&key).unwrap();
            }
        }
        run("jws", &seeds.map(|seed| seed.as_bytes().to_vec()));
    }

    /// Reads a document that another program wrote.
    fn document(name: &str) -> Vec<u8> {
        let folder = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../appliance/crates/attest/tests/data/sbom"
        );
        std::fs::read(std::path::Path::new(folder).join(name)).unwrap()
    }

    #[test]
    fn no_bill_of_materials_makes_its_reader_panic() {
        let seeds = [
            "python-lib-1.2.json",
            "python-lib-1.6.json",
            "python-lib-1.4.xml",
            "python-lib-1.7.xml",
            "cyclonedx-npm-1.6.json",
            "spdx-tools-2.2.spdx.json",
            "spdx-tools-2.3.spdx",
            "spdx-python-model-3.0.1.json",
        ]
        .map(document);
        for seed in &seeds {
            attest::sbom::Sbom::parse(seed, &Default::default()).unwrap();
        }
        run("sbom", &seeds);
    }

    #[test]
    fn no_attestation_makes_its_readers_panic() {
        use attest::dsse::{Envelope, IN_TOTO, Signature};
        use attest::provenance::Submission;
        use attest::statement::Subject;
        let environment = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SERVER_URL", "https://github.example"),
            ("GITHUB_REPOSITORY", "a/b"),
            ("GITHUB_REF", "refs/tags/v1"),
            ("GITHUB_SHA", "c27d339ee6075c1f744c5d4b200f7901aad2c369"),
            ("GITHUB_RUN_ID", "1"),
            (
                "GITHUB_WORKFLOW_REF",
                "a/b/.github/workflows/x.yml@refs/tags/v1",
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let subject = Subject {
            name: "a".into(),
            digest: [model::signing::ArtifactDigest::sha256([7; 32])]
                .into_iter()
                .collect(),
        };
        let statement =
            attest::provenance::from_ci(&environment.into_iter().collect(), subject).unwrap();
        let signature = Signature {
            keyid: Some("k".into()),
            sig: vec![7; 70],
        };
        let envelope = Envelope::signed(IN_TOTO, statement.bytes().to_vec(), signature);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap();
        let bundle = attest::bundle::Bundle::envelope(leaf.der(), envelope.clone()).unwrap();
        let seeds = [
            statement.predicate().to_vec(),
            statement.bytes().to_vec(),
            envelope.to_json(),
            bundle.to_json().into_bytes(),
            [statement.bytes(), b"\n", &envelope.to_json(), b"\n"].concat(),
        ];
        for seed in &seeds {
            Submission::parse(seed, &Default::default()).unwrap();
        }
        run("provenance", &seeds);
        run("statement", &seeds[1..2]);
        run("dsse", &seeds[2..3]);
    }

    #[test]
    fn nothing_of_forges_and_logs_makes_its_parser_panic() {
        let (token, keys) = super::forge::token_and_keys();
        signing::oidc::Unverified::parse(std::str::from_utf8(&token).unwrap()).unwrap();
        signing::oidc::KeySet::parse(&keys).unwrap();
        run("oidc_token", &[token]);
        run("oidc_keys", &[keys]);
        let (certificate, scts) = super::forge::timestamped();
        let read = Certificate::from_der(&certificate).unwrap();
        assert!(read.extensions().scts.is_some() && read.extensions().forge.is_some());
        run("sct", &[certificate.clone(), scts]);
        run("certificate", &[certificate]);
    }

    #[test]
    fn no_certificate_and_no_journal_make_their_parsers_panic() {
        let mut ca = Builder::on_files().start().unwrap();
        let mut certificates = Vec::new();
        for request in requests().iter().take(2) {
            let _refused = ca.curl().post_pem(&ca.url("/sign"), request.pem()).unwrap();
        }
        for name in ["a.example.internal", "b.example.internal"] {
            certificates.push(ca.issue(name).unwrap().body);
        }
        certificates.push(std::fs::read(ca.trust()).unwrap());
        ca.stop().unwrap();
        let ders: Vec<Vec<u8>> = certificates
            .iter()
            .flat_map(|pem| pki::pem::read_certificates(pem).unwrap())
            .collect();
        for der in &ders {
            Certificate::from_der(der).unwrap();
        }
        run("certificate", &ders);
        let verified = store::verify(&ca.state_dir().join("ca")).unwrap();
        assert!(
            verified.frames >= 4,
            "intents and certificates: {verified:?}"
        );
        let segment = ca.journal_segments().unwrap().remove(0);
        let mut bytes = std::fs::read(segment).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 64;
        bytes.truncate(used);
        run("journal", &[bytes]);
    }
}
