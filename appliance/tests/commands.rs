//! The commands as a user runs them, on a keystore of files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the program in a directory, with no configuration of the caller's.
fn chancery(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHANCERY") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

/// Reads what a command printed as JSON; it must have succeeded.
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", errors(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns what a command wrote to standard error.
fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Makes a directory with a configuration that needs no token.
fn configured() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let text = "[keystore]\ntype = \"file\"\n";
    fs::write(directory.path().join("chancery.toml"), text).unwrap();
    directory
}

#[test]
fn usage_is_2_and_refusal_is_1_with_what_to_do_next() {
    let directory = tempfile::tempdir().unwrap();
    let usage = chancery(directory.path(), &["serve", "everything"]);
    assert_eq!(usage.status.code(), Some(2));
    let refused = chancery(directory.path(), &["key", "list"]);
    assert_eq!(refused.status.code(), Some(1));
    let words = errors(&refused);
    assert!(
        words.starts_with("error: could not read the configuration chancery.toml\n"),
        "{words}"
    );
    assert!(
        words.contains("  next: name the file with --config FILE"),
        "{words}"
    );
}

#[test]
fn a_mistyped_key_in_the_environment_is_named() {
    let directory = configured();
    let output = Command::new(env!("CARGO_BIN_EXE_chancery"))
        .arg("check")
        .current_dir(directory.path())
        .env("CHANCERY_CONFIG", "chancery.toml")
        .env("CHANCERY__CA__LISTN", "127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = errors(&output);
    assert!(
        words.contains(
            "environment variable CHANCERY__CA__LISTN: no such key ca.listn, did you mean listen?"
        ),
        "{words}"
    );
}

#[test]
fn init_makes_everything_once_and_changes_nothing_after() {
    let directory = configured();
    let path = directory.path();
    let first = json(&chancery(path, &["init", "--json"]));
    let second = json(&chancery(path, &["init", "--json"]));
    for (index, id) in ["root", "issuing"].into_iter().enumerate() {
        let (first, second) = (&first["authorities"][index], &second["authorities"][index]);
        assert_eq!(first["id"], id);
        assert_eq!(first["key_made"], true);
        assert_eq!(second["key_made"], false);
        assert_eq!(second["certificate_made"], false);
        assert_eq!(first["sha256"], second["sha256"]);
    }
    assert_eq!(first["operator"]["made"], true);
    assert_eq!(second["operator"]["made"], false);

    let check = json(&chancery(path, &["check", "--json"]));
    assert_eq!(check["sound"], true, "{check}");
    let verified = json(&chancery(path, &["store", "verify", "--json"]));
    let rebuilt = json(&chancery(path, &["store", "rebuild", "--json"]));
    assert_eq!(verified["frames"], rebuilt["frames_replayed"]);
}

#[test]
fn a_key_is_generated_once_listed_and_attested() {
    let directory = configured();
    let path = directory.path();
    let made = json(&chancery(path, &["key", "generate", "k1", "--json"]));
    let again = chancery(path, &["key", "generate", "k1"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(errors(&again).contains("k1 already exists"));
    let listed = json(&chancery(path, &["key", "list", "--json"]));
    assert_eq!(listed[0]["id"], "k1");
    assert_eq!(listed[0]["algorithm"], "p256");
    let attested = json(&chancery(path, &["key", "attest", "k1", "--json"]));
    assert_eq!(attested, made);
    assert_eq!(attested["provenance"]["on_token"], false);
}

#[test]
fn a_ca_that_does_not_run_is_said_so_with_the_address() {
    let directory = configured();
    let path = directory.path();
    json(&chancery(path, &["init", "--json"]));
    // Port 1 of loopback: nobody listens there.
    let text = "[keystore]\ntype = \"file\"\n[client]\nurl = \"https://127.0.0.1:1\"\n";
    fs::write(path.join("chancery.toml"), text).unwrap();
    let output = chancery(path, &["status"]);
    assert_eq!(output.status.code(), Some(1));
    let words = errors(&output);
    assert!(words.contains("cannot be reached"), "{words}");
    assert!(
        words.contains("next: start it with `chancery serve`"),
        "{words}"
    );
}
