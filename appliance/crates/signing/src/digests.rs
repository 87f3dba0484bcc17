//! An artifact's digests, made in one pass over it.

use aws_lc_rs::digest::{self, Context};
use model::signing::{ArtifactDigest, HashAlgorithm};

/// Digests of one artifact: at least one, each by another hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactDigests(Vec<ArtifactDigest>);

impl ArtifactDigests {
    /// Takes the one digest that is known.
    #[must_use]
    pub fn one(digest: ArtifactDigest) -> Self {
        Self(vec![digest])
    }

    /// Takes digests; none where there is none, or two of one hash.
    #[must_use]
    pub fn new(mut digests: Vec<ArtifactDigest>) -> Option<Self> {
        digests.sort_unstable();
        let distinct = digests
            .windows(2)
            .all(|pair| pair[0].algorithm() != pair[1].algorithm());
        (distinct && !digests.is_empty()).then_some(Self(digests))
    }

    /// Returns the digest by a hash.
    #[must_use]
    pub fn by(&self, hash: HashAlgorithm) -> Option<&ArtifactDigest> {
        self.0.iter().find(|digest| digest.algorithm() == hash)
    }

    /// Returns all of them.
    #[must_use]
    pub fn as_slice(&self) -> &[ArtifactDigest] {
        &self.0
    }
}

/// Hashes an artifact by several hashes at once.
pub struct ArtifactHasher {
    /// A context for each hash.
    contexts: Vec<(HashAlgorithm, Context)>,
    /// Octets so far.
    len: u64,
}

impl std::fmt::Debug for ArtifactHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ArtifactHasher({} octets)", self.len)
    }
}

impl ArtifactHasher {
    /// Begins; each hash counts once.
    #[must_use]
    pub fn new(hashes: &[HashAlgorithm]) -> Self {
        let contexts = HashAlgorithm::ALL
            .into_iter()
            .filter(|hash| hashes.contains(hash))
            .map(|hash| (hash, Context::new(implementation(hash))))
            .collect();
        Self { contexts, len: 0 }
    }

    /// Takes the next octets.
    pub fn update(&mut self, octets: &[u8]) {
        for (_, context) in &mut self.contexts {
            context.update(octets);
        }
        self.len += octets.len() as u64;
    }

    /// Returns the digests and how many octets there were; none if no hash was asked for.
    #[must_use]
    pub fn finish(self) -> Option<(ArtifactDigests, u64)> {
        let digests = self
            .contexts
            .into_iter()
            .filter_map(|(hash, context)| ArtifactDigest::new(hash, context.finish().as_ref()).ok())
            .collect();
        Some((ArtifactDigests::new(digests)?, self.len))
    }
}

/// Returns what computes a hash.
pub(crate) fn implementation(hash: HashAlgorithm) -> &'static digest::Algorithm {
    match hash {
        HashAlgorithm::Sha256 => &digest::SHA256,
        HashAlgorithm::Sha384 => &digest::SHA384,
        HashAlgorithm::Sha512 => &digest::SHA512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_digest_of_the_whole() {
        let mut hasher = ArtifactHasher::new(&[HashAlgorithm::Sha512, HashAlgorithm::Sha256]);
        hasher.update(b"ab");
        hasher.update(b"");
        hasher.update(b"c");
        let (digests, len) = hasher.finish().unwrap();
        assert_eq!(len, 3);
        // FIPS 180-4's example.
        assert_eq!(
            digests.by(HashAlgorithm::Sha256).unwrap().to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(digests.by(HashAlgorithm::Sha512).is_some());
        assert!(digests.by(HashAlgorithm::Sha384).is_none());
        assert!(ArtifactHasher::new(&[]).finish().is_none());
    }
}
