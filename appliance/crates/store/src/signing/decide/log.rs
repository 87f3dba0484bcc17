//! Acts on time-stamps and the transparency log.

use bytes::Bytes;

use super::signatures::unused_serial;
use super::{Decided, Decision, MAX_TEXT, Plan, bounded};
use crate::signing::act::Done;
use crate::signing::error::SigningStoreError;
use crate::signing::log;
use crate::signing::record::{LogCheckpoint, NewTimestamp};
use crate::signing::view::View;

/// Most leaves that one act adds.
const MAX_LEAVES: usize = 1_000;

/// Most octets of leaves that one act adds.
const MAX_LEAF_OCTETS: usize = 384 * 1024;

/// Notes a time-stamp that will be signed.
pub(super) fn timestamp(view: View<'_>, new: &NewTimestamp) -> Decision {
    bounded("a time-stamp", new.tst_info_der.len(), MAX_TEXT)?;
    unused_serial(view, &new.serial, true)?;
    Ok(Decided::Record(Plan::default(), Done::Recorded))
}

/// Adds leaves to the log.
pub(super) fn append(view: View<'_>, own: &[Bytes]) -> Decision {
    let plan = leaves(view, own)?;
    let start = plan.first_leaf;
    let range = start..start + plan.leaves;
    if range.is_empty() {
        return Ok(Decided::Answer(Done::Logged(Some(range))));
    }
    Ok(Decided::Record(plan, Done::Logged(Some(range))))
}

/// Says where leaves will be in the log.
pub(super) fn leaves(view: View<'_>, own: &[Bytes]) -> Result<Plan, SigningStoreError> {
    bounded("the leaves", own.len(), MAX_LEAVES)?;
    let octets = own.iter().map(Bytes::len).sum();
    bounded("the leaves' octets", octets, MAX_LEAF_OCTETS)?;
    for leaf in own {
        bounded("a leaf", leaf.len(), MAX_TEXT)?;
    }
    Ok(Plan {
        first_leaf: view.log().size,
        leaves: own.len() as u64,
        ..Plan::default()
    })
}

/// Notes the log's signed state.
pub(super) fn checkpoint(view: View<'_>, checkpoint: &LogCheckpoint) -> Decision {
    bounded("a checkpoint", checkpoint.note.len(), MAX_TEXT)?;
    let size = checkpoint.size;
    let edge = view.log();
    if size > edge.size {
        return Err(SigningStoreError::CheckpointAhead {
            size,
            end: edge.size,
        });
    }
    if let Some((last, _)) = view.last_checkpoint()
        && size < last
    {
        return Err(SigningStoreError::CheckpointBehind { size, last });
    }
    let root = if size == edge.size {
        edge.root()
    } else {
        let mut peaks = Vec::new();
        for (level, index) in log::peaks(size) {
            let node = view.node(level, index)?;
            peaks.push(node.ok_or_else(|| view.unreadable())?);
        }
        log::root(peaks.into_iter())
    };
    // Nothing that is signed twice may say two things.
    if root != checkpoint.root {
        return Err(SigningStoreError::CheckpointDiffers { size });
    }
    Ok(Decided::Record(Plan::default(), Done::Recorded))
}
