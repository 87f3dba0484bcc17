//! Tests of statements.

use proptest::prelude::*;

use super::*;

/// SHA-256 of the empty text.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Digests from names and values.
fn digests(pairs: &[(&str, &str)]) -> DigestSet {
    DigestSet(
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

/// Reads a statement.
fn parse(text: &str) -> Result<Statement, StatementError> {
    Statement::parse(text.as_bytes(), &json::Limits::default())
}

/// A statement with a list of subjects.
fn with_subjects(list: &str) -> Result<Statement, StatementError> {
    parse(&format!(
        r#"{{"_type":"{V1}","subject":{list},"predicateType":"t","predicate":{{}}}}"#
    ))
}

/// A statement around a predicate.
fn build(predicate: &[u8]) -> Result<Statement, StatementError> {
    let subject = Subject {
        name: "a \"b\"".into(),
        digest: digests(&[("sha256", EMPTY)]),
    };
    let limits = json::Limits::default();
    Statement::build(vec![subject], predicate_type::SPDX, predicate, &limits)
}

#[test]
fn a_predicate_keeps_its_octets() {
    let predicate =
        "{ \"b\" : 1.0e0,\n\t\"a\":\"\\u00e9\u{e9}\\/\", \"n\": 12345678901234567890123 }";
    let built = build(format!("\n{predicate} ").as_bytes()).unwrap();
    assert_eq!(built.predicate(), predicate.as_bytes());
    let read = Statement::parse(built.bytes(), &json::Limits::default()).unwrap();
    assert_eq!(read, built, "what is built is read the same");
    assert_eq!(read.subjects()[0].name, "a \"b\"");
    assert_eq!(read.predicate_type(), predicate_type::SPDX);
}

#[test]
fn both_versions_are_read() {
    for version in [V1, V0_1] {
        let text = format!(
            r#"{{"predicate":{{"a":{{"b":1}}}},"predicateType":"t","new":1,
                "subject":[{{"name":"x","digest":{{"sha256":"{EMPTY}","sha1":"{}"}}}},
                           {{"digest":{{"ours":"?"}},"uri":"a:b"}}],"_type":"{version}"}}"#,
            "0".repeat(40)
        );
        let read = parse(&text).unwrap();
        assert_eq!(read.predicate(), br#"{"a":{"b":1}}"#);
        assert_eq!(read.subjects().len(), 2);
        assert_eq!(read.bytes(), text.as_bytes());
    }
    assert!(matches!(
        parse(&format!(
            r#"{{"_type":"{V1}x","subject":[],"predicateType":"","predicate":{{}}}}"#
        )),
        Err(StatementError::Type { .. })
    ));
}

#[test]
fn an_artifact_is_a_subject_only_if_a_strong_digest_agrees_and_none_differs() {
    let (sha1, other) = ("0".repeat(40), "1".repeat(64));
    let sha512 = "2".repeat(128);
    let list = format!(
        r#"[{{"digest":{{"sha256":"{other}"}}}},
            {{"digest":{{"sha256":"{EMPTY}","sha1":"{sha1}","sha512":"{sha512}"}}}}]"#
    );
    let statement = with_subjects(&list).unwrap();
    let check = |pairs: &[(&str, &str)]| statement.check_subject(&digests(pairs)).cloned();
    let second = Ok(statement.subjects()[1].clone());
    assert_eq!(check(&[("sha256", EMPTY)]), second);
    assert_eq!(check(&[("sha256", EMPTY), ("sha384", "3")]), second);
    assert_eq!(check(&[("sha256", EMPTY), ("sha512", &sha512)]), second);
    assert_eq!(check(&[("sha256", &EMPTY.to_uppercase())]), second);
    for refused in [
        &[("sha1", &*sha1)][..],
        &[("sha256", EMPTY), ("sha1", &"4".repeat(40))],
        &[("sha256", EMPTY), ("sha512", &"4".repeat(128))],
        &[("sha384", EMPTY)],
        &[],
    ] {
        assert!(
            matches!(check(refused), Err(StatementError::SubjectMismatch { .. })),
            "{refused:?}"
        );
    }
    let told = check(&[("sha384", "ab")]).unwrap_err().to_string();
    assert_eq!(
        told,
        format!(
            "the statement is about another artifact: it names sha256:{other}; \
             sha1:{sha1}, sha256:{EMPTY}, sha512:{sha512}, not sha384:ab"
        )
    );
}

#[test]
fn an_artifacts_digests_have_in_totos_names() {
    let digest = ArtifactDigest::sha256([0x0f; 32]);
    let set: DigestSet = [digest].into_iter().collect();
    assert_eq!(set.to_string(), digest.to_string());
    assert!(set.agrees(&digests(&[("sha256", &"0F".repeat(32))])));
}

#[test]
fn subjects_without_proper_digests_are_refused() {
    let place = |list: &str| match with_subjects(list) {
        Err(StatementError::Digest { place, .. }) => place,
        other => panic!("{list}: {other:?}"),
    };
    assert_eq!(place(r#"[{"name":"a","digest":{}}]"#), 1);
    assert_eq!(
        place(r#"[{"digest":{"x":"y"}},{"digest":{"sha256":"ab"}}]"#),
        2
    );
    assert_eq!(
        place(&format!(r#"[{{"digest":{{"sha512":"{EMPTY}"}}}}]"#)),
        1
    );
    let hex = EMPTY.replace('e', "g");
    assert_eq!(place(&format!(r#"[{{"digest":{{"sha256":"{hex}"}}}}]"#)), 1);
    assert_eq!(
        with_subjects("[]"),
        Err(StatementError::SubjectCount { count: 0 })
    );
    let many = vec![r#"{"digest":{"x":"y"}}"#; 4097].join(",");
    assert_eq!(
        with_subjects(&format!("[{many}]")),
        Err(StatementError::SubjectCount { count: 4097 })
    );
    for list in [
        "{}",
        "null",
        r#"[{"name":"a"}]"#,
        r#"[{"digest":{"sha256":1}}]"#,
    ] {
        assert!(
            matches!(with_subjects(list), Err(StatementError::Json(_))),
            "{list}"
        );
    }
}

#[test]
fn names_that_some_readers_take_for_others_are_refused() {
    let digest = format!(r#""digest":{{"sha256":"{EMPTY}"}}"#);
    for (text, name) in [
        (
            format!(
                r#"{{"_type":"{V1}","subject":[{{{digest}}}],"Subject":[],"predicateType":"t","predicate":{{}}}}"#
            ),
            "Subject",
        ),
        (
            format!(
                r#"{{"_type":"{V1}","subject":[{{{digest},"DIGEST":{{}}}}],"predicateType":"t","predicate":{{}}}}"#
            ),
            "DIGEST",
        ),
    ] {
        assert_eq!(
            parse(&text),
            Err(StatementError::NameVariant { name: name.into() })
        );
    }
    let twice = format!(
        r#"{{"_type":"{V1}","subject":[{{{digest}}}],"predicateType":"t","predicate":{{"a":1,"a":2}}}}"#
    );
    assert_eq!(
        parse(&twice),
        Err(StatementError::Json(JsonError::RepeatedName {
            name: "a".into()
        }))
    );
}

#[test]
fn only_objects_are_predicates() {
    for predicate in ["\"text\"", "[]", "null", "1"] {
        assert_eq!(build(predicate.as_bytes()), Err(StatementError::Predicate));
    }
    for predicate in [
        "",
        "{}{}",
        "{},\"predicateType\":\"x\"",
        "{",
        "{\"a\":1,\"a\":1}",
    ] {
        assert!(
            matches!(build(predicate.as_bytes()), Err(StatementError::Json(_))),
            "{predicate}"
        );
    }
    let none = format!(r#"{{"_type":"{V1}","subject":[],"predicateType":"t"}}"#);
    assert_eq!(parse(&none), Err(StatementError::Predicate));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _read = Statement::parse(&bytes, &json::Limits::default());
    }

    #[test]
    fn what_is_built_is_read_the_same(
        name in ".{0,20}", kind in ".{1,20}", octets: [u8; 32],
        predicate in r#"\{("[a-c]{1,5}": ?("[a-z\\u00e9]*"|1|\[\]))?\}"#,
    ) {
        let digest = digests(&[("sha256", &hex::encode(octets))]);
        let subject = Subject { name, digest: digest.clone() };
        let limits = json::Limits::default();
        if let Ok(built) = Statement::build(vec![subject], &kind, predicate.as_bytes(), &limits) {
            prop_assert_eq!(built.predicate(), predicate.as_bytes());
            let read = Statement::parse(built.bytes(), &limits);
            prop_assert_eq!(read.as_ref(), Ok(&built));
            prop_assert!(built.check_subject(&digest).is_ok());
        }
    }
}
