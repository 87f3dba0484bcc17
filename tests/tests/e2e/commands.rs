//! The command line, as scripts use it.

use std::fs;

use chancery_tests::{Appliance, Builder, output_of};
use serde_json::Value;

#[test]
fn every_reading_command_prints_json_that_parses() {
    let ca = Appliance::start().unwrap();
    let serial = ca
        .issue("a.example.internal")
        .unwrap()
        .serial()
        .unwrap()
        .to_owned();
    for arguments in [
        &["status", "--json"][..],
        &["cert", "list", "--json"],
        &["cert", "show", &serial, "--json"],
        &["key", "list", "--json"],
        &["token", "list", "--json"],
        &["token", "check", "--json"],
        &["check", "--json"],
    ] {
        let written = ca.cli(arguments).unwrap();
        let parsed: Result<Value, _> = serde_json::from_str(&written);
        assert!(parsed.is_ok(), "{arguments:?}: {written}");
    }
}

#[test]
fn a_certificate_is_issued_and_found_by_commands_alone() {
    let ca = Appliance::start().unwrap();
    let out = ca.folder().join("out");
    fs::create_dir(&out).unwrap();
    let path = out.display().to_string();
    ca.cli(&[
        "cert",
        "issue",
        "--dns",
        "cli.example.internal",
        "--out",
        &path,
    ])
    .unwrap();
    let files: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(
        files
            .iter()
            .any(|file| file.to_string_lossy().contains("key")),
        "{files:?}"
    );
    let listed = ca
        .cli(&["cert", "list", "--subject", "cli.example.internal"])
        .unwrap();
    assert!(listed.contains("cli.example.internal"), "{listed}");
}

#[test]
fn mistakes_end_with_1_wrong_usage_with_2_and_both_say_what_to_do() {
    let ca = Builder::on_files().prepare().unwrap();
    let mut unconfigured = ca.command();
    unconfigured
        .env_remove("CHANCERY_CONFIG")
        .args(["check", "--config", "/nowhere.toml"]);
    for (mut command, code) in [
        (unconfigured, 1),
        (with(&ca, &["status"]), 1),
        (
            with(&ca, &["cert", "show", "00112233445566778899aabbccddeeff"]),
            1,
        ),
        (with(&ca, &["cert", "show", "00"]), 2),
        (with(&ca, &["nonsense"]), 2),
        (with(&ca, &["cert", "issue", "--nonsense"]), 2),
    ] {
        let output = output_of(&mut command).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
        assert!(said.split_whitespace().count() > 5, "{command:?}: {said}");
        assert!(!said.contains("panicked"), "{command:?}: {said}");
    }
}

/// Returns a command with arguments.
fn with(ca: &Appliance, arguments: &[&str]) -> std::process::Command {
    let mut command = ca.command();
    command.args(arguments);
    command
}

#[test]
fn a_key_is_generated_listed_attested_and_never_replaced() {
    let ca = Appliance::start().unwrap();
    ca.cli(&["key", "generate", "spare", "--algorithm", "p384"])
        .unwrap();
    let listed = ca.cli(&["key", "list", "--json"]).unwrap();
    assert!(listed.contains("\"spare\""), "{listed}");
    let again = output_of(&mut with(&ca, &["key", "generate", "spare"])).unwrap();
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    let attested = ca.cli(&["key", "attest", "spare", "--json"]).unwrap();
    serde_json::from_str::<Value>(&attested).unwrap();
}

#[test]
fn the_service_ends_cleanly_when_asked_to() {
    let mut ca = Appliance::start().unwrap();
    assert_eq!(ca.issue("a.example.internal").unwrap().status, 201);
    let log = ca.log();
    let status = ca.stop().unwrap().unwrap();
    assert!(status.success(), "{status}: {}", log.tail());
    ca.serve().unwrap();
    assert_eq!(ca.issue("b.example.internal").unwrap().status, 201);
}
