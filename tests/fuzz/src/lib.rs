//! What is done with hostile bytes: none may panic, and what is accepted stays the same
//! when it is written and read again.
//!
//! Two runners use this file: the fuzz targets beside it (`cargo fuzz run csr`), and
//! `tests/tests/hostile.rs`, which mutates seeds for a bounded time on a stable toolchain.

/// A parser of outside bytes.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 8] = [
    ("csr", csr),
    ("certificate", certificate),
    ("pem", pem),
    ("token_uri", token_uri),
    ("journal", journal),
    ("caa", caa),
    ("tls_alpn", tls_alpn),
    ("jws", jws),
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
