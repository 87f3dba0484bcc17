//! Enrolment of builds: a forge's OpenID Connect token is exchanged for a ten-minute
//! client certificate, so that pipelines keep no secret.
//!
//! 1. The token is checked: its issuer is configured, the signature is the issuer's,
//!    and it was made for this service, a moment ago ([`token`]).
//! 2. The issuer's rules say whose builds may sign, as which signer ([`rule`]).
//! 3. The request proves possession of its key; the token is used once ([`replay`]).
//! 4. What the forge said is written as Fulcio has it ([`template`]), and the CA
//!    certifies the key with it ([`enrol`]): the CA takes that from this service alone.
//!
//! What such a client has signed is signed by a ten-minute leaf over the artifact key
//! that says the same of the build ([`leaf`]).

mod config;
mod enrol;
mod fetch;
mod http;
mod jwk;
mod keys;
mod leaf;
mod metrics;
mod replay;
mod rule;
mod template;
mod token;

#[cfg(test)]
mod tests;

pub use config::{
    CheckedOidc, JwsAlgorithm, OidcConfig, OidcConfigError, OidcIssuerConfig, OidcKind,
    OidcRuleConfig, Values,
};
pub use enrol::{Oidc, OidcParts};
pub use fetch::{HttpsKeys, HttpsKeysError};
pub use http::routes;
pub use keys::{FetchFailure, FetchKeys, KeySet, KeysError};
pub use leaf::{ForgeLeaf, ForgeLeafError, ForgeLeaves, forge_leaf};
pub use metrics::OidcMetrics;
pub use token::{TokenError, Unverified};
