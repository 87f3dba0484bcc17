//! Orders (RFC 8555, 7.4; RFC 9773, 5; draft-ietf-acme-profiles).

use std::sync::Arc;

use jiff::SignedDuration;
use model::acme::{AuthorizationId, CertificateId, Identifier, InvalidIdentifier, OrderId};
use model::{ProfileName, Timestamp};
use pki::names::DnsName;
use store::acme::{Account, NewAuthorization, NewOrder, Order, OrderOutcome};

use super::refusal::store_problem;
use super::request::{Context, Notes, Signed};
use super::{Acme, draw};
use crate::jws::base64url;
use crate::problem::{AcmeProblem, ErrorType, Subproblem};
use crate::wire::{IdentifierObject, NewOrderRequest};

/// How long a valid authorization must still count to be used again.
pub(super) const REUSE_MARGIN: SignedDuration = SignedDuration::from_hours(1);

impl Acme {
    /// Makes an order (7.4).
    ///
    /// # Errors
    ///
    /// What the request, the policy or the store stops at.
    pub(crate) async fn new_order(
        &self,
        context: &Context,
        signed: &Signed,
        notes: &mut Notes,
    ) -> Result<Arc<Order>, AcmeProblem> {
        let (account, _) = signed.account()?;
        self.check_terms(account)?;
        let request: NewOrderRequest = signed.json()?;
        let identifiers = self.read_identifiers(&request.identifiers)?;
        notes.identifiers(&identifiers);
        let profile = self.choose_profile(request.profile.as_deref())?;
        let not_after = read_validity(&request, context.now)?;
        let replaces = match &request.replaces {
            Some(text) => Some(self.check_replaced(account, text, &identifiers).await?),
            None => None,
        };
        self.admit_order(context, account, &identifiers, &profile, replaces.is_some())
            .await?;
        // An attestation is for one key, which only this order's certificate is to have.
        let lasting = !identifiers.iter().any(Identifier::is_device);
        let repeat = self.config.repeat_within;
        let new = NewOrder {
            id: OrderId::new(context.now, draw()?),
            account: account.id,
            identifiers: identifiers
                .into_iter()
                .map(|identifier| {
                    let new = self.new_authorization_for(&identifier, context.now)?;
                    Ok((identifier, new))
                })
                .collect::<Result<_, AcmeProblem>>()?,
            profile: Some(profile.clone()),
            not_before: None,
            not_after,
            replaces,
            at: context.now,
            expires_at: after(context.now, self.config.order_lifetime),
            reuse_valid_until: (lasting && self.config.reuse_authorizations)
                .then(|| after(context.now, REUSE_MARGIN)),
            repeat_since: (lasting && !repeat.is_zero()).then(|| after(context.now, -repeat)),
        };
        let order = match self.store.create_order(new).await.map_err(store_problem)? {
            OrderOutcome::Created(order) => {
                self.metrics.order(profile.as_str());
                order
            }
            OrderOutcome::Repeated(order) => order,
        };
        notes.order = Some(order.id.to_string());
        Ok(order)
    }

    /// Shows an order (7.4).
    ///
    /// # Errors
    ///
    /// What the request or the store stops at.
    pub(crate) async fn show_order(
        &self,
        context: &Context,
        signed: &Signed,
        id: &OrderId,
        notes: &mut Notes,
    ) -> Result<Arc<Order>, AcmeProblem> {
        signed.expect_get()?;
        self.own_order(context, signed, id, notes).await
    }

    /// Finds an order of the account that asks.
    ///
    /// # Errors
    ///
    /// `malformed`, 404, also for another account's: nobody learns which are there.
    pub(super) async fn own_order(
        &self,
        context: &Context,
        signed: &Signed,
        id: &OrderId,
        notes: &mut Notes,
    ) -> Result<Arc<Order>, AcmeProblem> {
        notes.order = Some(id.to_string());
        let (account, _) = signed.account()?;
        self.store
            .order(id, context.now)
            .await
            .map_err(store_problem)?
            .filter(|order| order.account == account.id)
            .ok_or_else(|| AcmeProblem::not_found("the account has no such order"))
    }

    /// Plans an authorization and the challenges it offers.
    ///
    /// # Errors
    ///
    /// `serverInternal` when the system gives no randomness; `rejectedIdentifier`
    /// when no challenge fits the identifier.
    pub(super) fn new_authorization_for(
        &self,
        identifier: &Identifier,
        now: Timestamp,
    ) -> Result<NewAuthorization, AcmeProblem> {
        let challenges: Vec<_> = self.config.validation.methods_for(identifier).collect();
        if challenges.is_empty() {
            return Err(AcmeProblem::of_identifiers(vec![about(
                ErrorType::RejectedIdentifier,
                identifier,
                "no challenge that is offered here can be met for it",
            )]));
        }
        Ok(NewAuthorization {
            id: AuthorizationId::new(now, draw()?),
            // RFC 8555, 8.1: at least 128 bits of entropy, base64url.
            token: base64url::encode(&draw::<32>()?).into(),
            challenges,
            expires_at: after(now, self.config.pending_authorization_lifetime),
        })
    }

    /// Reads the identifiers of an order, each once.
    ///
    /// # Errors
    ///
    /// `unsupportedIdentifier`, `rejectedIdentifier` or `malformed`, with a
    /// subproblem for each that is refused.
    pub(super) fn read_identifiers(
        &self,
        given: &[IdentifierObject],
    ) -> Result<Vec<Identifier>, AcmeProblem> {
        if given.is_empty() {
            return Err(AcmeProblem::malformed(
                "an order is for at least one identifier",
            ));
        }
        if given.len() > self.config.max_identifiers {
            return Err(AcmeProblem::malformed(format!(
                "an order is for at most {} identifiers",
                self.config.max_identifiers
            )));
        }
        let (mut identifiers, mut refused) = (Vec::with_capacity(given.len()), Vec::new());
        for object in given {
            match self.read_identifier(object) {
                Ok(identifier) if identifiers.contains(&identifier) => {}
                Ok(identifier) => identifiers.push(identifier),
                Err(subproblem) => refused.push(subproblem),
            }
        }
        if refused.is_empty() {
            Ok(identifiers)
        } else {
            Err(AcmeProblem::of_identifiers(refused))
        }
    }

    /// Finds the profile of an order.
    fn choose_profile(&self, given: Option<&str>) -> Result<ProfileName, AcmeProblem> {
        let Some(given) = given else {
            return Ok(self.config.default_profile.clone());
        };
        ProfileName::new(given)
            .ok()
            .filter(|name| self.config.profiles.contains_key(name))
            .ok_or_else(|| {
                let offered: Vec<_> = self
                    .config
                    .profiles
                    .keys()
                    .map(ToString::to_string)
                    .collect();
                AcmeProblem::new(
                    ErrorType::InvalidProfile,
                    format!(
                        "no such profile is offered; there are: {}",
                        offered.join(", ")
                    ),
                )
            })
    }

    /// Holds `replaces` to RFC 9773, 5; that it was not replaced before is the
    /// store's to say, in the same act that makes the order.
    async fn check_replaced(
        &self,
        account: &Account,
        text: &str,
        identifiers: &[Identifier],
    ) -> Result<CertificateId, AcmeProblem> {
        let id: CertificateId = text
            .parse()
            .map_err(|error| AcmeProblem::malformed(format!("replaces: {error}")))?;
        let replaced = self
            .store
            .order_of_certificate(&id.serial)
            .await
            .map_err(store_problem)?
            .filter(|order| {
                let certificate = order.state.certificate();
                certificate.is_some_and(|certificate| certificate.certificate_id == id)
            })
            .ok_or_else(|| {
                AcmeProblem::malformed("replaces: no certificate of this server has this name")
            })?;
        // RFC 9773, 5: the same account, at least one identifier in common.
        if replaced.account != account.id {
            return Err(AcmeProblem::unauthorized(
                "replaces: the certificate is another account's",
            ));
        }
        if !identifiers
            .iter()
            .any(|one| replaced.identifiers.contains(one))
        {
            return Err(AcmeProblem::malformed(
                "replaces: the certificate has no identifier of this order",
            ));
        }
        Ok(id)
    }

    /// Reads one identifier.
    ///
    /// # Errors
    ///
    /// What is wrong with it, or that no identifiers of its type are issued for.
    pub(super) fn read_identifier(
        &self,
        object: &IdentifierObject,
    ) -> Result<Identifier, Subproblem> {
        let refuse = |kind, detail: String| Subproblem {
            kind,
            detail,
            identifier_type: object.kind.chars().take(40).collect(),
            identifier_value: object.value.chars().take(253).collect(),
        };
        let parsed = match object.kind.as_str() {
            "permanent-identifier" if self.attestor.is_none() => {
                return Err(refuse(
                    ErrorType::UnsupportedIdentifier,
                    "devices are not attested on this server".to_owned(),
                ));
            }
            "dns" => {
                let name = DnsName::new(&object.value)
                    .map_err(|error| refuse(ErrorType::RejectedIdentifier, error.to_string()))?;
                Identifier::dns(name.as_str())
            }
            kind => Identifier::parse(kind, &object.value),
        };
        parsed.map_err(|error| {
            let kind = match error {
                InvalidIdentifier::Kind { .. } => ErrorType::UnsupportedIdentifier,
                InvalidIdentifier::Dns { .. } | InvalidIdentifier::Ip { .. } => {
                    ErrorType::RejectedIdentifier
                }
                // draft-ietf-acme-device-attest, 3.1: MUST reject non-conforming values
                // with a "malformed" error.
                InvalidIdentifier::Permanent { .. } => ErrorType::Malformed,
            };
            refuse(kind, error.to_string())
        })
    }
}

/// States what is wrong with an identifier.
pub(super) fn about(kind: ErrorType, identifier: &Identifier, detail: &str) -> Subproblem {
    Subproblem {
        kind,
        detail: detail.to_owned(),
        identifier_type: identifier.kind().to_owned(),
        identifier_value: identifier.value(),
    }
}

/// Reads the validity asked for (7.4): its end may be asked for, its start is now.
fn read_validity(
    request: &NewOrderRequest,
    now: Timestamp,
) -> Result<Option<Timestamp>, AcmeProblem> {
    if request.not_before.is_some() {
        return Err(AcmeProblem::malformed(
            "certificates here begin when they are made: leave out notBefore",
        ));
    }
    let Some(text) = &request.not_after else {
        return Ok(None);
    };
    let at: Timestamp = text
        .parse()
        .map_err(|_| AcmeProblem::malformed("notAfter is no time of RFC 3339"))?;
    if at <= now {
        return Err(AcmeProblem::malformed("notAfter is over already"));
    }
    Ok(Some(at))
}

/// Adds a time, up to the last moment there is.
pub(super) fn after(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.checked_add(span).unwrap_or(if span.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
