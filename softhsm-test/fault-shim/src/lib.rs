//! A PKCS#11 module that stands in front of another one.
//!
//! A copy of this library beside a sidecar file (`token.so`, `token.conf`) is a module
//! of its own, whatever else the process has loaded. The sidecar names
//!
//! - the module behind it, a private copy too, so that its state is its own;
//! - the environment that this module alone sees: `SOFTHSM2_CONF`, `KRYOPTIC_CONF` and
//!   `P11_KIT_SERVER_ADDRESS` without touching the process's environment;
//! - a control file, where faults are wanted. It is shared memory: a controller in any
//!   process counts, delays, blocks and fails calls and sets the pace of signing, and a
//!   call that nothing is set for pays one counter.
//!
//! Without a control file the caller gets the function list of the module behind, and
//! nothing of ours is called again.
//!
//! Linux with ELF only: see [`Control`] for the controller's end.

mod control;
mod environment;
mod front;
mod function;
mod futex;
mod pace;
mod sidecar;
mod wrap;

pub use control::{Control, Fault, When};
pub use front::{C_GetFunctionList, C_GetInterface};
pub use function::Function;
pub use sidecar::{InvalidSidecar, Sidecar};
