//! Every error type, as what reaches a client.

use serde_json::{Value, json};

use super::client::Client;
use super::operators::Operator;
use super::server::TestServer;
use crate::ErrorType;

/// How an error type reaches clients here.
enum Reach {
    /// The named test of this crate looks at the answer.
    Answer(&'static str),
    /// It is told by a challenge or an order, as validation's own tests show.
    Stored,
}

/// Says of every type how it reaches clients: a new one is to be added.
fn reach(kind: ErrorType) -> Reach {
    use Reach::{Answer, Stored};
    match kind {
        ErrorType::AccountDoesNotExist => Answer("an_account_is_made_once_and_found_again"),
        ErrorType::AlreadyReplaced => Answer("a_certificate_is_replaced_once_by_its_own_account"),
        ErrorType::AlreadyRevoked => {
            Answer("the_account_that_ordered_it_revokes_a_certificate_once")
        }
        ErrorType::BadAttestationStatement => Answer("attestations_that_prove_nothing_are_refused"),
        ErrorType::BadCsr => Answer("requests_for_certificates_are_held_to_their_order"),
        ErrorType::BadNonce => Answer("a_nonce_counts_once_and_its_refusal_brings_another"),
        ErrorType::BadPublicKey => Answer("weak_and_malformed_keys_are_bad_public_keys"),
        ErrorType::BadRevocationReason => {
            Answer("the_account_that_ordered_it_revokes_a_certificate_once")
        }
        ErrorType::BadSignatureAlgorithm => {
            Answer("unsupported_algorithms_are_answered_with_those_supported")
        }
        ErrorType::Caa => Answer("caa_is_asked_again_when_the_validation_is_old"),
        ErrorType::Compound => Answer("identifiers_that_cannot_be_are_told_one_by_one"),
        ErrorType::Connection => {
            Answer("a_failed_validation_is_readable_and_makes_the_order_invalid")
        }
        ErrorType::Dns | ErrorType::IncorrectResponse | ErrorType::Tls => Stored,
        ErrorType::ExternalAccountRequired => {
            Answer("bindings_are_required_verified_and_used_once")
        }
        ErrorType::InvalidContact => Answer("contacts_are_single_mail_addresses"),
        ErrorType::InvalidProfile => Answer("profiles_are_chosen_from_those_offered"),
        ErrorType::Malformed => Answer("bodies_that_are_no_jws_or_too_long_are_refused"),
        ErrorType::OrderNotReady => Answer("an_order_goes_from_pending_to_a_certificate"),
        ErrorType::RateLimited => Answer("limits_are_told_with_the_time_to_wait"),
        ErrorType::RejectedIdentifier => Answer("names_outside_the_policy_are_rejected"),
        ErrorType::ServerInternal => Answer("a_ca_that_is_away_is_told_as_such"),
        ErrorType::Unauthorized => Answer("a_request_is_for_the_url_it_came_to"),
        ErrorType::UnsupportedContact => Answer("contacts_are_single_mail_addresses"),
        ErrorType::UnsupportedIdentifier => {
            Answer("identifiers_that_cannot_be_are_told_one_by_one")
        }
        ErrorType::UserActionRequired => {
            Answer("terms_are_agreed_to_and_agreed_to_again_when_they_change")
        }
    }
}

#[test]
fn every_error_type_is_looked_at_on_the_wire() {
    let sources = [
        include_str!("accounts.rs"),
        include_str!("devices.rs"),
        include_str!("envelope.rs"),
        include_str!("errors.rs"),
        include_str!("orders.rs"),
        include_str!("renewal.rs"),
        include_str!("revocation.rs"),
    ];
    for kind in ErrorType::ALL {
        if let Reach::Answer(test) = reach(*kind) {
            let found = sources
                .iter()
                .find(|source| source.contains(&format!("fn {test}(")));
            let source = found.unwrap_or_else(|| panic!("{kind}: no test {test}"));
            assert!(
                source.contains(kind.as_str()),
                "{kind}: {test} does not name it"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_told_with_the_time_to_wait() {
    let server =
        TestServer::start("[rate_limits.orders_per_account]\ncount = 2\nper = \"1h\"").await;
    let client = Client::account(&server).await;
    for name in ["a.example", "b.example"] {
        client.new_order(&[name]).await.good(201);
    }
    let refused = client.new_order(&["c.example"]).await;
    refused.problem(429, "rateLimited");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_outside_the_policy_are_rejected() {
    let server = TestServer::start("[policy]\nblocked = [\"blocked.example\"]").await;
    let client = Client::account(&server).await;
    let problem = client
        .new_order(&["a.example", "www.blocked.example"])
        .await
        .problem(400, "rejectedIdentifier");
    let parts = problem["subproblems"].as_array().unwrap();
    assert_eq!(parts.len(), 1);
    assert_eq!(
        parts[0]["identifier"],
        json!({"type": "dns", "value": "www.blocked.example"})
    );
    client.new_order(&["a.example"]).await.good(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_have_no_empty_members() {
    let server = TestServer::start("").await;
    let client = Client::stranger(&server);
    let reply = client
        .new_account(json!({"onlyReturnExisting": true}))
        .await;
    let problem = reply.problem(400, "accountDoesNotExist");
    let members: Vec<_> = problem.as_object().unwrap().keys().collect();
    assert_eq!(members, ["detail", "status", "type"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_orders_and_nonces_are_counted() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    client.obtain(&["a.example"]).await;
    client
        .new_account(json!({}))
        .await
        .problem(400, "malformed");
    let (_, _) = Operator::new(&server)
        .eab(Value::Object(Default::default()))
        .await;
    let metrics = server.metrics();
    for line in [
        "chancery_acme_accounts_total 1",
        "chancery_acme_orders_total{profile=\"tls-server\"} 1",
        "chancery_acme_challenge_responses_total{kind=\"http-01\"} 1",
        "chancery_acme_errors_total{kind=\"malformed\"} 1",
        "chancery_acme_nonces_redeemed_total{outcome=\"good\"}",
        "chancery_acme_nonces_issued_total",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}
