//! Opening a store: lock, find the journal's end, bring the index up to date.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::group::Engine;
use super::{JournalEnd, Ledger, Queue, Recovered, Shared, Sources, Writer};
use crate::config::StoreConfig;
use crate::directory::{StoreDirectory, sync_directory};
use crate::error::{Error, IndexFault};
use crate::index::{Additions, Applied, Flusher, Index};
use crate::journal::{Journal, JournalReader, Position, frame_len, holds, walk};
use crate::metrics::StoreMetrics;

/// Frames applied to the index at once during a replay.
const REPLAY_FRAMES: u64 = 1024;

/// Opens a store directory and starts its writer.
///
/// `count_open` tells how many intents the ledger found open.
///
/// # Errors
///
/// As `Certificates::open` documents them.
pub(crate) fn open<L: Ledger>(
    config: &StoreConfig,
    metrics: StoreMetrics,
    make_ledger: impl FnOnce(Sources) -> L,
    count_open: impl FnOnce(&L) -> u64,
) -> Result<Writer<L>, Error> {
    let directory = StoreDirectory::lock(&config.directory)?;
    open_in(directory, config, metrics, make_ledger, count_open)
}

/// Moves the index aside, then opens the store, which makes it anew.
///
/// # Errors
///
/// As [`open`].
pub(crate) fn rebuild<L: Ledger>(
    config: &StoreConfig,
    make_ledger: impl FnOnce(Sources) -> L,
    count_open: impl FnOnce(&L) -> u64,
) -> Result<Writer<L>, Error> {
    let directory = StoreDirectory::lock(&config.directory)?;
    set_index_aside(&directory)?;
    open_in(
        directory,
        config,
        StoreMetrics::default(),
        make_ledger,
        count_open,
    )
}

/// Moves the index aside and makes an empty directory in its place.
fn set_index_aside(directory: &StoreDirectory) -> Result<(), Error> {
    let index = directory.index();
    let aside = free_name(directory.path());
    std::fs::rename(&index, &aside).map_err(Error::io("move aside", &index))?;
    sync_directory(directory.path()).map_err(Error::io("sync", directory.path()))?;
    tracing::info!(path = %aside.display(), "moved the old index aside");
    directory.make_index()
}

/// Opens the index. One of an older layout is set aside for an empty one, which
/// the journal fills.
fn open_index(directory: &StoreDirectory, cache_bytes: u64, layout: u8) -> Result<Index, Error> {
    let index = Index::open(&directory.index(), cache_bytes)?;
    let index = match index.layout()? {
        Some(found) if found == layout => return Ok(index),
        Some(found) if found > layout => {
            return Err(index.unusable(IndexFault::Layout {
                found,
                expected: layout,
            }));
        }
        Some(found) => {
            tracing::info!(
                found,
                expected = layout,
                "the index is of an older release: it is made anew from the journal"
            );
            index.close()?;
            set_index_aside(directory)?;
            Index::open(&directory.index(), cache_bytes)?
        }
        None => index,
    };
    index.set_layout(layout)?;
    Ok(index)
}

/// Finds a name for the old index that is not taken.
fn free_name(store: &Path) -> PathBuf {
    let mut number = 1_u32;
    loop {
        let path = store.join(format!("index.aside-{number}"));
        if !path.exists() {
            return path;
        }
        number += 1;
    }
}

/// Opens a directory that is already locked, and starts its writer.
fn open_in<L: Ledger>(
    directory: StoreDirectory,
    config: &StoreConfig,
    metrics: StoreMetrics,
    make_ledger: impl FnOnce(Sources) -> L,
    count_open: impl FnOnce(&L) -> u64,
) -> Result<Writer<L>, Error> {
    let (engine, recovered) = assemble(directory, config, metrics, make_ledger, count_open)?;
    let shared = Arc::clone(&engine.shared);
    let directory = Arc::clone(&engine.directory);
    let queue = Arc::new(Queue::new(config.queue));
    let drained = Arc::clone(&queue);
    let thread = std::thread::Builder::new()
        .name("store-writer".into())
        .spawn(move || engine.run(&drained))
        .map_err(Error::io("start the writer thread of", &config.directory))?;
    Ok(Writer {
        queue,
        shared,
        recovered,
        directory,
        thread: Some(thread),
    })
}

/// Brings journal, index and ledger together, ready to run.
pub(super) fn assemble<L: Ledger>(
    directory: StoreDirectory,
    config: &StoreConfig,
    metrics: StoreMetrics,
    make_ledger: impl FnOnce(Sources) -> L,
    count_open: impl FnOnce(&L) -> u64,
) -> Result<(Engine<L>, Recovered), Error> {
    // 1. What the index knows, and that it is of this journal.
    let journal_path = directory.journal();
    let index = open_index(&directory, config.index_cache_bytes(), L::LAYOUT)?;
    let checkpoint = index.checkpoint()?;
    let applied = index.applied()?;
    let from = checkpoint.as_ref().map(|checkpoint| checkpoint.position);
    if let Some(from) = from {
        check_origin(&index, &journal_path, &from)?;
    }

    // 2. Where the journal ends; its end made certain before the index uses it.
    let mut replayed = 0;
    let mut bytes = checkpoint
        .as_ref()
        .map_or(0, |checkpoint| checkpoint.journal_bytes);
    let end = walk(&journal_path, from, |frame, _| {
        replayed += 1;
        bytes += frame_len(frame.payload.len()) as u64;
        Ok(())
    })?;
    let last = end.position.map_or(0, |position| position.next - 1);
    if let Some(applied) = applied.filter(|applied| applied.sequence > last) {
        return Err(index.unusable(IndexFault::Ahead {
            applied: applied.sequence,
            end: last,
        }));
    }
    let journal = Journal::open(journal_path.clone(), config.segment_bytes(), &end, bytes)?;

    // 3. The ledger's state, from the checkpoint onward.
    let sources = Sources {
        index: index.clone(),
        journal: Arc::new(JournalReader::new(journal_path.clone())),
    };
    let mut ledger = make_ledger(sources);
    if let Some(checkpoint) = &checkpoint {
        ledger.load(&checkpoint.summary)?;
    }
    replay(&mut ledger, &index, &journal_path, from, applied)?;

    // 4. The engine.
    let recovered = Recovered {
        frames_replayed: replayed,
        torn_bytes: end.torn_bytes,
        open_intents: count_open(&ledger),
    };
    let position = journal.end();
    let shared = Arc::new(Shared::new(JournalEnd {
        sequence: position.next - 1,
        chain_hash: position.hash,
        bytes: journal.bytes(),
        segments: position.place.segment,
    }));
    metrics
        .journal_bytes
        .set(i64::try_from(journal.bytes()).unwrap_or(i64::MAX));
    metrics.failed.set(0);
    let engine = Engine {
        ledger,
        journal,
        flusher: Flusher::start(&index)?,
        index,
        shared,
        metrics,
        min_free_bytes: config.min_free_bytes(),
        checkpointed: from.map_or(0, |from| from.next),
        directory: Arc::new(directory),
    };
    Ok((engine, recovered))
}

/// Checks that the journal has the frame that the checkpoint stands behind.
fn check_origin(index: &Index, journal: &Path, from: &Position) -> Result<(), Error> {
    if holds(journal, from)? {
        return Ok(());
    }
    Err(index.unusable(IndexFault::ForeignJournal {
        sequence: from.next.saturating_sub(1),
    }))
}

/// Applies the frames behind the checkpoint to ledger and index.
fn replay<L: Ledger>(
    ledger: &mut L,
    index: &Index,
    journal: &Path,
    from: Option<Position>,
    applied: Option<Applied>,
) -> Result<(), Error> {
    let mut pending: Option<Applied> = None;
    let mut count = 0;
    let apply = |ledger: &mut L, mark: &Applied| {
        let mut additions = Additions::default();
        ledger.index(&mut additions);
        // The mark never goes back: the index may know more than this batch.
        let mark = applied
            .filter(|applied| applied.sequence > mark.sequence)
            .unwrap_or(*mark);
        index
            .apply(additions, &mark)
            .map_err(|fault| index.unusable(fault))?;
        ledger.settle();
        Ok::<(), Error>(())
    };
    walk(journal, from, |frame, place| {
        let mark = Applied {
            sequence: frame.header.sequence,
            hash: frame.hash,
        };
        if applied.is_some_and(|own| own.sequence == mark.sequence && own.hash != mark.hash) {
            return Err(index.unusable(IndexFault::ForeignJournal {
                sequence: mark.sequence,
            }));
        }
        ledger.replay(frame, place)?;
        pending = Some(mark);
        count += 1;
        if count % REPLAY_FRAMES == 0 {
            apply(ledger, &mark)?;
            pending = None;
        }
        Ok(())
    })?;
    match pending {
        Some(mark) => apply(ledger, &mark),
        None => Ok(()),
    }
}
