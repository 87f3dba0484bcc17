//! Provenance: read, and its signature verified before anything is made of it.

use attest::json::Limits;
use attest::provenance::{BuildFacts, Form, Provenance, ProvenanceError, Seal, Submission};
use attest::statement::{DigestSet, Subject};
use attest::verify::{self, Evidence, Standing, TimePolicy, Verification};
use bytes::Bytes;
use model::signing::{ArtifactDigest, HashAlgorithm};
use pki::algorithm::SignatureAlgorithm;

use super::Reading;
use crate::policy::{ProvenanceFacts, Rule, SubjectFacts, Verdict};
use crate::trust::Anchor;

/// Provenance, sound in form; who signed it, if anybody did, is verified.
#[derive(Debug)]
pub(crate) struct ProvenanceEvidence {
    /// What was sent, octet for octet.
    pub(crate) octets: Bytes,
    /// In which form.
    form: Form,
    /// The provenance of the artifact among what was sent.
    provenance: Provenance,
    /// Who signed it, where somebody did whom the profile knows.
    pub(crate) signer: Option<String>,
    /// The builders' rules, by their place, whose own trust leads to a signer of theirs.
    vouched: Vec<usize>,
    /// The level it counts for.
    pub(crate) level: u8,
}

/// What rules say a provenance is to be.
const EXPECTED: &str = "SLSA provenance, signed as it says";

impl ProvenanceEvidence {
    /// Reads provenance and holds it to policy; the text says more about what failed.
    pub(super) fn read(
        reading: &Reading,
        octets: Option<Bytes>,
        verdict: &mut Verdict,
    ) -> (Option<Self>, Option<String>) {
        let Some(octets) = octets else {
            reading.policy.check_provenance(None, verdict);
            return (None, None);
        };
        match Self::open(reading, octets) {
            Ok(mut evidence) => {
                verdict.note(
                    Rule::ProvenanceValid,
                    true,
                    || EXPECTED.to_owned(),
                    || evidence.form.as_str().to_owned(),
                );
                let facts = evidence.build();
                let level = reading.policy.check_provenance(
                    Some(&ProvenanceFacts {
                        builder: &facts.builder_id,
                        signer: evidence.signer.as_deref(),
                        vouched: &evidence.vouched,
                        source: facts.source.as_deref(),
                        reference: facts.source_ref.as_deref(),
                    }),
                    verdict,
                );
                evidence.level = level;
                (Some(evidence), None)
            }
            Err(note) => {
                verdict.note(
                    Rule::ProvenanceValid,
                    false,
                    || EXPECTED.to_owned(),
                    || note.clone(),
                );
                (None, Some(note))
            }
        }
    }

    /// Reads provenance and verifies who signed it.
    fn open(reading: &Reading, octets: Bytes) -> Result<Self, String> {
        let limits = Limits {
            max_len: reading.limits.provenance_bytes,
            ..Limits::default()
        };
        let submission = Submission::parse(&octets, &limits).map_err(|error| error.to_string())?;
        let provenance = choose(&submission, reading.claimed.as_ref())?.clone();
        let (signer, vouched) = match provenance.seal() {
            Seal::Unsigned => (None, Vec::new()),
            Seal::Envelope(_) | Seal::Bundle(_) => {
                let (signer, vouched) = signer_of(reading, &provenance)?;
                (Some(signer), vouched)
            }
        };
        Ok(Self {
            form: submission.form(),
            octets,
            provenance,
            signer,
            vouched,
            level: 0,
        })
    }

    /// Returns what it says of the build.
    pub(crate) fn build(&self) -> BuildFacts {
        self.provenance.facts().clone()
    }

    /// Returns the media type it is given back as.
    pub(crate) fn media_type(&self) -> &'static str {
        self.form.media_type()
    }

    /// Returns the form in which it came.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Tells whether it came signed: it stays as it came then.
    pub(crate) fn is_signed(&self) -> bool {
        self.provenance.is_signed()
    }

    /// Returns the statement by which this service attests it, where it came unsigned.
    pub(crate) fn to_statement(
        &self,
        subject: Subject,
    ) -> Result<Vec<u8>, attest::statement::StatementError> {
        let statement = self.provenance.to_statement(subject)?;
        Ok(statement.into_bytes())
    }

    /// Tells what it says of an artifact.
    pub(crate) fn subject(&self, artifact: &DigestSet) -> SubjectFacts {
        if self.provenance.statement().is_none() {
            return SubjectFacts::Silent;
        }
        match self.provenance.check_subject(artifact) {
            Ok(()) => SubjectFacts::Named,
            Err(ProvenanceError::SubjectMismatch { actual, .. }) => {
                SubjectFacts::Other { named: actual }
            }
            Err(error) => SubjectFacts::Other {
                named: error.to_string(),
            },
        }
    }
}

/// Finds the artifact's provenance among what was sent.
fn choose<'a>(
    submission: &'a Submission,
    claimed: Option<&ArtifactDigest>,
) -> Result<&'a Provenance, String> {
    let all = submission.provenance();
    if let [only] = all {
        return Ok(only);
    }
    let Some(claimed) = claimed else {
        return Err(format!(
            "{} provenances came; name `artifactHash` in the request, so that the artifact's \
             can be found before the artifact is read",
            all.len()
        ));
    };
    let set: DigestSet = [*claimed].into_iter().collect();
    match submission.of(&set) {
        Ok(found) => found
            .first()
            .copied()
            .ok_or_else(|| "none of them is of the artifact".to_owned()),
        // Which one is told is of no matter: the subject's rule refuses it.
        Err(_) => all.first().ok_or_else(|| "there is none".to_owned()),
    }
}

/// Verifies a signed provenance by what the profile's builders lead to: returns who
/// signed it, and the places of the rules whose own trust leads to a signer of theirs.
///
/// Who is known by one rule's trust counts for no other rule's signer.
fn signer_of(reading: &Reading, provenance: &Provenance) -> Result<(String, Vec<usize>), String> {
    let builder = &provenance.facts().builder_id;
    let (mut vouched, mut signer) = (Vec::new(), None);
    let mut stranger = None;
    let mut failure = None;
    for (place, rule) in reading.policy.provenance.builders.iter().enumerate() {
        let Some(pattern) = rule.signer.as_ref().filter(|_| rule.id.is_match(builder)) else {
            continue;
        };
        let Some(anchor) = reading.trust.of(rule.trust.as_deref()) else {
            continue;
        };
        match verified(reading, provenance, &anchor) {
            Ok(names) => match names.iter().find(|name| pattern.is_match(name)) {
                Some(name) => {
                    vouched.push(place);
                    signer = signer.or_else(|| Some(name.clone()));
                }
                None => stranger = stranger.or(names.into_iter().next()),
            },
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    // Signed by somebody: the builder's rule says whether that is enough.
    if let Some(name) = signer.or(stranger) {
        return Ok((name, vouched));
    }
    let root = reading.trust.of(None);
    let own = root.map(|anchor| verified(reading, provenance, &anchor));
    match own
        .and_then(Result::ok)
        .and_then(|names| names.into_iter().next())
    {
        Some(name) => Ok((name, vouched)),
        None => Err(failure.unwrap_or_else(|| {
            "it is signed by nobody that a builder of the profile is trusted with".to_owned()
        })),
    }
}

/// Verifies a signed provenance; returns the names of who signed it.
fn verified(
    reading: &Reading,
    provenance: &Provenance,
    anchor: &Anchor,
) -> Result<Vec<String>, String> {
    match (provenance.seal(), anchor) {
        (Seal::Unsigned, _) => Err("it is not signed".to_owned()),
        (Seal::Envelope(envelope), Anchor::Key(key)) => {
            let verifies = |algorithm| envelope.verify(key, algorithm).is_ok();
            match algorithms_of(key).into_iter().any(verifies) {
                true => Ok(vec![format!("key:{}", hex::encode(key.sha256()))]),
                false => Err("the builder's key did not sign it".to_owned()),
            }
        }
        (Seal::Bundle(bundle), Anchor::Root(root)) => {
            let artifact = subjects_of(provenance);
            let policy = verify::Policy {
                time_stamps: 0,
                time: TimePolicy::TimeStampOrNow,
                ..verify::Policy::default()
            };
            let report = verify::verify(&Verification {
                artifact: &artifact,
                evidence: Evidence::Bundle(bundle),
                trust: root,
                crls: &[],
                policy: &policy,
                standing: Standing::Unknown,
                now: reading.now,
            })
            .map_err(|error| error.to_string())?;
            if let Some(failed) = report.failures().next() {
                return Err(format!(
                    "its signature does not hold: {}",
                    failed.name.as_str()
                ));
            }
            // `uri:…`, `email:…`: patterns are of the names themselves.
            let names = report.signer.names.iter().map(|name| {
                let (_, name) = name.split_once(':').unwrap_or(("", name));
                name.to_owned()
            });
            Ok(names.collect())
        }
        (Seal::Envelope(_), Anchor::Root(_)) => Err(
            "its envelope has no certificate; trust its builder's key, or send a bundle".to_owned(),
        ),
        (Seal::Bundle(_), Anchor::Key(_)) => {
            Err("it is a bundle, and its builder is trusted by a key alone".to_owned())
        }
    }
}

/// Returns the digests that a provenance names: whether they are the artifact's is a rule
/// of its own.
fn subjects_of(provenance: &Provenance) -> Vec<ArtifactDigest> {
    let subjects = provenance
        .statement()
        .map_or(&[][..], |statement| statement.subjects());
    let Some(subject) = subjects
        .iter()
        .find(|subject| subject.digest.of("sha256").is_some())
    else {
        return Vec::new();
    };
    HashAlgorithm::ALL
        .into_iter()
        .filter_map(|hash| {
            let hex = subject.digest.of(hash.as_str())?;
            format!("{hash}:{}", hex.to_ascii_lowercase()).parse().ok()
        })
        .collect()
}

/// Returns how a key may have signed.
fn algorithms_of(key: &pki::public_key::PublicKey) -> Vec<SignatureAlgorithm> {
    SignatureAlgorithm::ALL
        .into_iter()
        .filter(|algorithm| key.can_sign(*algorithm))
        .collect()
}
