//! What is seen from outside: logs, request ids, metrics, health.

use std::fs;

use chancery_tests::{Appliance, Curl, Judge, PATIENCE, Profile, Request};
use serde_json::Value;

/// Finds a member of a log line by its dotted name, flat or nested.
fn member<'a>(line: &'a Value, name: &str) -> Option<&'a Value> {
    line.get(name).or_else(|| {
        name.split('.')
            .try_fold(line, |value, part| value.get(part))
    })
}

#[test]
fn a_request_id_travels_from_the_header_to_answer_log_and_record() {
    let ca = Appliance::start().unwrap();
    let request = Request::new("traced.example.internal").unwrap();
    let id = "e2e-0123456789abcdef";
    let header = format!("X-Request-Id: {id}");
    let reply = ca
        .curl()
        .post(
            &ca.sign_url(Profile::TlsServer),
            "application/x-pem-file",
            &[&header],
            request.pem(),
        )
        .unwrap();
    assert_eq!(reply.status, 201, "{reply}");
    assert_eq!(reply.header("x-request-id"), Some(id), "{reply}");
    let serial = reply.serial().unwrap().to_owned();
    let with_id = |line: &Value| member(line, "request_id").and_then(Value::as_str) == Some(id);
    let log = ca.log();
    let issued = log.wait_for(PATIENCE, |line| {
        with_id(line) && member(line, "cert.serial").and_then(Value::as_str) == Some(&serial)
    });
    assert!(issued.is_some(), "{}", log.tail());
    let access = log.wait_for(PATIENCE, |line| {
        with_id(line) && line.to_string().contains("201")
    });
    assert!(access.is_some(), "{}", log.tail());
    let record = ca
        .curl()
        .get(&ca.url(&format!("/certificates/{serial}")))
        .unwrap();
    assert_eq!(record.json()["request_id"], id, "{record}");
}

#[test]
fn a_hostile_request_id_is_replaced() {
    let ca = Appliance::start().unwrap();
    for id in ["a b", "\"quoted\"", &"x".repeat(300)] {
        let header = format!("X-Request-Id: {id}");
        let reply = ca
            .curl()
            .call(&ca.url("/status"), &[&header], None)
            .unwrap();
        assert_eq!(reply.status, 200, "{reply}");
        let given = reply.header("x-request-id").unwrap();
        assert!(given != id && !given.is_empty(), "{reply}");
    }
}

#[test]
fn every_log_line_is_json_and_none_holds_a_secret() {
    let token = softhsm_test::SoftHsm::token().unwrap();
    let module = token.module().to_owned();
    let pin = token.user_pin().to_owned();
    let mut ca = chancery_tests::Builder::on_token(&token, &module)
        .telemetry("log = \"trace\"")
        .keeping(token)
        .start()
        .unwrap();
    ca.issue("logged.example.internal").unwrap();
    let refused = ca
        .curl()
        .post_pem(&ca.sign_url(Profile::TlsServer), b"x")
        .unwrap();
    assert_eq!(refused.status, 400, "{refused}");
    let log = ca.log();
    assert!(
        ca.stop().unwrap().is_some_and(|status| status.success()),
        "{}",
        log.tail()
    );
    assert!(log.wait_closed(PATIENCE));
    let lines = log.lines();
    assert!(lines.len() > 3, "{lines:?}");
    for line in &lines {
        let json: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        for name in ["level", "time", "target"] {
            assert!(
                json.get(name).is_some_and(Value::is_string),
                "no {name}: {line}"
            );
        }
        // Libraries below us may trace without words; we do not.
        let target = json["target"].as_str().unwrap_or_default();
        let room = target.split("::").next().unwrap_or_default();
        if ["ca", "chancery", "hsm_keystore", "mesh", "store"].contains(&room) {
            assert!(json["message"].is_string(), "no message: {line}");
        }
        assert!(!line.contains(&pin), "the PIN is in the log: {line}");
        assert!(!line.contains("PRIVATE KEY"), "a key is in the log: {line}");
    }
}

/// Turns OpenMetrics into the text format, the only one that promtool checks: counters are
/// described under the name of their samples, and there are no units and no end mark.
fn as_text_format(open_metrics: &str) -> String {
    let counters: Vec<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::new();
    for line in open_metrics.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "UNIT" | "EOF", ..] => continue,
            ["#", kind, name, rest] if counters.contains(name) => {
                text.push_str(&format!("# {kind} {name}_total {rest}"));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[test]
fn prometheus_reads_the_metrics_and_they_tell_of_every_part() {
    let ca = Appliance::start().unwrap();
    ca.issue("counted.example.internal").unwrap();
    let refused = ca
        .curl()
        .post_pem(&ca.sign_url(Profile::TlsServer), b"x")
        .unwrap();
    assert_eq!(refused.status, 400, "{refused}");
    let metrics = ca.metrics().unwrap();
    assert_eq!(metrics.status, 200, "{metrics}");
    let text = metrics.text();
    for family in [
        "chancery_http_requests_total",
        "chancery_http_request_duration_seconds_bucket",
        "chancery_keystore_signatures_total",
        "chancery_store_commits_total",
        "chancery_store_commit_seconds_bucket",
        "chancery_ca_issued_total",
        "chancery_ca_refused_total",
    ] {
        assert!(text.contains(family), "no {family} in:\n{text}");
    }
    assert!(
        ca.metric("chancery_ca_issued_total", "tls-server").unwrap() >= 1.0,
        "{text}"
    );
    assert!(
        ca.metric("chancery_ca_refused_total", "not-a-csr").unwrap() >= 1.0,
        "{text}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics");
    fs::write(&path, as_text_format(&text)).unwrap();
    let judgement = Judge::promtool(&path).unwrap();
    assert!(judgement.accepted, "{judgement}");
}

#[test]
fn health_is_told_on_both_listeners() {
    let ca = Appliance::start().unwrap();
    for target in ["/healthz", "/readyz"] {
        for (curl, url) in [
            (ca.curl(), ca.url(target)),
            (Curl::plain(), ca.telemetry_url(target)),
        ] {
            let reply = curl.get(&url).unwrap();
            assert_eq!(reply.status, 200, "{url}: {reply}");
        }
    }
    let checks = Curl::plain()
        .get(&ca.telemetry_url("/readyz"))
        .unwrap()
        .json();
    let names: Vec<&str> = checks["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|check| check["name"].as_str())
        .collect();
    assert!(names.iter().any(|name| name.contains("store")), "{names:?}");
    assert!(
        names
            .iter()
            .any(|name| name.contains("keystore") || name.contains("token")),
        "{names:?}"
    );
}

#[test]
fn the_alert_rules_are_sound_and_name_metrics_that_exist() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/alerts");
    for arguments in [
        ["check", "rules", "chancery.rules.yml"],
        ["test", "rules", "chancery.rules.test.yml"],
    ] {
        let mut command = std::process::Command::new("promtool");
        chancery_tests::run(command.args(arguments).current_dir(folder)).unwrap();
    }
    let rules = std::fs::read_to_string(format!("{folder}/chancery.rules.yml")).unwrap();
    let ca = Appliance::start().unwrap();
    let metrics = ca.metrics().unwrap().text();
    let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for name in words.filter(|word| word.starts_with("chancery_")) {
        // A counter's family is named without its ending.
        let family = name.trim_end_matches("_total");
        if metrics.contains(&format!("# TYPE {family} ")) {
            continue;
        }
        // What never happened has no series yet: then it must be registered at least.
        let registered = family
            .trim_start_matches("chancery_ca_")
            .trim_end_matches("_seconds");
        let mut command = std::process::Command::new("grep");
        command
            .args(["--recursive", "--quiet", "--fixed-strings"])
            .arg(format!("\"{registered}\""))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../appliance/crates"));
        assert!(command.status().unwrap().success(), "{name} is no metric");
    }
}
