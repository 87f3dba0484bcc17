//! How renewal information names a certificate (RFC 9773, 4.1).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::serial::SerialNumber;

/// The key identifier of a certificate's issuer and the certificate's serial
/// number.
///
/// Prints as `aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE`: base64url of the
/// keyIdentifier, a full stop, base64url of the serial number's DER content
/// octets (RFC 9773, 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateId {
    /// keyIdentifier of its authorityKeyIdentifier.
    pub issuer_key_id: Box<[u8]>,
    /// Its serial number.
    pub serial: SerialNumber,
}

/// Text that names no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the text is no certificate identifier: base64url of the key identifier, a full stop, base64url of the serial number"
)]
pub struct InvalidCertificateId;

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}",
            URL_SAFE_NO_PAD.encode(&self.issuer_key_id),
            URL_SAFE_NO_PAD.encode(self.serial.as_der_content())
        )
    }
}

impl FromStr for CertificateId {
    type Err = InvalidCertificateId;

    /// Reads an identifier. Text is hostile: never panics, allocates no more than
    /// its length.
    fn from_str(text: &str) -> Result<Self, InvalidCertificateId> {
        let decode = |part: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| InvalidCertificateId)
        };
        let (issuer, serial) = text.split_once('.').ok_or(InvalidCertificateId)?;
        let issuer_key_id = decode(issuer)?.into_boxed_slice();
        if issuer_key_id.is_empty() {
            return Err(InvalidCertificateId);
        }
        Ok(Self {
            issuer_key_id,
            serial: SerialNumber::from_der_content(&decode(serial)?)
                .map_err(|_| InvalidCertificateId)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_9773_is_read_and_printed() {
        // RFC 9773, 4.1 and appendix A: the serial number is 00:87:65:43:21.
        let text = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
        let id: CertificateId = text.parse().unwrap();
        assert_eq!(id.serial.as_der_content(), [0x00, 0x87, 0x65, 0x43, 0x21]);
        assert_eq!(id.issuer_key_id.len(), 20);
        assert_eq!(id.to_string(), text);
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            ".",
            "a.",
            ".AIdlQyE",
            "aYhb",
            "aYhb.AIdlQyE=",
            "aYhb.!",
            "aYhb.AId.x",
        ] {
            assert!(text.parse::<CertificateId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<CertificateId>();
        }
    }
}
