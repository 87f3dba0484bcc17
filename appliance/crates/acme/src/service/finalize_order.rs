//! Finalizing an order (RFC 8555, 7.4) and its certificate (7.4.2).

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use futures_util::future::join_all;
use model::acme::{Finalization, OrderId, OrderState};
use pki::csr::{CheckedCsr, CsrError, CsrLimits};
use pki::key_check::KeyPolicy;
use pki::name::AttributeType;
use pki::names::AlternativeName;
use pki::public_key::PublicKey;
use store::acme::{FinalizeOutcome, Order};

use super::Acme;
use super::order::about;
use super::refusal::store_problem;
use super::request::{Context, Notes, Signed};
use crate::jws::{AccountKey, Thumbprint, base64url};
use crate::problem::{AcmeProblem, ErrorType, Subproblem};
use crate::wire::FinalizeRequest;

impl Acme {
    /// Finalizes an order: checks the request, records it, has it signed.
    ///
    /// # Errors
    ///
    /// `orderNotReady`, `badCSR`, `caa`, or what the store stops at.
    pub(crate) async fn finalize_order(
        &self,
        context: &Context,
        signed: &Signed,
        id: &OrderId,
        notes: &mut Notes,
    ) -> Result<Arc<Order>, AcmeProblem> {
        let order = self.own_order(context, signed, id, notes).await?;
        notes.identifiers(&order.identifiers);
        let (_, key) = signed.account()?;
        let request: FinalizeRequest = signed.json()?;
        let csr_der = base64url::decode(request.csr.as_bytes()).map_err(|_| {
            AcmeProblem::malformed("csr is not base64url of DER without padding (RFC 8555, 7.4)")
        })?;
        if let OrderState::Pending | OrderState::Invalid { .. } = order.state {
            return Err(not_ready(&order));
        }
        let csr_sha256 = sha256(&csr_der);
        if let OrderState::Ready = order.state {
            let csr = check_csr(&csr_der, &order, key)?;
            self.check_certified_key(csr.public_key()).await?;
            self.check_attested_keys(context, &order, csr.public_key())
                .await?;
            self.confirm_caa(context, &order).await?;
        }
        let finalization = Finalization {
            csr_der,
            csr_sha256,
            request_id: Some(context.request_id.clone()),
            at: context.now,
        };
        let outcome = self
            .store
            .begin_finalize(id, finalization)
            .await
            .map_err(store_problem)?;
        let order = match outcome {
            FinalizeOutcome::Begun(_) => self
                .finalizer
                .finish(*id, self.config.finalize_patience)
                .await
                .map_err(store_problem)?,
            FinalizeOutcome::Repeated(order) => order,
        };
        self.metrics.finalized(&order.state);
        if let Some(certificate) = order.state.certificate() {
            notes.serial = Some(certificate.serial.to_string());
        }
        Ok(order)
    }

    /// Returns an order's chains; which of them is asked for is the caller's.
    ///
    /// # Errors
    ///
    /// 404 while there is no certificate.
    pub(crate) async fn certificate_of(
        &self,
        context: &Context,
        signed: &Signed,
        id: &OrderId,
        notes: &mut Notes,
    ) -> Result<Arc<Order>, AcmeProblem> {
        signed.expect_get()?;
        let order = self.own_order(context, signed, id, notes).await?;
        match order.state.certificate() {
            Some(certificate) => {
                notes.serial = Some(certificate.serial.to_string());
                Ok(order)
            }
            None => Err(AcmeProblem::not_found(format!(
                "the order is {}: it has no certificate",
                order.state.as_str()
            ))),
        }
    }

    /// Refuses keys of other accounts.
    async fn check_certified_key(&self, key: &PublicKey) -> Result<(), AcmeProblem> {
        let Some(thumbprint) = Thumbprint::of_public_key(key) else {
            return Ok(());
        };
        let account = self.store.account_by_key(thumbprint.as_bytes()).await;
        // RFC 8555, 11.1: no public key of any known account.
        match account.map_err(store_problem)? {
            Some(_) => Err(AcmeProblem::new(ErrorType::BadCsr, ACCOUNT_KEY)),
            None => Ok(()),
        }
    }

    /// Asks CAA again where the validations are old (RFC 8659, 3; RFC 8657).
    async fn confirm_caa(&self, context: &Context, order: &Order) -> Result<(), AcmeProblem> {
        let (Some(caa), Some(url)) = (&self.caa, &self.canonical_url) else {
            return Ok(());
        };
        let account_url = url.account(&order.account);
        let mut authorizations = Vec::with_capacity(order.authorizations.len());
        for id in &order.authorizations {
            let found = self.store.authorization(id, context.now).await;
            authorizations.extend(found.map_err(store_problem)?);
        }
        let answers = join_all(
            authorizations
                .iter()
                .map(|authorization| caa.confirm(authorization, &account_url, context.now)),
        )
        .await;
        let refused: Vec<Subproblem> = authorizations
            .iter()
            .zip(answers)
            .filter_map(|(authorization, answer)| {
                let refused = answer.err()?;
                Some(about(
                    refused.error_type(),
                    &authorization.ordered(),
                    &refused.to_string(),
                ))
            })
            .collect();
        if refused.is_empty() {
            Ok(())
        } else {
            Err(AcmeProblem::of_identifiers(refused))
        }
    }
}

/// States that an order cannot be finalized.
fn not_ready(order: &Order) -> AcmeProblem {
    AcmeProblem::new(
        ErrorType::OrderNotReady,
        format!(
            "the order is {}; only a ready order can be finalized",
            order.state.as_str()
        ),
    )
}

/// What is said of a request for an account's key.
const ACCOUNT_KEY: &str = "the request is for an account's key; make a key of its own for the \
     certificate (RFC 8555, 11.1)";

/// Holds a certificate request to its order (7.4, 11.1).
fn check_csr(
    csr_der: &[u8],
    order: &Order,
    account: &AccountKey,
) -> Result<CheckedCsr, AcmeProblem> {
    let bad = |detail: String| AcmeProblem::new(ErrorType::BadCsr, detail);
    let limits = CsrLimits {
        max_names: order.identifiers.len().max(1) + 1,
        ..CsrLimits::default()
    };
    let csr = match CheckedCsr::parse(csr_der, &limits, &KeyPolicy::default()) {
        Ok(csr) => csr,
        Err(CsrError::TooManyNames { .. }) => {
            return Err(bad("the request names more than the order does".to_owned()));
        }
        Err(error) => return Err(bad(error.to_string())),
    };
    // RFC 8555, 11.1: the account's key must not be certified.
    if csr.public_key().spki_der() == account.spki_der() {
        return Err(bad(ACCOUNT_KEY.to_owned()));
    }
    if csr.asks_for_ca() {
        return Err(bad("the request asks for a CA certificate".to_owned()));
    }
    let mut named = BTreeSet::new();
    for name in csr.names() {
        match name {
            AlternativeName::Dns(name) => {
                named.insert(("dns", name.as_str().to_owned()));
            }
            AlternativeName::Ip(address) => {
                named.insert(("ip", address.to_string()));
            }
            // draft-ietf-acme-device-attest, 3.2: octet for octet as ordered.
            AlternativeName::Permanent(identifier) => {
                named.insert(("permanent-identifier", identifier.to_string()));
            }
            AlternativeName::Email(_) | AlternativeName::Uri(_) => {
                return Err(bad(format!(
                    "the request names {name}, which the order does not"
                )));
            }
        }
    }
    let ordered: BTreeSet<_> = order
        .identifiers
        .iter()
        .map(|identifier| (identifier.kind(), identifier.value()))
        .collect();
    for attribute in csr.subject().attributes() {
        if attribute.kind() != AttributeType::CommonName {
            continue;
        }
        // A device is named by the subjectAltName; its common name may say so again.
        if named.contains(&("permanent-identifier", attribute.value().to_owned())) {
            continue;
        }
        // RFC 8555, 7.4: identifiers are in the CN, the subjectAltName, or both.
        let common = attribute.value().to_ascii_lowercase();
        let known = ordered
            .iter()
            .find(|(kind, value)| *kind != "permanent-identifier" && *value == common)
            .ok_or_else(|| {
                bad("the request's common name is none of the order's identifiers".to_owned())
            })?;
        named.insert(known.clone());
    }
    // RFC 8555, 7.4: the CSR MUST name exactly the order's identifiers.
    if named != ordered {
        let list = |from: &BTreeSet<(&'static str, String)>, without: &BTreeSet<_>| {
            from.difference(without)
                .map(|(_, value)| value.as_str())
                .take(5)
                .collect::<Vec<_>>()
                .join(", ")
        };
        return Err(bad(format!(
            "the request does not name exactly what the order does; missing: [{}], not ordered: [{}]",
            list(&ordered, &named),
            list(&named, &ordered),
        )));
    }
    Ok(csr)
}

/// Returns SHA-256.
pub(super) fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, octets).as_ref());
    hash
}
