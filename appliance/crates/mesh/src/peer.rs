//! Who is at the other end of a mutually authenticated connection.

use std::fmt;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use der::Decode;
use jiff::Timestamp;
use model::{Identity, InvalidIdentity, SerialNumber, TrustDomain};
use pki::forge::{ForgeClaim, ForgeClaims};
use x509_cert::Certificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

use crate::csr::CsrContent;
use crate::problem::{Problem, ProblemType};
use crate::server::connection::{Connection, PeerState};

/// SHA-256 of a certificate's DER.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Hashes a certificate.
    #[must_use]
    pub fn of(certificate_der: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate_der);
        let mut octets = [0; 32];
        octets.copy_from_slice(digest.as_ref());
        Self(octets)
    }

    /// Returns the 32 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// What a verified client certificate says, parsed once a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Its serial number.
    pub serial: SerialNumber,
    /// Its issuer's name, DER.
    pub issuer_der: Vec<u8>,
    /// SHA-256 of its DER.
    pub fingerprint: Fingerprint,
    /// First moment of its validity.
    pub not_before: Timestamp,
    /// Last moment of its validity.
    pub not_after: Timestamp,
    /// The URIs of its subject alternative name.
    uris: Vec<String>,
    /// The DNS names of its subject alternative name.
    dns: Vec<String>,
    /// The IP addresses of its subject alternative name, in network order.
    ips: Vec<Vec<u8>>,
    /// What a forge said of the build that holds it.
    forge: Option<ForgeClaims>,
}

/// Why a certificate cannot tell who the peer is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unidentified {
    /// The certificate cannot be read.
    #[error("the client certificate cannot be read")]
    Malformed,
    /// No URI at all, or more than one (X509-SVID, 2: exactly one).
    #[error(
        "the client certificate carries {count} URI names, not exactly one (SPIFFE X509-SVID, 2)"
    )]
    UriCount {
        /// How many it carries.
        count: usize,
    },
    /// The one URI is no identity here.
    #[error("the client certificate's URI name is not an identity of this installation")]
    Identity(#[from] InvalidIdentity),
}

impl PeerCertificate {
    /// Reads a certificate.
    ///
    /// Bytes are hostile: never panics, allocates no more than a few times the
    /// input's length.
    ///
    /// # Errors
    ///
    /// `Malformed` when it is not one certificate in DER, or its serial number
    /// or dates are none.
    pub fn parse(certificate_der: &[u8]) -> Result<Self, Unidentified> {
        let certificate =
            Certificate::from_der(certificate_der).map_err(|_| Unidentified::Malformed)?;
        let tbs = certificate.tbs_certificate();
        let serial = SerialNumber::from_der_content(tbs.serial_number().as_bytes())
            .map_err(|_| Unidentified::Malformed)?;
        let names = tbs
            .get_extension::<SubjectAltName>()
            .map_err(|_| Unidentified::Malformed)?;
        let (mut uris, mut dns, mut ips) = (Vec::new(), Vec::new(), Vec::new());
        for name in names.into_iter().flat_map(|(_, names)| names.0) {
            match name {
                GeneralName::UniformResourceIdentifier(uri) => uris.push(uri.as_str().to_owned()),
                GeneralName::DnsName(name) => dns.push(name.as_str().to_owned()),
                GeneralName::IpAddress(octets) => ips.push(octets.as_bytes().to_vec()),
                _ => {}
            }
        }
        Ok(Self {
            serial,
            issuer_der: der::Encode::to_der(tbs.issuer()).map_err(|_| Unidentified::Malformed)?,
            fingerprint: Fingerprint::of(certificate_der),
            not_before: moment(&tbs.validity().not_before)?,
            not_after: moment(&tbs.validity().not_after)?,
            uris,
            dns,
            ips,
            forge: forge_claims(tbs.extensions().map_or(&[][..], |list| list.as_slice()))?,
        })
    }

    /// Returns what a forge said of the build that holds it; none for certificates that
    /// were issued otherwise than for a forge's token.
    #[must_use]
    pub fn forge_claims(&self) -> Option<&ForgeClaims> {
        self.forge.as_ref()
    }

    /// Tells whether it certifies every DNS name and address of `content`.
    pub(crate) fn names_all(&self, content: &CsrContent) -> bool {
        let address = |address: &IpAddr| match address {
            IpAddr::V4(address) => self.ips.iter().any(|known| *known == address.octets()),
            IpAddr::V6(address) => self.ips.iter().any(|known| *known == address.octets()),
        };
        content.dns.iter().all(|name| self.dns.contains(name)) && content.ips.iter().all(address)
    }

    /// Finds the identity it carries.
    ///
    /// # Errors
    ///
    /// `UriCount` unless there is exactly one URI, `Identity` when that is no
    /// identity of `domain`.
    pub fn identity(&self, domain: &TrustDomain) -> Result<Identity, Unidentified> {
        match self.uris.as_slice() {
            [uri] => Ok(Identity::from_uri(uri, domain)?),
            uris => Err(Unidentified::UriCount { count: uris.len() }),
        }
    }
}

#[cfg(test)]
impl PeerCertificate {
    /// A client as the handshake would have parsed it.
    pub(crate) fn for_tests(serial: SerialNumber, issuer_der: &[u8]) -> Self {
        Self {
            serial,
            issuer_der: issuer_der.to_vec(),
            fingerprint: Fingerprint::of(b"a leaf"),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::MAX,
            uris: Vec::new(),
            dns: Vec::new(),
            ips: Vec::new(),
            forge: None,
        }
    }
}

/// Reads Fulcio's extensions; some that are not whole are refused, not passed over.
fn forge_claims(extensions: &[Extension]) -> Result<Option<ForgeClaims>, Unidentified> {
    let mut claims = Vec::new();
    for extension in extensions {
        if let Some(claim) = ForgeClaim::from_oid(&extension.extn_id) {
            let text = String::from_der(extension.extn_value.as_bytes());
            claims.push((claim, text.map_err(|_| Unidentified::Malformed)?));
        }
    }
    if claims.is_empty() {
        return Ok(None);
    }
    ForgeClaims::new(claims)
        .map(Some)
        .map_err(|_| Unidentified::Malformed)
}

/// Reads a certificate's time.
fn moment(time: &Time) -> Result<Timestamp, Unidentified> {
    i64::try_from(time.to_unix_duration().as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or(Unidentified::Malformed)
}

/// A peer whose certificate was verified and names an identity.
///
/// A mutual listener has refused everyone else before a handler runs; on other
/// listeners the extractor does.
#[derive(Debug, Clone)]
pub struct Peer(Arc<Known>);

/// What a [`Peer`] holds.
#[derive(Debug)]
struct Known {
    /// Role and name.
    identity: Identity,
    /// Role and name as the log has them, formatted once.
    label: String,
    /// The certificate by which it is known.
    certificate: PeerCertificate,
}

impl Peer {
    /// Takes a verified certificate and the identity found in it.
    pub(crate) fn new(identity: Identity, certificate: PeerCertificate) -> Self {
        Self(Arc::new(Known {
            label: identity.to_string(),
            identity,
            certificate,
        }))
    }

    /// Returns its role and name.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Returns role and name as the log has them: `operator/alice`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// Returns the certificate by which it is known.
    #[must_use]
    pub fn certificate(&self) -> &PeerCertificate {
        &self.0.certificate
    }
}

impl FromRequest for Peer {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request
            .conn_data::<Arc<Connection>>()
            .map(|connection| &connection.peer);
        ready(match state {
            Some(PeerState::Known(peer)) => Ok(peer.clone()),
            Some(PeerState::Unidentified { why, .. }) => Err(unidentified(why)),
            Some(PeerState::Absent | PeerState::NotAsked) | None => Err(certificate_required()),
        })
    }
}

/// States that the certificate names nobody.
pub(crate) fn unidentified(why: &Unidentified) -> Problem {
    let mut detail = why.to_string();
    if let Unidentified::Identity(inner) = why {
        detail = format!("{detail}: {inner}");
    }
    Problem::new(ProblemType::PeerUnidentified, detail)
}

/// States that a certificate is missing, and how to bring one.
pub(crate) fn certificate_required() -> Problem {
    Problem::new(
        ProblemType::ClientCertificateRequired,
        "this service knows its clients by their certificates and the connection came without one; \
         connect with one of this installation, for example by `curl --cert FILE --key FILE`",
    )
    .closing()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A certificate with two URIs, a DNS name and an address.
    fn two_uris() -> Vec<u8> {
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names = vec![
            rcgen::SanType::URI("spiffe://a.internal/operator/x".try_into().unwrap()),
            rcgen::SanType::URI("spiffe://a.internal/auditor/x".try_into().unwrap()),
            rcgen::SanType::DnsName("a.example".try_into().unwrap()),
        ];
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn two_uris_are_no_identity() {
        let domain = TrustDomain::new("a.internal").unwrap();
        let certificate = PeerCertificate::parse(&two_uris()).unwrap();
        assert_eq!(
            certificate.identity(&domain),
            Err(Unidentified::UriCount { count: 2 })
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = PeerCertificate::parse(&bytes);
        }

        #[test]
        fn no_damaged_certificate_panics(
            at in any::<prop::sample::Index>(),
            to in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut der = two_uris();
            let place = at.index(der.len());
            der[place] = to;
            der.truncate(cut.index(der.len()) + 1);
            let _ = PeerCertificate::parse(&der);
        }
    }
}
