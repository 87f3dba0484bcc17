//! Trees against the definition of RFC 6962, checkpoints and entries against their golden
//! forms.

use std::convert::Infallible;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use model::signing::ArtifactDigest;
use pki::public_key::PublicKey;
use proptest::prelude::*;

use super::*;

/// Leaves whose every range can be hashed as RFC 6962, 2.1 writes it.
struct Leaves(Vec<Hash>);

impl Leaves {
    /// Makes some.
    fn new(count: u64) -> Self {
        Self((0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect())
    }

    /// MTH, word for word.
    fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            leaves => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&Self::root(left), &Self::root(right))
            }
        }
    }
}

impl ReadNodes for Leaves {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Infallible> {
        let start = (index << level) as usize;
        Ok(Self::root(&self.0[start..start + (1 << level)]))
    }
}

#[test]
fn the_empty_tree_hashes_nothing() {
    let root = hex::encode(CompactTree::new().root());
    assert_eq!(
        root,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

#[test]
fn appending_gives_the_root_of_the_definition_and_every_full_subtree() {
    let leaves = Leaves::new(70);
    let mut tree = CompactTree::new();
    for (index, leaf) in leaves.0.iter().enumerate() {
        let mut kept = Vec::new();
        let given = tree
            .append(*leaf, |level, index, hash| kept.push((level, index, *hash)))
            .unwrap();
        assert_eq!(given, index as u64);
        assert_eq!(tree.root(), Leaves::root(&leaves.0[..=index]));
        for (level, index, hash) in kept {
            assert_eq!(hash, leaves.node(level, index).unwrap());
        }
        let resumed = CompactTree::resume(tree.size(), tree.peaks().to_vec()).unwrap();
        assert_eq!(resumed, tree);
    }
    assert!(matches!(
        CompactTree::resume(3, vec![]),
        Err(WrongPeaks { expected: 2, .. })
    ));
}

#[test]
fn every_leaf_of_every_tree_is_proved_and_no_other() {
    let leaves = Leaves::new(33);
    for size in 1..=33_u64 {
        let root = Leaves::root(&leaves.0[..size as usize]);
        for index in 0..size {
            let path = inclusion_path(&leaves, index, size).unwrap();
            let leaf = leaves.0[index as usize];
            assert_eq!(verify_inclusion(&leaf, index, size, &path, &root), Ok(()));
            let other = leaves.0[((index + 1) % 33) as usize];
            let longer = [&path[..], &[root]].concat();
            let wrong = [
                verify_inclusion(&other, index, size, &path, &root),
                verify_inclusion(&leaf, index + 1, size, &path, &root),
                verify_inclusion(&leaf, index, size, &longer, &root),
                verify_inclusion(&leaf, index, size, &path, &leaf_hash(b"")),
            ];
            assert_eq!(wrong, [Err(NotIncluded); 4], "{index} of {size}");
        }
        assert!(inclusion_path(&leaves, size, size).is_err());
    }
}

#[test]
fn every_tree_is_the_beginning_of_every_larger_one() {
    let leaves = Leaves::new(33);
    let root = |size: u64| Leaves::root(&leaves.0[..size as usize]);
    for size in 1..=33 {
        for smaller in 1..=size {
            let path = consistency_path(&leaves, smaller, size).unwrap();
            let verify = |from: &Hash, to: &Hash, path: &[Hash]| {
                verify_consistency(smaller, from, size, to, path)
            };
            assert_eq!(verify(&root(smaller), &root(size), &path), Ok(()));
            let forked = leaf_hash(b"fork");
            assert!(verify(&forked, &root(size), &path).is_err());
            assert!(verify(&root(smaller), &forked, &path).is_err());
            let longer = [&path[..], &[forked]].concat();
            assert!(verify(&root(smaller), &root(size), &longer).is_err());
            if let Some((_, shorter)) = path.split_last() {
                assert!(verify(&root(smaller), &root(size), shorter).is_err());
            }
        }
        assert!(consistency_path(&leaves, size + 1, size).is_err());
        assert!(consistency_path(&leaves, 0, size).is_err());
    }
}

/// Ed25519 key of RFC 8032, 7.1, test 1: its seed.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

/// Makes the key that signs and the one that verifies.
fn log_key() -> (Ed25519KeyPair, NoteKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&hex::decode(SEED).unwrap()).unwrap();
    let prefix = hex::decode("302a300506032b6570032100").unwrap();
    let spki = [&prefix[..], pair.public_key().as_ref()].concat();
    let key = PublicKey::from_spki_der(&spki).unwrap();
    (pair, NoteKey::new("log.example.internal", key).unwrap())
}

/// Has a checkpoint signed.
fn signed(size: u64) -> SignedCheckpoint {
    let (pair, key) = log_key();
    let checkpoint = Checkpoint {
        origin: key.origin().to_owned(),
        size,
        root: leaf_hash(b"a"),
    };
    let signature = pair.sign(checkpoint.text().as_bytes());
    checkpoint.assemble(&key, signature.as_ref())
}

#[test]
fn a_checkpoint_is_a_signed_note() {
    insta::assert_snapshot!(signed(7), @r"
    log.example.internal
    7
    Aippeebat6pa5MPl5F9+l3ESp+Y1k4INvsHsc4ok+Tw=

    — log.example.internal sis0x5g3b+psLmaTCHmInDPH1Q5Y64GQepzs3jLDfHx3lhiTr4TY2s//g0eTaZ1wPaGh883fiK564a3yIPjuLJ8VAgQ=
    ");
}

#[test]
fn a_checkpoint_verifies_with_its_log_and_no_other() {
    let (_, key) = log_key();
    let note = signed(7).to_string();
    let parsed = SignedCheckpoint::parse(&note).unwrap();
    assert_eq!(parsed, signed(7));
    assert_eq!(parsed.verify(&key).unwrap().size, 7);
    let other = NoteKey::new("other.example.internal", key.public_key().clone()).unwrap();
    assert_eq!(parsed.verify(&other), Err(CheckpointError::Unsigned));
    let altered = SignedCheckpoint::parse(&note.replacen("\n7\n", "\n8\n", 1)).unwrap();
    assert_eq!(altered.verify(&key), Err(CheckpointError::BadSignature));
}

#[test]
fn a_checkpoint_may_be_extended_and_witnessed() {
    let (pair, key) = log_key();
    let text = signed(7).checkpoint().text() + "an extension\n";
    let signature = [&key.key_id()[..4], pair.sign(text.as_bytes()).as_ref()].concat();
    let witness = BASE64_STANDARD.encode([0; 76]);
    let note = format!(
        "{text}\n\u{2014} witness.example {witness}\n\u{2014} {} {}\n",
        key.origin(),
        BASE64_STANDARD.encode(signature)
    );
    let parsed = SignedCheckpoint::parse(&note).unwrap();
    assert_eq!(parsed.verify(&key).unwrap().root, leaf_hash(b"a"));
    assert_eq!(parsed.to_string(), note);
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let note = signed(7).to_string();
    for (from, to) in [
        ("\n7\n", "\n07\n"),
        ("\n7\n", "\n-7\n"),
        ("\n7\n", "\n18446744073709551616\n"),
        ("\u{2014} ", "- "),
        ("log.example.internal ", "log+example "),
        ("\n\n", "\n"),
        ("\n7\n", "\r\n7\n"),
        ("\n7\n", "\n7\nAA==\n"),
    ] {
        assert!(note.contains(from), "{from:?}");
        let altered = note.replacen(from, to, 1);
        assert!(SignedCheckpoint::parse(&altered).is_err(), "{altered}");
    }
    assert!(SignedCheckpoint::parse(note.trim_end()).is_err());
    let long = format!("{}\n{note}", "a".repeat(20_000));
    assert!(matches!(
        SignedCheckpoint::parse(&long),
        Err(CheckpointError::TooLong { .. })
    ));
}

#[test]
fn names_that_notes_cannot_hold_are_refused() {
    let (_, key) = log_key();
    for origin in ["", "a b", "a+b", "a\nb", "a\u{a0}b", &"a".repeat(201)] {
        assert!(
            NoteKey::new(origin, key.public_key().clone()).is_err(),
            "{origin:?}"
        );
    }
}

/// An entry.
fn entry() -> HashedRekord {
    HashedRekord {
        digest: ArtifactDigest::sha256([1; 32]),
        signature: vec![2; 70],
        certificate_der: vec![3; 5],
        key_details: "PKIX_ECDSA_P256_SHA_256".into(),
    }
}

#[test]
fn an_entry_is_written_in_canonical_form() {
    let json = entry().to_canonical_json();
    insta::assert_snapshot!(json, @r#"{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="},"signature":{"content":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg==","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","x509Certificate":{"rawBytes":"AwMDAwM="}}}}}}"#);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(crate::json::canonical(&value).unwrap(), json.as_bytes());
    assert_eq!(HashedRekord::parse(json.as_bytes()), Ok(entry()));
}

#[test]
fn entries_of_other_kinds_and_with_more_in_them_are_refused() {
    let json = entry().to_canonical_json();
    let parse = |json: &str| HashedRekord::parse(json.as_bytes());
    assert_eq!(
        parse(&json.replace("0.0.2", "0.0.1")),
        Err(EntryError::Kind)
    );
    assert!(matches!(
        parse(&json.replace("\"data\"", "\"more\":1,\"data\"")),
        Err(EntryError::Syntax { .. })
    ));
    assert!(matches!(
        parse(&json.replace("SHA2_256", "SHA1")),
        Err(EntryError::Field { field: "algorithm" })
    ));
    assert!(parse(&json.replace("AQEB", "AQ")).is_err());
}

proptest! {
    #[test]
    fn no_text_panics_as_a_checkpoint(text in "(\\PC|\n){0,200}") {
        let _ = SignedCheckpoint::parse(&text);
    }

    #[test]
    fn no_octets_panic_as_an_entry(octets: Vec<u8>) {
        let _ = HashedRekord::parse(&octets);
    }

    #[test]
    fn large_trees_are_proved_too(index in 0_u64..700, more in 1_u64..700) {
        let size = index + more;
        let leaves = Leaves::new(size);
        let root = Leaves::root(&leaves.0);
        let path = inclusion_path(&leaves, index, size).unwrap();
        let leaf = leaves.0[index as usize];
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &path, &root), Ok(()));
        let smaller = Leaves::root(&leaves.0[..=index as usize]);
        let path = consistency_path(&leaves, index + 1, size).unwrap();
        prop_assert_eq!(verify_consistency(index + 1, &smaller, size, &root, &path), Ok(()));
    }
}
