//! PEM (RFC 7468), in and out: the one place that reads it.
//!
//! Text around the blocks is ignored, as RFC 7468, 2 allows and as `openssl`
//! writes it. Blocks of other kinds beside the wanted ones are ignored too,
//! except where exactly one block is wanted: there, two are refused rather than
//! one chosen silently.

use rustls_pemfile::Item;

/// Octets on one line of base64 text.
const LINE: usize = 64;

/// Why text holds not what was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// A block without an end line, or contents that are not base64.
    #[error("the PEM text is damaged: a block does not end, or is not base64")]
    Damaged,
    /// No block of the wanted kind.
    #[error("no block \"-----BEGIN {wanted}-----\" in the PEM text")]
    Missing {
        /// The label wanted.
        wanted: &'static str,
    },
    /// Several blocks where one is wanted.
    #[error("{found} blocks \"-----BEGIN {wanted}-----\" in the PEM text where one is wanted")]
    Several {
        /// The label wanted.
        wanted: &'static str,
        /// Blocks found.
        found: usize,
    },
}

/// Tells whether bytes look like PEM rather than DER.
#[must_use]
pub fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

/// Collects the blocks that `wanted` takes.
fn blocks<T>(bytes: &[u8], wanted: impl Fn(Item) -> Option<T>) -> Result<Vec<T>, PemError> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some((item, after)) =
        rustls_pemfile::read_one_from_slice(rest).map_err(|_| PemError::Damaged)?
    {
        found.extend(wanted(item));
        rest = after;
    }
    Ok(found)
}

/// Takes the only block that `take` takes; `wanted` is its label.
fn only(
    wanted: &'static str,
    bytes: &[u8],
    take: impl Fn(Item) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, PemError> {
    let mut found = blocks(bytes, take)?;
    match (found.len(), found.pop()) {
        (1, Some(der)) => Ok(der),
        (found @ 2.., _) => Err(PemError::Several { wanted, found }),
        _ => Err(PemError::Missing { wanted }),
    }
}

/// Reads the only certification request, DER.
///
/// The label `NEW CERTIFICATE REQUEST`, which keytool writes, is taken as well.
///
/// # Errors
///
/// `Damaged`, `Missing` or `Several`.
pub fn read_request(bytes: &[u8]) -> Result<Vec<u8>, PemError> {
    let wanted = "CERTIFICATE REQUEST";
    let renamed;
    let old_label = b"NEW CERTIFICATE REQUEST-----";
    let text = if bytes
        .windows(old_label.len())
        .any(|window| window == old_label)
    {
        renamed = String::from_utf8_lossy(bytes)
            .replace("NEW CERTIFICATE REQUEST-----", "CERTIFICATE REQUEST-----");
        renamed.as_bytes()
    } else {
        bytes
    };
    only(wanted, text, |item| match item {
        Item::Csr(der) => Some(der.as_ref().to_vec()),
        _ => None,
    })
}

/// Reads every certificate, DER, in the order of the text.
///
/// # Errors
///
/// `Damaged`, or `Missing` when there is none.
pub fn read_certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let found = blocks(bytes, |item| match item {
        Item::X509Certificate(der) => Some(der.as_ref().to_vec()),
        _ => None,
    })?;
    if found.is_empty() {
        return Err(PemError::Missing {
            wanted: "CERTIFICATE",
        });
    }
    Ok(found)
}

/// Reads the only CRL, DER.
///
/// # Errors
///
/// `Damaged`, `Missing` or `Several`.
pub fn read_crl(bytes: &[u8]) -> Result<Vec<u8>, PemError> {
    only("X509 CRL", bytes, |item| match item {
        Item::Crl(der) => Some(der.as_ref().to_vec()),
        _ => None,
    })
}

/// Reads the only public key (SubjectPublicKeyInfo), DER.
///
/// # Errors
///
/// `Damaged`, `Missing` or `Several`.
pub fn read_public_key(bytes: &[u8]) -> Result<Vec<u8>, PemError> {
    only("PUBLIC KEY", bytes, |item| match item {
        Item::SubjectPublicKeyInfo(der) => Some(der.as_ref().to_vec()),
        _ => None,
    })
}

/// Writes one block.
fn write(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::with_capacity(text.len() + text.len() / LINE + 2 * label.len() + 40);
    pem.push_str("-----BEGIN ");
    pem.push_str(label);
    pem.push_str("-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}

/// Writes a certificate.
#[must_use]
pub fn write_certificate(certificate_der: &[u8]) -> String {
    write("CERTIFICATE", certificate_der)
}

/// Writes certificates one after the other (RFC 8555, 9.1: leaf first).
#[must_use]
pub fn write_chain<'a>(chain_der: impl IntoIterator<Item = &'a [u8]>) -> String {
    chain_der.into_iter().map(write_certificate).collect()
}

/// Writes a certification request.
#[must_use]
pub fn write_request(request_der: &[u8]) -> String {
    write("CERTIFICATE REQUEST", request_der)
}

/// Writes a CRL.
#[must_use]
pub fn write_crl(crl_der: &[u8]) -> String {
    write("X509 CRL", crl_der)
}

/// Writes a public key.
#[must_use]
pub fn write_public_key(spki_der: &[u8]) -> String {
    write("PUBLIC KEY", spki_der)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_around_a_block_is_ignored_and_two_requests_are_refused() {
        let pem = format!("Subject: x\n{}trailing\n", write_request(&[0x30, 0]));
        assert_eq!(read_request(pem.as_bytes()).unwrap(), [0x30, 0]);
        let twice = pem.repeat(2);
        assert!(matches!(
            read_request(twice.as_bytes()),
            Err(PemError::Several { found: 2, .. })
        ));
    }

    #[test]
    fn keytools_label_is_taken() {
        let pem = write("NEW CERTIFICATE REQUEST", &[0x30, 0]);
        assert_eq!(read_request(pem.as_bytes()).unwrap(), [0x30, 0]);
    }

    #[test]
    fn other_kinds_and_damage_are_told_apart() {
        let certificate = write_certificate(&[1, 2, 3]);
        assert!(matches!(
            read_request(certificate.as_bytes()),
            Err(PemError::Missing { .. })
        ));
        assert_eq!(
            read_request(b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"),
            Err(PemError::Damaged)
        );
        assert!(!is_pem(&[0x30, 0x82]));
        assert!(is_pem(certificate.as_bytes()));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(ders in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..4)) {
            let pem = write_chain(ders.iter().map(Vec::as_slice));
            prop_assert!(pem.lines().all(|line| line.len() <= LINE));
            prop_assert_eq!(read_certificates(pem.as_bytes()).unwrap(), ders);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (read_request(&bytes), read_certificates(&bytes), read_public_key(&bytes));
        }
    }
}
