//! The service over HTTP, with real records and keys in temporary directories.

mod authority;
mod evidence;
mod faulty;
mod first;
mod keystore;
mod server;
