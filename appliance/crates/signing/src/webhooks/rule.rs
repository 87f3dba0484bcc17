//! Whether a genuine message starts a rule.

use serde_json::Value;

use super::config::{CheckedRule, Condition, Demand, Scalar};

impl CheckedRule {
    /// Tells whether the rule is for an event and all its conditions hold of the payload.
    pub(crate) fn fits(&self, event: &str, payload: &Value) -> bool {
        self.events.iter().any(|own| **own == *event)
            && self.when.iter().all(|condition| condition.holds(payload))
    }
}

impl Condition {
    /// Tells whether it holds; a member that is missing is not anything.
    fn holds(&self, payload: &Value) -> bool {
        let Some(member) = payload.pointer(&self.pointer) else {
            return false;
        };
        match &self.demand {
            Demand::OneOf(values) => values.iter().any(|value| value.is(member)),
            Demand::Matches(pattern) => member.as_str().is_some_and(|text| pattern.is_match(text)),
        }
    }
}

impl Scalar {
    /// Compares with a member, type and all: `1` is not `"1"`.
    fn is(&self, member: &Value) -> bool {
        match self {
            Self::Flag(own) => member.as_bool() == Some(*own),
            Self::Number(own) => member.as_i64() == Some(*own),
            Self::Text(own) => member.as_str() == Some(own),
        }
    }
}
