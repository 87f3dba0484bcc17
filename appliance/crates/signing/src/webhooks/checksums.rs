//! Files of checksums, as `sha256sum` and its like write them.

use model::signing::{ArtifactDigest, HashAlgorithm};

/// Most octets of a file of checksums.
pub(crate) const MAX_LEN: usize = 1024 * 1024;

/// Why a file of checksums tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoChecksum {
    /// It does not have the name.
    #[error("the file of checksums does not name it")]
    Missing,
    /// It has the name twice, with different digests.
    #[error("the file of checksums gives it two different digests")]
    Ambiguous,
}

/// Finds the digest of a file.
///
/// Lines are `DIGEST  NAME`, `DIGEST *NAME` or `SHA256 (NAME) = DIGEST`; others are passed
/// over. Octets are hostile: never panics, allocates nothing.
///
/// # Errors
///
/// When the file does not say, or says two things.
pub fn find(file: &[u8], name: &str) -> Result<ArtifactDigest, NoChecksum> {
    let mut found: Option<ArtifactDigest> = None;
    for line in file.split(|octet| *octet == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else {
            continue;
        };
        let line = line.strip_suffix('\r').unwrap_or(line);
        let Some((named, digest)) = tagged(line).or_else(|| plain(line)) else {
            continue;
        };
        if named.strip_prefix("./").unwrap_or(named) != name {
            continue;
        }
        match &found {
            Some(before) if *before != digest => return Err(NoChecksum::Ambiguous),
            _ => found = Some(digest),
        }
    }
    found.ok_or(NoChecksum::Missing)
}

/// Reads `DIGEST  NAME` or `DIGEST *NAME`.
fn plain(line: &str) -> Option<(&str, ArtifactDigest)> {
    let (digest, name) = line.split_once(' ')?;
    let name = name.strip_prefix([' ', '*'])?;
    Some((name, by_length(digest)?))
}

/// Reads `SHA256 (NAME) = DIGEST`.
fn tagged(line: &str) -> Option<(&str, ArtifactDigest)> {
    let (algorithm, rest) = line.split_once(" (")?;
    let (name, digest) = rest.rsplit_once(") = ")?;
    let digest = by_length(digest)?;
    let written = match digest.algorithm() {
        HashAlgorithm::Sha256 => "SHA256",
        HashAlgorithm::Sha384 => "SHA384",
        HashAlgorithm::Sha512 => "SHA512",
    };
    (algorithm == written).then_some((name, digest))
}

/// Reads hexadecimal, whose length tells the algorithm.
fn by_length(hexadecimal: &str) -> Option<ArtifactDigest> {
    let algorithm = match hexadecimal.len() {
        64 => HashAlgorithm::Sha256,
        96 => HashAlgorithm::Sha384,
        128 => HashAlgorithm::Sha512,
        _ => return None,
    };
    let mut octets = [0; 64];
    let octets = octets.get_mut(..hexadecimal.len() / 2)?;
    hex::decode_to_slice(hexadecimal, octets).ok()?;
    ArtifactDigest::new(algorithm, octets).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// SHA-256 of nothing.
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn lines_of_either_form_are_found() {
        let tagged = format!("SHA256 (app (1).tar.gz) = {EMPTY}\n");
        for (file, name) in [
            (format!("{EMPTY}  app.tar.gz\n"), "app.tar.gz"),
            (format!("{EMPTY} *app.tar.gz\r\n"), "app.tar.gz"),
            (
                format!("{}  ./app.tar.gz", EMPTY.to_uppercase()),
                "app.tar.gz",
            ),
            (format!("# sums\n\n\u{fffd}\n{EMPTY}  a  b\n"), "a  b"),
            (tagged, "app (1).tar.gz"),
        ] {
            let digest = find(file.as_bytes(), name).unwrap();
            assert_eq!(digest.to_string(), format!("sha256:{EMPTY}"), "{file}");
        }
    }

    #[test]
    fn what_is_not_there_or_said_twice_is_refused() {
        let other = "0".repeat(64);
        let file = format!("{EMPTY}  app\n{other}  app\n{EMPTY}  twice\n{EMPTY}  twice\n");
        assert_eq!(find(file.as_bytes(), "app"), Err(NoChecksum::Ambiguous));
        assert!(find(file.as_bytes(), "twice").is_ok());
        for name in ["ap", "app ", "/app", ""] {
            assert_eq!(find(file.as_bytes(), name), Err(NoChecksum::Missing));
        }
        // An algorithm that is not the digest's is nobody's checksum.
        let wrong = format!("SHA512 (app) = {EMPTY}\n");
        assert_eq!(find(wrong.as_bytes(), "app"), Err(NoChecksum::Missing));
    }

    proptest! {
        #[test]
        fn no_file_panics(file: Vec<u8>, name in "\\PC{0,20}") {
            let _ = find(&file, &name);
        }
    }
}
