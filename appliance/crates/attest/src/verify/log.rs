//! Whether the signature is in a trusted transparency log.

use model::Timestamp;
use model::signing::ArtifactDigest;
use pki::algorithm::digest_of;

use super::Case;
use super::content::usual_hash;
use super::report::{Check, CheckName, Checks};
use crate::bundle::{Content, InclusionProof, LogEntry};
use crate::tlog::{HashedRekord, SignedCheckpoint, leaf_hash, verify_inclusion};
use crate::trusted_root::LogInstance;

/// What came of one entry.
enum Entry<'a> {
    /// In the tree that its proof names; whose checkpoint is another matter.
    Included {
        /// The log, if it is trusted.
        log: Option<&'a LogInstance>,
        /// The proof.
        proof: &'a InclusionProof,
    },
    /// Of a kind that is not verified here.
    Unknown(String),
    /// Not what it should be.
    Refused(String),
}

/// Judges the entries in logs, and the trees that they are in.
pub(super) fn judge_log(case: &Case<'_>, signed_at: Option<Timestamp>, checks: &mut Checks) {
    let wanted = case.verification.policy.log_entries;
    let inclusion = Check::new(CheckName::LogInclusion).expected(format_args!(
        "entries of this signature in {wanted} trusted logs"
    ));
    let checkpoint = Check::new(CheckName::LogCheckpoint)
        .expected("a checkpoint by the log's key over the tree that has the entry");
    let entries = case
        .parts
        .bundle
        .map_or(&[][..], |bundle| bundle.log_entries.as_slice());
    let (mut included, mut refused, mut unknown) = (Vec::new(), None, None);
    for entry in entries {
        match judge_entry(case, entry) {
            Entry::Included {
                log: Some(log),
                proof,
            } => included.push((entry, log, proof)),
            Entry::Included { log: None, .. } => {
                unknown = Some(format!("log {} is not trusted", hex::encode(&entry.log_id)));
            }
            Entry::Unknown(why) => unknown = Some(why),
            Entry::Refused(why) => refused = Some(why),
        }
    }
    let (mut signed, mut unsigned) = (Vec::new(), None);
    for (entry, log, proof) in included {
        match judge_checkpoint(log, proof, signed_at) {
            Ok(()) if !signed.iter().any(|(known, _)| *known == log.log_id) => {
                signed.push((log.log_id.as_slice(), entry.log_index));
            }
            Ok(()) => {}
            Err(why) => unsigned = Some(why),
        }
    }
    let enough = signed.len() >= wanted as usize;
    let places: Vec<String> = signed
        .iter()
        .map(|(_, index)| format!("entry {index}"))
        .collect();
    let absent = unknown.unwrap_or_else(|| "there is no entry".to_owned());
    if let Some(why) = refused {
        checks.push(inclusion.failed(why));
        return;
    }
    if let Some(why) = unsigned {
        checks.push(inclusion.passed("the proof leads to the tree's root"));
        checks.push(checkpoint.failed(why));
        return;
    }
    if signed.is_empty() && wanted == 0 {
        checks.push(inclusion.skipped(format_args!("{absent}, and none is asked for")));
        checks.push(checkpoint.skipped(format_args!("{absent}, and none is asked for")));
    } else if enough {
        checks.push(inclusion.passed(places.join(", ")));
        checks.push(
            checkpoint
                .passed("signed by the log")
                .note("one operator's log proves inclusion, not that it shows everyone the same"),
        );
    } else {
        let found = if signed.is_empty() {
            absent
        } else {
            places.join(", ")
        };
        checks.push(inclusion.failed(&found));
        checks.push(checkpoint.failed(&found));
    }
}

/// Judges whether an entry is of this signature and in its tree.
fn judge_entry<'a>(case: &Case<'a>, entry: &'a LogEntry) -> Entry<'a> {
    if !entry.is_hashed_rekord() {
        return Entry::Unknown(format!(
            "entries of kind {:?} {:?} are not verified here",
            entry.kind, entry.version
        ));
    }
    let body = match HashedRekord::parse(&entry.canonicalized_body) {
        Ok(body) => body,
        Err(error) => return Entry::Refused(error.to_string()),
    };
    if let Err(why) = is_of_this(case, &body) {
        return Entry::Refused(why.to_owned());
    }
    let Some(proof) = &entry.inclusion_proof else {
        return Entry::Refused("the entry has no proof of inclusion".to_owned());
    };
    let leaf = leaf_hash(&entry.canonicalized_body);
    let included = verify_inclusion(
        &leaf,
        proof.log_index,
        proof.tree_size,
        &proof.hashes,
        &proof.root_hash,
    );
    if let Err(error) = included {
        return Entry::Refused(error.to_string());
    }
    let mut logs = case.verification.trust.logs.iter();
    Entry::Included {
        log: logs.find(|log| log.log_id == entry.log_id),
        proof,
    }
}

/// Checks that an entry says what the bundle does.
fn is_of_this(case: &Case<'_>, body: &HashedRekord) -> Result<(), &'static str> {
    if body.signature != case.parts.signature {
        return Err("the entry is of another signature");
    }
    if body.certificate_der != case.parts.leaf.der() {
        return Err("the entry is of another certificate");
    }
    let content = case.parts.bundle.map(|bundle| &bundle.content);
    let own: Option<ArtifactDigest> = match content {
        Some(Content::Envelope(envelope)) => {
            Some(digest_of(usual_hash(&case.parts.leaf), &envelope.pae()))
        }
        Some(Content::Message(_)) | None => case
            .verification
            .artifact
            .iter()
            .copied()
            .find(|digest| Some(digest.algorithm()) == case.parts.hash),
    };
    if own != Some(body.digest) {
        return Err("the entry is of something else than was signed");
    }
    let details = crate::sigstore::key_details(case.parts.leaf.public_key().key_type());
    if details != Some(body.key_details.as_str()) {
        return Err("the entry is of another kind of key");
    }
    Ok(())
}

/// Judges whether a log signed the tree of a proof.
fn judge_checkpoint(
    log: &LogInstance,
    proof: &InclusionProof,
    signed_at: Option<Timestamp>,
) -> Result<(), String> {
    if signed_at.is_some_and(|at| !log.valid_for.contains(at)) {
        return Err("the log's key was not trusted when the signature was made".to_owned());
    }
    let key = log.note_key().map_err(|error| error.to_string())?;
    let signed = SignedCheckpoint::parse(&proof.checkpoint).map_err(|error| error.to_string())?;
    let checkpoint = signed.verify(&key).map_err(|error| error.to_string())?;
    if checkpoint.size != proof.tree_size || checkpoint.root != proof.root_hash {
        return Err("the checkpoint is of another tree than the proof".to_owned());
    }
    Ok(())
}
