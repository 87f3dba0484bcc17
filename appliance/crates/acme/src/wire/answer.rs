//! The objects that clients get (RFC 8555, 7.1.1 to 7.1.5; RFC 9773, 4.2).

use std::collections::BTreeMap;

use model::Timestamp;
use model::acme::{AuthorizationState, ChallengeId, ChallengeState, Failure, Identifier};
use serde::Serialize;
use serde_json::{Map, Value};
use store::acme::{Account, Authorization, Challenge, Order};

use crate::problem::ErrorType;
use crate::urls::{ExternalUrl, Resource};

/// The directory (7.1.1).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DirectoryObject {
    /// Where nonces are.
    new_nonce: String,
    /// Where accounts are made.
    new_account: String,
    /// Where orders are made.
    new_order: String,
    /// Where authorizations are made.
    new_authz: String,
    /// Where certificates are revoked.
    revoke_cert: String,
    /// Where keys are changed.
    key_change: String,
    /// Where renewal information is.
    renewal_info: String,
    /// What the operator says.
    meta: MetaObject,
}

/// The directory's `meta` (7.1.1; draft-ietf-acme-profiles, 3).
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetaObject {
    /// Where the terms are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) terms_of_service: Option<String>,
    /// Where more is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) website: Option<String>,
    /// What CAA records name this CA by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) caa_identities: Vec<String>,
    /// Whether accounts must be bound.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) external_account_required: bool,
    /// The profiles and what they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) profiles: BTreeMap<String, String>,
}

impl DirectoryObject {
    /// Tells where everything is.
    pub(crate) fn new(urls: &ExternalUrl, meta: MetaObject) -> Self {
        Self {
            new_nonce: urls.of(Resource::NewNonce),
            new_account: urls.of(Resource::NewAccount),
            new_order: urls.of(Resource::NewOrder),
            new_authz: urls.of(Resource::NewAuthorization),
            revoke_cert: urls.of(Resource::RevokeCertificate),
            key_change: urls.of(Resource::KeyChange),
            renewal_info: urls.of(Resource::RenewalInfo),
            meta,
        }
    }
}

/// An account (7.1.2).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountObject<'a> {
    /// Its state.
    status: &'static str,
    /// Contact URLs.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    contact: &'a [Box<str>],
    /// Whether its holder agreed to terms.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    terms_of_service_agreed: bool,
    /// The binding as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_account_binding: Option<Value>,
    /// Where its orders are.
    orders: String,
}

impl<'a> AccountObject<'a> {
    /// Shows an account.
    pub(crate) fn new(urls: &ExternalUrl, account: &'a Account) -> Self {
        Self {
            status: account.state.as_str(),
            contact: &account.contacts,
            terms_of_service_agreed: account.terms_agreed.is_some(),
            external_account_binding: account
                .binding
                .as_ref()
                .and_then(|binding| serde_json::from_str(&binding.jws_json).ok()),
            orders: urls.orders(&account.id, None),
        }
    }
}

/// A page of an account's orders (7.1.2.1).
#[derive(Debug, Serialize)]
pub(crate) struct OrdersObject {
    /// Their URLs.
    pub(crate) orders: Vec<String>,
}

/// An identifier (9.7.7).
#[derive(Debug, Serialize)]
struct IdentifierView {
    /// `dns` or `ip`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The name or address.
    value: String,
}

impl IdentifierView {
    /// Shows an identifier.
    fn new(identifier: &Identifier) -> Self {
        Self {
            kind: identifier.kind(),
            value: identifier.value(),
        }
    }
}

/// An order (7.1.3).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderObject {
    /// Its state.
    status: &'static str,
    /// Until when it may be finalized.
    expires: String,
    /// What it is for.
    identifiers: Vec<IdentifierView>,
    /// The start of validity asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    /// The end of validity asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    /// The profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    /// The certificate that it replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
    /// Why nothing came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    /// Its authorizations.
    authorizations: Vec<String>,
    /// Where it is finalized.
    finalize: String,
    /// Where its certificate is.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
}

impl OrderObject {
    /// Shows an order; `as_processing` shows a valid one as it was a moment ago.
    pub(crate) fn new(urls: &ExternalUrl, order: &Order, as_processing: bool) -> Self {
        let certificate = order.state.certificate().filter(|_| !as_processing);
        Self {
            status: if as_processing {
                "processing"
            } else {
                order.state.as_str()
            },
            expires: seconds(order.expires_at),
            identifiers: order.identifiers.iter().map(IdentifierView::new).collect(),
            not_before: order.not_before.map(seconds),
            not_after: order.not_after.map(seconds),
            profile: order.profile.as_ref().map(ToString::to_string),
            replaces: order.replaces.as_ref().map(ToString::to_string),
            error: order.state.error().map(failure),
            authorizations: order
                .authorizations
                .iter()
                .map(|id| urls.authorization(id))
                .collect(),
            finalize: urls.finalize(&order.id),
            certificate: certificate.map(|_| urls.certificate(&order.id, 0)),
        }
    }
}

/// An authorization (7.1.4).
#[derive(Debug, Serialize)]
pub(crate) struct AuthorizationObject {
    /// What it is for.
    identifier: IdentifierView,
    /// Its state.
    status: &'static str,
    /// When it ends.
    expires: String,
    /// How control can be or was shown.
    challenges: Vec<ChallengeObject>,
    /// Whether it is for a wildcard name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    wildcard: bool,
}

impl AuthorizationObject {
    /// Shows an authorization.
    pub(crate) fn new(urls: &ExternalUrl, authorization: &Authorization) -> Self {
        let decided = |challenge: &&Challenge| match authorization.state {
            AuthorizationState::Pending => true,
            // RFC 8555, 7.1.4: the challenge that was validated, or that failed.
            AuthorizationState::Valid
            | AuthorizationState::Invalid
            | AuthorizationState::Deactivated
            | AuthorizationState::Expired
            | AuthorizationState::Revoked => matches!(
                challenge.state,
                ChallengeState::Valid { .. } | ChallengeState::Invalid { .. }
            ),
        };
        Self {
            identifier: IdentifierView::new(&authorization.identifier),
            status: authorization.state.as_str(),
            expires: seconds(authorization.expires_at),
            challenges: authorization
                .challenges
                .iter()
                .filter(decided)
                .map(|challenge| ChallengeObject::new(urls, authorization, challenge))
                .collect(),
            wildcard: authorization.wildcard,
        }
    }
}

/// A challenge (7.1.5).
#[derive(Debug, Serialize)]
pub(crate) struct ChallengeObject {
    /// How control is to be shown.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Where it is.
    url: String,
    /// Its state.
    status: &'static str,
    /// When it was validated.
    #[serde(skip_serializing_if = "Option::is_none")]
    validated: Option<String>,
    /// What the last attempt met.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    /// What the proof contains; some clients insist on it, whatever the kind.
    token: String,
}

impl ChallengeObject {
    /// Shows a challenge.
    pub(crate) fn new(
        urls: &ExternalUrl,
        authorization: &Authorization,
        challenge: &Challenge,
    ) -> Self {
        let (validated, error) = match &challenge.state {
            ChallengeState::Pending => (None, None),
            ChallengeState::Processing { error, .. } => (None, error.as_ref().map(failure)),
            ChallengeState::Valid { at } => (Some(seconds(*at)), None),
            ChallengeState::Invalid { error } => (None, Some(failure(error))),
        };
        let id = ChallengeId {
            authorization: authorization.id,
            kind: challenge.kind,
        };
        Self {
            kind: challenge.kind.as_str(),
            url: urls.challenge(&id),
            status: challenge.state.as_str(),
            validated,
            error,
            token: authorization.token.to_string(),
        }
    }
}

/// Renewal information (RFC 9773, 4.2).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RenewalInfoObject {
    /// When to renew.
    pub(crate) suggested_window: WindowObject,
    /// Where the reason is told.
    #[serde(rename = "explanationURL", skip_serializing_if = "Option::is_none")]
    pub(crate) explanation_url: Option<String>,
}

/// A span of time.
#[derive(Debug, Serialize)]
pub(crate) struct WindowObject {
    /// Its first moment.
    pub(crate) start: String,
    /// Its last moment.
    pub(crate) end: String,
}

/// Writes a time as RFC 3339 in whole seconds, which every client reads.
pub(crate) fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second())
        .unwrap_or(at)
        .to_string()
}

/// Writes a failure as a problem document (RFC 8555, 6.7, 7.1.3, 7.1.5).
pub(crate) fn failure(failure: &Failure) -> Value {
    let mut document = told(&failure.kind, &failure.detail, failure.identifier.as_ref());
    if let Ok(kind) = failure.kind.parse::<ErrorType>() {
        document.insert("status".to_owned(), crate::http::status_of(kind).into());
    }
    // RFC 8555, 6.7.1: the member is absent where there is nothing in it.
    if !failure.subproblems.is_empty() {
        let subproblems = failure
            .subproblems
            .iter()
            .map(|part| Value::Object(told(&part.kind, &part.detail, part.identifier.as_ref())));
        document.insert("subproblems".to_owned(), subproblems.collect());
    }
    Value::Object(document)
}

/// Writes what a failure and its parts have in common.
fn told(kind: &str, detail: &str, identifier: Option<&Identifier>) -> Map<String, Value> {
    let mut document = Map::new();
    let uri = format!("{}{kind}", ErrorType::URI_PREFIX);
    document.insert("type".to_owned(), uri.into());
    document.insert("detail".to_owned(), detail.into());
    if let Some(identifier) = identifier {
        document.insert(
            "identifier".to_owned(),
            serde_json::json!({ "type": identifier.kind(), "value": identifier.value() }),
        );
    }
    document
}
