//! Work that goes on when the one who asked for it goes away.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// Runs a future in place and, when dropped before its end, on a runtime.
///
/// A client that hangs up in the middle of an issuance drops its request's
/// future; the issuance must end or be abandoned all the same. In place costs
/// nothing, where spawning every request would cost two wake-ups.
pub(crate) struct Completing<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    /// The work; none once it is done.
    future: Option<Pin<Box<F>>>,
    /// Where it goes on.
    runtime: Handle,
}

impl<F> Completing<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    /// Begins work that ends on `runtime` if it is given up.
    pub(crate) fn new(future: F, runtime: Handle) -> Self {
        Self {
            future: Some(Box::pin(future)),
            runtime,
        }
    }
}

impl<F> Future for Completing<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(future) = self.future.as_mut() else {
            return Poll::Pending;
        };
        let outcome = future.as_mut().poll(context);
        if outcome.is_ready() {
            self.future = None;
        }
        outcome
    }
}

impl<F> Drop for Completing<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn drop(&mut self) {
        // Not after a panic inside the work itself: it cannot be polled again.
        if let Some(future) = self.future.take()
            && !std::thread::panicking()
        {
            self.runtime.spawn(future);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn dropped_work_ends_elsewhere() {
        let (release, released) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel();
        let mut work = Completing::new(
            async move {
                released.await.unwrap();
                done.send("done").unwrap();
            },
            Handle::current(),
        );
        let once = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut work).poll(context)));
        assert!(once.await.is_pending());
        drop(work);
        release.send(()).unwrap();
        assert_eq!(finished.await, Ok("done"));
    }

    #[tokio::test]
    async fn work_that_ends_in_place_is_not_begun_again() {
        let (done, finished) = oneshot::channel();
        Completing::new(async move { done.send(1) }, Handle::current())
            .await
            .unwrap();
        assert_eq!(finished.await, Ok(1));
    }
}
