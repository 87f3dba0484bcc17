//! Problem documents of what the service did not do.

use std::time::Duration;

use mesh::{Problem, ProblemType};
use serde_json::{Value, json};

use super::object::withdrawal_object;
use crate::problem::SigningProblem;

impl From<SigningProblem> for Problem {
    fn from(problem: SigningProblem) -> Self {
        document(problem)
    }
}

/// Writes the document.
fn document(problem: SigningProblem) -> Problem {
    let kind = problem.kind();
    if kind == ProblemType::Internal {
        return Problem::internal(Box::new(problem));
    }
    let mut document = Problem::new(kind, problem.to_string());
    if let Some(code) = code(kind) {
        document = document.coded(code);
    }
    if let Some(delay) = problem.retry_after() {
        document = document.retry_after(delay);
    } else if kind.status().as_u16() == 503 {
        document = document.retry_after(Duration::from_secs(1));
    }
    match &problem {
        SigningProblem::Refused { verdict, .. } => {
            if let Some(check) = verdict.first_failure() {
                document = document
                    .with("rule", check.rule.as_str())
                    .with("expected", check.expected.as_str())
                    .with("actual", check.actual.as_str());
            }
            document = document.with("policy", json!(verdict));
        }
        SigningProblem::TooLarge { limit, actual, .. } => {
            document = document.with("limit", *limit);
            if let Some(actual) = actual {
                document = document.with("actual", *actual);
            }
            document = document.closing();
        }
        SigningProblem::TooSlow { .. } => document = document.closing(),
        SigningProblem::KeyReused { id } | SigningProblem::InProgress { id } => {
            document = document.with("signature", id.to_string());
        }
        SigningProblem::AlreadyWithdrawn { record } => {
            if let Some(withdrawal) = &record.withdrawal {
                document = document.with("withdrawal", withdrawal_object(withdrawal));
            }
        }
        SigningProblem::NotAcceptable { available } => {
            let offered: Vec<Value> = available.split(", ").map(Value::from).collect();
            document = document.with("offered", offered);
        }
        _ => {}
    }
    document.caused_by(Box::new(problem))
}

/// Returns the name for programs, where it is not that of the kind.
fn code(kind: ProblemType) -> Option<&'static str> {
    match kind {
        ProblemType::IdempotencyKeyReused => Some("idempotency_conflict"),
        ProblemType::CrlTooOld => Some("crl_stale"),
        ProblemType::AlreadyWithdrawn => Some("withdrawn"),
        ProblemType::BodyTooLarge => Some("too_large"),
        _ => None,
    }
}
