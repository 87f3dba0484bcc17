//! Chains: a certificate and those that vouch for it, in order.

use crate::certificate::Certificate;
use crate::profile::KeyUsage;

/// A certificate, its issuer, its issuer's issuer and so on, checked to fit.
#[derive(Debug, Clone)]
pub struct Chain {
    /// Leaf first.
    certificates: Vec<Certificate>,
}

/// Why certificates are no chain. Places count from 0, the leaf's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No certificate at all.
    #[error("a chain needs at least one certificate")]
    Empty,
    /// A certificate's issuer is not the next one's subject.
    #[error("certificate {place} was not issued in the name of the next one")]
    Name {
        /// Which.
        place: usize,
    },
    /// A certificate's authority key identifier is not the next one's.
    #[error("certificate {place} names another key of its issuer than the next one's")]
    KeyIdentifier {
        /// Which.
        place: usize,
    },
    /// A certificate's signature is not the next one's.
    #[error("certificate {place} is not signed by the next one's key")]
    Signature {
        /// Which.
        place: usize,
    },
    /// A certificate that is no CA's stands above another.
    #[error("certificate {place} is not a CA's, yet stands above another")]
    NotACa {
        /// Which.
        place: usize,
    },
    /// More CAs below than the path length allows.
    #[error("certificate {place} allows fewer CAs below it than there are")]
    PathLength {
        /// Which.
        place: usize,
    },
    /// A name outside a CA's name constraints.
    #[error("certificate {place} excludes a name of one below it")]
    NameConstraints {
        /// The CA.
        place: usize,
    },
}

impl Chain {
    /// Checks certificates to be a chain, leaf first, the root last or left out.
    ///
    /// Names, key identifiers, signatures, CA flags, path lengths and name
    /// constraints are checked (RFC 5280, 6.1); validity is not, having no clock.
    ///
    /// # Errors
    ///
    /// The first thing that does not fit.
    pub fn new(certificates: Vec<Certificate>) -> Result<Self, ChainError> {
        if certificates.is_empty() {
            return Err(ChainError::Empty);
        }
        for (place, pair) in certificates.windows(2).enumerate() {
            let [below, above] = pair else { continue };
            check_link(place, below, above)?;
        }
        for (place, authority) in certificates.iter().enumerate().skip(1) {
            check_authority(place, authority, certificates.get(..place).unwrap_or(&[]))?;
        }
        Ok(Self { certificates })
    }

    /// Returns the certificates, leaf first.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Writes the chain as PEM, leaf first, without a self-issued root
    /// (RFC 8446, 4.4.2: it MAY be omitted, since peers must have it anyway).
    #[must_use]
    pub fn to_pem(&self) -> String {
        let sent = self
            .certificates
            .iter()
            .enumerate()
            .filter(|(place, certificate)| *place == 0 || !certificate.is_self_issued());
        crate::pem::write_chain(sent.map(|(_, certificate)| certificate.der()))
    }
}

/// Checks that one certificate was issued by another.
fn check_link(place: usize, below: &Certificate, above: &Certificate) -> Result<(), ChainError> {
    if below.issuer_der() != above.subject_der() {
        return Err(ChainError::Name { place });
    }
    let named = &below.extensions().authority_key_identifier;
    let own = &above.extensions().subject_key_identifier;
    if let (Some(named), Some(own)) = (named, own)
        && named != own
    {
        return Err(ChainError::KeyIdentifier { place });
    }
    below
        .verify_signed_by(above.public_key())
        .map_err(|_| ChainError::Signature { place })
}

/// Checks what a CA may have below it.
fn check_authority(
    place: usize,
    authority: &Certificate,
    below: &[Certificate],
) -> Result<(), ChainError> {
    let extensions = authority.extensions();
    let constraints = extensions.basic_constraints.unwrap_or_default();
    let certifies = extensions
        .key_usage
        .is_none_or(|usages| usages.contains(KeyUsage::KeyCertSign));
    if !constraints.ca || !certifies {
        return Err(ChainError::NotACa { place });
    }
    // RFC 5280, 4.2.1.9: intermediate certificates that are not self-issued may
    // follow; the last one of the path is not counted.
    let between = below
        .iter()
        .skip(1)
        .filter(|certificate| !certificate.is_self_issued())
        .count();
    if constraints
        .path_length
        .is_some_and(|most| between > usize::from(most))
    {
        return Err(ChainError::PathLength { place });
    }
    if let Some(constraints) = &extensions.name_constraints {
        let allowed = |certificate: &Certificate| {
            let names_fit = certificate
                .extensions()
                .names
                .iter()
                .all(|name| constraints.allow(name));
            let subject = crate::tlv::read_only(certificate.subject_der(), crate::tlv::SEQUENCE);
            names_fit && subject.is_ok_and(|name| constraints.allow_subject(name.content))
        };
        if !below.iter().all(allowed) {
            return Err(ChainError::NameConstraints { place });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
