//! The service over HTTP, with real records and keys in temporary directories.

mod authority;
mod client;
mod description;
mod evidence;
mod faults;
mod faulty;
mod first;
mod keys;
pub(crate) mod keystore;
mod logs;
mod refusals;
mod releases;
mod requests;
mod retrieval;
mod server;
mod signed;
mod timestamps;
mod verification;
