//! What the store must know of a certificate to keep it beside its key.

use std::time::Duration;

use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use crate::error::Error;

/// The facts of one certificate, each part in DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateFacts {
    /// The public key it certifies.
    pub(crate) spki_der: Vec<u8>,
    /// The subject's name.
    pub(crate) subject_der: Vec<u8>,
    /// The issuer's name.
    pub(crate) issuer_der: Vec<u8>,
    /// The serial number, an INTEGER.
    pub(crate) serial_der: Vec<u8>,
    /// The start of its validity, since 1970.
    pub(crate) not_before: Duration,
}

impl CertificateFacts {
    /// Reads a certificate. Bytes are hostile: never panics.
    ///
    /// # Errors
    ///
    /// `MalformedCertificate` when they are no certificate.
    pub(crate) fn read(certificate_der: &[u8]) -> Result<Self, Error> {
        Self::parse(certificate_der).map_err(|_| Error::MalformedCertificate)
    }

    /// Does the reading.
    fn parse(certificate_der: &[u8]) -> Result<Self, x509_cert::der::Error> {
        let certificate = Certificate::from_der(certificate_der)?;
        let tbs = certificate.tbs_certificate();
        Ok(Self {
            spki_der: tbs.subject_public_key_info().to_der()?,
            subject_der: tbs.subject().to_der()?,
            issuer_der: tbs.issuer().to_der()?,
            serial_der: tbs.serial_number().to_der()?,
            not_before: tbs.validity().not_before.to_unix_duration(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = CertificateFacts::read(&bytes);
        }
    }
}
