//! Taking out of the index what is over. The journal keeps everything.

use super::SigningLedger;
use super::keys::micros;
use crate::error::Error;
use crate::signing::codec::QUEUE_WAITING;
use crate::signing::key::{self, ID_LEN, Seen};
use crate::signing::view::View;

/// Most records that one checkpoint takes out of the index.
const COLLECT: usize = 2048;

impl SigningLedger {
    /// Takes events and deliveries that ended long ago, and deliveries remembered
    /// long enough, out of the index.
    ///
    /// # Errors
    ///
    /// Why they could not be read; what was collected so far stands.
    pub(super) fn collect(&self, batch: &mut sled::Batch) -> Result<(), Error> {
        let view = View {
            staged: None,
            ..self.view()
        };
        let now = view.memory().time;
        let due = key::due_before(i64::MIN)..key::due_before(now);
        for found in view.keys(due, COLLECT)? {
            let (tag, name) = key::due_name(&found).ok_or_else(|| view.unreadable())?;
            match self.over(view, tag, &name)? {
                Some(over) if over >= now => {
                    // It ended again since, or is to be kept longer than it was.
                    batch.insert(key::due(over, tag, &name), Vec::new());
                }
                Some(_) => {
                    batch.remove(key::tagged(tag, &name));
                    if tag != REMEMBERED {
                        batch.remove(progress(tag, &name));
                    }
                }
                None => {}
            }
            batch.remove(found);
        }
        Ok(())
    }

    /// Returns when a record may leave; none if it is gone, or waits: then it is
    /// marked anew when it ends.
    fn over(&self, view: View<'_>, tag: u8, name: &[u8; ID_LEN]) -> Result<Option<i64>, Error> {
        if tag == REMEMBERED {
            let Some(value) = view.get(&key::tagged(tag, name))? else {
                return Ok(None);
            };
            let seen = Seen::decode(&value).ok_or_else(|| view.unreadable())?;
            let span = micros(self.options.remember_deliveries);
            return Ok(Some(seen.at.saturating_add(span)));
        }
        let located = view.located(&progress(tag, name))?;
        let ended = located.filter(|located| located.code != QUEUE_WAITING);
        let span = micros(self.options.keep_ended);
        Ok(ended.map(|located| located.time.saturating_add(span)))
    }
}

/// Tag of a delivery that is remembered.
const REMEMBERED: u8 = b'h';

/// Returns the key of an event's or delivery's state.
fn progress(tag: u8, name: &[u8; ID_LEN]) -> Vec<u8> {
    key::tagged(tag.to_ascii_lowercase(), name)
}
