//! Throwaway PKCS#11 tokens for tests.
//!
//! ```
//! # fn test() -> Result<(), softhsm_test::Error> {
//! let token = softhsm_test::SoftHsm::token()?;
//! println!("{} has the PIN {}", token.uri(), token.user_pin());
//! # Ok(())
//! # }
//! ```
//!
//! Any number of tokens live at once in one process, whatever its threads do: each is
//! behind a module file of its own, [`Token::module`], which needs no environment and
//! can be named to this process, to a child or to any tool. It is gone when the [`Token`]
//! is dropped, when a test panics, and when the process ends.
//!
//! - [`SoftHsm`] and [`Kryoptic`] make tokens;
//! - [`P11Kit`] puts one into another process, to be killed, stopped and brought back;
//! - [`FaultShim`] delays, blocks, fails and counts its calls, and makes it slow.
//!
//! This crate is for tests: its PINs are no secrets, and it runs on Linux only.

mod bare;
mod error;
mod home;
mod kryoptic;
mod p11_kit;
mod raw;
pub mod rv;
mod shim;
mod softhsm;
mod token;

pub use bare::BareModule;
pub use error::Error;
pub use fault_shim::{Fault, Function, When};
pub use kryoptic::Kryoptic;
pub use p11_kit::P11Kit;
pub use raw::{RawKey, RawRate, RawSigner};
pub use shim::FaultShim;
pub use softhsm::SoftHsm;
pub use token::Token;
