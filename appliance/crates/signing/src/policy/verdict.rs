//! What policy says of a request: every rule that was looked at.

use serde::{Deserialize, Serialize};

use super::Rule;

/// Longest text of what a rule expects or found.
const MAX_TEXT: usize = 512;

/// Whether something is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Every rule holds.
    Allowed,
    /// A rule does not hold.
    Refused,
}

/// What came of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
}

/// One rule that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which.
    pub rule: Rule,
    /// What came of it.
    pub outcome: Outcome,
    /// What it expects.
    pub expected: String,
    /// What it found.
    pub actual: String,
}

/// What policy says of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether something is signed.
    pub decision: Decision,
    /// The rules that were looked at, in order.
    pub checks: Vec<Check>,
}

impl Default for Verdict {
    fn default() -> Self {
        Self {
            decision: Decision::Allowed,
            checks: Vec::new(),
        }
    }
}

impl Verdict {
    /// Notes what came of a rule.
    pub(crate) fn note(
        &mut self,
        rule: Rule,
        passed: bool,
        expected: impl FnOnce() -> String,
        actual: impl FnOnce() -> String,
    ) {
        if !passed {
            self.decision = Decision::Refused;
        }
        self.checks.push(Check {
            rule,
            outcome: match passed {
                true => Outcome::Passed,
                false => Outcome::Failed,
            },
            expected: bounded(expected()),
            actual: bounded(actual()),
        });
    }

    /// Returns the first rule that does not hold.
    #[must_use]
    pub fn first_failure(&self) -> Option<&Check> {
        self.checks
            .iter()
            .find(|check| check.outcome == Outcome::Failed)
    }
}

/// Cuts a text that a client may have written.
fn bounded(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
    }
    text
}
