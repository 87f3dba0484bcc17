//! What went wrong with a challenge or an order, as it is kept for the client.

use super::Identifier;

/// An error that a challenge's or an order's `error` tells (RFC 8555, 6.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The registered error type without its prefix: `dns`, `badCSR`.
    pub kind: Box<str>,
    /// A sentence about this occurrence.
    pub detail: Box<str>,
    /// Which identifier it is about.
    pub identifier: Option<Identifier>,
    /// Its parts (RFC 8555, 6.7.1); empty for one that is not `compound`.
    pub subproblems: Vec<FailurePart>,
}

/// One part of a compound error. Parts have no parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailurePart {
    /// The registered error type without its prefix.
    pub kind: Box<str>,
    /// A sentence about this part.
    pub detail: Box<str>,
    /// Which identifier it is about.
    pub identifier: Option<Identifier>,
}

impl Failure {
    /// States an error about the whole.
    #[must_use]
    pub fn new(kind: &str, detail: impl Into<Box<str>>) -> Self {
        Self {
            kind: kind.into(),
            detail: detail.into(),
            identifier: None,
            subproblems: Vec::new(),
        }
    }

    /// Says which identifier it is about.
    #[must_use]
    pub fn about(mut self, identifier: Identifier) -> Self {
        self.identifier = Some(identifier);
        self
    }
}
