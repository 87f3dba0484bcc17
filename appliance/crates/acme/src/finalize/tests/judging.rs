//! What each refusal of the CA means for an order.

use std::fmt::Write;

use mesh::{CaClientError, ProblemType};

use super::ca::{problem, unreachable};
use crate::finalize::verdict::{Verdict, judge};

/// Returns a verdict in words.
fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Final(failure) => format!("invalid, {}", failure.kind),
        Verdict::Again => "asked again".to_owned(),
        Verdict::Away => "waits".to_owned(),
    }
}

#[test]
fn every_problem_of_the_ca_has_its_verdict() {
    let mut table = String::new();
    for kind in ProblemType::ALL {
        let verdict = judge(&CaClientError::Refused {
            problem: problem(*kind),
        });
        writeln!(table, "{:<28} {}", kind.slug(), words(&verdict)).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn what_is_no_word_of_the_ca_is_never_final() {
    let silent = [
        unreachable(),
        CaClientError::Protocol {
            what: "it is not the JSON expected",
            status: 200,
        },
    ];
    for refusal in &silent {
        assert_eq!(judge(refusal), Verdict::Away, "{refusal}");
    }
    for kind in ProblemType::ALL {
        let verdict = judge(&CaClientError::Unavailable {
            problem: problem(*kind),
            retry_after: None,
        });
        assert!(!matches!(verdict, Verdict::Final(_)), "{}", kind.slug());
    }
}

#[test]
fn faults_of_ours_are_not_told_to_clients() {
    let verdict = judge(&CaClientError::Refused {
        problem: problem(ProblemType::LintFailed),
    });
    let Verdict::Final(failure) = verdict else {
        panic!("not final: {verdict:?}");
    };
    assert!(!failure.detail.contains("no:"), "{}", failure.detail);
}
