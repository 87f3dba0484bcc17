//! The product from outside: its program, real tokens, clients that are not ours.
//!
//! One binary, because linking is slow. Each module is a side of the product.

#[cfg(test)]
mod acme;
#[cfg(test)]
mod ceremony;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod issuance;
#[cfg(test)]
mod machines;
#[cfg(test)]
mod pressure;
#[cfg(test)]
mod quickstart;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod roles;
#[cfg(test)]
mod signing;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod token_loss;
