//! Every state met by every event.

use std::fmt::Write;

use model::acme::{CertificateId, Failure, Finalization, IssuedCertificate};
use model::{SerialNumber, Timestamp};

use super::*;

/// Returns a time.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// Writes what each state makes of each event.
fn table<S, E, R>(
    states: &[S],
    events: &[E],
    apply: impl Fn(&S, &E) -> Result<R, Refused>,
    state: impl Fn(&S) -> &'static str,
    event: impl Fn(&E) -> &'static str,
    result: impl Fn(&R) -> &'static str,
) -> String {
    let mut table = String::new();
    for from in states {
        for by in events {
            let after = match apply(from, by) {
                Ok(after) => result(&after).to_owned(),
                Err(refused) => format!("refused: {refused}"),
            };
            writeln!(table, "{:<11} + {:<27} = {after}", state(from), event(by)).unwrap();
        }
    }
    table
}

/// Returns a finalization.
fn finalization() -> Finalization {
    Finalization {
        csr_der: vec![0x30, 0],
        csr_sha256: [1; 32],
        request_id: None,
        at: at(1),
    }
}

/// Returns a certificate.
fn certificate() -> IssuedCertificate {
    let serial = SerialNumber::from_unsigned(&[7]).unwrap();
    IssuedCertificate {
        csr_sha256: [1; 32],
        serial: serial.clone(),
        certificate_id: CertificateId {
            issuer_key_id: [2; 20].into(),
            serial,
        },
        not_before: at(0),
        not_after: at(9),
        chains_pem: vec!["chain".into()],
        at: at(2),
    }
}

/// Returns an error.
fn failure() -> Failure {
    Failure::new("connection", "refused")
}

/// Returns an order in every state.
fn orders() -> [OrderState; 5] {
    [
        OrderState::Pending,
        OrderState::Ready,
        OrderState::Processing(finalization()),
        OrderState::Valid(certificate()),
        OrderState::Invalid { error: failure() },
    ]
}

/// Returns everything that may happen to an order.
fn order_events() -> [OrderEvent; 6] {
    [
        OrderEvent::AuthorizationsValid,
        OrderEvent::AuthorizationFailed { error: failure() },
        OrderEvent::Finalize(finalization()),
        OrderEvent::Issued(certificate()),
        OrderEvent::Rejected { error: failure() },
        OrderEvent::Expire,
    ]
}

#[test]
fn accounts_follow_rfc_8555_7_1_6() {
    insta::assert_snapshot!(table(
        &AccountState::ALL,
        &AccountEvent::ALL,
        AccountState::apply,
        AccountState::as_str,
        AccountEvent::as_str,
        AccountState::as_str,
    ));
}

#[test]
fn authorizations_follow_rfc_8555_7_1_6() {
    insta::assert_snapshot!(table(
        &AuthorizationState::ALL,
        &AuthorizationEvent::ALL,
        AuthorizationState::apply,
        AuthorizationState::as_str,
        AuthorizationEvent::as_str,
        AuthorizationState::as_str,
    ));
}

#[test]
fn challenges_follow_rfc_8555_7_1_6() {
    let states = [
        ChallengeState::Pending,
        ChallengeState::Processing {
            since: at(0),
            attempts: 0,
            error: None,
        },
        ChallengeState::Valid { at: at(1) },
        ChallengeState::Invalid { error: failure() },
    ];
    let events = [
        ChallengeEvent::Respond { at: at(2) },
        ChallengeEvent::Retry { error: failure() },
        ChallengeEvent::Succeed { at: at(2) },
        ChallengeEvent::Fail { error: failure() },
    ];
    insta::assert_snapshot!(table(
        &states,
        &events,
        ChallengeState::apply,
        ChallengeState::as_str,
        ChallengeEvent::as_str,
        ChallengeState::as_str,
    ));
}

#[test]
fn orders_follow_rfc_8555_7_1_6() {
    insta::assert_snapshot!(table(
        &orders(),
        &order_events(),
        OrderState::apply,
        OrderState::as_str,
        OrderEvent::as_str,
        OrderState::as_str,
    ));
}

#[test]
fn a_state_takes_what_its_event_brings() {
    let processing = OrderState::Ready
        .apply(&OrderEvent::Finalize(finalization()))
        .unwrap();
    assert_eq!(processing, OrderState::Processing(finalization()));
    let valid = processing
        .apply(&OrderEvent::Issued(certificate()))
        .unwrap();
    assert_eq!(valid.certificate(), Some(&certificate()));
    let invalid = processing
        .apply(&OrderEvent::Rejected { error: failure() })
        .unwrap();
    assert_eq!(invalid.error(), Some(&failure()));

    let responded = ChallengeState::Pending
        .apply(&ChallengeEvent::Respond { at: at(1) })
        .unwrap();
    let retried = responded
        .apply(&ChallengeEvent::Retry { error: failure() })
        .unwrap();
    assert_eq!(retried.error(), Some(&failure()));
    // RFC 8555, 8.2: responding again asks for a retry and forgets nothing.
    let again = retried.apply(&ChallengeEvent::Respond { at: at(9) });
    assert_eq!(again, Ok(retried));
}

#[test]
fn final_states_are_final() {
    for state in orders() {
        let takes = order_events()
            .iter()
            .filter(|event| state.apply(event).is_ok())
            .count();
        let is_final = matches!(state, OrderState::Valid(_) | OrderState::Invalid { .. });
        assert_eq!(takes == 0, is_final, "{}", state.as_str());
    }
}
