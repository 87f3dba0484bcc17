//! Checkpoints: a tree's size and root under the log's signature (C2SP tlog-checkpoint
//! and signed-note).

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pki::algorithm::SignatureAlgorithm;
use pki::public_key::{KeyType, PublicKey};

use super::tree::{Hash, sha256};

/// Most octets of a signed checkpoint.
const MAX_LEN: usize = 16 * 1024;

/// Most signatures below a checkpoint.
const MAX_SIGNATURES: usize = 32;

/// The signature type of Ed25519 keys (C2SP signed-note).
const ED25519: u8 = 0x01;

/// What stands before each signature: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// A log's name and key, as checkpoints know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteKey {
    /// The log's name.
    origin: String,
    /// Its Ed25519 key.
    public_key: PublicKey,
}

/// Why a name and a key sign no checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsuitableKey {
    /// A name that a signature line cannot hold.
    #[error(
        "{origin:?} names no log: a name has 1 to 200 characters and neither blanks nor a plus"
    )]
    Origin {
        /// The name, cut.
        origin: String,
    },
    /// Another kind of key.
    #[error("checkpoints are signed by Ed25519 keys, not {key_type}")]
    Key {
        /// The key's.
        key_type: KeyType,
    },
}

impl NoteKey {
    /// Most characters of a log's name.
    const MAX_ORIGIN: usize = 200;

    /// Joins a log's name and key.
    ///
    /// # Errors
    ///
    /// `Origin` for a name that is empty, long, or has blanks or a plus; `Key` for a key
    /// that is not Ed25519.
    pub fn new(origin: &str, public_key: PublicKey) -> Result<Self, UnsuitableKey> {
        check_origin(origin)?;
        match public_key.key_type() {
            KeyType::Ed25519 => Ok(Self {
                origin: origin.to_owned(),
                public_key,
            }),
            key_type @ (KeyType::Rsa { .. } | KeyType::P256 | KeyType::P384 | KeyType::P521) => {
                Err(UnsuitableKey::Key { key_type })
            }
        }
    }

    /// Returns the log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the log's key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns SHA-256(origin ‖ LF ‖ 0x01 ‖ key): the log's identifier, whose first four
    /// octets stand before its signatures.
    #[must_use]
    pub fn key_id(&self) -> Hash {
        sha256(&[
            self.origin.as_bytes(),
            b"\n",
            &[ED25519],
            self.public_key.key_octets(),
        ])
    }

    /// Returns the four octets before the log's signatures.
    fn hint(&self) -> [u8; 4] {
        let mut hint = [0; 4];
        hint.copy_from_slice(&self.key_id()[..4]);
        hint
    }
}

/// Checks a log's name.
fn check_origin(origin: &str) -> Result<(), UnsuitableKey> {
    let unfit =
        |character: char| character.is_whitespace() || character.is_control() || character == '+';
    if origin.is_empty() || origin.chars().count() > NoteKey::MAX_ORIGIN || origin.contains(unfit) {
        return Err(UnsuitableKey::Origin {
            origin: origin.chars().take(40).collect(),
        });
    }
    Ok(())
}

/// What a log says of its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
}

impl Checkpoint {
    /// Returns the octets that the log signs: name, size and root, a line each.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            BASE64_STANDARD.encode(self.root)
        )
    }

    /// Joins the checkpoint with its log's signature over [`Self::text`].
    #[must_use]
    pub fn assemble(self, key: &NoteKey, signature: &[u8]) -> SignedCheckpoint {
        SignedCheckpoint {
            text: self.text(),
            signatures: vec![NoteSignature {
                name: key.origin.clone(),
                hint: key.hint(),
                octets: signature.to_vec(),
            }],
            checkpoint: self,
        }
    }
}

/// One signature below a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Whose.
    pub name: String,
    /// First octets of its key's identifier.
    pub hint: [u8; 4],
    /// The signature.
    pub octets: Vec<u8>,
}

/// A checkpoint and its signatures: the log's, and perhaps witnesses'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    checkpoint: Checkpoint,
    /// What is signed, octet for octet.
    text: String,
    /// At least one.
    signatures: Vec<NoteSignature>,
}

/// Why text is no signed checkpoint, or not this log's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Too long.
    #[error("a checkpoint has at most {max} octets, not {len}")]
    TooLong {
        /// Octets that were given.
        len: usize,
        /// Octets allowed.
        max: usize,
    },
    /// No blank line between text and signatures, or a control character.
    #[error("a checkpoint is text, a blank line and lines of signatures")]
    Layout,
    /// Not name, size and root.
    #[error("a checkpoint's first lines are the log's name, a size and a root in base64")]
    Text,
    /// A line below that is no signature.
    #[error("line {line} below a checkpoint is no signature")]
    Signature {
        /// Which, from 1.
        line: usize,
    },
    /// No signature by the log's key.
    #[error("the checkpoint is not signed by this log's key")]
    Unsigned,
    /// A signature under the log's name and identifier that is not its.
    #[error("the signature of the checkpoint does not verify with the log's key")]
    BadSignature,
}

impl SignedCheckpoint {
    /// Reads a signed checkpoint.
    ///
    /// Text is hostile: never panics, allocates no more than a few times its length.
    /// Lines that extend the text are allowed and signed; signatures are not verified.
    ///
    /// # Errors
    ///
    /// `TooLong`, `Layout`, `Text` and `Signature`.
    pub fn parse(note: &str) -> Result<Self, CheckpointError> {
        if note.len() > MAX_LEN {
            return Err(CheckpointError::TooLong {
                len: note.len(),
                max: MAX_LEN,
            });
        }
        if note
            .chars()
            .any(|character| character.is_control() && character != '\n')
        {
            return Err(CheckpointError::Layout);
        }
        // The last blank line separates; the text keeps its final line feed.
        let blank = note.rfind("\n\n").ok_or(CheckpointError::Layout)?;
        let (text, signed) = (&note[..=blank], &note[blank + 2..]);
        let lines = signed.strip_suffix('\n').ok_or(CheckpointError::Layout)?;
        let mut signatures = Vec::new();
        for (place, line) in lines.split('\n').enumerate() {
            let line_number = place + 1;
            if signatures.len() == MAX_SIGNATURES {
                return Err(CheckpointError::Signature { line: line_number });
            }
            let signature =
                read_signature(line).ok_or(CheckpointError::Signature { line: line_number })?;
            signatures.push(signature);
        }
        Ok(Self {
            checkpoint: read_text(text).ok_or(CheckpointError::Text)?,
            text: text.to_owned(),
            signatures,
        })
    }

    /// Returns what it says, unverified.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Returns its signatures.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Verifies that the log signed it, under its own name.
    ///
    /// # Errors
    ///
    /// `Unsigned` and `BadSignature`.
    pub fn verify(&self, key: &NoteKey) -> Result<&Checkpoint, CheckpointError> {
        if self.checkpoint.origin != key.origin {
            return Err(CheckpointError::Unsigned);
        }
        let hint = key.hint();
        let own = self
            .signatures
            .iter()
            .find(|signature| signature.name == key.origin && signature.hint == hint)
            .ok_or(CheckpointError::Unsigned)?;
        key.public_key
            .verify(
                SignatureAlgorithm::Ed25519,
                self.text.as_bytes(),
                &own.octets,
            )
            .map_err(|_| CheckpointError::BadSignature)?;
        Ok(&self.checkpoint)
    }
}

impl fmt::Display for SignedCheckpoint {
    /// Writes the note as it is published.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for signature in &self.signatures {
            let octets = [&signature.hint[..], &signature.octets].concat();
            writeln!(
                f,
                "{DASH}{} {}",
                signature.name,
                BASE64_STANDARD.encode(octets)
            )?;
        }
        Ok(())
    }
}

/// Reads what a checkpoint says; lines after the third extend it.
fn read_text(text: &str) -> Option<Checkpoint> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let origin = lines.next()?;
    let size = lines.next()?;
    let root = BASE64_STANDARD.decode(lines.next()?).ok()?;
    if origin.is_empty() || lines.any(str::is_empty) {
        return None;
    }
    // A decimal number without a sign or leading zeros.
    let number: u64 = size.parse().ok()?;
    if number.to_string() != size {
        return None;
    }
    Some(Checkpoint {
        origin: origin.to_owned(),
        size: number,
        root: Hash::try_from(root.as_slice()).ok()?,
    })
}

/// Reads a line `— NAME BASE64`.
fn read_signature(line: &str) -> Option<NoteSignature> {
    let (name, octets) = line.strip_prefix(DASH)?.split_once(' ')?;
    check_origin(name).ok()?;
    let octets = BASE64_STANDARD.decode(octets).ok()?;
    let (hint, signature) = octets.split_first_chunk::<4>()?;
    if signature.is_empty() {
        return None;
    }
    Some(NoteSignature {
        name: name.to_owned(),
        hint: *hint,
        octets: signature.to_vec(),
    })
}
