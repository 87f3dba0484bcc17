//! Ready answers on disk: a start without token goes on with them.
//!
//! Written now and then and at the end, whole or not at all. What is read again
//! is taken only if it still says what is true: the certificate is known, its
//! status the same, neither the answer nor the responder's certificate expired.
//!
//! ```text
//! snapshot = magic version signatory* answer* end SHA-256 of all before
//! signatory = 01 issuer id scheme certificate
//! own       = 02 issuer id slot serial not-after record
//! batch     = 03 issuer id since until record count (slot serial not-after)*
//! ```
//!
//! Of a batch only what says good is written: it does not tell of the others
//! since when and why they are revoked.
// Stored on disk: change only by adding a version.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::digest;
use hsm_keystore::SignatureScheme;
use model::{SerialNumber, Timestamp};
use pki::certificate::Certificate;
use pki::ocsp::{CertStatus, ReadyAnswer, SignedResponse};
use tokio::time::sleep;
use tracing::{info, warn};

use super::index::{Batch, Held, Slot};
use super::signing::Signatory;
use super::{IssuerAnswers, Responder};

/// What the file begins with: its kind and version.
const MAGIC: &[u8; 16] = b"chancery-ocsp\0\0\x01";

/// A responder's certificate.
const SIGNATORY: u8 = 1;
/// An answer with a signature of its own.
const OWN: u8 = 2;
/// Answers under one signature.
const BATCH: u8 = 3;
/// Nothing more.
const END: u8 = 0;

/// Octets of the hash at the end.
const HASH_LEN: usize = 32;

/// Time after the start to the first snapshot.
const FIRST: Duration = Duration::from_secs(60);

/// What was taken of a snapshot.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Taken {
    /// Answers that go on.
    answers: usize,
    /// Answers that do not: expired, or no longer true.
    dropped: usize,
}

impl Responder {
    /// Writes snapshots now and then, for as long as it is polled.
    pub(super) async fn keep_snapshot(self: &Arc<Self>) {
        let mut wait = FIRST.min(self.config.snapshot_every);
        loop {
            sleep(wait).await;
            wait = self.config.snapshot_every;
            let responder = Arc::clone(self);
            if let Err(failure) = tokio::task::spawn_blocking(move || responder.save()).await {
                warn!("a snapshot of the OCSP answers ended early: {failure}");
            }
        }
    }

    /// Writes the ready answers to disk, if any was made since they last were.
    ///
    /// Blocks. A failure is told in the log: the answers are made anew then.
    pub fn save(&self) {
        if !self.unsaved.swap(false, Ordering::Relaxed) {
            return;
        }
        let outcome = self.write();
        self.metrics.snapshot(outcome.is_ok());
        if let Err(failure) = outcome {
            self.unsaved.store(true, Ordering::Relaxed);
            warn!(
                path = ?self.snapshot_file,
                "could not keep the OCSP answers for a start without token: {failure}"
            );
        }
    }

    /// Writes the snapshot beside the old one and puts it in its place.
    fn write(&self) -> io::Result<()> {
        let path = &self.snapshot_file;
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        if let Some(parent) = parent {
            std::fs::create_dir_all(parent)?;
        }
        let beside = beside(path);
        let mut out = Hashing {
            inner: BufWriter::new(File::create(&beside)?),
            hash: digest::Context::new(&digest::SHA256),
        };
        out.write_all(MAGIC)?;
        for (place, issuer) in (0u8..).zip(&self.issuers) {
            write_issuer(&mut out, place, issuer)?;
        }
        out.write_all(&[END])?;
        let Hashing { mut inner, hash } = out;
        inner.write_all(hash.finish().as_ref())?;
        let file = inner.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        match parent {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Takes in what a snapshot holds that still holds. Blocks.
    pub(super) fn restore(&self) {
        match self.read() {
            Ok(taken) => info!(
                answers = taken.answers,
                dropped = taken.dropped,
                "{} OCSP answers of the last run go on, {} do not",
                taken.answers,
                taken.dropped
            ),
            Err(failure) if failure.kind() == ErrorKind::NotFound => {}
            Err(failure) => warn!(
                path = ?self.snapshot_file,
                "could not read the OCSP answers of the last run, they are made anew: {failure}"
            ),
        }
    }

    /// Checks the whole file, then reads it.
    fn read(&self) -> io::Result<Taken> {
        let mut file = File::open(&self.snapshot_file)?;
        let length = file.metadata()?.len();
        let hashed = length
            .checked_sub(HASH_LEN as u64)
            .ok_or_else(|| damaged("it is too short"))?;
        check_hash(&mut file, hashed)?;
        let mut input = BufReader::new(File::open(&self.snapshot_file)?).take(hashed);
        if read_array::<16>(&mut input)? != *MAGIC {
            return Err(damaged("it is of another kind or version"));
        }
        let mut taken = Taken::default();
        let mut signatories = HashMap::new();
        loop {
            match read_u8(&mut input)? {
                SIGNATORY => self.read_signatory(&mut input, &mut signatories)?,
                OWN => self.read_own(&mut input, &signatories, &mut taken)?,
                BATCH => self.read_batch(&mut input, &signatories, &mut taken)?,
                END => return Ok(taken),
                _ => return Err(damaged("it holds something unknown")),
            }
        }
    }

    /// Reads a responder's certificate, and knows it from now on if it counts.
    fn read_signatory<'a>(
        &'a self,
        input: &mut impl Read,
        signatories: &mut Known<'a>,
    ) -> io::Result<()> {
        let name = read_bytes(input)?;
        let place = read_u8(input)?;
        let id = read_u16(input)?;
        let scheme = read_bytes(input)?;
        let der = read_bytes(input)?;
        let issuer = self
            .issuers
            .iter()
            .find(|issuer| issuer.id.as_str().as_bytes() == name);
        let scheme = hsm_keystore::KeyAlgorithm::ALL
            .iter()
            .flat_map(|algorithm| algorithm.schemes())
            .find(|known| known.as_str().as_bytes() == scheme);
        let (Some(issuer), Some(scheme)) = (issuer, scheme) else {
            return Ok(());
        };
        if let Some(signatory) = known_signatory(issuer, &der, *scheme)
            && self.clock.now() < signatory.not_after()
        {
            let signatory = Arc::new(signatory);
            let mut known = issuer.signatories.load().as_ref().clone();
            known.push(Arc::clone(&signatory));
            issuer.signatories.store(Arc::new(known));
            signatories.insert((place, id), (issuer, signatory));
        }
        Ok(())
    }

    /// Reads an answer with a signature of its own.
    fn read_own(
        &self,
        input: &mut impl Read,
        signatories: &Known<'_>,
        taken: &mut Taken,
    ) -> io::Result<()> {
        let signatory = signatories.get(&(read_u8(input)?, read_u16(input)?));
        let certificate = KeptCertificate::read(input)?;
        let record = read_bytes(input)?;
        let Some((issuer, signatory)) = signatory else {
            taken.dropped += 1;
            return Ok(());
        };
        let (answer, _) = ReadyAnswer::from_record(&record)
            .ok_or_else(|| damaged("an answer in it cannot be read"))?;
        let status = answer.status();
        let held = Held::Own {
            answer,
            signatory: signatory.id,
        };
        taken.count(self.take(issuer, &certificate, status, held));
        Ok(())
    }

    /// Reads answers under one signature.
    fn read_batch(
        &self,
        input: &mut impl Read,
        signatories: &Known<'_>,
        taken: &mut Taken,
    ) -> io::Result<()> {
        let signatory = signatories.get(&(read_u8(input)?, read_u16(input)?));
        let (this_update, next_update) = (read_time(input)?, read_time(input)?);
        let record = read_bytes(input)?;
        let count = read_u16(input)?;
        let batch = match signatory {
            None => None,
            Some((issuer, signatory)) => {
                let response = SignedResponse::from_record(&record)
                    .ok_or_else(|| damaged("a response in it cannot be read"))?;
                let batch = Batch {
                    bytes_each: response.size() / usize::from(count.max(1)),
                    response,
                    signatory: signatory.id,
                    this_update,
                    next_update,
                    superseded: AtomicBool::new(false),
                };
                Some((issuer, Arc::new(batch)))
            }
        };
        for _ in 0..count {
            let certificate = KeptCertificate::read(input)?;
            let is_taken = batch.as_ref().is_some_and(|(issuer, batch)| {
                let held = Held::Batched {
                    batch: Arc::clone(batch),
                    revoked: false,
                };
                self.take(issuer, &certificate, CertStatus::Good, held)
            });
            taken.count(is_taken);
        }
        Ok(())
    }

    /// Holds an answer ready, if it still says what is true.
    fn take(
        &self,
        issuer: &IssuerAnswers,
        certificate: &KeptCertificate,
        status: CertStatus,
        held: Held,
    ) -> bool {
        let KeptCertificate {
            slot,
            serial,
            not_after,
        } = certificate;
        let now = self.clock.now();
        let is_true = match (self.revocations.lookup(&issuer.id, serial), status) {
            (None, CertStatus::Good) => true,
            (Some(revocation), CertStatus::Revoked { at, reason }) => {
                (revocation.revoked_at, revocation.reason) == (at, reason)
            }
            (None | Some(_), _) => false,
        };
        let Some((_, until)) = held.times().filter(|_| is_true && now <= *not_after) else {
            return false;
        };
        let is_held = held.is_fresh(now)
            && issuer.index.insert(serial, *not_after)
            && issuer.index.fill(serial, 0, *slot, held);
        if is_held {
            self.expires(until);
        }
        is_held
    }
}

/// The responders' certificates of a file, by what it calls issuer and
/// certificate.
type Known<'a> = HashMap<(u8, u16), (&'a IssuerAnswers, Arc<Signatory>)>;

impl Taken {
    /// Counts one.
    fn count(&mut self, is_taken: bool) {
        if is_taken {
            self.answers += 1;
        } else {
            self.dropped += 1;
        }
    }
}

/// A certificate, as a snapshot names it.
#[derive(Debug)]
struct KeptCertificate {
    /// Which of its answers.
    slot: Slot,
    /// Its number.
    serial: SerialNumber,
    /// The end of its validity.
    not_after: Timestamp,
}

impl KeptCertificate {
    /// Appends one.
    fn append(out: &mut Vec<u8>, slot: Slot, serial: &SerialNumber, not_after: Timestamp) {
        out.push(match slot {
            Slot::Sha1 => 0,
            Slot::Sha256 => 1,
        });
        append_bytes(out, serial.as_der_content());
        out.extend_from_slice(&not_after.as_second().to_be_bytes());
    }

    /// Reads one.
    fn read(input: &mut impl Read) -> io::Result<Self> {
        let slot = match read_u8(input)? {
            0 => Slot::Sha1,
            1 => Slot::Sha256,
            _ => return Err(damaged("a hash in it is not known")),
        };
        let serial = SerialNumber::from_der_content(&read_bytes(input)?)
            .map_err(|_| damaged("a serial number in it is none"))?;
        Ok(Self {
            slot,
            serial,
            not_after: read_time(input)?,
        })
    }
}

/// Writes what is ready about one issuer's certificates.
fn write_issuer(out: &mut impl Write, place: u8, issuer: &IssuerAnswers) -> io::Result<()> {
    let mut buffer = Vec::new();
    for signatory in issuer.signatories.load().iter() {
        buffer.push(SIGNATORY);
        append_bytes(&mut buffer, issuer.id.as_str().as_bytes());
        buffer.push(place);
        buffer.extend_from_slice(&signatory.id.to_be_bytes());
        append_bytes(&mut buffer, signatory.scheme.as_str().as_bytes());
        append_bytes(&mut buffer, signatory.certificate.der());
    }
    let mut batches: HashMap<*const Batch, (Arc<Batch>, Vec<u8>, u16)> = HashMap::new();
    let mut record = Vec::new();
    for shard in 0..issuer.index.shards() {
        issuer.index.scan(shard, |entry| {
            for slot in Slot::ALL {
                match entry.held(slot) {
                    Held::Nothing | Held::Batched { revoked: true, .. } => {}
                    Held::Own { answer, signatory } => {
                        buffer.extend_from_slice(&[OWN, place]);
                        buffer.extend_from_slice(&signatory.to_be_bytes());
                        KeptCertificate::append(
                            &mut buffer,
                            slot,
                            &entry.serial,
                            entry.not_after(),
                        );
                        record.clear();
                        answer.append_record(&mut record);
                        append_bytes(&mut buffer, &record);
                    }
                    Held::Batched { batch, .. } => {
                        let (_, members, count) = batches
                            .entry(Arc::as_ptr(batch))
                            .or_insert_with(|| (Arc::clone(batch), Vec::new(), 0));
                        KeptCertificate::append(members, slot, &entry.serial, entry.not_after());
                        *count = count.saturating_add(1);
                    }
                }
            }
        });
        // With the shard's lock given back.
        out.write_all(&buffer)?;
        buffer.clear();
    }
    for (batch, members, count) in batches.into_values() {
        buffer.extend_from_slice(&[BATCH, place]);
        buffer.extend_from_slice(&batch.signatory.to_be_bytes());
        for time in [batch.this_update, batch.next_update] {
            buffer.extend_from_slice(&time.as_second().to_be_bytes());
        }
        record.clear();
        batch.response.append_record(&mut record);
        append_bytes(&mut buffer, &record);
        buffer.extend_from_slice(&count.to_be_bytes());
        buffer.extend_from_slice(&members);
        out.write_all(&buffer)?;
        buffer.clear();
    }
    Ok(())
}

/// Writes and hashes.
struct Hashing<W> {
    /// Where it is written.
    inner: W,
    /// The hash of everything so far.
    hash: digest::Context,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(octets)?;
        self.hash.update(octets.get(..written).unwrap_or(octets));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Holds the first octets of a file to the hash behind them.
fn check_hash(file: &mut File, hashed: u64) -> io::Result<()> {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut left = hashed;
    let mut chunk = vec![0; 1 << 16];
    while left > 0 {
        let want = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
        let part = chunk.get_mut(..want).unwrap_or_default();
        file.read_exact(part)?;
        hash.update(part);
        left -= want as u64;
    }
    if read_array::<HASH_LEN>(file)? == hash.finish().as_ref() {
        Ok(())
    } else {
        Err(damaged("its hash is wrong"))
    }
}

/// Complains about the file.
fn damaged(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// Names the file beside it that is being written.
fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    beside.into()
}

/// Appends octets behind their number; nothing here has more than 65,535.
fn append_bytes(out: &mut Vec<u8>, octets: &[u8]) {
    let (len, octets) = match u16::try_from(octets.len()) {
        Ok(len) => (len, octets),
        Err(_) => (0, &[][..]),
    };
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(octets);
}

/// Reads so many octets.
fn read_array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut octets = [0; N];
    input.read_exact(&mut octets)?;
    Ok(octets)
}

/// Reads an octet.
fn read_u8(input: &mut impl Read) -> io::Result<u8> {
    read_array::<1>(input).map(|[octet]| octet)
}

/// Reads a number of two octets.
fn read_u16(input: &mut impl Read) -> io::Result<u16> {
    read_array(input).map(u16::from_be_bytes)
}

/// Reads a moment.
fn read_time(input: &mut impl Read) -> io::Result<Timestamp> {
    let second = read_array(input).map(i64::from_be_bytes)?;
    Timestamp::from_second(second).map_err(|_| damaged("a time in it is none"))
}

/// Reads octets behind their number.
fn read_bytes(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let len = read_u16(input)?;
    let mut octets = vec![0; usize::from(len)];
    input.read_exact(&mut octets)?;
    Ok(octets)
}

/// Makes a signatory of a certificate of the last run, if it is one.
fn known_signatory(
    issuer: &IssuerAnswers,
    der: &[u8],
    scheme: SignatureScheme,
) -> Option<Signatory> {
    let id = u16::try_from(issuer.signatories.load().len()).ok()?;
    let certificate = Certificate::from_der(der).ok()?;
    Signatory::new(id, certificate, &issuer.certificate, scheme).ok()
}
