//! What a frame brings to index and memory. It depends on the frame alone, but for
//! the log's edge, so that replaying one does what staging it did.

use std::time::Duration;

use model::signing::{DeliveryId, EventId, SignatureId};

use super::{SigningLedger, promise};
use crate::journal::Place;
use crate::signing::codec::{
    DeliveryProgressV1, DeliveryV1, DocumentV1, EventProgressV1, EventV1, HeldV1, Kind, OutcomeV1,
    QUEUE_DEAD, QUEUE_WAITING, Record, RequestV1, SIGNED, StageV1,
};
use crate::signing::decide::{idempotency, seen, seen_body};
use crate::signing::key::{self, Known, Located, Seen};
use crate::signing::memory::{Change, Open};
use crate::signing::status::SigningCounts;

/// Returns a span in microseconds.
pub(super) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

impl SigningLedger {
    /// Stages the records of one frame.
    pub(super) fn stage_records(
        &mut self,
        kind: Kind,
        time: i64,
        records: &[Record<'_>],
        place: Place,
    ) {
        // Documents stand for nothing by themselves, not even for a time.
        if kind != Kind::Documents {
            self.staged.time = Some(time);
        }
        let mut counts = self
            .staged
            .counts
            .unwrap_or_else(|| self.view().memory().counts);
        for (part, record) in (0..).zip(records) {
            let located = Located::at(place, part);
            match record {
                Record::Document(sha256, _) => {
                    self.put(key::sha256(b'B', sha256), located.encode());
                }
                Record::Request(own) => self.begun(own, located, &mut counts),
                Record::Stage(own) => self.staged(own, located),
                Record::Outcome(own) => self.ended(own, located, &mut counts),
                Record::Withdrawal(own) => {
                    counts.withdrawn += 1;
                    self.put(key::tagged(b'W', &own.id), located.encode());
                }
                Record::Timestamp(own) => {
                    counts.timestamps += 1;
                    if let Some(serial) = own.serial() {
                        self.put(key::timestamp(&serial), located.encode());
                    }
                }
                Record::Leaf(index, leaf) => self.appended(*index, leaf, located),
                Record::Checkpoint(own) => {
                    self.staged.checkpoint = Some((own.size, own.root));
                    self.put(key::CHECKPOINT.to_vec(), located.encode());
                }
                Record::Event(own) => self.accepted(own, located, &mut counts),
                Record::EventProgress(own) => self.event_moved(own, located, &mut counts),
                Record::Delivery(own) => self.queued(own, located, &mut counts),
                Record::DeliveryProgress(own) => self.delivery_moved(own, located, &mut counts),
            }
        }
        self.staged.counts = Some(counts);
    }

    /// Adds a key.
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.staged.keys.insert(key, value);
    }

    /// Adds documents in files of their own.
    fn blobs<'a>(&mut self, documents: impl Iterator<Item = &'a DocumentV1<'a>>) {
        for document in documents {
            if document.held == HeldV1::Blob {
                let len = document.len.to_be_bytes().to_vec();
                self.put(key::sha256(b'b', &document.sha256), len);
            }
        }
    }

    /// A signature was begun.
    fn begun(&mut self, own: &RequestV1<'_>, located: Located, counts: &mut SigningCounts) {
        counts.begun += 1;
        let id = SignatureId::from_octets(own.id);
        let located = Located {
            time: own.at,
            ..located
        };
        self.put(key::tagged(b'S', &own.id), located.encode());
        self.put(key::tagged(b'o', &own.id), Vec::new());
        if let Some((key, digest)) = own.idempotency {
            let known = Known { id: own.id, digest };
            self.put(idempotency(own.signer, key), known.encode());
        }
        let mut found = vec![
            key::property(b's', own.signer),
            key::property(b'p', own.profile),
        ];
        found.extend(own.builder.map(|builder| key::property(b'u', builder)));
        found.extend(own.digests().map(|digest| key::artifact(&digest)));
        for prefix in found {
            self.put(key::of_signature(prefix, &id), Vec::new());
        }
        self.blobs(own.documents.iter());
        let open = Open {
            promise: promise(own.room),
            stage: None,
        };
        self.staged.promised = self.staged.promised.saturating_add(open.promise);
        self.staged.open.insert(id, Some(open.clone()));
        self.staged.changes.push(Change::Began(id, open));
    }

    /// Its second stage is recorded.
    fn staged(&mut self, own: &StageV1, located: Located) {
        let id = SignatureId::from_octets(own.id);
        self.put(key::tagged(b'G', &own.id), located.encode());
        if let Some(mut open) = self.view().open(&id) {
            open.stage = Some(own.range());
            self.staged.open.insert(id, Some(open));
        }
        self.staged.changes.push(Change::Staged(id, own.range()));
    }

    /// It ended.
    fn ended(&mut self, own: &OutcomeV1<'_>, located: Located, counts: &mut SigningCounts) {
        match own.code() {
            SIGNED => counts.signed += 1,
            _ => counts.abandoned += 1,
        }
        let located = Located {
            code: own.code(),
            time: own.at,
            ..located
        };
        self.put(key::tagged(b'O', &own.id), located.encode());
        self.blobs(own.documents().iter());
        let id = SignatureId::from_octets(own.id);
        self.staged.open.insert(id, None);
        self.staged.changes.push(Change::Ended(id));
    }

    /// A leaf was added to the log.
    fn appended(&mut self, index: u64, leaf: &[u8], located: Located) {
        let mut log = match self.staged.log.take() {
            Some(log) => log,
            None => self.view().memory().log.clone(),
        };
        for node in log.append(leaf) {
            self.put(key::node(node.level, node.index), node.hash.to_vec());
        }
        self.put(key::leaf(index), located.encode());
        self.staged.log = Some(log);
    }

    /// An event came in.
    fn accepted(&mut self, own: &EventV1<'_>, located: Located, counts: &mut SigningCounts) {
        counts.events += 1;
        let id = EventId::from_octets(own.id);
        let progress = Located {
            code: QUEUE_WAITING,
            time: own.at,
            ..located
        };
        self.put(key::tagged(b'E', &own.id), located.encode());
        self.put(key::tagged(b'e', &own.id), progress.encode());
        self.put(key::tagged(b'q', &own.id), Vec::new());
        let found = Seen {
            id: own.id,
            body_sha256: own.body_sha256,
            at: own.at,
        };
        let mut keys = vec![seen(own.hook, own.delivery)];
        if own.body_unique {
            keys.push(seen_body(own.hook, &own.body_sha256));
        }
        let over = own
            .at
            .saturating_add(micros(self.options.remember_deliveries));
        for key in keys {
            if let Some(hash) = key::trailing(&key) {
                self.put(key::due(over, b'h', &hash), Vec::new());
            }
            self.put(key, found.encode());
        }
        self.staged
            .changes
            .push(Change::Event(id, QUEUE_WAITING, own.at));
    }

    /// An event waits again, or ended.
    fn event_moved(
        &mut self,
        own: &EventProgressV1<'_>,
        located: Located,
        counts: &mut SigningCounts,
    ) {
        let (code, time) = own.code();
        if code == QUEUE_DEAD {
            counts.events_failed += 1;
        }
        let located = Located {
            code,
            time,
            attempts: own.attempts,
            ..located
        };
        self.put(key::tagged(b'e', &own.id), located.encode());
        if code != QUEUE_WAITING {
            let over = time.saturating_add(micros(self.options.keep_ended));
            self.put(key::due(over, b'E', &own.id), Vec::new());
        }
        let id = EventId::from_octets(own.id);
        self.staged.changes.push(Change::Event(id, code, time));
    }

    /// A delivery was queued.
    fn queued(&mut self, own: &DeliveryV1<'_>, located: Located, counts: &mut SigningCounts) {
        counts.deliveries += 1;
        let id = DeliveryId::from_octets(own.id);
        let progress = Located {
            code: QUEUE_WAITING,
            time: own.due,
            since: own.at,
            ..located
        };
        self.put(key::tagged(b'D', &own.id), located.encode());
        self.put(key::tagged(b'd', &own.id), progress.encode());
        self.put(key::tagged(b'k', &own.id), Vec::new());
        let changes = &mut self.staged.changes;
        changes.push(Change::Delivery(id, QUEUE_WAITING, own.due));
        changes.push(Change::DeliveryHook(id, own.hook.into()));
    }

    /// A delivery waits again, or ended.
    fn delivery_moved(
        &mut self,
        own: &DeliveryProgressV1<'_>,
        located: Located,
        counts: &mut SigningCounts,
    ) {
        let (code, time) = own.code();
        if code == QUEUE_DEAD {
            counts.deliveries_dead += 1;
        }
        let located = Located {
            code,
            time,
            attempts: own.attempts,
            since: own.since,
            ..located
        };
        self.put(key::tagged(b'd', &own.id), located.encode());
        if code == QUEUE_WAITING {
            self.put(key::tagged(b'k', &own.id), Vec::new());
        } else {
            let over = time.saturating_add(micros(self.options.keep_ended));
            self.put(key::due(over, b'D', &own.id), Vec::new());
        }
        let id = DeliveryId::from_octets(own.id);
        self.staged.changes.push(Change::Delivery(id, code, time));
    }
}
