//! Tokens (RFC 7519), checked: by whom, for whom, and when they were made.
//!
//! What a token says is read before its signature is verified only as far as it names
//! its issuer and key; nothing that it brings, neither keys nor addresses of such, is
//! ever used.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use model::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::config::{Issuer, JwsAlgorithm};
use super::jwk::IssuerKey;
use super::replay::TokenId;
use super::template::text_of;

/// Most octets of a token.
pub(crate) const MAX_TOKEN: usize = 16 * 1024;

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Too long, or not of three parts in base64url.
    #[error("it is no compact JWS of a JSON object (RFC 7515, 7.1): {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A header that says it is something else, or must be understood and is not.
    #[error("its header's {field} is {found:?}: {wanted}")]
    Header {
        /// The field.
        field: &'static str,
        /// What is there, cut at 40 characters.
        found: String,
        /// What is taken, as a clause.
        wanted: &'static str,
    },
    /// An algorithm that is not taken: none, an HMAC, or one not configured.
    #[error("it is signed by {found:?}; of this issuer {taken} are taken")]
    Algorithm {
        /// What is there, cut at 40 characters.
        found: String,
        /// What is taken.
        taken: String,
    },
    /// An issuer that is not configured.
    #[error("its issuer {found:?} is none of those configured")]
    Issuer {
        /// The issuer, cut at 200 characters.
        found: String,
    },
    /// A key that the issuer does not have.
    #[error("its issuer has no key {found:?} for {algorithm}")]
    Key {
        /// The key's name, cut at 100 characters.
        found: String,
        /// The algorithm.
        algorithm: &'static str,
    },
    /// The signature is not the issuer's.
    #[error("its signature is not its issuer's")]
    Signature,
    /// Made for somebody else.
    #[error("it is made for {found}, and must be for {wanted}")]
    Audience {
        /// For whom, cut at 200 characters.
        found: String,
        /// For whom it must be.
        wanted: String,
    },
    /// A time that is missing or none.
    #[error("its {claim} is missing, or no time")]
    Time {
        /// Which.
        claim: &'static str,
    },
    /// Over.
    #[error("it ended at {at}, and it is {now}")]
    Expired {
        /// When it ended.
        at: Timestamp,
        /// The time.
        now: Timestamp,
    },
    /// Not yet.
    #[error("its {claim} is {at}, and it is {now}")]
    NotYet {
        /// `nbf` or `iat`.
        claim: &'static str,
        /// From when on.
        at: Timestamp,
        /// The time.
        now: Timestamp,
    },
    /// Longer than any that is taken.
    #[error("it lives for {found_s} s; at most {max_s} s are taken")]
    Lifetime {
        /// Seconds from `iat` to `exp`.
        found_s: i64,
        /// Most.
        max_s: i64,
    },
    /// Without a claim that is needed.
    #[error("it lacks the claim {claim:?}")]
    Missing {
        /// Which.
        claim: String,
    },
}

impl TokenError {
    /// Names the check that failed, for metrics, logs and programs.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "token_form",
            Self::Header { .. } => "token_header",
            Self::Algorithm { .. } => "token_algorithm",
            Self::Issuer { .. } => "token_issuer",
            Self::Key { .. } => "token_key",
            Self::Signature => "token_signature",
            Self::Audience { .. } => "token_audience",
            Self::Time { .. } => "token_time",
            Self::Expired { .. } => "token_expired",
            Self::NotYet { .. } => "token_not_yet",
            Self::Lifetime { .. } => "token_lifetime",
            Self::Missing { .. } => "token_claims",
        }
    }
}

/// A token taken apart, nothing of it believed.
#[derive(Debug)]
pub struct Unverified<'a> {
    /// Header and payload as they were signed.
    signed: &'a str,
    /// The signature, base64url.
    signature: &'a str,
    /// The header.
    header: Header,
    /// The claims.
    claims: Map<String, Value>,
}

/// The fields of a header that are looked at (RFC 7515, 4.1).
#[derive(Debug, Deserialize)]
struct Header {
    /// The algorithm.
    alg: String,
    /// The key's name.
    #[serde(default)]
    kid: Option<String>,
    /// What it is.
    #[serde(default)]
    typ: Option<String>,
    /// What must be understood.
    #[serde(default)]
    crit: Option<Value>,
}

/// A token whose every check is passed.
#[derive(Debug)]
pub(crate) struct Token {
    /// What it says.
    pub(crate) claims: Map<String, Value>,
    /// Names it: SHA-256 of its issuer and its `jti`, or of what is signed where it has
    /// none. Never of the signature, of which ECDSA has more than one.
    pub(crate) id: TokenId,
    /// When it has ended for good, clocks considered.
    pub(crate) until: Timestamp,
}

/// Cuts a text for an error.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    ///
    /// Bytes are hostile: never panics, allocates a small multiple of their length.
    ///
    /// # Errors
    ///
    /// `Malformed`, or `Header` for what is no token for access.
    pub fn parse(token: &'a str) -> Result<Self, TokenError> {
        let malformed = |what| TokenError::Malformed { what };
        if token.len() > MAX_TOKEN {
            return Err(malformed("it is longer than 16 KiB"));
        }
        let (signed, signature) = token
            .rsplit_once('.')
            .ok_or(malformed("it has not three parts"))?;
        let (header, payload) = signed
            .split_once('.')
            .filter(|(_, payload)| !payload.contains('.'))
            .ok_or(malformed("it has not three parts"))?;
        let decode = |part: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| malformed("a part is no base64url without padding"))
        };
        let header: Header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| malformed("its header is no JSON object with alg"))?;
        let claims: Map<String, Value> = serde_json::from_slice(&decode(payload)?)
            .map_err(|_| malformed("its payload is no JSON object"))?;
        // RFC 7519, 5.1; RFC 8725, 3.11: what is something else is not taken for one.
        if let Some(typ) = &header.typ
            && !typ.eq_ignore_ascii_case("JWT")
        {
            return Err(TokenError::Header {
                field: "typ",
                found: cut(typ, 40),
                wanted: "JWT is taken, or none",
            });
        }
        // RFC 7515, 4.1.11: nothing that must be understood is.
        if let Some(crit) = &header.crit {
            return Err(TokenError::Header {
                field: "crit",
                found: cut(&crit.to_string(), 40),
                wanted: "extensions are not understood here",
            });
        }
        Ok(Self {
            signed,
            signature,
            header,
            claims,
        })
    }

    /// Finds whose token it says it is.
    ///
    /// # Errors
    ///
    /// `Issuer`.
    pub(crate) fn issuer<'i>(
        &self,
        issuers: &'i [Issuer],
    ) -> Result<(usize, &'i Issuer), TokenError> {
        let found = self.claims.get("iss").and_then(Value::as_str);
        issuers
            .iter()
            .enumerate()
            .find(|(_, issuer)| Some(issuer.issuer.as_str()) == found)
            .ok_or_else(|| TokenError::Issuer {
                found: cut(found.unwrap_or_default(), 200),
            })
    }

    /// Returns how it says it is signed, if the issuer's tokens may be.
    ///
    /// # Errors
    ///
    /// `Algorithm`; for `none` and every HMAC too, which are in no list.
    pub(crate) fn algorithm(&self, issuer: &Issuer) -> Result<JwsAlgorithm, TokenError> {
        JwsAlgorithm::find(&self.header.alg)
            .filter(|algorithm| issuer.algorithms.contains(algorithm))
            .ok_or_else(|| TokenError::Algorithm {
                found: cut(&self.header.alg, 40),
                taken: issuer
                    .algorithms
                    .iter()
                    .map(|algorithm| algorithm.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// Returns the key it names.
    #[must_use]
    pub fn key_name(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Verifies its signature and holds it to every rule of its issuer.
    ///
    /// # Errors
    ///
    /// The first check that failed.
    pub(crate) fn verify(
        self,
        issuer: &Issuer,
        algorithm: JwsAlgorithm,
        key: Option<Arc<IssuerKey>>,
        now: Timestamp,
    ) -> Result<Token, TokenError> {
        let key = key
            .filter(|key| key.serves(algorithm))
            .ok_or_else(|| TokenError::Key {
                found: cut(self.key_name().unwrap_or_default(), 100),
                algorithm: algorithm.as_str(),
            })?;
        let signature = URL_SAFE_NO_PAD.decode(self.signature);
        let verified = signature
            .is_ok_and(|signature| key.verifies(algorithm, self.signed.as_bytes(), &signature));
        if !verified {
            return Err(TokenError::Signature);
        }
        let claims = self.claims;
        check_audience(&claims, issuer)?;
        let until = check_times(&claims, issuer, now)?;
        let lacks = |claim: &&String| claims.get(claim.as_str()).and_then(text_of).is_none();
        if let Some(claim) = issuer.required_claims.iter().find(lacks) {
            return Err(TokenError::Missing {
                claim: claim.clone(),
            });
        }
        Ok(Token {
            id: token_id(issuer, &claims, self.signed),
            claims,
            until,
        })
    }
}

/// Checks for whom it was made (RFC 7519, 4.1.3: one text, or several).
fn check_audience(claims: &Map<String, Value>, issuer: &Issuer) -> Result<(), TokenError> {
    let wanted = |audience: &str| issuer.audiences.iter().any(|own| own == audience);
    let fits = match claims.get("aud") {
        Some(Value::String(audience)) => wanted(audience),
        Some(Value::Array(audiences)) => audiences.iter().filter_map(Value::as_str).any(wanted),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let found = claims.get("aud").map(Value::to_string);
    Err(TokenError::Audience {
        found: found.map_or_else(|| "nobody".to_owned(), |found| cut(&found, 200)),
        wanted: issuer.audiences.join(" or "),
    })
}

/// Checks when it was made and how long it counts; returns when it has ended for good.
fn check_times(
    claims: &Map<String, Value>,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<Timestamp, TokenError> {
    let skew = issuer.clock_skew;
    let needed = |claim| time_of(claims, claim)?.ok_or(TokenError::Time { claim });
    let (expires, issued) = (needed("exp")?, needed("iat")?);
    let until = expires.saturating_add(skew).unwrap_or(Timestamp::MAX);
    if now >= until {
        return Err(TokenError::Expired { at: expires, now });
    }
    let latest = now.saturating_add(skew).unwrap_or(Timestamp::MAX);
    for (claim, at) in [("nbf", time_of(claims, "nbf")?), ("iat", Some(issued))] {
        if let Some(at) = at.filter(|at| *at > latest) {
            return Err(TokenError::NotYet { claim, at, now });
        }
    }
    let life = expires.duration_since(issued);
    if life > issuer.max_lifetime || life <= SignedDuration::ZERO {
        return Err(TokenError::Lifetime {
            found_s: life.as_secs(),
            max_s: issuer.max_lifetime.as_secs(),
        });
    }
    Ok(until)
}

/// Reads a NumericDate (RFC 7519, 2), fractions cut off; none if it is not there.
fn time_of(
    claims: &Map<String, Value>,
    claim: &'static str,
) -> Result<Option<Timestamp>, TokenError> {
    let refused = TokenError::Time { claim };
    let Some(value) = claims.get(claim) else {
        return Ok(None);
    };
    let seconds = match (value.as_i64(), value.as_f64()) {
        (Some(seconds), _) => seconds,
        // Whole numbers of this size are exact.
        (None, Some(seconds)) if (0.0..1e12).contains(&seconds) => seconds as i64,
        (None, _) => return Err(refused),
    };
    match Timestamp::from_second(seconds) {
        Ok(time) if seconds > 0 => Ok(Some(time)),
        _ => Err(refused),
    }
}

/// Names a token.
fn token_id(issuer: &Issuer, claims: &Map<String, Value>, signed: &str) -> TokenId {
    use aws_lc_rs::digest::{Context, SHA256};
    let mut context = Context::new(&SHA256);
    context.update(&(issuer.issuer.len() as u64).to_be_bytes());
    context.update(issuer.issuer.as_bytes());
    match claims.get("jti").and_then(Value::as_str) {
        Some(jti) => {
            context.update(b"jti");
            context.update(jti.as_bytes());
        }
        None => {
            context.update(b"jws");
            context.update(signed.as_bytes());
        }
    }
    let mut id = [0; 32];
    id.copy_from_slice(context.finish().as_ref());
    id
}
