//! The journal: what happened, in order, on disk, each frame chained by hash to
//! everything before it.

mod append;
mod frame;
mod read;
mod segment;
mod walk;

pub(crate) use append::{CommitError, Journal};
pub use frame::FrameFault;
pub(crate) use frame::{ChainHash, Frame, MAX_PAYLOAD, frame_len};
#[cfg(test)]
pub(crate) use frame::{FrameHeader, HASH_LEN};
pub(crate) use read::JournalReader;
pub(crate) use segment::is_no_space;
pub(crate) use walk::{Place, Position, holds, walk};
pub use walk::{Verified, verify};
