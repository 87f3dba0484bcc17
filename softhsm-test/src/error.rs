//! Why a token could not be made.

use std::io;
use std::path::PathBuf;

/// Why a token could not be made or served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// SoftHSM is not installed where distributions put it.
    #[error(
        "SoftHSM is at none of {looked_at:?}: install it (Debian, Ubuntu: apt-get install \
         softhsm2; Fedora: dnf install softhsm; Arch: pacman -S softhsm) or set \
         CHANCERY_SOFTHSM_MODULE to its libsofthsm2.so"
    )]
    NoSoftHsm {
        /// Every path tried.
        looked_at: Vec<PathBuf>,
    },
    /// kryoptic is not built.
    #[error(
        "kryoptic is not at {}: build it with {} (about five minutes, once) or set \
         CHANCERY_KRYOPTIC_MODULE to the module",
        module.display(),
        build.display()
    )]
    NoKryoptic {
        /// Where it was looked for.
        module: PathBuf,
        /// The command that builds it.
        build: PathBuf,
    },
    /// The p11-kit client module is not installed.
    #[error(
        "p11-kit's client module is at none of {looked_at:?}: install it (Debian, Ubuntu: \
         apt-get install p11-kit p11-kit-modules; Fedora: dnf install p11-kit-server; \
         Arch: pacman -S p11-kit)"
    )]
    NoP11Kit {
        /// Every path tried.
        looked_at: Vec<PathBuf>,
    },
    /// The fault shim's module is not beside this test's libraries.
    #[error(
        "the fault shim is at none of {looked_at:?}: build it with `cargo build -p fault-shim` \
         in this test's profile"
    )]
    NoFaultShim {
        /// Every path tried.
        looked_at: Vec<PathBuf>,
    },
    /// A file or folder of the token cannot be used.
    #[error("cannot {act} {}", path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What stopped it.
        source: io::Error,
    },
    /// A program cannot be started or told something.
    #[error("cannot {act} `p11-kit server` (Debian: apt-get install p11-kit)")]
    Server {
        /// What was tried.
        act: &'static str,
        /// What stopped it.
        source: io::Error,
    },
    /// The server of a remote token did not come up; its words are in the log.
    #[error("`p11-kit server` does not listen after {waited_ms} ms; it said: {said:?}")]
    ServerSilent {
        /// How long it was waited for.
        waited_ms: u128,
        /// What it wrote.
        said: String,
    },
    /// The token refuses.
    #[error("the module {} cannot {act}", module.display())]
    Token {
        /// What was tried.
        act: &'static str,
        /// The module.
        module: PathBuf,
        /// What it answered.
        source: cryptoki::error::Error,
    },
    /// The module shows no slot for a new token.
    #[error("the module {} has no slot for a new token", module.display())]
    NoFreeSlot {
        /// The module.
        module: PathBuf,
    },
}
