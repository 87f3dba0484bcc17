//! The revocations of other CAs, as their files write them.
//!
//! | form | looks like |
//! |---|---|
//! | our export | `{"revocations": [{"serial", "revoked_at", "reason", …}]}` |
//! | a list | `[{"serial", "revoked_at", "reason", …}]` |
//! | by serial number | `{"4A…": {"revoked_at", "reason"}}`, or `{"4A…": "2026-01-31T00:00:00Z"}` |
//! | index.txt of `openssl ca` | `R<tab>290131000000Z<tab>260131000000Z,keyCompromise<tab>4A…<tab>…` |
//!
//! Members have one of several names (`SERIALS`, `TIMES`, `REASONS`, …); times
//! are RFC 3339 or seconds since the epoch, reasons names or codes.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use mesh::wire::ImportedRevocation;
use model::{IssuerId, RevocationReason, SerialNumber};
use serde_json::{Map, Value};

/// Names that files give to the serial number.
const SERIALS: [&str; 5] = [
    "serial",
    "serial_number",
    "serialNumber",
    "serial_hex",
    "serialHex",
];

/// Names that files give to the time of revocation.
const TIMES: [&str; 9] = [
    "revoked_at",
    "revokedAt",
    "revocation_date",
    "revocationDate",
    "revocation_time",
    "revocationTime",
    "date",
    "time",
    "timestamp",
];

/// Names that files give to the reason.
const REASONS: [&str; 5] = [
    "reason",
    "reason_code",
    "reasonCode",
    "revocation_reason",
    "revocationReason",
];

/// Names that files give to the certificate's end.
const ENDS: [&str; 6] = [
    "not_after",
    "notAfter",
    "expires_at",
    "expiresAt",
    "expires",
    "expiry",
];

/// Names that files give to the invalidity date.
const INVALIDITY: [&str; 2] = ["invalidity_date", "invalidityDate"];

/// Why a file's revocations cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// It is neither JSON nor an index.txt.
    #[error("it is neither JSON nor the index.txt of openssl ca")]
    Form {
        /// What stopped the reading as JSON.
        source: serde_json::Error,
    },
    /// JSON of another shape.
    #[error("it is JSON, but neither a list of revocations nor an object of them")]
    Shape,
    /// An entry without something that must be there.
    #[error("entry {entry}: there is no {what}")]
    Missing {
        /// Which entry, from 1; the line of an index.txt.
        entry: usize,
        /// What is missing.
        what: &'static str,
    },
    /// Something in an entry that cannot be read.
    #[error("entry {entry}: {given:?} is no {what}")]
    Entry {
        /// Which entry, from 1; the line of an index.txt.
        entry: usize,
        /// What it should be.
        what: &'static str,
        /// What stands there, cut at 60 characters.
        given: String,
    },
}

/// Reads every revocation of a file.
///
/// # Errors
///
/// `Form` or `Shape` when it is no such file; `Missing` or `Entry` names the
/// first entry that cannot be read.
pub(super) fn revocations(text: &str) -> Result<Vec<ImportedRevocation>, Unreadable> {
    if is_index(text) {
        return index(text);
    }
    match serde_json::from_str(text).map_err(|source| Unreadable::Form { source })? {
        Value::Array(entries) => list(&entries),
        Value::Object(mut members) => match members.remove("revocations") {
            Some(Value::Array(entries)) => list(&entries),
            Some(Value::Object(members)) => by_serial(&members),
            Some(_) => Err(Unreadable::Shape),
            None => by_serial(&members),
        },
        _ => Err(Unreadable::Shape),
    }
}

/// Reads a list of entries.
fn list(entries: &[Value]) -> Result<Vec<ImportedRevocation>, Unreadable> {
    entries
        .iter()
        .zip(1..)
        .map(|(value, number)| {
            let members = value
                .as_object()
                .ok_or_else(|| refuse(number, "object", value))?;
            Entry { number, members }.read(None)
        })
        .collect()
}

/// Reads an object whose names are serial numbers.
fn by_serial(members: &Map<String, Value>) -> Result<Vec<ImportedRevocation>, Unreadable> {
    members
        .iter()
        .zip(1..)
        .map(|((serial, value), number)| match value {
            Value::Object(members) => Entry { number, members }.read(Some(serial)),
            time => {
                let mut members = Map::new();
                members.insert(TIMES[0].to_owned(), time.clone());
                let members = &members;
                Entry { number, members }.read(Some(serial))
            }
        })
        .collect()
}

/// One entry of a JSON file.
struct Entry<'a> {
    /// Which, from 1.
    number: usize,
    /// What it says.
    members: &'a Map<String, Value>,
}

impl Entry<'_> {
    /// Reads it; `serial` stood outside of it.
    fn read(&self, serial: Option<&str>) -> Result<ImportedRevocation, Unreadable> {
        let number = self.number;
        let serial = match (serial, self.member(&SERIALS)) {
            (Some(text), _) => {
                read_serial(text).ok_or_else(|| refuse(number, SERIAL, &text.into()))
            }
            (None, Some(value)) => value
                .as_str()
                .and_then(read_serial)
                .ok_or_else(|| refuse(number, SERIAL, value)),
            (None, None) => Err(Unreadable::Missing {
                entry: number,
                what: SERIAL,
            }),
        }?;
        let issuer = match self.member(&["issuer"]) {
            None => None,
            Some(value) => Some(
                value
                    .as_str()
                    .and_then(|text| IssuerId::new(text).ok())
                    .ok_or_else(|| refuse(number, "name of an authority", value))?,
            ),
        };
        Ok(ImportedRevocation {
            serial,
            issuer,
            revoked_at: self.time(&TIMES)?.ok_or(Unreadable::Missing {
                entry: number,
                what: "time of revocation",
            })?,
            reason: match self.member(&REASONS) {
                None => RevocationReason::Unspecified,
                Some(value) => {
                    read_reason(value).ok_or_else(|| refuse(number, "reason of RFC 5280", value))?
                }
            },
            invalidity_date: self.time(&INVALIDITY)?,
            not_after: self.time(&ENDS)?,
        })
    }

    /// Finds a member by any of its names; `null` counts as absent.
    fn member(&self, names: &[&str]) -> Option<&Value> {
        names
            .iter()
            .find_map(|name| self.members.get(*name))
            .filter(|value| !value.is_null())
    }

    /// Reads a time by any of its names.
    fn time(&self, names: &[&str]) -> Result<Option<Timestamp>, Unreadable> {
        self.member(names)
            .map(|value| read_time(value).ok_or_else(|| refuse(self.number, "time", value)))
            .transpose()
    }
}

/// What a serial number is called in errors.
const SERIAL: &str = "serial number in hexadecimal";

/// States that a value is not what it should be.
fn refuse(entry: usize, what: &'static str, value: &Value) -> Unreadable {
    let given = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Unreadable::Entry {
        entry,
        what,
        given: given.chars().take(60).collect(),
    }
}

/// Reads a serial number in hexadecimal; a magnitude, as OpenSSL writes it.
fn read_serial(text: &str) -> Option<SerialNumber> {
    let digits = text.trim().trim_start_matches("0x").replace(':', "");
    let even = if digits.len().is_multiple_of(2) {
        ""
    } else {
        "0"
    };
    format!("00{even}{digits}").parse().ok()
}

/// Reads a reason: a name in any case, or a code.
fn read_reason(value: &Value) -> Option<RevocationReason> {
    match value {
        Value::String(text) => text.trim().replace(['_', ' ', '-'], "").parse().ok(),
        Value::Number(code) => RevocationReason::from_code(code.as_u64()?.try_into().ok()?).ok(),
        _ => None,
    }
}

/// Reads a time: RFC 3339, or seconds since the epoch.
fn read_time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(seconds) => Timestamp::from_second(seconds.as_i64()?).ok(),
        _ => None,
    }
}

/// Tells whether a file looks like the database of `openssl ca`.
fn is_index(text: &str) -> bool {
    text.lines()
        .next()
        .is_some_and(|line| line.split('\t').count() >= 6 && line.starts_with(['V', 'R', 'E']))
}

/// Reads the revoked ones of an index.txt (openssl-ca, "database").
fn index(text: &str) -> Result<Vec<ImportedRevocation>, Unreadable> {
    let mut revocations = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let mut fields = line.split('\t');
        let (kind, end, revoked, serial) =
            (fields.next(), fields.next(), fields.next(), fields.next());
        if kind != Some("R") {
            continue;
        }
        let missing = |what| Unreadable::Missing {
            entry: number,
            what,
        };
        let (end, revoked, serial) = (
            end.ok_or_else(|| missing("end of the certificate"))?,
            revoked.ok_or_else(|| missing("time of revocation"))?,
            serial.ok_or_else(|| missing(SERIAL))?,
        );
        let mut parts = revoked.split(',');
        let time = parts.next().unwrap_or_default();
        let (reason, invalidity_date) = index_reason(parts.next(), parts.next())
            .ok_or_else(|| refuse(number, "reason of openssl ca", &revoked.into()))?;
        revocations.push(ImportedRevocation {
            serial: read_serial(serial).ok_or_else(|| refuse(number, SERIAL, &serial.into()))?,
            issuer: None,
            revoked_at: index_time(time).ok_or_else(|| refuse(number, "time", &time.into()))?,
            reason,
            invalidity_date,
            not_after: Some(index_time(end).ok_or_else(|| refuse(number, "time", &end.into()))?),
        });
    }
    Ok(revocations)
}

/// Reads a reason of an index.txt, and the invalidity date that may follow it.
fn index_reason(
    name: Option<&str>,
    argument: Option<&str>,
) -> Option<(RevocationReason, Option<Timestamp>)> {
    match name {
        None | Some("") => Some((RevocationReason::Unspecified, None)),
        // With the time of the compromise, in GeneralizedTime.
        Some("keyTime") => Some((
            RevocationReason::KeyCompromise,
            Some(index_time(argument?)?),
        )),
        Some("CAkeyTime") => Some((RevocationReason::CaCompromise, Some(index_time(argument?)?))),
        // With the instruction for the hold, which RFC 5280 dropped.
        Some("holdInstruction") => Some((RevocationReason::CertificateHold, None)),
        Some("CACompromise") => Some((RevocationReason::CaCompromise, None)),
        Some(name) => Some((name.parse().ok()?, None)),
    }
}

/// Reads a UTCTime or GeneralizedTime as OpenSSL prints it.
fn index_time(text: &str) -> Option<Timestamp> {
    let four_digits = match text.len() {
        // RFC 5280, 4.1.2.5.1: 50 to 99 are of the twentieth century.
        13 if text.get(..2)? >= "50" => format!("19{text}"),
        13 => format!("20{text}"),
        _ => text.to_owned(),
    };
    let time: DateTime = strtime::parse("%Y%m%d%H%M%SZ", &four_digits)
        .and_then(|parsed| parsed.to_datetime())
        .ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads one revocation.
    fn one(text: &str) -> ImportedRevocation {
        let mut found = revocations(text).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn every_form_says_the_same() {
        let forms = [
            r#"{"revocations": [{"serial": "8f01", "issuer": "issuing", "revoked_at": "2026-01-31T00:00:00Z", "reason": "keyCompromise", "not_after": "2029-01-31T00:00:00Z"}]}"#,
            r#"[{"serialNumber": "8F:01", "issuer": "issuing", "revocationDate": 1769817600, "reasonCode": 1, "notAfter": "2029-01-31T00:00:00Z"}]"#,
            r#"{"0x8F01": {"issuer": "issuing", "date": "2026-01-31T01:00:00+01:00", "reason": "KEY_COMPROMISE", "expires": 1864512000}}"#,
        ];
        let wanted = one(forms[0]);
        assert_eq!(wanted.serial.to_string(), "008f01");
        assert_eq!(wanted.reason, RevocationReason::KeyCompromise);
        for form in forms {
            assert_eq!(one(form), wanted, "{form}");
        }
        let index = "V\t290131000000Z\t\t01\tunknown\t/CN=a\n\
                     R\t290131000000Z\t260131000000Z,keyCompromise\t8F01\tunknown\t/CN=b\n";
        let issuer = None;
        assert_eq!(one(index), ImportedRevocation { issuer, ..wanted });
    }

    #[test]
    fn an_index_tells_since_when_a_key_was_known() {
        let line = "R\t20530131000000Z\t260131000000Z,keyTime,20251224180000Z\t01\tunknown\t/CN=b";
        let found = one(line);
        assert_eq!(found.reason, RevocationReason::KeyCompromise);
        assert_eq!(
            found.invalidity_date,
            Some("2025-12-24T18:00:00Z".parse().unwrap())
        );
    }

    #[test]
    fn a_time_alone_is_enough_beside_a_serial_number() {
        let found = one(r#"{"01": "2026-01-31T00:00:00Z"}"#);
        assert_eq!(found.reason, RevocationReason::Unspecified);
    }

    #[test]
    fn the_first_entry_that_cannot_be_read_is_named() {
        for (text, wanted) in [
            ("", "neither JSON nor"),
            ("3", "neither a list"),
            (r#"{"revocations": 3}"#, "neither a list"),
            ("[3]", "entry 1: \"3\" is no object"),
            (
                r#"[{"serial": "01"}]"#,
                "entry 1: there is no time of revocation",
            ),
            (
                r#"[{"serial": "xyz", "date": 1}]"#,
                "entry 1: \"xyz\" is no serial number",
            ),
            (
                r#"[{"serial": "01", "date": "soon"}]"#,
                "entry 1: \"soon\" is no time",
            ),
            (
                r#"[{"serial": "01", "date": 1, "reason": 7}]"#,
                "entry 1: \"7\" is no reason",
            ),
            (
                "R\tx\t260131000000Z\t01\tunknown\t/CN=b",
                "entry 1: \"x\" is no time",
            ),
        ] {
            let error = revocations(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
