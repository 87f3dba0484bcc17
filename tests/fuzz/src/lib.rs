//! What is done with hostile bytes: none may panic, and what is accepted stays the same
//! when it is written and read again.
//!
//! Two runners use this file: the fuzz targets beside it (`cargo fuzz run csr`), and
//! `tests/tests/hostile.rs`, which mutates seeds for a bounded time on a stable toolchain.

/// A parser of outside bytes.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("csr", csr),
    ("certificate", certificate),
    ("crl", crl),
    ("ocsp_request", ocsp_request),
    ("ocsp_response", ocsp_response),
    ("cms", cms),
    ("timestamp_request", timestamp_request),
    ("timestamp_token", timestamp_token),
    ("pem", pem),
    ("token_uri", token_uri),
    ("journal", journal),
    ("signing_name", signing_name),
    ("caa", caa),
    ("tls_alpn", tls_alpn),
    ("jws", jws),
    ("webhook", webhook),
    ("checksums", checksums),
    ("dsse", dsse),
    ("statement", statement),
    ("provenance", provenance),
    ("sbom", sbom),
    ("oidc_token", oidc_token),
    ("oidc_keys", oidc_keys),
    ("sct", sct),
    ("bundle", bundle),
    ("trusted_root", trusted_root),
    ("checkpoint", checkpoint),
    ("attestation", attestation),
];

/// Reads a certificate request (RFC 2986).
pub fn csr(bytes: &[u8]) {
    let limits = pki::csr::CsrLimits::default();
    let policy = pki::key_check::KeyPolicy::default();
    if let Ok(request) = pki::csr::CheckedCsr::parse(bytes, &limits, &policy) {
        assert!(request.names().len() <= limits.max_names);
        let _text = request.subject().to_string();
        let _key = request.public_key();
    }
}

/// Reads a certificate (RFC 5280).
pub fn certificate(bytes: &[u8]) {
    if let Ok(certificate) = pki::certificate::Certificate::from_der(bytes) {
        assert_eq!(certificate.der(), bytes, "what was read is all there was");
        let _facts = certificate.facts();
        let _verified = certificate.verify_signed_by(certificate.public_key());
    }
}

/// Reads and verifies a signed request (RFC 7515, RFC 8555, 6.2), as the outer one, as a
/// binding and as the inner one of a key change.
pub fn jws(bytes: &[u8]) {
    use acme::jws::{AccountKey, BindingRequest, FlattenedJws, Jws, KeyChange, KeyReference};
    let policy = pki::key_check::KeyPolicy::default();
    let Ok(jws) = Jws::parse(bytes) else {
        return;
    };
    let _named = (jws.algorithm(), jws.nonce());
    if let KeyReference::Jwk(jwk) = jws.key()
        && let Ok(key) = AccountKey::from_jwk(jwk, &policy)
    {
        assert_eq!(
            AccountKey::from_stored(key.jwk_json()).as_ref(),
            Ok(&key),
            "a key that is kept is the same"
        );
        let _verified = jws.verify(&key);
        let _change = KeyChange::verify(jws.payload(), jws.url(), |_| true, &key, &policy);
        if let Ok(flattened) = serde_json::from_slice::<FlattenedJws>(bytes)
            && let Ok(binding) = BindingRequest::parse(flattened, jws.url())
        {
            let _bound = binding.verify(b"secret", &key);
        }
    }
    let _inner = Jws::parse(jws.payload());
}

/// Reads a CRL (RFC 5280, 5), each of its entries, and looks for one.
pub fn crl(bytes: &[u8]) {
    let Ok(crl) = pki::crl::Crl::parse(bytes) else {
        return;
    };
    assert_eq!(crl.der(), bytes, "what was read is all there was");
    assert_eq!(crl.entries().count(), crl.len(), "each entry is read again");
    let _issuer = crl.issuer();
    if let Some(entry) = crl.entries().last() {
        let serial = entry.serial();
        assert_eq!(serial.as_der_content(), entry.serial_octets());
        assert!(crl.find(&serial).is_some());
        let (date, reason) = (entry.revoked_at(), entry.reason());
        let invalid = entry.invalidity_date().filter(|invalid| *invalid <= date);
        let _encoded = pki::crl::encode_entry(&serial, date, reason, invalid);
    }
}

/// Reads an OCSP request (RFC 6960, 4.1), and asks the same again.
pub fn ocsp_request(bytes: &[u8]) {
    let limits = pki::ocsp::RequestLimits::default();
    let Ok(request) = pki::ocsp::OcspRequest::parse(bytes, &limits) else {
        return;
    };
    assert!((1..=limits.max_certificates).contains(&request.len()));
    assert!(
        request
            .nonce()
            .is_none_or(|nonce| (1..=128).contains(&nonce.len()))
    );
    let ids: Vec<_> = request.cert_ids().map(|id| id.der()).collect();
    assert_eq!(ids.len(), request.len(), "each certificate is read again");
    assert_eq!(ids.first(), Some(&request.first().der()));
    let ours = pki::ocsp::encode_request(&ids, request.nonce());
    match pki::ocsp::OcspRequest::parse(&ours, &limits) {
        Ok(again) => {
            assert!(again.cert_ids().eq(request.cert_ids()));
            assert_eq!(again.nonce(), request.nonce());
        }
        // Ours has no names and wishes, but may need another octet for a length.
        Err(error) => panic!("what was read is refused when it is written: {error}"),
    }
}

/// Reads an OCSP response (RFC 6960, 4.2) and each of its answers.
pub fn ocsp_response(bytes: &[u8]) {
    if let Ok(pki::ocsp::OcspResponse::Basic(basic)) = pki::ocsp::OcspResponse::parse(bytes) {
        let answers = basic.answers();
        assert_eq!(answers.len(), answers.count(), "each answer is read again");
        assert!(basic.data_der().len() < bytes.len());
    }
}

/// Reads a signature (RFC 5652), verifies it by the certificates in it, and adds a
/// time-stamp to it.
pub fn cms(bytes: &[u8]) {
    use pki::certificate::Certificate;
    use pki::cms::{CmsQuestion, SignedData};
    let _stamped = pki::cms::add_time_stamp(bytes, bytes);
    let Ok(signed) = SignedData::parse(bytes) else {
        return;
    };
    let hash = signed.digest_algorithm();
    let Ok(digest) = model::signing::ArtifactDigest::new(hash, signed.message_digest()) else {
        panic!("the digest that is signed does not have its hash's length");
    };
    let roots: Vec<_> = signed
        .certificates()
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect();
    assert!(roots.len() <= 16, "certificates are bounded");
    let at = signed.signing_time().unwrap_or_default();
    let path = pki::path::PathQuestion {
        intermediates: &[],
        roots: &roots,
        at,
        purpose: None,
    };
    let verified = pki::cms::verify_detached(bytes, &CmsQuestion { digest, path });
    if let Ok(verified) = verified {
        assert!(!verified.chain.certificates().is_empty());
        assert_eq!(signed.content(), None);
    }
}

/// Reads a time-stamp request (RFC 3161, 2.4.1), and asks the same again.
pub fn timestamp_request(bytes: &[u8]) {
    use pki::timestamp::{RequestPlan, TimeStampRequest};
    let request = match TimeStampRequest::parse(bytes) {
        Ok(request) => request,
        Err(error) => {
            let failure = error.failure();
            let refusal = pki::timestamp::rejection(failure, &error.to_string());
            assert!(pki::timestamp::TimeStampResponse::parse(&refusal).is_ok());
            return;
        }
    };
    // Ours have no negative nonces.
    let nonce = request.nonce();
    let again = RequestPlan {
        digest: request.digest(),
        policy: request.policy(),
        nonce: nonce.filter(|nonce| nonce.first().is_some_and(|first| first & 0x80 == 0)),
        certificate: request.wants_certificate(),
    };
    match TimeStampRequest::parse(&again.encode()) {
        Ok(read) => {
            assert_eq!(read.digest(), request.digest());
            assert_eq!(read.policy(), request.policy());
            assert_eq!(read.nonce(), again.nonce);
            assert_eq!(read.wants_certificate(), request.wants_certificate());
        }
        Err(error) => panic!("what was read is refused when it is written: {error}"),
    }
}

/// Reads a time-stamp token or response (RFC 3161, 2.4.2), and verifies it by the
/// certificates in it.
pub fn timestamp_token(bytes: &[u8]) {
    use pki::certificate::Certificate;
    use pki::timestamp::{Stamped, TimeStampResponse, TokenQuestion, TokenRead};
    let token_der = match TimeStampResponse::parse(bytes) {
        Ok(TimeStampResponse::Granted(token_der)) => token_der,
        Ok(TimeStampResponse::Rejected { status, .. }) => {
            assert!(status > 1);
            return;
        }
        Err(_) => bytes,
    };
    let Ok(token) = TokenRead::parse(token_der) else {
        return;
    };
    let info = token.info();
    assert!(info.serial.magnitude().len() <= 20);
    let roots: Vec<_> = token
        .signed_data()
        .certificates()
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect();
    let question = TokenQuestion {
        stamped: Stamped::Digest(info.digest),
        nonce: info
            .nonce
            .filter(|nonce| nonce.first().is_some_and(|first| first & 0x80 == 0)),
        policy: Some(info.policy),
        intermediates: &[],
        roots: &roots,
    };
    if let Ok(verified) = pki::timestamp::verify_token(token_der, &question) {
        assert_eq!(verified.gen_time, info.gen_time);
        assert_eq!(verified.serial, info.serial);
    }
}

/// Reads requests, certificates and public keys in PEM (RFC 7468).
pub fn pem(bytes: &[u8]) {
    let _told = pki::pem::is_pem(bytes);
    if let Ok(request_der) = pki::pem::read_request(bytes) {
        let written = pki::pem::write_request(&request_der);
        assert_eq!(
            pki::pem::read_request(written.as_bytes()).ok(),
            Some(request_der)
        );
    }
    if let Ok(chain) = pki::pem::read_certificates(bytes) {
        let written = pki::pem::write_chain(chain.iter().map(Vec::as_slice));
        assert_eq!(
            pki::pem::read_certificates(written.as_bytes()).ok(),
            Some(chain)
        );
    }
    if let Ok(spki_der) = pki::pem::read_public_key(bytes) {
        let written = pki::pem::write_public_key(&spki_der);
        assert_eq!(
            pki::pem::read_public_key(written.as_bytes()).ok(),
            Some(spki_der)
        );
    }
}

/// Reads a token's address (RFC 7512).
pub fn token_uri(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _read = text.parse::<hsm_keystore::pkcs11::TokenUri>();
}

/// Walks a journal that consists of these bytes.
pub fn journal(bytes: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let segments = folder.path().join("journal");
    let written =
        std::fs::create_dir(&segments).and_then(|()| std::fs::write(segments.join(SEGMENT), bytes));
    if written.is_ok()
        && let Ok(verified) = store::verify(folder.path())
    {
        assert!(verified.bytes <= bytes.len() as u64);
    }
}

/// Reads what requests name at the signing service: digests of artifacts, its objects and
/// what callers call theirs.
pub fn signing_name(bytes: &[u8]) {
    use model::signing::{ArtifactDigest, DeliveryId, EventId, SenderDeliveryId, SignatureId};
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match text.parse::<ArtifactDigest>() {
        Ok(digest) => assert_eq!(digest.to_string(), text, "one digest has one spelling"),
        Err(refused) => assert!(refused.to_string().len() < 500, "{refused}"),
    }
    if let Ok(id) = text.parse::<SignatureId>() {
        assert_eq!(id.to_string(), text, "one name has one spelling");
        let _time = id.time();
    }
    if let Ok(id) = text.parse::<EventId>() {
        assert_eq!(id.to_string(), text, "one name has one spelling");
    }
    if let Ok(id) = text.parse::<DeliveryId>() {
        assert_eq!(id.to_string(), text, "one name has one spelling");
    }
    if let Ok(id) = SenderDeliveryId::new(text) {
        assert!(id.as_str().len() <= 128);
    }
}

/// The name of a journal's first segment.
const SEGMENT: &str = "00000001.segment";

/// Judges a CAA record as it comes over the wire (RFC 8659, 4.1).
pub fn caa(bytes: &[u8]) {
    let [flags, tag_len, rest @ ..] = bytes else {
        return;
    };
    let (tag, value) = rest.split_at(usize::from(*tag_len).min(rest.len()));
    let record = acme::caa::CaaRecord {
        critical: flags & 0x80 != 0,
        tag: String::from_utf8_lossy(tag).into(),
        value: value.into(),
    };
    let question = acme::caa::CaaQuestion {
        name: "www.example.org",
        wildcard: flags & 1 != 0,
        account_url: "https://acme.example/acme/account/1",
        kind: model::acme::ChallengeKind::Dns01,
    };
    if let Err(refused) = acme::caa::evaluate("example.org", &[record], &[], &question) {
        let told = refused.to_string();
        assert!(
            told.len() < 2000 && !told.contains(char::is_control),
            "{told}"
        );
    }
}

/// Reads a device's attestation (draft-ietf-acme-device-attest) and verifies it by each
/// certificate in it as a root, and by none.
pub fn attestation(bytes: &[u8]) {
    use acme::validate::{
        AttestationFormat, AttestationObject, AttestationQuestion, Attestor, KeyAuthorization,
    };
    let question = AttestationQuestion {
        identifier: &model::acme::Identifier::PermanentIdentifier("16909060".into()),
        key_authorization: &KeyAuthorization::new("token", "thumbprint"),
        at: model::Timestamp::UNIX_EPOCH,
    };
    let object = AttestationObject::parse(bytes);
    let roots: Vec<_> = object
        .iter()
        .flat_map(AttestationObject::chain_der)
        .filter_map(|der| pki::certificate::Certificate::from_der(der).ok())
        .collect();
    assert!(roots.len() <= 8, "certificates are bounded");
    let nobody = Attestor::new(vec![(AttestationFormat::Step, Vec::new())]);
    assert!(
        nobody.verify(bytes, &question).is_err(),
        "nothing passes without a root"
    );
    let at = roots.first().map(|leaf| leaf.not_before());
    let attestor = Attestor::new(vec![(AttestationFormat::Step, roots)]);
    let question = AttestationQuestion {
        at: at.unwrap_or_default(),
        ..question
    };
    if let Err(problem) = attestor.verify(bytes, &question) {
        let told = problem.to_string();
        assert!(
            told.len() < 2000 && !told.contains(char::is_control),
            "{told}"
        );
    }
}

/// Reads the certificate of tls-alpn-01 (RFC 8737, 3).
pub fn tls_alpn(bytes: &[u8]) {
    let identifier = model::acme::Identifier::Dns("www.example.org".into());
    let proof = acme::validate::KeyAuthorization::new("token", "thumbprint");
    if let Err(problem) = acme::validate::check_tls_alpn_certificate(bytes, &identifier, &proof) {
        let told = problem.to_string();
        assert!(
            told.len() < 2000 && !told.contains(char::is_control),
            "{told}"
        );
    }
}

/// Reads an envelope, and writes what was read.
pub fn dsse(bytes: &[u8]) {
    use attest::dsse::Envelope;
    let limits = attest::json::Limits::default();
    let Ok(envelope) = Envelope::parse(bytes, &limits) else {
        return;
    };
    let pae = envelope.pae();
    assert!(pae.ends_with(envelope.payload()));
    let again = Envelope::parse(&envelope.to_json(), &limits);
    assert_eq!(again.as_ref(), Ok(&envelope), "what is written is the same");
}

/// Reads a statement, and builds one around the same predicate.
pub fn statement(bytes: &[u8]) {
    use attest::statement::Statement;
    let limits = attest::json::Limits::default();
    let Ok(statement) = Statement::parse(bytes, &limits) else {
        return;
    };
    assert_eq!(statement.bytes(), bytes, "kept as it was");
    for subject in statement.subjects() {
        let found = statement.check_subject(&subject.digest);
        assert!(found.is_err() || found.is_ok_and(|found| found.digest.agrees(&subject.digest)));
    }
    let subjects = statement.subjects().to_vec();
    let kind = statement.predicate_type();
    match Statement::build(subjects, kind, statement.predicate(), &limits) {
        Ok(built) => {
            assert_eq!(built.predicate(), statement.predicate());
            let limits = attest::json::Limits {
                max_len: usize::MAX,
                ..limits
            };
            assert_eq!(Statement::parse(built.bytes(), &limits), Ok(built));
        }
        Err(error) => panic!("what was read cannot be built: {error}"),
    }
}

/// Reads provenance in any form.
pub fn provenance(bytes: &[u8]) {
    use attest::provenance::Submission;
    let limits = attest::json::Limits::default();
    let Ok(submission) = Submission::parse(bytes, &limits) else {
        return;
    };
    assert!(!submission.provenance().is_empty());
    for provenance in submission.provenance() {
        assert!(!provenance.facts().builder_id.is_empty());
        assert!(provenance.predicate().starts_with(b"{"));
        match provenance.statement() {
            Some(statement) => assert_eq!(provenance.predicate(), statement.predicate()),
            None => assert!(!provenance.is_signed(), "what is signed is a statement"),
        }
    }
}

/// Reads a bill of materials.
pub fn sbom(bytes: &[u8]) {
    use attest::sbom::{Sbom, SbomError, SbomLimits};
    match Sbom::parse(bytes, &SbomLimits::default()) {
        Ok(sbom) => {
            let digest = std::iter::empty().collect();
            assert!(sbom.check_subject(&digest).is_ok(), "nothing to compare");
            let subject = attest::statement::Subject {
                name: String::new(),
                digest: [model::signing::ArtifactDigest::sha256([1; 32])]
                    .into_iter()
                    .collect(),
            };
            if let Err(error) = sbom.to_statement(bytes, subject, "a:b") {
                panic!("what was read cannot be attested: {error}");
            }
        }
        Err(SbomError::BrokenSchema { format, problem }) => panic!("{format}: {problem}"),
        Err(error) => {
            let told = error.to_string();
            assert!(told.len() < 4000, "{told}");
        }
    }
}

/// Reads a forge's token (RFC 7519), nothing of it believed.
pub fn oidc_token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match signing::oidc::Unverified::parse(text) {
        Ok(token) => {
            assert_eq!(text.matches('.').count(), 2, "three parts");
            let _key = token.key_name();
        }
        Err(error) => assert!(error.check().starts_with("token_")),
    }
}

/// Reads the keys of a token issuer (RFC 7517, 5).
pub fn oidc_keys(bytes: &[u8]) {
    if let Err(error) = signing::oidc::KeySet::parse(bytes) {
        assert!(!error.to_string().is_empty());
    }
}

/// Reads certificate timestamps (RFC 6962, 3.3), alone and in a certificate.
pub fn sct(bytes: &[u8]) {
    if let Ok(list) = pki::sct::SctList::from_octets(bytes) {
        assert_eq!(list.to_octets(), bytes, "what was read is all there was");
    }
    if let Ok(certificate) = pki::certificate::Certificate::from_der(bytes) {
        let key = certificate.public_key();
        let logs = std::slice::from_ref(key);
        let verified = pki::sct::verify(&certificate, key, logs);
        assert!(verified.is_err() || certificate.extensions().scts.is_some());
        if let Ok(seen) = pki::sct::precertificate_tbs(&certificate) {
            assert!(seen.len() < certificate.tbs_der().len());
        }
    }
}

/// Reads the message of a webhook and works out what it starts, then its file of checksums.
pub fn webhook(bytes: &[u8]) {
    static HOOKS: std::sync::OnceLock<signing::webhooks::CheckedHooks> = std::sync::OnceLock::new();
    let hooks = HOOKS.get_or_init(|| {
        let config: signing::SigningConfig =
            serde_json::from_str(WEBHOOKS).unwrap_or_else(|error| panic!("{error}"));
        let checked = config.check().unwrap_or_else(|error| panic!("{error}"));
        checked.hooks
    });
    for (name, event) in [("hub", Some("release")), ("other", None)] {
        let Ok(name) = model::signing::WebhookName::new(name) else {
            continue;
        };
        match hooks.preview(&name, event, bytes) {
            Ok(Some((_, plan))) => {
                let plan: serde_json::Value =
                    serde_json::from_str(&plan).unwrap_or_else(|error| panic!("{error}"));
                let wanted = plan["artifacts"].as_array().cloned().unwrap_or_default();
                assert!(!wanted.is_empty(), "a plan is to do something");
                for wanted in wanted {
                    for url in [&wanted["url"], &wanted["sbom"]] {
                        let url = url.as_str().unwrap_or("https://forge.test/");
                        assert!(url.starts_with("https://forge.test/"), "{url}");
                    }
                }
            }
            Ok(None) => {}
            Err(error) => {
                let told = error.to_string();
                assert!(
                    told.len() < 2000 && !told.contains(char::is_control),
                    "{told}"
                );
            }
        }
    }
}

/// Two webhooks, of a kind each, and a host.
const WEBHOOKS: &str = r#"{
    "fetch": { "hosts": { "forge": { "origin": "https://forge.test" } } },
    "webhooks": {
        "hub": {
            "kind": "github",
            "secrets": ["env:A"],
            "rules": { "product": {
                "profile": "default",
                "events": ["release"],
                "when": [{ "pointer": "/action", "equals": "published" }],
                "artifacts": { "sbom": "{name}.cdx.json", "exclude": ["*.txt"] }
            } }
        },
        "other": {
            "secrets": ["env:A"],
            "rules": { "product": { "profile": "default", "events": ["published"] } }
        }
    }
}"#;

/// Looks for a digest in a file of checksums.
pub fn checksums(bytes: &[u8]) {
    if let Ok(digest) = signing::webhooks::find_checksum(bytes, "app.tar.gz") {
        assert!(
            bytes.len() >= digest.hex().len(),
            "a digest is as long as it is written"
        );
    }
}

/// Reads bundles, writes them again, and verifies them with nobody to believe.
pub fn bundle(bytes: &[u8]) {
    use attest::bundle::Bundle;
    use attest::trusted_root::TrustedRoot;
    use attest::verify::{Evidence, Policy, Standing, Verification, verify};
    let Ok(bundles) = Bundle::parse_lines(bytes) else {
        return;
    };
    let trust = TrustedRoot::default();
    let policy = Policy::without_time_stamp();
    for bundle in bundles {
        assert_eq!(
            Bundle::parse(bundle.to_json().as_bytes()).as_ref(),
            Ok(&bundle),
            "what is written is the same"
        );
        let evidence = Evidence::Bundle(&bundle);
        let Ok(hashes) = evidence.hashes() else {
            continue;
        };
        let digests: Vec<_> = hashes
            .into_iter()
            .map(|hash| pki::algorithm::digest_of(hash, b"an artifact"))
            .collect();
        let report = verify(&Verification {
            artifact: &digests,
            evidence,
            trust: &trust,
            crls: &[],
            policy: &policy,
            standing: Standing::Unknown,
            now: model::Timestamp::UNIX_EPOCH,
        });
        assert!(
            report.is_ok_and(|report| !report.verified),
            "nobody is believed"
        );
    }
}

/// Reads a trusted root, and writes what was read.
pub fn trusted_root(bytes: &[u8]) {
    use attest::trusted_root::TrustedRoot;
    let Ok(root) = TrustedRoot::read(bytes) else {
        return;
    };
    let json = root.to_json();
    let again = TrustedRoot::parse(json.as_bytes()).map(|root| root.to_json());
    assert_eq!(again, Ok(json), "what is written is the same");
    let _pem = root.to_pem();
    for log in &root.logs {
        let _key = log.note_key();
    }
}

/// Reads a checkpoint and an entry of a transparency log.
pub fn checkpoint(bytes: &[u8]) {
    use attest::tlog::{HashedRekord, SignedCheckpoint};
    if let Ok(entry) = HashedRekord::parse(bytes) {
        let again = HashedRekord::parse(entry.to_canonical_json().as_bytes());
        assert_eq!(again, Ok(entry), "what is written is the same");
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(signed) = SignedCheckpoint::parse(text)
    {
        let again = SignedCheckpoint::parse(&signed.to_string());
        assert_eq!(again, Ok(signed), "what is written is the same");
    }
}
