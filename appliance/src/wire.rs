//! The composition root: builds every part from the configuration and hands it
//! what it needs. The only place that knows all of them.

mod acme;
mod ca;
mod distribution;
mod keyring;
mod keystore;
mod member;
mod serve;
mod services;
mod signing;
mod supervisor;

pub(crate) use distribution::publication;
pub(crate) use keystore::{Keystores, keystore_failure, open_keystore};
pub(crate) use serve::serve;
pub(crate) use services::Services;
