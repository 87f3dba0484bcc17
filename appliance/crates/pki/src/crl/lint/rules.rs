//! The rules for CRLs, each with a name and where it comes from.

use jiff::Timestamp;
use model::{RevocationReason, SerialNumber};

use super::CrlFinding;
use crate::algorithm::SignatureAlgorithm;
use crate::crl::read::{CrlEntry, Tbs};
use crate::crl::{CrlPlan, serials};
use crate::issuer::IssuerFacts;
use crate::lint::{define_lints, is_strong};
use crate::oid;

define_lints! {
    /// A rule for CRLs.
    CrlLint;
    /// Version 2, which extensions need.
    Version = "crl-version", "RFC 5280, 5.1.2.1";
    /// The algorithm is the one the issuer signs by.
    SignatureAlgorithm = "crl-signature-algorithm", "RFC 5280, 5.1.2.2";
    /// The hash is not broken.
    WeakHash = "crl-weak-hash", "RFC 6194; CA/B Forum TLS requirements, 7.1.3.2";
    /// The issuer's name is the issuer's subject, octet for octet, and not empty.
    IssuerName = "crl-issuer-name", "RFC 5280, 5.1.2.3";
    /// The issuer's key usage holds cRLSign.
    IssuerKeyUsage = "crl-issuer-key-usage", "RFC 5280, 4.2.1.3";
    /// UTCTime through 2049, then GeneralizedTime.
    TimeEncoding = "crl-time-encoding", "RFC 5280, 5.1.2.4 and 5.1.2.5";
    /// nextUpdate is there.
    NextUpdate = "crl-next-update", "RFC 5280, 5.1.2.5";
    /// Times are those planned: made by now, the next one due later.
    TimeOrder = "crl-time-order", "RFC 5280, 5.1.2.4 and 5.1.2.5";
    /// A list without entries is absent.
    EmptyList = "crl-empty-list", "RFC 5280, 5.1.2.6";
    /// Only extensions that are known here.
    ExtensionKnown = "crl-extension-known", "RFC 5280, 5.2";
    /// Extensions are critical where they must be, and only there.
    ExtensionCritical = "crl-extension-critical", "RFC 5280, 5.2; X.509, 9.5.2.8";
    /// The authority key identifier is the issuer's.
    AuthorityKeyIdentifier = "crl-authority-key-identifier", "RFC 5280, 5.2.1";
    /// The number is there, and the one planned.
    Number = "crl-number", "RFC 5280, 5.2.3";
    /// A delta names the base planned, which is older; nothing else names any.
    DeltaBase = "crl-delta-base", "RFC 5280, 5.2.4";
    /// The issuing distribution point is the one planned, named by HTTP URLs.
    IssuingPoint = "crl-issuing-distribution-point", "RFC 5280, 5.2.5";
    /// The freshest CRL is the one planned, over HTTP, and never in a delta.
    FreshestCrl = "crl-freshest-crl", "RFC 5280, 5.2.6";
    /// expiredCertsOnCRL is the one planned, and not after this update.
    ExpiredCerts = "crl-expired-certs", "X.509, 9.5.2.8";
    /// No serial number stands twice.
    EntryRepeated = "crl-entry-repeated", "RFC 5280, 5.1.2.6";
    /// Revocation dates have the form their year demands.
    EntryDateEncoding = "crl-entry-date-encoding", "RFC 5280, 5.1.2.6";
    /// Nothing was revoked later than now.
    EntryDate = "crl-entry-date", "RFC 5280, 5.1.2.6";
    /// The reason unspecified is left out.
    EntryReasonUnspecified = "crl-entry-reason-unspecified", "RFC 5280, 5.3.1";
    /// removeFromCRL stands in deltas alone.
    EntryReasonRemove = "crl-entry-reason-remove", "RFC 5280, 5.3.1";
    /// No key was compromised after its certificate was revoked.
    EntryInvalidityDate = "crl-entry-invalidity-date", "RFC 5280, 5.3.2";
    /// Entries have extensions that are known here, none critical.
    EntryExtensions = "crl-entry-extensions", "RFC 5280, 5.3";
}

/// The rules about entries, as one entry after the other is seen.
pub(super) struct EntryRules<'a> {
    /// The time of the lint.
    now: Timestamp,
    /// Whether the list is a delta.
    delta: bool,
    /// The last entry's serial number.
    before: &'a [u8],
    /// Whether every serial number was greater than the one before.
    pub(super) ascending: bool,
    /// Each rule broken, and the first entry that breaks it.
    findings: Vec<CrlFinding>,
}

impl<'a> EntryRules<'a> {
    /// Begins before the first entry.
    pub(super) fn new(plan: &CrlPlan, now: Timestamp) -> Self {
        Self {
            now,
            delta: plan.delta_base.is_some(),
            before: &[],
            ascending: true,
            findings: Vec::new(),
        }
    }

    /// Looks at the next entry.
    #[inline]
    pub(super) fn see(&mut self, entry: &CrlEntry<'a>) {
        let serial = entry.serial_octets();
        self.ascending &= is_ascending(self.before, serial);
        self.before = serial;
        let (date, reason) = (entry.revoked_at, entry.written_reason);
        let sound = date.canonical
            && date.time <= self.now
            && reason.is_none_or(|reason| self.takes(reason))
            && entry
                .invalidity_date()
                .is_none_or(|invalid| invalid <= date.time)
            && !entry.odd_extensions;
        if !sound {
            self.complain(entry);
        }
    }

    /// Tells whether a reason may be written on this list.
    fn takes(&self, reason: RevocationReason) -> bool {
        match reason {
            RevocationReason::Unspecified => false,
            RevocationReason::RemoveFromCrl => self.delta,
            RevocationReason::KeyCompromise
            | RevocationReason::CaCompromise
            | RevocationReason::AffiliationChanged
            | RevocationReason::Superseded
            | RevocationReason::CessationOfOperation
            | RevocationReason::CertificateHold
            | RevocationReason::PrivilegeWithdrawn
            | RevocationReason::AaCompromise => true,
        }
    }

    /// Notes which rules an entry breaks.
    #[cold]
    fn complain(&mut self, entry: &CrlEntry<'_>) {
        let (date, reason) = (entry.revoked_at, entry.written_reason);
        let late = entry
            .invalidity_date()
            .is_some_and(|invalid| invalid > date.time);
        let removes = reason == Some(RevocationReason::RemoveFromCrl);
        let told = reason != Some(RevocationReason::Unspecified);
        for (holds, lint) in [
            (date.canonical, CrlLint::EntryDateEncoding),
            (date.time <= self.now, CrlLint::EntryDate),
            (told, CrlLint::EntryReasonUnspecified),
            (!removes || self.delta, CrlLint::EntryReasonRemove),
            (!late, CrlLint::EntryInvalidityDate),
            (!entry.odd_extensions, CrlLint::EntryExtensions),
        ] {
            if !holds && !self.findings.iter().any(|found| found.lint == lint) {
                self.findings.push(finding(lint, Some(entry.serial())));
            }
        }
    }
}

/// Tells whether octets come before others; serial numbers mostly differ in their first
/// 16 octets, which are compared at once.
#[inline]
fn is_ascending(before: &[u8], after: &[u8]) -> bool {
    match (before.first_chunk(), after.first_chunk()) {
        (Some(one), Some(two)) if one != two => {
            u128::from_be_bytes(*one) < u128::from_be_bytes(*two)
        }
        _ => before < after,
    }
}

/// Makes a finding.
fn finding(lint: CrlLint, serial: Option<SerialNumber>) -> CrlFinding {
    CrlFinding { lint, serial }
}

/// Holds what is to be signed to every rule and returns those it breaks.
pub(super) fn check(
    tbs: &Tbs<'_>,
    entries: EntryRules<'_>,
    plan: &CrlPlan,
    issuer: &IssuerFacts,
    now: Timestamp,
) -> Vec<CrlFinding> {
    let mut findings = entries.findings;
    if let Some(list) = tbs.entries
        && !entries.ascending
        && let Some(entry) = serials::find_repeated(list, tbs.count)
    {
        findings.push(finding(CrlLint::EntryRepeated, Some(entry.serial())));
    }
    let mut expect = |holds: bool, lint: CrlLint| {
        if !holds {
            findings.push(finding(lint, None));
        }
    };
    check_head(tbs, issuer, &mut expect);
    check_times(tbs, plan, now, &mut expect);
    expect(tbs.entries.is_none() || tbs.count > 0, CrlLint::EmptyList);
    check_extensions(tbs, plan, issuer, &mut expect);
    findings
}

/// Version, algorithm and issuer.
fn check_head(tbs: &Tbs<'_>, issuer: &IssuerFacts, expect: &mut impl FnMut(bool, CrlLint)) {
    expect(tbs.version_2, CrlLint::Version);
    expect(
        tbs.algorithm_der == issuer.signature_algorithm.identifier_der(),
        CrlLint::SignatureAlgorithm,
    );
    let algorithm = SignatureAlgorithm::from_identifier_der(tbs.algorithm_der);
    expect(algorithm.is_some_and(is_strong), CrlLint::WeakHash);
    // An empty Name is two octets.
    let named = tbs.issuer_der.len() > 2 && *tbs.issuer_der == *issuer.subject_der;
    expect(named, CrlLint::IssuerName);
    expect(issuer.may_sign_crls, CrlLint::IssuerKeyUsage);
}

/// Times.
fn check_times(
    tbs: &Tbs<'_>,
    plan: &CrlPlan,
    now: Timestamp,
    expect: &mut impl FnMut(bool, CrlLint),
) {
    expect(tbs.next_update.is_some(), CrlLint::NextUpdate);
    let this_update = tbs.this_update;
    let Some(next_update) = tbs.next_update else {
        return;
    };
    expect(
        this_update.canonical && next_update.canonical,
        CrlLint::TimeEncoding,
    );
    let planned = this_update.time.as_second() == plan.this_update.as_second()
        && next_update.time.as_second() == plan.next_update.as_second();
    let ordered = this_update.time <= now && now < next_update.time;
    expect(planned && ordered, CrlLint::TimeOrder);
}

/// Extensions.
fn check_extensions(
    tbs: &Tbs<'_>,
    plan: &CrlPlan,
    issuer: &IssuerFacts,
    expect: &mut impl FnMut(bool, CrlLint),
) {
    let extensions = &tbs.extensions;
    expect(!extensions.unknown, CrlLint::ExtensionKnown);
    let critical = [
        (oid::CRL_NUMBER, false),
        (oid::AUTHORITY_KEY_IDENTIFIER, false),
        (oid::DELTA_CRL_INDICATOR, true),
        (oid::ISSUING_DISTRIBUTION_POINT, true),
        (oid::FRESHEST_CRL, false),
        (oid::EXPIRED_CERTS_ON_CRL, false),
    ]
    .into_iter()
    .all(|(kind, must)| extensions.critical(kind).is_none_or(|is| is == must));
    expect(critical, CrlLint::ExtensionCritical);
    expect(
        extensions.authority_key_identifier == Some(&issuer.key_identifier),
        CrlLint::AuthorityKeyIdentifier,
    );
    expect(extensions.number == Some(plan.number), CrlLint::Number);
    let older = plan.delta_base.is_none_or(|base| base < plan.number);
    expect(
        extensions.delta_base == plan.delta_base && older,
        CrlLint::DeltaBase,
    );
    let point = &extensions.issuing_point;
    let by_http = point
        .iter()
        .flat_map(|point| &point.urls)
        .all(|url| is_http(url));
    expect(
        *point == plan.issuing_point && by_http,
        CrlLint::IssuingPoint,
    );
    let freshest = extensions.freshest.iter().eq(&plan.freshest);
    let fit = extensions.freshest.is_empty()
        || (plan.delta_base.is_none() && extensions.freshest.iter().all(|url| is_http(url)));
    // An empty list of points would be as wrong as a missing one.
    let listed = extensions.critical(oid::FRESHEST_CRL).is_some() == plan.freshest.is_some();
    expect(freshest && fit && listed, CrlLint::FreshestCrl);
    let second = |time: Option<Timestamp>| time.map(Timestamp::as_second);
    let since = second(extensions.expired_certs_on_crl);
    let past = since.is_none_or(|since| since <= tbs.this_update.time.as_second());
    expect(
        since == second(plan.expired_certs_on_crl) && past,
        CrlLint::ExpiredCerts,
    );
}

/// Tells whether relying parties fetch from an address without further ado.
fn is_http(url: &str) -> bool {
    url.starts_with("http://")
}
