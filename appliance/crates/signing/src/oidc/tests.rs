//! Enrolment by tokens: a forge of our own, and a CA that plans, lints and signs as ours
//! does.

mod authority;
mod configuration;
mod exchange;
mod forge;
mod http;
mod keys;
mod leaf;
mod tokens;
