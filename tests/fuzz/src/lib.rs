//! What is done with hostile bytes: none may panic, and what is accepted stays the same
//! when it is written and read again.
//!
//! Two runners use this file: the fuzz targets beside it (`cargo fuzz run csr`), and
//! `tests/tests/hostile.rs`, which mutates seeds for a bounded time on a stable toolchain.

/// A parser of outside bytes.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 5] = [
    ("csr", csr),
    ("certificate", certificate),
    ("pem", pem),
    ("token_uri", token_uri),
    ("journal", journal),
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
