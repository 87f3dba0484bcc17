//! The attestation object (WebAuthn Level 2, 6.5.4), of which ACME leaves `fmt` and
//! `attStmt` (draft-ietf-acme-device-attest, 5).

use ciborium::Value;

/// Most octets of an object: eight certificates, a signature, and room.
const MAX_LEN: usize = 48 * 1024;

/// Most maps and arrays in one another; the statements known have three.
const MAX_DEPTH: usize = 8;

/// Most certificates of a chain.
const MAX_CERTIFICATES: usize = 8;

/// Why bytes are no attestation object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectProblem {
    /// More octets than are read.
    #[error("it has {len} octets; at most {max} are read", max = MAX_LEN)]
    TooLong {
        /// How many.
        len: usize,
    },
    /// Not CBOR.
    #[error("it is not CBOR (RFC 8949)")]
    Cbor,
    /// Something after the object.
    #[error("there are {len} octets after it")]
    Trailing {
        /// How many.
        len: usize,
    },
    /// Not a map, or one without text for keys.
    #[error("{what} is not a map whose keys are text")]
    NotAMap {
        /// What.
        what: &'static str,
    },
    /// A key twice.
    #[error("{key} stands there twice")]
    Repeated {
        /// The key.
        key: &'static str,
    },
    /// A member that is not there.
    #[error("it has no {key}")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A member of another type.
    #[error("{key} is not {wanted}")]
    Type {
        /// The key.
        key: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// No certificate at all.
    #[error("attStmt has no x5c, or an empty one")]
    NoChain,
    /// More certificates than are read.
    #[error("x5c has {count} certificates; at most {max} are read", max = MAX_CERTIFICATES)]
    LongChain {
        /// How many.
        count: usize,
    },
    /// No signature.
    #[error("attStmt has no sig")]
    NoSignature,
}

/// An attestation object, its parts of the types they should be and nothing verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationObject {
    /// `fmt`.
    format: String,
    /// `alg` of the statement: a number of COSE.
    algorithm: Option<i64>,
    /// `sig` of the statement.
    signature: Option<Vec<u8>>,
    /// `x5c` of the statement: the attested key's certificate first.
    chain_der: Vec<Vec<u8>>,
}

impl AttestationObject {
    /// Reads an object; members that are not known are passed over.
    ///
    /// Bytes are hostile: never panics, allocates at most some forty times their
    /// length.
    ///
    /// # Errors
    ///
    /// What is not as it should be.
    pub fn parse(cbor: &[u8]) -> Result<Self, ObjectProblem> {
        if cbor.len() > MAX_LEN {
            return Err(ObjectProblem::TooLong { len: cbor.len() });
        }
        let object = read_value(cbor)?;
        let members = members(object, "the object")?;
        let [format, statement] = pick(members, ["fmt", "attStmt"])?;
        let format = match format {
            Some(Value::Text(format)) => format,
            Some(_) => return Err(mistyped("fmt", "text")),
            None => return Err(ObjectProblem::Missing { key: "fmt" }),
        };
        let statement = statement.ok_or(ObjectProblem::Missing { key: "attStmt" })?;
        let statement = self::members(statement, "attStmt")?;
        let [algorithm, signature, chain] = pick(statement, ["alg", "sig", "x5c"])?;
        Ok(Self {
            format,
            algorithm: match algorithm {
                Some(Value::Integer(number)) => {
                    Some(i64::try_from(number).map_err(|_| mistyped("alg", "a number of COSE"))?)
                }
                Some(_) => return Err(mistyped("alg", "a number of COSE")),
                None => None,
            },
            signature: match signature {
                Some(Value::Bytes(signature)) => Some(unwrap_signature(signature)),
                Some(_) => return Err(mistyped("sig", "a byte string")),
                None => None,
            },
            chain_der: match chain {
                Some(Value::Array(chain)) => read_chain(chain)?,
                Some(_) => return Err(mistyped("x5c", "an array of byte strings")),
                None => Vec::new(),
            },
        })
    }

    /// Returns `fmt`.
    #[must_use]
    pub fn format(&self) -> &str {
        &self.format
    }

    /// Returns `alg`.
    #[must_use]
    pub fn algorithm(&self) -> Option<i64> {
        self.algorithm
    }

    /// Returns the signature.
    #[must_use]
    pub fn signature(&self) -> Option<&[u8]> {
        self.signature.as_deref()
    }

    /// Returns `x5c`, each certificate in DER, or what is said to be one.
    #[must_use]
    pub fn chain_der(&self) -> &[Vec<u8>] {
        &self.chain_der
    }
}

/// States that a member is of another type.
const fn mistyped(key: &'static str, wanted: &'static str) -> ObjectProblem {
    ObjectProblem::Type { key, wanted }
}

/// Reads one value that fills all its bytes.
fn read_value(cbor: &[u8]) -> Result<Value, ObjectProblem> {
    let mut rest = cbor;
    let value: Value = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH)
        .map_err(|_| ObjectProblem::Cbor)?;
    match rest.len() {
        0 => Ok(value),
        len => Err(ObjectProblem::Trailing { len }),
    }
}

/// Returns a map's members.
fn members(value: Value, what: &'static str) -> Result<Vec<(String, Value)>, ObjectProblem> {
    let Value::Map(members) = value else {
        return Err(ObjectProblem::NotAMap { what });
    };
    members
        .into_iter()
        .map(|(key, value)| match key {
            Value::Text(key) => Ok((key, value)),
            _ => Err(ObjectProblem::NotAMap { what }),
        })
        .collect()
}

/// Takes members by their keys, each at most once.
fn pick<const N: usize>(
    members: Vec<(String, Value)>,
    keys: [&'static str; N],
) -> Result<[Option<Value>; N], ObjectProblem> {
    let mut found = [const { None }; N];
    for (given, value) in members {
        for (key, place) in keys.iter().zip(&mut found) {
            if given != *key {
                continue;
            }
            if place.replace(value).is_some() {
                return Err(ObjectProblem::Repeated { key });
            }
            break;
        }
    }
    Ok(found)
}

/// Reads `x5c`.
fn read_chain(chain: Vec<Value>) -> Result<Vec<Vec<u8>>, ObjectProblem> {
    if chain.len() > MAX_CERTIFICATES {
        return Err(ObjectProblem::LongChain { count: chain.len() });
    }
    chain
        .into_iter()
        .map(|certificate| match certificate {
            Value::Bytes(der) => Ok(der),
            _ => Err(mistyped("x5c", "an array of byte strings")),
        })
        .collect()
}

/// Takes a signature out of the byte string that clients of `step` put around it: in
/// there it is CBOR once more. Others give it as it is.
fn unwrap_signature(signature: Vec<u8>) -> Vec<u8> {
    match read_value(&signature) {
        Ok(Value::Bytes(inner)) => inner,
        Ok(_) | Err(_) => signature,
    }
}
