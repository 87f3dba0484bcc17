//! Acts on signatures.

use std::collections::HashSet;

use model::SerialNumber;
use model::signing::SignatureId;

use super::{Decided, Decision, MAX_TEXT, Plan, bounded, queues, unused};
use crate::blobs::Sha256;
use crate::signing::act::Done;
use crate::signing::codec::{ABANDONED, SIGNED};
use crate::signing::document::{Body, Documents};
use crate::signing::error::SigningStoreError;
use crate::signing::key::{self, Known};
use crate::signing::record::{NewSignature, NewWithdrawal, Signed, Stage};
use crate::signing::view::View;

/// Most octets of journal room that one signature may ask for.
const MAX_ROOM: u64 = 64 << 20;

/// Most octets of a builder's name.
const MAX_BUILDER: usize = 2048;

/// Most digests of one artifact.
const MAX_DIGESTS: usize = 3;

/// Most things that one signature has signed, and most time-stamps.
const MAX_SIGNED: usize = 64;

/// Most octets of documents that lie in one frame together.
const PACK: usize = 64 * 1024;

/// Begins a signature.
pub(super) fn begin(view: View<'_>, new: &NewSignature) -> Decision {
    bounded("the verdict", new.verdict_json.len(), MAX_TEXT)?;
    bounded("the facts", new.facts_json.len(), MAX_TEXT)?;
    bounded("the digests", new.digests.len(), MAX_DIGESTS)?;
    bounded("what is to be signed", new.to_be_signed.len(), MAX_SIGNED)?;
    let builder = new.builder.as_ref().map_or(0, |builder| builder.len());
    bounded("the builder's name", builder, MAX_BUILDER)?;
    if new.room > MAX_ROOM {
        return Err(SigningStoreError::TooLong {
            what: "the room set aside",
            len: new.room,
            max: MAX_ROOM,
        });
    }
    lines_are_there(&new.documents)?;
    if let Some((key, digest)) = &new.idempotency {
        let key = idempotency(new.signer.as_str(), key.as_str());
        if let Some(value) = view.get(&key)? {
            let known = Known::decode(&value).ok_or_else(|| view.unreadable())?;
            let id = SignatureId::from_octets(known.id);
            let is_same = known.digest == *digest;
            match (outcome(view, &id)?, is_same) {
                // Nothing was handed out: the key is free again.
                (Some(ABANDONED), _) => {}
                (Some(SIGNED), true) => return Ok(Decided::Answer(Done::Answered(id))),
                (None, true) => return Ok(Decided::Answer(Done::Running(id))),
                (Some(SIGNED) | None, false) => return Ok(Decided::Answer(Done::Conflict(id))),
                (Some(_), _) => return Err(view.unreadable().into()),
            }
        }
    }
    unused(view, &key::tagged(b'S', new.id.octets()), new.id)?;
    let plan = Plan {
        packs: packs(view, &new.documents)?,
        ..Plan::default()
    };
    Ok(Decided::Record(plan, Done::Recorded))
}

/// Returns the key of a signer's idempotency key.
pub(crate) fn idempotency(signer: &str, own: &str) -> Vec<u8> {
    let hash = key::hash(&[signer.as_bytes(), own.as_bytes()]);
    key::tagged(b'i', &hash)
}

/// Returns how a signature ended, as the index numbers it.
fn outcome(view: View<'_>, id: &SignatureId) -> Result<Option<u8>, SigningStoreError> {
    let located = view.located(&key::tagged(b'O', id.octets()))?;
    Ok(located.map(|located| located.code))
}

/// Notes what the second stage will sign.
pub(super) fn stage(view: View<'_>, id: &SignatureId, stage: &Stage) -> Decision {
    let open = open(view, id)?;
    if open.stage.is_some() {
        return Err(SigningStoreError::NotOpen {
            id: *id,
            state: "staged",
        });
    }
    bounded("the time-stamps", stage.timestamps.len(), MAX_SIGNED)?;
    bounded("the leaves", stage.leaves.len(), MAX_SIGNED)?;
    let mut serials = HashSet::new();
    for timestamp in &stage.timestamps {
        bounded("a time-stamp", timestamp.tst_info_der.len(), MAX_TEXT)?;
        let is_new = serials.insert(&timestamp.serial);
        unused_serial(view, &timestamp.serial, is_new)?;
    }
    let plan = super::log::leaves(view, &stage.leaves)?;
    let start = plan.first_leaf;
    let range = (plan.leaves > 0).then(|| start..start + plan.leaves);
    Ok(Decided::Record(plan, Done::Logged(range)))
}

/// Refuses a serial number that is used.
pub(super) fn unused_serial(
    view: View<'_>,
    serial: &SerialNumber,
    is_new: bool,
) -> Result<(), SigningStoreError> {
    if !is_new || view.has(&key::timestamp(serial))? {
        return Err(SigningStoreError::SerialTaken {
            serial: serial.clone(),
        });
    }
    Ok(())
}

/// Returns a signature that is being made.
///
/// # Errors
///
/// `NotOpen` if it ended, `NoSignature`.
fn open(
    view: View<'_>,
    id: &SignatureId,
) -> Result<crate::signing::memory::Open, SigningStoreError> {
    match (view.open(id), outcome(view, id)?) {
        (_, Some(SIGNED)) => Err(SigningStoreError::NotOpen {
            id: *id,
            state: "signed",
        }),
        (_, Some(_)) => Err(SigningStoreError::NotOpen {
            id: *id,
            state: "abandoned",
        }),
        (Some(open), None) => Ok(open),
        (None, None) => Err(SigningStoreError::NoSignature { id: *id }),
    }
}

/// Notes what was signed.
pub(super) fn complete(view: View<'_>, id: &SignatureId, signed: &Signed) -> Decision {
    if outcome(view, id)? == Some(SIGNED) {
        return Ok(Decided::Answer(Done::Repeated));
    }
    let open = open(view, id)?;
    bounded("the answer", signed.answer_json.len(), MAX_TEXT)?;
    lines_are_there(&signed.documents)?;
    queues::check_deliveries(view, &signed.deliveries)?;
    let range = open.stage.flatten();
    let plan = Plan {
        first_leaf: range.as_ref().map_or(0, |range| range.start),
        leaves: range.map_or(0, |range| range.end - range.start),
        packs: packs(view, &signed.documents)?,
        ..Plan::default()
    };
    Ok(Decided::Record(plan, Done::Recorded))
}

/// Notes that nothing came of a signature.
pub(super) fn abandon(view: View<'_>, id: &SignatureId) -> Decision {
    if outcome(view, id)? == Some(ABANDONED) {
        return Ok(Decided::Answer(Done::Repeated));
    }
    open(view, id)?;
    Ok(Decided::Record(Plan::default(), Done::Recorded))
}

/// Withdraws a signature.
pub(super) fn withdraw(view: View<'_>, id: &SignatureId, new: &NewWithdrawal) -> Decision {
    match outcome(view, id)? {
        Some(SIGNED) => {}
        Some(_) => {
            return Err(SigningStoreError::NotSigned {
                id: *id,
                state: "abandoned",
            });
        }
        None => {
            open(view, id)?;
            return Err(SigningStoreError::NotSigned {
                id: *id,
                state: "not finished",
            });
        }
    }
    if view.has(&key::tagged(b'W', id.octets()))? {
        return Ok(Decided::Answer(Done::Repeated));
    }
    queues::check_deliveries(view, &new.deliveries)?;
    Ok(Decided::Record(Plan::default(), Done::Recorded))
}

/// Checks that the lines of documents of lines are documents of the same act.
fn lines_are_there(documents: &Documents) -> Result<(), SigningStoreError> {
    for document in documents.values() {
        let Body::Lines(kinds) = &document.body else {
            continue;
        };
        let mut len = 0;
        for kind in kinds {
            let line = documents.get(kind);
            match line.filter(|line| !matches!(line.body, Body::Lines(_))) {
                Some(line) => len += line.len() + 1,
                None => {
                    return Err(SigningStoreError::NoLine {
                        kind: kind.as_str(),
                    });
                }
            }
        }
        if len != document.len() {
            return Err(SigningStoreError::TooLong {
                what: "a document of these lines",
                len: document.len(),
                max: len,
            });
        }
    }
    Ok(())
}

/// Says which documents have to be attached, and which of them share a frame.
fn packs(view: View<'_>, documents: &Documents) -> Result<Vec<Vec<Sha256>>, SigningStoreError> {
    let here = || {
        documents
            .values()
            .filter_map(|document| Some((*document.sha256(), document.octets()?.len())))
    };
    let mut missing = view.missing(here().map(|(sha256, _)| sha256))?;
    let mut packs = Vec::new();
    let mut pack = Vec::new();
    let mut packed = 0;
    for (sha256, len) in here() {
        if !missing.remove(&sha256) {
            continue;
        }
        if len >= PACK {
            packs.push(vec![sha256]);
            continue;
        }
        if packed + len > PACK {
            packs.push(std::mem::take(&mut pack));
            packed = 0;
        }
        pack.push(sha256);
        packed += len;
    }
    if !pack.is_empty() {
        packs.push(pack);
    }
    Ok(packs)
}
