//! Requests for signatures, each of another artifact and with evidence of its own: what
//! the service keeps only once must not make it look faster than it is.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use chancery_tests::Connection;
use serde_json::{Value, json};

use crate::load::Messages;

/// Octets of a bill of materials, and of a provenance.
pub(crate) const EVIDENCE: usize = 100 * 1024;

/// Stands in the template where each request has its number: sixteen hexadecimal digits.
const MARK: &str = "5ba7c0de5ba7c0de";

/// The rest of an artifact's SHA-256, the same for all.
const REST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c";

/// Makes requests by digest, as many as are asked for.
#[derive(Debug)]
pub(crate) struct Requests {
    /// One of them, with the mark in it.
    template: Vec<u8>,
    /// Where the mark is.
    marks: Vec<usize>,
    /// The next one's number.
    next: AtomicU64,
}

impl Requests {
    /// Makes those that ask for some formats; for what the profile makes where none are
    /// named.
    pub(crate) fn new(formats: Option<&[&str]>) -> Result<Self, Box<dyn Error>> {
        let mut body = json!({
            "artifactHash": format!("sha256:{REST}{MARK}"),
            "artifactName": format!("bench-{MARK}.tar.gz"),
            "mediaType": "application/gzip",
            "sbom": sbom()?,
            "provenance": provenance()?,
        });
        if let Some(formats) = formats {
            body["formats"] = json!(formats);
        }
        let template = Connection::post(
            "/v1/signatures",
            "application/json",
            &format!("Idempotency-Key: bench-{MARK}\r\n"),
            body.to_string().as_bytes(),
        );
        let marks = template
            .windows(MARK.len())
            .enumerate()
            .filter(|(_, window)| *window == MARK.as_bytes())
            .map(|(at, _)| at)
            .collect();
        Ok(Self {
            template,
            marks,
            next: AtomicU64::new(1),
        })
    }

    /// Returns how many were made.
    pub(crate) fn made(&self) -> u64 {
        self.next.load(Ordering::Relaxed) - 1
    }
}

impl Messages for Requests {
    fn message<'a>(&'a self, _: usize, _: usize, room: &'a mut Vec<u8>) -> &'a [u8] {
        let number = format!("{:016x}", self.next.fetch_add(1, Ordering::Relaxed));
        room.clear();
        room.extend_from_slice(&self.template);
        for at in &self.marks {
            if let Some(place) = room.get_mut(*at..*at + MARK.len()) {
                place.copy_from_slice(number.as_bytes());
            }
        }
        room
    }
}

/// Makes a CycloneDX bill of materials that names the artifact.
fn sbom() -> Result<Value, Box<dyn Error>> {
    filled(
        |components, padding| {
            json!({
                "bomFormat": "CycloneDX",
                "specVersion": "1.6",
                "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
                "version": 1,
                "metadata": {
                    "timestamp": "2026-03-01T12:00:00Z",
                    "authors": [{"name": "Build"}],
                    "component": {
                        "type": "application", "name": "app", "version": "1.0", "bom-ref": "app",
                        "description": padding,
                        "hashes": [{"alg": "SHA-256", "content": format!("{REST}{MARK}")}],
                    },
                },
                "components": components,
            })
        },
        |number| {
            let name = format!("component-{number}");
            let purl = format!("pkg:npm/{name}@1.{number}.0");
            json!({
                "type": "library", "name": name, "version": format!("1.{number}.0"),
                "bom-ref": purl, "purl": purl, "supplier": {"name": "Example"},
                "hashes": [{"alg": "SHA-256", "content": format!("{number:064x}")}],
                "licenses": [{"license": {"id": "MIT"}}],
            })
        },
    )
}

/// Makes a statement of SLSA provenance about the artifact.
fn provenance() -> Result<Value, Box<dyn Error>> {
    filled(
        |dependencies, padding| {
            json!({
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"name": "app", "digest": {"sha256": format!("{REST}{MARK}")}}],
                "predicateType": "https://slsa.dev/provenance/v1",
                "predicate": {
                    "buildDefinition": {
                        "buildType": "https://builder.example/type/v1",
                        "externalParameters": {"source": {
                            "uri": "git+https://git.example/team/app@refs/tags/v1.0",
                        }},
                        "internalParameters": {"note": padding},
                        "resolvedDependencies": dependencies,
                    },
                    "runDetails": {"builder": {"id": "https://builder.example/v1"}},
                },
            })
        },
        |number| {
            json!({
                "uri": format!("https://registry.example/component-{number}-1.{number}.0.tgz"),
                "digest": {"sha256": format!("{number:064x}")},
            })
        },
    )
}

/// Fills a document with entries, and then with padding, to its length.
fn filled(
    document: impl Fn(&[Value], &str) -> Value,
    entry: impl Fn(usize) -> Value,
) -> Result<Value, Box<dyn Error>> {
    let missing = |entries: &[Value]| {
        let length = document(entries, "").to_string().len();
        EVIDENCE.checked_sub(length)
    };
    let mut entries = vec![entry(0)];
    let mut room = missing(&entries).ok_or("the document is too long by itself")?;
    for number in 1.. {
        let next = entry(number);
        let length = next.to_string().len() + ",".len();
        if length > room {
            break;
        }
        room -= length;
        entries.push(next);
    }
    let whole = document(&entries, &"x".repeat(room));
    match whole.to_string().len() {
        EVIDENCE => Ok(whole),
        other => Err(format!("{other} octets instead of {EVIDENCE}").into()),
    }
}
