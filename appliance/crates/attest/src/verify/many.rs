//! Several pieces of evidence of one artifact, and one verdict.

use serde::{Deserialize, Serialize};

use super::report::{Check, CheckName, Outcome, Report};
use super::{Evidence, InputError, Policy, Verification, verify};

/// What came of verifying everything that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Whether every report is good and nothing asked for is missing.
    pub verified: bool,
    /// What was asked for of the evidence as a whole.
    pub checks: Vec<Check>,
    /// A report for each piece of evidence, in their order.
    pub reports: Vec<Report>,
}

/// Verifies several pieces of evidence of one artifact.
///
/// Each must be good by itself. What the policy asks for of statements (types of
/// predicates, builder, source) must be in one of them: a bill of materials need not name
/// the builder. `verification.evidence` is left out.
///
/// # Errors
///
/// As [`verify`], for the first that is malformed, and its place from 0.
pub fn verify_all(
    verification: &Verification<'_>,
    evidence: &[Evidence<'_>],
) -> Result<Summary, (usize, InputError)> {
    let policy = verification.policy;
    // Asked for of all together, below.
    let each = Policy {
        predicate_types: Vec::new(),
        builder: None,
        source: None,
        ..policy.clone()
    };
    let mut reports = Vec::with_capacity(evidence.len());
    for (place, evidence) in evidence.iter().enumerate() {
        let one = Verification {
            evidence: *evidence,
            policy: &each,
            ..*verification
        };
        reports.push(verify(&one).map_err(|error| (place, error))?);
    }
    let mut checks = Vec::new();
    if reports.is_empty() {
        let check = Check::new(CheckName::Signature).expected("at least one signature");
        checks.push(check.failed("no evidence was given"));
    }
    judge_types(policy, &reports, &mut checks);
    let wanted = [
        (CheckName::Builder, &policy.builder),
        (CheckName::Source, &policy.source),
    ];
    for (name, wanted) in wanted {
        if let Some(wanted) = wanted {
            checks.push(judge_build(name, wanted, &reports));
        }
    }
    let asked = checks.iter().all(|check| check.outcome != Outcome::Failed);
    Ok(Summary {
        verified: asked && reports.iter().all(|report| report.verified),
        checks,
        reports,
    })
}

/// Judges whether a good statement of each type asked for is there.
fn judge_types(policy: &Policy, reports: &[Report], checks: &mut Vec<Check>) {
    let types: Vec<&str> = good(reports)
        .filter_map(|report| report.statement.as_ref())
        .map(|statement| statement.predicate_type.as_str())
        .collect();
    let found = if types.is_empty() {
        "no statement that is verified".to_owned()
    } else {
        types.join(", ")
    };
    for wanted in &policy.predicate_types {
        let there = types.contains(&wanted.as_str());
        let check = Check::new(CheckName::PredicateType).expected(wanted);
        checks.push(check.holds(there, &found));
    }
}

/// Judges whether every good provenance names what was asked for, and there is one.
fn judge_build(name: CheckName, wanted: &str, reports: &[Report]) -> Check {
    let named: Vec<&str> = good(reports)
        .filter_map(|report| report.statement.as_ref())
        .filter_map(|statement| match name {
            CheckName::Source => statement.source.as_deref(),
            _ => statement.builder.as_deref(),
        })
        .collect();
    let check = Check::new(name).expected(wanted);
    if named.is_empty() {
        return check.failed("no statement that is verified names any");
    }
    let all = named
        .iter()
        .all(|named| super::policy::matches(wanted, named));
    check.holds(all, named.join(", "))
}

/// Returns the reports without a failure.
fn good(reports: &[Report]) -> impl Iterator<Item = &Report> {
    reports.iter().filter(|report| report.verified)
}
