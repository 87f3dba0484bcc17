//! What acts on the ACME ledger mean: which are refused, what the others change.
//!
//! Every function reads through a [`View`], which includes what the acts before it
//! changed, and answers with the records as they are to be. States change through
//! `apply` of the state machines alone.

mod accounts;
mod challenges;
mod orders;

use model::Timestamp;

use super::act::{Act, Done, Outcome};
use super::codec::{Kind, Record};
use super::error::AcmeError;
use super::view::View;
use crate::error::Error;

/// What is to be recorded.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Which act it is.
    pub(crate) kind: Kind,
    /// When it happened.
    pub(crate) at: Timestamp,
    /// The records as they are from then on.
    pub(crate) records: Vec<Record>,
}

/// What an act comes to.
#[derive(Debug)]
pub(crate) enum Decided {
    /// Nothing changes.
    Answer(Outcome),
    /// This is recorded, then answered.
    Record(Plan, Outcome),
}

impl Decided {
    /// Answers what is there already.
    fn answer(done: Done) -> Result<Self, AcmeError> {
        Ok(Self::Answer(Ok(done)))
    }

    /// Records and answers.
    fn record(
        kind: Kind,
        at: Timestamp,
        records: Vec<Record>,
        done: Done,
    ) -> Result<Self, AcmeError> {
        let plan = Plan { kind, at, records };
        Ok(Self::Record(plan, Ok(done)))
    }
}

/// Decides an act.
///
/// # Errors
///
/// Why state could not be read; a refusal is an answer.
pub(crate) fn decide(view: View<'_>, act: &Act) -> Result<Decided, Error> {
    let decided = match act {
        Act::CreateAccount(new) => accounts::create(view, new),
        Act::UpdateAccount { id, update, at } => accounts::update(view, id, update, *at),
        Act::ChangeKey {
            id,
            old_thumbprint,
            new,
            at,
        } => accounts::change_key(view, id, old_thumbprint, new, *at),
        Act::EndAccount { id, event, at } => accounts::end(view, id, *event, *at),
        Act::CreateEabKey(key) => accounts::create_eab_key(view, key),
        Act::RevokeEabKey { id, at } => accounts::revoke_eab_key(view, id, *at),
        Act::CreateOrder(new) => orders::create(view, new),
        Act::CreateAuthorization(new) => orders::create_authorization(view, new),
        Act::BeginChallenge { id, at } => challenges::begin(view, id, *at),
        Act::Validate { id, validation, at } => challenges::validate(view, id, validation, *at),
        Act::DeactivateAuthorization { id, at } => challenges::deactivate(view, id, *at),
        Act::Finalize { id, finalization } => orders::finalize(view, id, finalization),
        Act::Issue { id, certificate } => orders::issue(view, id, certificate),
        Act::Reject { id, error, at } => orders::reject(view, id, error, *at),
    };
    match decided {
        Ok(decided) => Ok(decided),
        Err(AcmeError::Store(error)) => Err(error),
        Err(refusal) => Ok(Decided::Answer(Err(refusal))),
    }
}
