//! Why the harness could not do what a test asked of it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// Why the harness could not do what a test asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be used.
    #[error("cannot {act} {}", path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What stopped it.
        source: io::Error,
    },
    /// A program cannot be started.
    #[error("cannot run `{command}`: is it installed? (tests/run installs what the tests need)")]
    Program {
        /// The command line.
        command: String,
        /// What stopped it.
        source: io::Error,
    },
    /// A program ended with a failure.
    #[error("`{command}` ended with {status} and said:\n{said}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to its output and errors.
        said: String,
    },
    /// A service ended before it was ready.
    #[error("the service ended with {status} before it was ready; its log:\n{log}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// What it wrote.
        log: String,
    },
    /// Something did not happen in time.
    #[error("waited {waited:?} in vain until {awaited}; seen last:\n{seen}")]
    Late {
        /// What should have happened.
        awaited: String,
        /// How long it was waited for.
        waited: Duration,
        /// What was there instead.
        seen: String,
    },
    /// An answer is not what its protocol says.
    #[error("{what} cannot be read:\n{seen}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// The text.
        seen: String,
    },
    /// No port below the ephemeral ones is free.
    #[error("no port is free")]
    NoPort,
    /// A connection broke or could not be made.
    #[error("cannot {act}")]
    Connection {
        /// What was tried.
        act: &'static str,
        /// What stopped it.
        source: io::Error,
    },
    /// TLS refuses a certificate or key.
    #[error("TLS cannot use the identity")]
    Tls(#[from] rustls::Error),
    /// The token cannot be made.
    #[error("cannot make the token")]
    Token(#[from] softhsm_test::Error),
}

impl Error {
    /// Makes an error about a file.
    pub(crate) fn file(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { act, path, source }
    }

    /// Makes an error about a connection.
    pub(crate) fn connection(act: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Connection { act, source }
    }
}
