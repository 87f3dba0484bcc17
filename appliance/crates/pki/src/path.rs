//! Paths: which of many certificates lead from one to an authority that is trusted.

use model::Timestamp;

use crate::certificate::Certificate;
use crate::chain::{Chain, ChainError};
use crate::profile::ExtendedKeyUsage;

/// Most certificates of a path, both ends included.
const MAX_LENGTH: usize = 8;

/// Most certificates that are tried as somebody's issuer.
const MAX_TRIES: usize = 64;

/// Where a path may lead, by what, when, and what for.
#[derive(Debug, Clone, Copy)]
pub struct PathQuestion<'a> {
    /// Certificates of authorities that nobody trusts by themselves.
    pub intermediates: &'a [Certificate],
    /// Trusted certificates, self-signed or not.
    pub roots: &'a [Certificate],
    /// When every certificate of the path must be valid.
    pub at: Timestamp,
    /// What the path must be for: the first certificate has this purpose, and the
    /// authorities below the root that have purposes have this one too.
    pub purpose: Option<ExtendedKeyUsage>,
}

/// Why no path leads to a root. Places count from 0, the first certificate's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nobody known issued a certificate.
    #[error("nothing leads to a trusted root: the issuer of certificate {place} is not known")]
    NoIssuer {
        /// The last certificate that could be reached.
        place: usize,
    },
    /// A certificate is not valid at the time.
    #[error("certificate {place} is valid from {not_before} to {not_after}, not at {at}")]
    NotValid {
        /// Which.
        place: usize,
        /// First second.
        not_before: Timestamp,
        /// Last second.
        not_after: Timestamp,
        /// When it should be.
        at: Timestamp,
    },
    /// A certificate is not for the purpose.
    #[error("certificate {place} is not for {purpose}")]
    Purpose {
        /// Which.
        place: usize,
        /// The purpose.
        purpose: ExtendedKeyUsage,
    },
    /// A certificate has a critical extension that is not known here.
    #[error("certificate {place} has a critical extension that is not known here")]
    CriticalExtension {
        /// Which.
        place: usize,
    },
    /// What leads to a root is no chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// More ways than are tried.
    #[error("too many certificates could lead to a root; give those that do")]
    TooMany,
}

/// Finds a chain from a certificate to a root, the root included.
///
/// Certificates are hostile: at most 64 are tried as issuers. Revocation is not looked at.
///
/// # Errors
///
/// What stopped the way that came farthest.
pub fn find_path(leaf: &Certificate, question: &PathQuestion<'_>) -> Result<Chain, PathError> {
    let intermediates: Vec<&Certificate> = question.intermediates.iter().collect();
    find_among(leaf, &intermediates, question)
}

/// Finds a chain by these intermediates instead of the question's.
pub(crate) fn find_among(
    leaf: &Certificate,
    intermediates: &[&Certificate],
    question: &PathQuestion<'_>,
) -> Result<Chain, PathError> {
    check_one(0, leaf, question, true)?;
    let mut search = Search {
        intermediates,
        question,
        path: vec![leaf],
        tries: 0,
        failed: PathError::NoIssuer { place: 0 },
        reached: 0,
    };
    match search.extend() {
        Some(chain) => Ok(chain),
        None => Err(search.failed),
    }
}

/// One search, depth first.
struct Search<'a> {
    /// Who may be between.
    intermediates: &'a [&'a Certificate],
    /// What is sought.
    question: &'a PathQuestion<'a>,
    /// The way so far.
    path: Vec<&'a Certificate>,
    /// Issuers tried.
    tries: usize,
    /// What stopped the farthest way.
    failed: PathError,
    /// How far that came.
    reached: usize,
}

impl<'a> Search<'a> {
    /// Goes on from the last certificate of the way.
    fn extend(&mut self) -> Option<Chain> {
        let question = self.question;
        let last = *self.path.last()?;
        // A root that is itself the end needs nobody above it.
        if question.roots.iter().any(|root| root.der() == last.der()) {
            return self.finish();
        }
        for root in question.roots {
            if let Some(chain) = self.try_issuer(last, root, Self::finish) {
                return Some(chain);
            }
        }
        if self.path.len() >= MAX_LENGTH {
            self.fail(PathError::TooMany);
            return None;
        }
        for issuer in self.intermediates {
            if let Some(chain) = self.try_issuer(last, issuer, Self::extend) {
                return Some(chain);
            }
        }
        self.fail(PathError::NoIssuer {
            place: self.path.len() - 1,
        });
        None
    }

    /// Tries a certificate as the issuer of the last one, and goes on from there.
    fn try_issuer(
        &mut self,
        last: &Certificate,
        issuer: &'a Certificate,
        go_on: fn(&mut Self) -> Option<Chain>,
    ) -> Option<Chain> {
        if last.issuer_der() != issuer.subject_der()
            || self.path.iter().any(|known| known.der() == issuer.der())
        {
            return None;
        }
        if self.tries == MAX_TRIES {
            self.reached = usize::MAX;
            self.failed = PathError::TooMany;
            return None;
        }
        self.tries += 1;
        let place = self.path.len();
        if last.verify_signed_by(issuer.public_key()).is_err() {
            self.fail(ChainError::Signature { place: place - 1 }.into());
            return None;
        }
        let is_root = self.is_root(issuer);
        if let Err(error) = check_one(place, issuer, self.question, !is_root) {
            self.fail(error);
            return None;
        }
        self.path.push(issuer);
        let chain = go_on(self);
        self.path.pop();
        chain
    }

    /// Tells whether a certificate is one of the roots.
    fn is_root(&self, certificate: &Certificate) -> bool {
        let roots = self.question.roots;
        roots.iter().any(|root| root.der() == certificate.der())
    }

    /// Checks the way, which ends at a root, to be a chain.
    fn finish(&mut self) -> Option<Chain> {
        let certificates = self.path.iter().copied().cloned().collect();
        match Chain::new(certificates) {
            Ok(chain) => Some(chain),
            Err(error) => {
                self.reached = self.reached.max(self.path.len());
                self.failed = error.into();
                None
            }
        }
    }

    /// Remembers what stopped a way, if none came farther.
    fn fail(&mut self, error: PathError) {
        if self.path.len() > self.reached {
            self.reached = self.path.len();
            self.failed = error;
        }
    }
}

/// Checks what a certificate must be wherever it stands; purposes only of those below
/// the root (RFC 5280, 4.2.1.12, as relying parties apply it to authorities).
fn check_one(
    place: usize,
    certificate: &Certificate,
    question: &PathQuestion<'_>,
    with_purpose: bool,
) -> Result<(), PathError> {
    let at = question.at;
    let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
    // The last second of validity is in it, with its fractions.
    if at < not_before || at.as_second() > not_after.as_second() {
        return Err(PathError::NotValid {
            place,
            not_before,
            not_after,
            at,
        });
    }
    let extensions = certificate.extensions();
    // RFC 5280, 6.1.4 (o) and 6.1.5 (f).
    if extensions.has_unrecognized_critical() {
        return Err(PathError::CriticalExtension { place });
    }
    let Some(purpose) = question.purpose.filter(|_| with_purpose) else {
        return Ok(());
    };
    let purposes = &extensions.extended_key_usages;
    let fits = purposes.contains(&purpose)
        || (place > 0 && (purposes.is_empty() || purposes.contains(&ExtendedKeyUsage::ANY)));
    if fits {
        Ok(())
    } else {
        Err(PathError::Purpose { place, purpose })
    }
}

#[cfg(test)]
pub(crate) mod tests;
