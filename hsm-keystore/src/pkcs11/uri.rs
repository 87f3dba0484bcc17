//! Names of tokens by PKCS#11 URI (RFC 7512).
//!
//! Bytes are outside input: never panics, allocates no more than a small
//! multiple of the input's length.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use super::pin::{PinError, PinSource};

/// A token's address: which token, in which module, with which PIN source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct TokenUri {
    /// The token's description.
    pub token: TokenPattern,
    /// Where the module is, when the URI says so.
    pub module_path: Option<PathBuf>,
    /// Where the PIN is, when the URI says so.
    pub pin_source: Option<PinSource>,
}

/// What a token must show to be the one meant; what is absent matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenPattern {
    /// `CK_TOKEN_INFO.label`.
    pub label: Option<String>,
    /// `CK_TOKEN_INFO.serialNumber`.
    pub serial: Option<String>,
    /// `CK_TOKEN_INFO.manufacturerID`.
    pub manufacturer: Option<String>,
    /// `CK_TOKEN_INFO.model`.
    pub model: Option<String>,
    /// The slot's number, which changes on many modules from start to start.
    pub slot_id: Option<u64>,
}

/// A text that is no usable PKCS#11 URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Another scheme, or none.
    #[error("a token's address begins with `pkcs11:` (RFC 7512)")]
    NotPkcs11,
    /// Longer than any honest address.
    #[error("a token's address has at most {} octets", TokenUri::MAX_LEN)]
    TooLong,
    /// A part without `=`.
    #[error("part {part} of the address has no `=`")]
    NoValue {
        /// Which part, from 1.
        part: usize,
    },
    /// A character that must be percent-encoded.
    #[error("{attribute} has a character that must be percent-encoded")]
    BadCharacter {
        /// The attribute's name.
        attribute: &'static str,
    },
    /// `%` without two hexadecimal digits.
    #[error("{attribute} has a `%` that two hexadecimal digits do not follow")]
    BadEscape {
        /// The attribute's name.
        attribute: &'static str,
    },
    /// Octets that are no UTF-8.
    #[error("{attribute} is not UTF-8 once decoded")]
    NotUtf8 {
        /// The attribute's name.
        attribute: &'static str,
    },
    /// An attribute given twice.
    #[error("{attribute} is given twice")]
    Repeated {
        /// The attribute's name.
        attribute: &'static str,
    },
    /// A number that is none.
    #[error("slot-id is not a number")]
    NotANumber,
    /// A PIN in the address itself.
    #[error(
        "pin-value is refused: an address is copied into logs and process lists; \
         put the PIN in a file and name it by pin-source"
    )]
    PinValue,
    /// An attribute that we would have to ignore.
    #[error("{name:?} says nothing about a token; remove it")]
    Unknown {
        /// The attribute's name, cut at 40 characters.
        name: String,
    },
    /// A pin-source we cannot read.
    #[error("pin-source cannot be used")]
    PinSource(#[source] PinError),
    /// The module is named by something other than its path.
    #[error("module-name needs a search path that differs by system; give module-path")]
    ModuleName,
}

impl TokenUri {
    /// Most octets of an address.
    pub const MAX_LEN: usize = 4096;
}

impl FromStr for TokenUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.len() > Self::MAX_LEN {
            return Err(UriError::TooLong);
        }
        // RFC 3986, 3.1: schemes are case-insensitive.
        let rest = match text.split_at_checked(7) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("pkcs11:") => rest,
            _ => return Err(UriError::NotPkcs11),
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let mut uri = Self::default();
        // RFC 7512, 2.3: path attributes are joined by `;`, query attributes by `&`.
        let mut part = 0;
        for piece in path.split(';').filter(|piece| !piece.is_empty()) {
            part += 1;
            let (name, value) = piece.split_once('=').ok_or(UriError::NoValue { part })?;
            uri.take_path(name, value)?;
        }
        for piece in query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .filter(|piece| !piece.is_empty())
        {
            part += 1;
            let (name, value) = piece.split_once('=').ok_or(UriError::NoValue { part })?;
            uri.take_query(name, value)?;
        }
        Ok(uri)
    }
}

impl TryFrom<String> for TokenUri {
    type Error = UriError;

    fn try_from(text: String) -> Result<Self, UriError> {
        text.parse()
    }
}

impl TokenUri {
    /// Takes one path attribute.
    fn take_path(&mut self, name: &str, value: &str) -> Result<(), UriError> {
        let token = &mut self.token;
        match name {
            "token" => once("token", &mut token.label, decode("token", value, PATH)?),
            "serial" => once("serial", &mut token.serial, decode("serial", value, PATH)?),
            "manufacturer" => once(
                "manufacturer",
                &mut token.manufacturer,
                decode("manufacturer", value, PATH)?,
            ),
            "model" => once("model", &mut token.model, decode("model", value, PATH)?),
            "slot-id" => {
                // RFC 7512, 2.3: pk11-slot-id is 1*DIGIT.
                if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(UriError::NotANumber);
                }
                let number = value.parse().map_err(|_| UriError::NotANumber)?;
                once("slot-id", &mut token.slot_id, number)
            }
            _ => Err(unknown(name)),
        }
    }

    /// Takes one query attribute.
    fn take_query(&mut self, name: &str, value: &str) -> Result<(), UriError> {
        match name {
            "module-path" => {
                let path = decode("module-path", value, QUERY)?;
                once("module-path", &mut self.module_path, PathBuf::from(path))
            }
            "pin-source" => {
                let source = decode("pin-source", value, QUERY)?;
                let source = source.parse().map_err(UriError::PinSource)?;
                once("pin-source", &mut self.pin_source, source)
            }
            "pin-value" => Err(UriError::PinValue),
            "module-name" => Err(UriError::ModuleName),
            _ => Err(unknown(name)),
        }
    }
}

/// Characters beyond the unreserved that stand for themselves in a path value
/// (RFC 7512, 2.3: pk11-res-avail and `&`).
const PATH: &[u8] = b":[]@!$'()*+,=&";

/// The same for a query value (pk11-res-avail, `/`, `?` and `|`).
const QUERY: &[u8] = b":[]@!$'()*+,=/?|";

/// Keeps a value unless there is one already.
fn once<T>(attribute: &'static str, place: &mut Option<T>, value: T) -> Result<(), UriError> {
    // RFC 7512, 2.3: an attribute MUST NOT be given twice.
    if place.replace(value).is_some() {
        return Err(UriError::Repeated { attribute });
    }
    Ok(())
}

/// Names an attribute we do not act on.
fn unknown(name: &str) -> UriError {
    UriError::Unknown {
        name: name.chars().take(40).collect(),
    }
}

/// Undoes percent-encoding.
fn decode(attribute: &'static str, text: &str, allowed: &[u8]) -> Result<String, UriError> {
    let mut octets = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| {
                byte.and_then(|byte| char::from(byte).to_digit(16))
                    .and_then(|digit| u8::try_from(digit).ok())
                    .ok_or(UriError::BadEscape { attribute })
            };
            let high = digit(bytes.next())?;
            let low = digit(bytes.next())?;
            octets.push(high << 4 | low);
        } else if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || allowed.contains(&byte)
        {
            octets.push(byte);
        } else {
            return Err(UriError::BadCharacter { attribute });
        }
    }
    String::from_utf8(octets).map_err(|_| UriError::NotUtf8 { attribute })
}

impl fmt::Display for TokenPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        let parts = [
            ("label", &self.label),
            ("serial", &self.serial),
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
        ];
        for (name, value) in parts {
            if let Some(value) = value {
                write!(f, "{between}{name} {value:?}")?;
                between = ", ";
            }
        }
        if let Some(slot) = self.slot_id {
            write!(f, "{between}slot {slot}")?;
            between = ", ";
        }
        if between.is_empty() {
            f.write_str("any token")?;
        }
        Ok(())
    }
}

/// Writes the pattern as a URI without a query, for people and for tests.
impl TokenPattern {
    /// Returns the address of such a token (RFC 7512).
    #[must_use]
    pub fn to_uri(&self) -> String {
        let mut uri = String::from("pkcs11:");
        let mut between = "";
        let parts = [
            ("token", &self.label),
            ("serial", &self.serial),
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
        ];
        for (name, value) in parts {
            if let Some(value) = value {
                uri.push_str(between);
                uri.push_str(name);
                uri.push('=');
                for byte in value.bytes() {
                    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                        uri.push(char::from(byte));
                    } else {
                        uri.push_str(&format!("%{byte:02X}"));
                    }
                }
                between = ";";
            }
        }
        if let Some(slot) = self.slot_id {
            uri.push_str(&format!("{between}slot-id={slot}"));
        }
        uri
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_of_the_rfc_is_read() {
        let uri: TokenUri = "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;\
             manufacturer=Snake%20Oil,%20Inc.;model=1.0;serial=\
             ?pin-source=file:/etc/token&module-path=/usr/lib/x.so"
            .parse()
            .unwrap();
        assert_eq!(
            uri.token.label.as_deref(),
            Some("The Software PKCS#11 Softtoken")
        );
        assert_eq!(uri.token.manufacturer.as_deref(), Some("Snake Oil, Inc."));
        assert_eq!(uri.token.serial.as_deref(), Some(""));
        assert_eq!(uri.pin_source, Some(PinSource::File("/etc/token".into())));
        assert_eq!(uri.module_path, Some("/usr/lib/x.so".into()));
    }

    #[test]
    fn a_pin_in_the_address_is_refused_without_repeating_it() {
        let refusal = "pkcs11:token=a?pin-value=s3cret"
            .parse::<TokenUri>()
            .unwrap_err();
        assert_eq!(refusal, UriError::PinValue);
        assert!(!refusal.to_string().contains("s3cret"));
    }

    #[test]
    fn what_the_rfc_forbids_is_refused() {
        for (text, fault) in [
            ("token=a", UriError::NotPkcs11),
            ("pkcs11:token", UriError::NoValue { part: 1 }),
            (
                "pkcs11:token=a;token=b",
                UriError::Repeated { attribute: "token" },
            ),
            (
                "pkcs11:token=%4",
                UriError::BadEscape { attribute: "token" },
            ),
            (
                "pkcs11:token=%zz",
                UriError::BadEscape { attribute: "token" },
            ),
            ("pkcs11:token=%ff", UriError::NotUtf8 { attribute: "token" }),
            (
                "pkcs11:token=a b",
                UriError::BadCharacter { attribute: "token" },
            ),
            (
                "pkcs11:token=a/b",
                UriError::BadCharacter { attribute: "token" },
            ),
            ("pkcs11:slot-id=+1", UriError::NotANumber),
            ("pkcs11:?module-name=softhsm2", UriError::ModuleName),
            (
                "pkcs11:object=a",
                UriError::Unknown {
                    name: "object".into(),
                },
            ),
        ] {
            assert_eq!(text.parse::<TokenUri>(), Err(fault), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_panic(text in ".{0,200}") {
            let _ = text.parse::<TokenUri>();
            let _ = format!("pkcs11:{text}").parse::<TokenUri>();
        }

        #[test]
        fn what_is_written_reads_back(
            label in proptest::option::of(".{0,32}"),
            serial in proptest::option::of(".{0,16}"),
            model in proptest::option::of(".{0,16}"),
            slot_id in proptest::option::of(any::<u64>()),
        ) {
            let pattern = TokenPattern { label, serial, manufacturer: None, model, slot_id };
            let back: TokenUri = pattern.to_uri().parse().unwrap();
            prop_assert_eq!(back.token, pattern);
        }
    }
}
