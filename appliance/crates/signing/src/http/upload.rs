//! Bodies as they come: metered, never slower than allowed, and never whole in memory
//! but for what must be.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use actix_multipart::{Field, Multipart};
use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::web::{BytesMut, Payload};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use model::signing::HashAlgorithm;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::config::CheckedLimits;
use crate::digests::{ArtifactDigests, ArtifactHasher};
use crate::memory::TakenMemory;
use crate::problem::SigningProblem;

/// How a body may come.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Time before the rate counts.
    grace: Duration,
    /// Octets a second after that.
    least: u64,
    /// Set once it came too slowly.
    slow: Rc<Cell<bool>>,
}

impl Pace {
    /// Takes what the configuration says.
    pub(super) fn of(limits: &CheckedLimits) -> Self {
        Self {
            grace: limits.upload_grace,
            least: limits.upload_min_bytes_per_second,
            slow: Rc::new(Cell::new(false)),
        }
    }

    /// Returns when the next octets must be there.
    fn deadline(&self, began: Instant, received: u64) -> Instant {
        began + self.grace + Duration::from_secs_f64(received as f64 / self.least as f64)
    }

    /// Wraps a body so that it ends when it comes too slowly.
    pub(super) fn meter(
        &self,
        payload: Payload,
    ) -> impl Stream<Item = Result<Bytes, PayloadError>> + 'static {
        let pace = self.clone();
        let began = Instant::now();
        stream::unfold(Some((payload, 0_u64)), move |state| {
            let pace = pace.clone();
            async move {
                let (mut payload, received) = state?;
                match timeout_at(pace.deadline(began, received), payload.next()).await {
                    Ok(Some(Ok(chunk))) => {
                        let received = received + chunk.len() as u64;
                        Some((Ok(chunk), Some((payload, received))))
                    }
                    Ok(Some(Err(error))) => Some((Err(error), None)),
                    Ok(None) => None,
                    Err(_) => {
                        pace.slow.set(true);
                        let error = std::io::Error::from(std::io::ErrorKind::TimedOut);
                        Some((Err(PayloadError::Io(error)), None))
                    }
                }
            }
        })
        // The parser of forms asks again after the end.
        .fuse()
    }

    /// States why a body could not be read to its end.
    fn broken(&self, error: &dyn std::fmt::Display) -> SigningProblem {
        if self.slow.get() {
            SigningProblem::TooSlow { least: self.least }
        } else {
            SigningProblem::malformed(format!("the body could not be read to its end: {error}"))
        }
    }
}

/// Returns the length that the head declares.
fn declared_length(request: &HttpRequest) -> Option<u64> {
    request
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Reads a whole body of bounded length.
pub(super) async fn read_whole(
    request: &HttpRequest,
    payload: Payload,
    pace: &Pace,
    what: &'static str,
    limit: u64,
    memory: &mut TakenMemory,
) -> Result<Bytes, SigningProblem> {
    let declared = declared_length(request);
    if let Some(actual) = declared.filter(|declared| *declared > limit) {
        return Err(SigningProblem::TooLarge {
            what,
            limit,
            actual: Some(actual),
        });
    }
    let chunks = pace.meter(payload);
    collect(chunks, pace, what, limit, memory).await
}

/// Gathers chunks of bounded length.
async fn collect<E: std::fmt::Display>(
    chunks: impl Stream<Item = Result<Bytes, E>>,
    pace: &Pace,
    what: &'static str,
    limit: u64,
    memory: &mut TakenMemory,
) -> Result<Bytes, SigningProblem> {
    let mut chunks = pin!(chunks);
    let mut whole = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| pace.broken(&error))?;
        let len = whole.len() as u64 + chunk.len() as u64;
        if len > limit {
            return Err(SigningProblem::TooLarge {
                what,
                limit,
                actual: None,
            });
        }
        memory.take(chunk.len() as u64)?;
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// The parts of a form, in the order they come.
pub(super) struct Form {
    /// The parser.
    multipart: Multipart,
    /// How it may come.
    pace: Pace,
    /// A part that was begun and not read.
    next: Option<(String, Field)>,
}

impl Form {
    /// Begins to read a form.
    pub(super) fn new(request: &HttpRequest, payload: Payload, pace: Pace) -> Self {
        let multipart = Multipart::new(request.headers(), pace.meter(payload));
        Self {
            multipart,
            pace,
            next: None,
        }
    }

    /// Returns the name of the next part; none at the end.
    pub(super) async fn peek(&mut self) -> Result<Option<&str>, SigningProblem> {
        if self.next.is_none() {
            let field = match self.multipart.next().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(self.pace.broken(&error)),
                Some(Ok(field)) => field,
            };
            let name = field
                .name()
                .ok_or_else(|| SigningProblem::malformed("a part of the form has no name"))?;
            self.next = Some((name.to_owned(), field));
        }
        Ok(self.next.as_ref().map(|(name, _)| name.as_str()))
    }

    /// Reads the next part whole, if it is the one of the name.
    pub(super) async fn take(
        &mut self,
        wanted: &str,
        what: &'static str,
        limit: u64,
        memory: &mut TakenMemory,
    ) -> Result<Option<Bytes>, SigningProblem> {
        if self.peek().await? != Some(wanted) {
            return Ok(None);
        }
        let Some((_, field)) = self.next.take() else {
            return Ok(None);
        };
        collect(field, &self.pace, what, limit, memory)
            .await
            .map(Some)
    }

    /// Digests the next part, if it is the artifact; it must be the last.
    pub(super) async fn digest_artifact(
        &mut self,
        hashes: &[HashAlgorithm],
        limit: u64,
    ) -> Result<Option<(ArtifactDigests, u64)>, SigningProblem> {
        if self.peek().await? != Some("artifact") {
            return Ok(None);
        }
        let Some((_, field)) = self.next.take() else {
            return Ok(None);
        };
        let digested = digest(field, &self.pace, hashes, limit).await?;
        match self.peek().await? {
            None => Ok(Some(digested)),
            Some(name) => Err(SigningProblem::malformed(format!(
                "the artifact is the last part of the form; {:?} comes after it",
                cut(name)
            ))),
        }
    }

    /// Refuses what no part is called here, or what comes out of order.
    pub(super) async fn refuse_rest(&mut self, order: &str) -> Result<(), SigningProblem> {
        match self.peek().await? {
            None => Ok(()),
            Some(name) => Err(SigningProblem::malformed(format!(
                "the form's parts are {order}, in this order and once; {:?} is not the next",
                cut(name)
            ))),
        }
    }
}

/// Cuts a name for a sentence.
fn cut(name: &str) -> String {
    name.chars().take(40).collect()
}

/// Chunks that wait for the hashing thread: with chunks of 32 KiB, a megabyte.
const AHEAD: usize = 32;

/// Digests what comes, on a thread of its own: this one has TLS and HTTP to do.
async fn digest(
    field: Field,
    pace: &Pace,
    hashes: &[HashAlgorithm],
    limit: u64,
) -> Result<(ArtifactDigests, u64), SigningProblem> {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(AHEAD);
    let mut hasher = ArtifactHasher::new(hashes);
    let hashing = tokio::task::spawn_blocking(move || {
        while let Some(chunk) = receiver.blocking_recv() {
            hasher.update(&chunk);
        }
        hasher.finish()
    });
    let mut field = pin!(field);
    let mut received = 0_u64;
    while let Some(chunk) = field.next().await {
        let chunk = chunk.map_err(|error| pace.broken(&error))?;
        received += chunk.len() as u64;
        if received > limit {
            return Err(SigningProblem::TooLarge {
                what: "an artifact",
                limit,
                actual: None,
            });
        }
        sender.send(chunk).await.map_err(SigningProblem::internal)?;
    }
    drop(sender);
    let digested = hashing.await.map_err(SigningProblem::internal)?;
    digested.ok_or_else(|| SigningProblem::internal(NoHash))
}

/// No hash to digest by.
#[derive(Debug, thiserror::Error)]
#[error("there is no hash to digest by")]
struct NoHash;
