//! How a command fails: what was tried, what stopped it, what to do next.

use std::error::Error;
use std::fmt;

/// Any error underneath a failure.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// Why a command did not do its work.
///
/// `Display` tells what was tried; the causes hang below it as sources, and
/// [`Failure::report`] prints all of it once, at the end of the process.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What was tried, as "could not …" continues it.
    tried: String,
    /// What stopped it; none where the sentence above says all.
    cause: Option<Cause>,
    /// What to do next, a whole sentence without its full stop.
    next: Option<String>,
}

impl Failure {
    /// States a failure whose first line says everything.
    pub(crate) fn new(tried: impl Into<String>) -> Self {
        Self {
            tried: tried.into(),
            cause: None,
            next: None,
        }
    }

    /// States a failure and what stopped it.
    pub(crate) fn because(tried: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Self {
            tried: tried.into(),
            cause: Some(cause.into()),
            next: None,
        }
    }

    /// Says what to do next; an advice that stands already, nearer to the
    /// cause, is kept.
    #[must_use]
    pub(crate) fn next(mut self, advice: impl Into<String>) -> Self {
        self.next.get_or_insert_with(|| advice.into());
        self
    }

    /// Renders the failure for a person: the chain and the advice.
    pub(crate) fn report(&self) -> String {
        let mut report = format!("could not {}\n", self.tried);
        let mut before = self.tried.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Wrappers that are transparent repeat their source word for word.
            if !before.ends_with(&text) {
                report.push_str(&format!("  because: {}\n", indented(&text)));
            }
            before = text;
            cause = error.source();
        }
        if let Some(next) = self.advice() {
            report.push_str(&format!("  next: {}\n", indented(next)));
        }
        report
    }

    /// Renders the failure on one line, for a log.
    pub(crate) fn sentence(&self) -> String {
        self.report().trim_end().replace("\n  ", "; ")
    }

    /// Returns the advice that stands nearest to the cause.
    fn advice(&self) -> Option<&str> {
        let inner = self
            .cause
            .as_ref()
            .and_then(|cause| cause.downcast_ref::<Self>())
            .and_then(Self::advice);
        inner.or(self.next.as_deref())
    }
}

/// Indents every line after the first, so that a long cause stays one item.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}", self.tried)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// Turns any error into a [`Failure`] of the thing that was being tried.
pub(crate) trait Trying<T> {
    /// Says what was being tried when the error came.
    ///
    /// # Errors
    ///
    /// The error, as a failure of that.
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<Cause>> Trying<T> for Result<T, E> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::because(what(), error))
    }
}

/// Adds advice to a result that has already failed.
pub(crate) trait Advise<T> {
    /// Says what to do next, unless that is said already.
    ///
    /// # Errors
    ///
    /// The failure, with the advice.
    fn advise(self, advice: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T> Advise<T> for Result<T, Failure> {
    fn advise(self, advice: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|failure| failure.next(advice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_the_chain_once_and_the_nearest_advice() {
        let inner = Failure::because(
            "read the PIN file",
            std::io::Error::from(std::io::ErrorKind::PermissionDenied),
        )
        .next("run chmod 600 on it");
        let outer = Failure::because("open the token", inner).next("see the documentation");
        assert_eq!(
            outer.report(),
            "could not open the token\n  because: could not read the PIN file\n  \
             because: permission denied\n  next: run chmod 600 on it\n"
        );
    }
}
