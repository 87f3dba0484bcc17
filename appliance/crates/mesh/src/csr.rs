//! Certificate requests (PKCS#10, RFC 2986) for keys of a keystore.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use der::asn1::{BitString, Ia5String, Null, OctetString};
use der::oid::ObjectIdentifier;
use der::oid::db::{rfc5912, rfc8410};
use der::{Any, Decode, Encode};
use hsm_keystore::{Priority, PrivateKey, SignJob, SignatureScheme};
use x509_cert::attr::Attribute;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, ExtensionReq, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::error::Error;

/// What a certificate request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CsrContent {
    /// The subject (RFC 4514); empty is allowed where there are names.
    pub subject: String,
    /// DNS names.
    pub dns: Vec<String>,
    /// IP addresses.
    pub ips: Vec<IpAddr>,
    /// URIs.
    pub uris: Vec<String>,
}

/// Time for the token to sign a request.
const SIGN_TIMEOUT: Duration = Duration::from_secs(30);

/// Builds a request and has it signed by the key it names, DER.
///
/// # Errors
///
/// `Name` when the subject or a name cannot be encoded, `KeyStore` when the key
/// does not sign.
pub async fn build(key: &dyn PrivateKey, content: &CsrContent) -> Result<Vec<u8>, Error> {
    let scheme = key.algorithm().default_scheme();
    let info = CertReqInfo {
        version: Version::V1,
        subject: subject(&content.subject)?,
        public_key: SubjectPublicKeyInfoOwned::from_der(key.public_key_der())?,
        attributes: attributes(content)?,
    };
    let job = SignJob::message(scheme, &info.to_der()?)
        .with_priority(Priority::Interactive)
        .with_timeout(SIGN_TIMEOUT);
    let signature = key.sign(job).await?;
    let request = CertReq {
        info,
        algorithm: algorithm(scheme)?,
        signature: BitString::from_bytes(&signature)?,
    };
    Ok(request.to_der()?)
}

/// Reads a subject (RFC 4514); empty is the empty sequence.
fn subject(text: &str) -> Result<Name, Error> {
    if text.is_empty() {
        return Ok(Name::default());
    }
    Name::from_str(text).map_err(|_| unusable("a subject", text))
}

/// Puts the names into an extensionRequest attribute (RFC 2985, 5.4.2).
fn attributes(content: &CsrContent) -> Result<x509_cert::attr::Attributes, Error> {
    let mut attributes = x509_cert::attr::Attributes::default();
    let names = general_names(content)?;
    if !names.is_empty() {
        let subject = subject(&content.subject)?;
        let extension: Extension = SubjectAltName(names).to_extension(&subject, &[])?;
        attributes.insert(Attribute::try_from(ExtensionReq(vec![extension]))?)?;
    }
    Ok(attributes)
}

/// Encodes the names.
fn general_names(content: &CsrContent) -> Result<Vec<GeneralName>, Error> {
    let text = |kind, value: &String| Ia5String::new(value).map_err(|_| unusable(kind, value));
    let dns = content
        .dns
        .iter()
        .map(|name| text("a DNS name", name).map(GeneralName::DnsName));
    let ips = content.ips.iter().map(|address| {
        // RFC 5280, 4.2.1.6: 4 or 16 octets in network order.
        let octets = match address {
            IpAddr::V4(address) => OctetString::new(address.octets()),
            IpAddr::V6(address) => OctetString::new(address.octets()),
        };
        Ok(GeneralName::IpAddress(octets?))
    });
    let uris = content
        .uris
        .iter()
        .map(|uri| text("a URI", uri).map(GeneralName::UniformResourceIdentifier));
    dns.chain(ips).chain(uris).collect()
}

/// States that a text cannot stand in a request.
fn unusable(kind: &'static str, given: &str) -> Error {
    Error::Name {
        kind,
        given: given.chars().take(80).collect(),
    }
}

/// Names a scheme as certificates do.
fn algorithm(scheme: SignatureScheme) -> Result<AlgorithmIdentifierOwned, Error> {
    /// The hash of RSA or ECDSA with it, as an object identifier.
    fn with(oid: ObjectIdentifier, parameters: Option<Any>) -> AlgorithmIdentifierOwned {
        AlgorithmIdentifierOwned { oid, parameters }
    }
    // RFC 4055, 5: NULL for PKCS#1; RFC 5758, 3.2 and RFC 8410, 3: absent.
    let null = Some(Any::encode_from(&Null)?);
    Ok(match scheme {
        SignatureScheme::EcdsaP256Sha256 => with(rfc5912::ECDSA_WITH_SHA_256, None),
        SignatureScheme::EcdsaP384Sha384 => with(rfc5912::ECDSA_WITH_SHA_384, None),
        SignatureScheme::Ed25519 => with(rfc8410::ID_ED_25519, None),
        SignatureScheme::RsaPkcs1Sha256 => with(rfc5912::SHA_256_WITH_RSA_ENCRYPTION, null),
        SignatureScheme::RsaPkcs1Sha384 => with(rfc5912::SHA_384_WITH_RSA_ENCRYPTION, null),
        SignatureScheme::RsaPkcs1Sha512 => with(rfc5912::SHA_512_WITH_RSA_ENCRYPTION, null),
        SignatureScheme::RsaPssSha256
        | SignatureScheme::RsaPssSha384
        | SignatureScheme::RsaPssSha512 => {
            // No key signs so by default (`KeyAlgorithm::default_scheme`).
            return Err(Error::KeyStore(hsm_keystore::Error::SchemeMismatch {
                algorithm: hsm_keystore::KeyAlgorithm::Rsa2048,
                scheme,
            }));
        }
    })
}
