//! The signature and what it is over.

use model::signing::{ArtifactDigest, HashAlgorithm};
use pki::algorithm::{SignatureAlgorithm, digest_of};
use pki::certificate::Certificate;
use pki::cms::SignedData;
use pki::public_key::{KeyType, PublicKey};
use serde_json::Value;

use super::report::{Check, CheckName, Checks, StatementFacts};
use super::{Case, InputError, read_chain};
use crate::bundle::Content;
use crate::dsse::{Envelope, IN_TOTO};
use crate::json;
use crate::statement::{Statement, predicate_type};

/// How large a statement may be: a whole bill of materials is one.
const LIMITS: json::Limits = json::Limits {
    max_len: 96 << 20,
    max_depth: 100,
    max_nodes: 20_000_000,
};

/// Returns the hash that keys of a kind sign by where nothing else is said.
pub(super) fn usual_hash(leaf: &Certificate) -> HashAlgorithm {
    match leaf.public_key().key_type() {
        KeyType::P384 => HashAlgorithm::Sha384,
        KeyType::P521 => HashAlgorithm::Sha512,
        KeyType::Rsa { .. } | KeyType::P256 | KeyType::Ed25519 => HashAlgorithm::Sha256,
    }
}

/// Finds the signer's certificate among those in a CMS signature.
pub(super) fn cms_signer(
    cms: &SignedData<'_>,
    embedded: &[Vec<u8>],
) -> Result<(Certificate, Vec<Certificate>), InputError> {
    let (first, others) = read_chain(embedded)?;
    let mut all = vec![first];
    all.extend(others);
    let place = all
        .iter()
        .position(|certificate| cms.is_by(certificate))
        .ok_or(InputError::NoCertificate)?;
    let leaf = all.remove(place);
    Ok((leaf, all))
}

/// Judges signature, artifact and statement; returns what the statement says.
pub(super) fn judge_content(case: &Case<'_>, checks: &mut Checks) -> Option<StatementFacts> {
    let envelope = match case.parts.bundle.map(|bundle| &bundle.content) {
        Some(Content::Envelope(envelope)) => envelope,
        Some(Content::Message(_)) | None => {
            judge_artifact(case, checks);
            judge_no_statement(case, checks);
            return None;
        }
    };
    let key = case.parts.leaf.public_key();
    let check = Check::new(CheckName::Signature)
        .expected("a signature over the envelope by the certificate's key");
    let digest = digest_of(usual_hash(&case.parts.leaf), &envelope.pae());
    checks.push(match signed_by(key, &digest, case.parts.signature) {
        Some(algorithm) => check.passed(algorithm),
        None => check.failed("it does not verify"),
    });
    judge_statement(case, envelope, checks)
}

/// Verifies a signature over a digest by whatever algorithm the key has for it.
fn signed_by(
    key: &PublicKey,
    digest: &ArtifactDigest,
    signature: &[u8],
) -> Option<SignatureAlgorithm> {
    let hash = digest.algorithm();
    [
        SignatureAlgorithm::Ecdsa(hash),
        SignatureAlgorithm::RsaPkcs1(hash),
        SignatureAlgorithm::RsaPss(hash),
    ]
    .into_iter()
    .find(|algorithm| key.verify_digest(*algorithm, digest, signature).is_ok())
}

/// Judges a signature over the artifact itself.
fn judge_artifact(case: &Case<'_>, checks: &mut Checks) {
    let hash = case.parts.hash.unwrap_or(HashAlgorithm::Sha256);
    let own = case
        .verification
        .artifact
        .iter()
        .find(|digest| digest.algorithm() == hash);
    let signature = Check::new(CheckName::Signature)
        .expected("a signature over the artifact by the certificate's key");
    let artifact = Check::new(CheckName::ArtifactDigest);
    // Digests by each hash needed were checked to be there.
    let Some(own) = own else {
        checks.push(signature.failed(format_args!("no {hash} digest of the artifact")));
        return;
    };
    let artifact = artifact.expected(own);
    if let Some(cms) = &case.parts.cms {
        checks.push(if !cms.is_detached() {
            signature.failed("it holds its content, or is of other than plain data")
        } else {
            match cms.verify_signature(&case.parts.leaf) {
                Ok(()) => signature.passed(cms.signature_algorithm()),
                Err(error) => signature.failed(error),
            }
        });
        let signed = ArtifactDigest::new(hash, cms.message_digest())
            .map_or_else(|error| error.to_string(), |signed| signed.to_string());
        checks.push(artifact.holds(cms.verify_digest(own).is_ok(), signed));
        return;
    }
    let verified = signed_by(case.parts.leaf.public_key(), own, case.parts.signature);
    checks.push(match verified {
        Some(algorithm) => signature.passed(algorithm),
        None => signature.failed("it does not verify"),
    });
    let named = case.parts.bundle.and_then(|bundle| match &bundle.content {
        Content::Message(message) => message.digest,
        Content::Envelope(_) => None,
    });
    checks.push(match named {
        Some(named) => artifact.holds(named == *own, named),
        None => artifact.skipped("the evidence names none; the signature is over the artifact's"),
    });
}

/// Judges what was asked for of statements where there is none.
fn judge_no_statement(case: &Case<'_>, checks: &mut Checks) {
    let policy = case.verification.policy;
    let asked = [
        (CheckName::PredicateType, types(&policy.predicate_types)),
        (CheckName::Builder, policy.builder.clone()),
        (CheckName::Source, policy.source.clone()),
    ];
    for (name, wanted) in asked {
        if let Some(wanted) = wanted {
            let check = Check::new(name).expected(wanted);
            checks.push(check.failed("the evidence holds no statement"));
        }
    }
}

/// Names types asked for; none if none is.
fn types(wanted: &[String]) -> Option<String> {
    (!wanted.is_empty()).then(|| wanted.join(" or "))
}

/// Judges an envelope's statement, and returns what it says.
fn judge_statement(
    case: &Case<'_>,
    envelope: &Envelope,
    checks: &mut Checks,
) -> Option<StatementFacts> {
    let check = Check::new(CheckName::PayloadType).expected(IN_TOTO);
    let is_in_toto = envelope.payload_type() == IN_TOTO;
    checks.push(check.holds(is_in_toto, envelope.payload_type()));
    let subject = Check::new(CheckName::Subject).expected(case.digests);
    let statement = if is_in_toto {
        Statement::parse(envelope.payload(), &LIMITS).map_err(|error| error.to_string())
    } else {
        Err("the envelope holds something else".to_owned())
    };
    let statement = match statement {
        Ok(statement) => statement,
        Err(error) => {
            checks.push(subject.failed(error));
            judge_no_statement(case, checks);
            return None;
        }
    };
    checks.push(match statement.check_subject(case.digests) {
        Ok(found) => subject.passed(&found.digest),
        Err(error) => subject.failed(error),
    });
    let facts = StatementFacts::of(&statement);
    let policy = case.verification.policy;
    let check = Check::new(CheckName::PredicateType);
    checks.push(match types(&policy.predicate_types) {
        None => check.skipped(format_args!(
            "none was asked for; it is {}",
            facts.predicate_type
        )),
        Some(wanted) => {
            let known = policy.predicate_types.contains(&facts.predicate_type);
            check.expected(wanted).holds(known, &facts.predicate_type)
        }
    });
    judge_build(
        CheckName::Builder,
        policy.builder.as_ref(),
        &facts.builder,
        checks,
    );
    judge_build(
        CheckName::Source,
        policy.source.as_ref(),
        &facts.source,
        checks,
    );
    Some(facts)
}

/// Judges one fact of a build.
fn judge_build(
    name: CheckName,
    wanted: Option<&String>,
    actual: &Option<String>,
    checks: &mut Checks,
) {
    let check = Check::new(name);
    checks.push(match (wanted, actual) {
        (None, None) => check.skipped("none was asked for, and the statement names none"),
        (None, Some(actual)) => check.skipped(format_args!("none was asked for; it is {actual}")),
        (Some(wanted), None) => check
            .expected(wanted)
            .failed("the statement is no provenance, or names none"),
        (Some(wanted), Some(actual)) => {
            let known = super::policy::matches(wanted, actual);
            check.expected(wanted).holds(known, actual)
        }
    });
}

impl StatementFacts {
    /// Reads what a statement says; of provenance, builder and source.
    fn of(statement: &Statement) -> Self {
        let kind = statement.predicate_type();
        let places = match kind {
            predicate_type::PROVENANCE_V1 => Some(&V1),
            predicate_type::PROVENANCE_V0_2 => Some(&V0_2),
            _ => None,
        };
        let predicate = places.and_then(|_| json::parse(statement.predicate(), &LIMITS).ok());
        let text = |place: &[&str]| {
            let found = |at: &&str| predicate.as_ref()?.pointer(at).and_then(Value::as_str);
            place.iter().find_map(found).map(str::to_owned)
        };
        Self {
            predicate_type: kind.to_owned(),
            builder: places.and_then(|places| text(places.builder)),
            source: places.and_then(|places| text(places.source)),
        }
    }
}

/// Where a version of provenance says who built and from what.
struct Places {
    /// The builder's id.
    builder: &'static [&'static str],
    /// The source repository.
    source: &'static [&'static str],
}

/// SLSA provenance v1, and the build types that have a source.
const V1: Places = Places {
    builder: &["/runDetails/builder/id"],
    source: &[
        "/buildDefinition/externalParameters/workflow/repository",
        "/buildDefinition/externalParameters/source",
    ],
};

/// SLSA provenance v0.2.
const V0_2: Places = Places {
    builder: &["/builder/id"],
    source: &["/invocation/configSource/uri"],
};
