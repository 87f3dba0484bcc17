//! The composition root: builds every part from the configuration and hands it
//! what it needs. The only place that knows all of them.

mod acme;
mod ca;
mod distribution;
mod keystore;
mod serve;
mod supervisor;

pub(crate) use distribution::publication;
pub(crate) use keystore::{Keystores, keystore_failure, open_keystore};
pub(crate) use serve::{Services, serve};
