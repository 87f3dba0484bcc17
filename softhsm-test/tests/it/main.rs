//! Tokens made, served, failed and slowed, with the tools that others use.

mod exits;
mod faults;
mod remote;
mod sidecar;
mod support;
mod tokens;
