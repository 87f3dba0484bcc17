//! Keys on PKCS#11 tokens.
//!
//! - A fixed set of threads, the lanes, each own a session and sign; the queue
//!   before them is bounded, has priorities and keeps deadlines.
//! - One thread, the keeper, owns the anchor session that holds the login. It
//!   alone logs in, starts the module again after a failure, and changes objects.
//! - A watchdog answers what is due and closes the store while a call hangs. A
//!   call into a module cannot be ended from outside: if it never returns, the
//!   store stays not ready, and the service's supervisor restarts the process.

mod calibrate;
mod config;
mod fault;
mod keeper;
mod lane;
mod link;
mod mechanism;
mod module;
mod objects;
mod pin;
mod single_part;
mod store;
mod survey;
mod uri;

pub use calibrate::{SignRate, keystore_sign_rate, raw_sign_rate};
pub use config::Pkcs11Config;
pub use module::Modules;
pub use pin::{AskPin, NoPrompt, PinError, PinSource};
pub use store::Pkcs11Store;
pub use survey::{
    Capability, LibrarySurvey, MechanismSurvey, ModuleSurvey, SlotSurvey, TokenSurvey, survey,
};
pub use uri::{TokenPattern, TokenUri, UriError};
