//! What a refusal leaves unread of a body, on HTTP/2.
//!
//! A server may answer ahead of the body and then reset the stream (RFC 9113, 8.1), but
//! common clients (curl 7.88 of Debian 12 is one) take the reset for a failure and never
//! show the answer. So what is on its way is read first and thrown away, within bounds.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix_web::dev::{Payload, ServiceRequest};
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

/// Most octets that are thrown away for one answer.
const MOST: usize = 256 * 1024;

/// Longest time an answer waits for them.
const LONGEST: Duration = Duration::from_secs(1);

/// A hand on the body that a handler reads, or does not.
pub(crate) struct Unread(Rc<RefCell<Payload>>);

impl Unread {
    /// Keeps a hand on the body of an HTTP/2 request; none on others, whose connection
    /// closes after an answer ahead of the body.
    pub(crate) fn of(request: &mut ServiceRequest) -> Option<Self> {
        let payload = request.parts_mut().1.take();
        if !matches!(payload, Payload::H2 { .. }) {
            request.set_payload(payload);
            return None;
        }
        let body = Rc::new(RefCell::new(payload));
        let shared = Rc::clone(&body);
        let chunks = stream::poll_fn(move |cx| shared.borrow_mut().poll_next_unpin(cx));
        request.set_payload(Payload::Stream {
            payload: Box::pin(chunks),
        });
        Some(Self(body))
    }

    /// Reads the rest and throws it away, up to the bounds; at its end, costs nothing.
    pub(crate) async fn discard(self) {
        let mut discarded = 0;
        let rest = stream::poll_fn(|cx| self.0.borrow_mut().poll_next_unpin(cx));
        let reading = rest.take_while(|chunk| {
            discarded += chunk.as_ref().map_or(MOST, |chunk| chunk.len());
            std::future::ready(discarded < MOST)
        });
        // In time or not: the answer follows.
        let _complete = timeout(LONGEST, reading.for_each(|_| std::future::ready(()))).await;
    }
}
