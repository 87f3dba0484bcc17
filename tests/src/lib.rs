//! The harness that end-to-end tests and benchmarks share.
//!
//! ```no_run
//! # fn test() -> Result<(), chancery_tests::Error> {
//! use chancery_tests::{Appliance, Profile, Request};
//! let ca = Appliance::start()?;
//! let request = Request::new("www.example.internal")?;
//! let answer = ca.curl().post_pem(&ca.sign_url(Profile::TlsServer), request.pem())?;
//! assert_eq!(answer.status, 201, "{answer}");
//! # Ok(())
//! # }
//! ```
//!
//! Every appliance is a process of its own on ports of its own, with a token and a
//! folder of its own; it is gone when dropped, when a test panics, and when the test's
//! process is killed. Waiting is for a condition, with a deadline that a loaded machine
//! keeps.

mod appliance;
mod builder;
mod client;
mod curl;
mod deadline;
mod error;
mod internet;
mod judge;
mod log;
mod port;
mod process;
mod profile;
mod program;
mod request;
pub mod verifiers;

pub use appliance::Appliance;
pub use builder::Builder;
pub use client::{Answer, Connection, TlsClient};
pub use curl::{Curl, Reply};
pub use deadline::{PATIENCE, until};
pub use error::Error;
pub use internet::Internet;
pub use judge::{Judge, Judgement};
pub use log::Log;
pub use port::Port;
pub use process::{Service, output_of, run};
pub use profile::{Identity, Profile};
pub use program::chancery;
pub use request::{KeyKind, Request};
