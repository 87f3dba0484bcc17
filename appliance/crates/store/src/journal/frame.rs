//! One frame of the journal: an act, chained to everything before it.
//!
//! ```text
//! offset  size
//!      0     4  "CHF1"
//!      4     4  n: length of the payload
//!      8     8  sequence number, from 1, no gaps
//!     16     8  sequence number of the first frame of the same commit
//!     24     8  time of the act, microseconds since 1970, signed
//!     32     2  kind of the payload
//!     34     2  version of that kind
//!     36     4  zero
//!     40     n  payload
//!   40+n     p  zeros up to a multiple of 8
//! 40+n+p    32  SHA-256 of (the 32 octets before this frame, this frame so far)
//! ```
//!
//! Integers are big-endian. The 32 octets before a frame are the hash of the
//! frame before it, or end the segment's header, which carries it over.
// Stored on disk: change only by adding a version.

use aws_lc_rs::digest;

/// A hash of the chain: SHA-256.
pub(crate) type ChainHash = [u8; HASH_LEN];

/// Octets of a chain hash.
pub(crate) const HASH_LEN: usize = 32;

/// Octets before the payload.
pub(crate) const HEADER_LEN: usize = 40;

/// Largest payload: room for any certificate that a 64 KiB request can cause.
pub(crate) const MAX_PAYLOAD: usize = 512 * 1024;

/// What every frame starts with.
pub(crate) const MAGIC: [u8; 4] = *b"CHF1";

/// What a frame says besides its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Its number in the journal, from 1.
    pub(crate) sequence: u64,
    /// The number of the first frame that was synced together with it.
    pub(crate) group: u64,
    /// When the act happened, in microseconds since the epoch.
    pub(crate) time: i64,
    /// What the payload is.
    pub(crate) kind: u16,
    /// In which version of its kind.
    pub(crate) version: u16,
}

/// A frame whose hash was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// What it says about itself.
    pub(crate) header: FrameHeader,
    /// The record.
    pub(crate) payload: &'a [u8],
    /// Its hash, to which the next frame chains.
    pub(crate) hash: ChainHash,
}

/// What is wrong with a frame, or where one should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameFault {
    /// Zeros: nothing was written here.
    #[error("nothing was written here")]
    Empty,
    /// Neither zeros nor the mark that a frame or segment starts with.
    #[error("no frame starts here")]
    Magic,
    /// A length that the format does not allow or the file does not hold.
    #[error("a length of {len} bytes is impossible here")]
    Length {
        /// The length found.
        len: u32,
    },
    /// The hash is not that of the frame and what came before it.
    #[error("the hash does not match the frame and those before it")]
    Hash,
    /// The hash is right, the number is not the next one.
    #[error("it has number {found} where {expected} must follow")]
    Sequence {
        /// Number found.
        found: u64,
        /// Number expected.
        expected: u64,
    },
    /// A segment's header does not continue the segment before it.
    #[error("the segment does not continue the one before it")]
    Splice,
}

/// Returns the length of a whole frame with a payload of this length.
pub(crate) const fn frame_len(payload: usize) -> usize {
    (HEADER_LEN + payload).next_multiple_of(8) + HASH_LEN
}

/// Appends a frame to `out` and returns its hash.
///
/// The payload must not exceed [`MAX_PAYLOAD`]; the ledger refuses such acts.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    header: &FrameHeader,
    payload: &[u8],
    previous: &ChainHash,
) -> ChainHash {
    debug_assert!(payload.len() <= MAX_PAYLOAD, "oversized payload");
    let start = out.len();
    out.reserve(frame_len(payload.len()));
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(&header.sequence.to_be_bytes());
    out.extend_from_slice(&header.group.to_be_bytes());
    out.extend_from_slice(&header.time.to_be_bytes());
    out.extend_from_slice(&header.kind.to_be_bytes());
    out.extend_from_slice(&header.version.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    let padded = start + frame_len(payload.len()) - HASH_LEN;
    out.resize(padded, 0);
    let hash = chain(previous, out.get(start..).unwrap_or_default());
    out.extend_from_slice(&hash);
    hash
}

/// Reads the frame that `bytes` start with and checks its hash. Bytes are
/// hostile: never panics, allocates nothing.
///
/// # Errors
///
/// `Empty`, `Magic`, `Length`, or `Hash` when it does not chain to `previous`.
pub(crate) fn decode<'a>(bytes: &'a [u8], previous: &ChainHash) -> Result<Frame<'a>, FrameFault> {
    let len = declared_len(bytes)?;
    let too_long = FrameFault::Length { len };
    let whole = frame_len(len as usize);
    let (Some(signed), Some(hash)) = (
        bytes.get(..whole - HASH_LEN),
        bytes.get(whole - HASH_LEN..whole),
    ) else {
        return Err(too_long);
    };
    let (Some(header), Some(payload)) = (
        read_header(signed),
        signed.get(HEADER_LEN..HEADER_LEN + len as usize),
    ) else {
        return Err(too_long);
    };
    let expected = chain(previous, signed);
    if hash != expected {
        return Err(FrameFault::Hash);
    }
    Ok(Frame {
        header,
        payload,
        hash: expected,
    })
}

/// Computes the hash that the frame at the start of `bytes` should have, and
/// returns it with what follows the frame. Bytes are hostile: never panics.
pub(crate) fn rehash<'a>(bytes: &'a [u8], previous: &ChainHash) -> Option<(ChainHash, &'a [u8])> {
    let whole = frame_len(declared_len(bytes).ok()? as usize);
    let hash = chain(previous, bytes.get(..whole - HASH_LEN)?);
    Some((hash, bytes.get(whole..)?))
}

/// Reads mark and payload length of the frame that `bytes` start with.
///
/// # Errors
///
/// `Empty`, `Magic`, or `Length` past [`MAX_PAYLOAD`].
pub(crate) fn declared_len(bytes: &[u8]) -> Result<u32, FrameFault> {
    let magic: [u8; 4] = field(bytes, 0).ok_or(FrameFault::Empty)?;
    if magic == [0; 4] {
        return Err(FrameFault::Empty);
    }
    if magic != MAGIC {
        return Err(FrameFault::Magic);
    }
    let len = u32::from_be_bytes(field(bytes, 4).ok_or(FrameFault::Length { len: 0 })?);
    if len as usize > MAX_PAYLOAD {
        return Err(FrameFault::Length { len });
    }
    Ok(len)
}

/// Reads the fixed fields behind mark and length.
fn read_header(bytes: &[u8]) -> Option<FrameHeader> {
    Some(FrameHeader {
        sequence: u64::from_be_bytes(field(bytes, 8)?),
        group: u64::from_be_bytes(field(bytes, 16)?),
        time: i64::from_be_bytes(field(bytes, 24)?),
        kind: u16::from_be_bytes(field(bytes, 32)?),
        version: u16::from_be_bytes(field(bytes, 34)?),
    })
}

/// Copies `N` octets out at `offset`, if they are there.
pub(crate) fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// Hashes a frame behind the hash it chains to.
fn chain(previous: &ChainHash, frame: &[u8]) -> ChainHash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(previous);
    context.update(frame);
    let mut hash = [0; HASH_LEN];
    // SHA-256 gives 32 octets.
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: FrameHeader = FrameHeader {
        sequence: 7,
        group: 6,
        time: -2,
        kind: 0x0102,
        version: 1,
    };

    #[test]
    fn version_1_is_these_bytes() {
        let mut bytes = Vec::new();
        encode(&mut bytes, &HEADER, b"abc", &[0x11; 32]);
        let golden = concat!(
            "43484631",         // "CHF1"
            "00000003",         // payload length
            "0000000000000007", // sequence
            "0000000000000006", // first of its commit
            "fffffffffffffffe", // time
            "0102",             // kind
            "0001",             // version
            "00000000",         // zero
            "616263",           // payload
            "0000000000",       // padding
        );
        assert_eq!(hex::encode(&bytes[..48]), golden);
        let hashed = [&[0x11; 32], &bytes[..48]].concat();
        assert_eq!(
            bytes[48..],
            *digest::digest(&digest::SHA256, &hashed).as_ref()
        );
        assert_eq!(bytes.len(), frame_len(3));
    }

    #[test]
    fn any_flipped_bit_is_found() {
        let mut bytes = Vec::new();
        encode(&mut bytes, &HEADER, b"payload", &[1; 32]);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged, &[1; 32]).is_err(), "bit {bit}");
        }
        assert_eq!(decode(&bytes, &[2; 32]), Err(FrameFault::Hash));
    }

    proptest! {
        #[test]
        fn frames_round_trip(payload in prop::collection::vec(any::<u8>(), 0..200), previous: [u8; 32]) {
            let mut bytes = Vec::new();
            let hash = encode(&mut bytes, &HEADER, &payload, &previous);
            prop_assert_eq!(bytes.len() % 8, 0);
            bytes.extend_from_slice(b"what follows");
            let frame = decode(&bytes, &previous).unwrap();
            prop_assert_eq!((frame.header, frame.payload, frame.hash), (HEADER, &payload[..], hash));
        }

        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), marked: bool) {
            if marked && bytes.len() > 4 {
                bytes[..4].copy_from_slice(&MAGIC);
            }
            let _ = decode(&bytes, &[0; 32]);
        }
    }
}
