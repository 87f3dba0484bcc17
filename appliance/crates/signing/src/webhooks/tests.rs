//! Webhooks against real servers: forges and receivers over TLS on sockets of the test's
//! own, names from a name server of its own, both queues in a real store.

mod config;
mod deliver;
mod fetching;
pub(crate) mod forge;
mod hostile;
mod house;
mod inbound;
mod keys;
mod operators;
mod reports;
mod working;
