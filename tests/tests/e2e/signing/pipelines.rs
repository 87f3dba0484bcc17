//! The samples of docs/pipelines: their form, and their steps against the real service.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chancery_tests::{output_of, run};
use serde_json::{Value, json};

use super::workshop::{Workshop, sha256};

/// Where the samples are.
const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/pipelines");

/// Returns a program that tests/run put into the target directory.
pub(super) fn tool(path: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    let program = target.join(path);
    assert!(
        program.is_file(),
        "there is no {}: tests/run installs it",
        program.display()
    );
    program
}

/// Returns the samples for GitHub's runners.
fn workflows() -> [String; 2] {
    ["release-mtls.yml", "release-oidc.yml"].map(|name| format!("{SAMPLES}/github/{name}"))
}

/// Returns the action.
fn action() -> String {
    format!("{SAMPLES}/github/action.yml")
}

#[test]
fn the_samples_are_of_the_form_that_forges_take() {
    let check = tool("pipelines/bin/check-jsonschema");
    for (schema, files) in [
        ("vendor.github-workflows", workflows().to_vec()),
        ("vendor.github-actions", vec![action()]),
    ] {
        run(Command::new(&check)
            .args(["--builtin-schema", schema])
            .args(files))
        .unwrap();
    }
    run(Command::new(&check)
        .args(["--builtin-schema", "vendor.gitlab-ci"])
        .args(["--data-transform", "gitlab-ci"])
        .arg(format!("{SAMPLES}/gitlab/.gitlab-ci.yml")))
    .unwrap();
    let validator = tool("npm/node_modules/.bin/action-validator");
    for file in workflows().into_iter().chain([action()]) {
        run(Command::new(&validator).arg(file)).unwrap();
    }
}

#[test]
fn zizmor_finds_nothing_in_the_samples() {
    run(Command::new(tool("pipelines/bin/zizmor"))
        .args(["--offline", "--persona=auditor", "--no-progress"])
        .arg(action())
        .args(workflows()))
    .unwrap();
}

#[test]
fn the_action_signs_with_an_identity_and_leaves_nothing_of_it() {
    let workshop = Workshop::open();
    let [artifact, sbom, _] = workshop.build("app.tar.gz");
    let second = workshop.write("second", b"second");
    let inputs = workshop.write(
        "inputs.json",
        json!({
            "artifacts": format!("{artifact}\n{second}\n"),
            "server": workshop.ca.signing_url(""),
            "trust": fs::read_to_string(&workshop.signer.trust).unwrap(),
            "identity": fs::read_to_string(workshop.identity()).unwrap(),
            "provenance": "none",
            "program": chancery_tests::chancery().unwrap(),
        })
        .to_string()
        .as_bytes(),
    );
    let temporary = workshop.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let written = run(Command::new(tool("pipelines/bin/python"))
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/pipelines/run_action.py"
        ))
        .args([&action(), &inputs])
        .env("TMPDIR", &temporary)
        .env("RUNNER_TEMP", &temporary)
        .env("GITHUB_RUN_ID", "17")
        .env("GITHUB_JOB", "sign")
        .current_dir(workshop.folder()))
    .unwrap();
    let outputs: Value = serde_json::from_str(&written).unwrap();
    let signed: Value = serde_json::from_str(outputs["signatures"].as_str().unwrap()).unwrap();
    assert_eq!(signed.as_array().map(Vec::len), Some(2), "{signed}");
    for file in [&artifact, &second] {
        let verdict = workshop.verify(&[file]);
        assert!(verdict.status.success(), "{verdict:?}");
    }
    let left: Vec<_> = fs::read_dir(&temporary).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    drop(sbom);
}

#[test]
fn the_shell_script_signs_and_openssl_agrees() {
    let workshop = Workshop::open();
    let [artifact, sbom, provenance] = workshop.build("app.tar.gz");
    let script = |arguments: &[&str]| {
        let mut command = Command::new(format!("{SAMPLES}/shell/sign.sh"));
        command
            .args(arguments)
            .env("CHANCERY_SIGNING_URL", workshop.ca.signing_url(""))
            .env("CHANCERY_IDENTITY", workshop.identity())
            .env("CHANCERY_TRUST", &workshop.signer.trust);
        command
    };
    let said = run(&mut script(&[
        &artifact,
        "--sbom",
        &sbom,
        "--provenance",
        &provenance,
    ]))
    .unwrap();
    let hex = sha256(&fs::read(&artifact).unwrap());
    assert!(said.contains(&hex), "{said}");
    let verdict = workshop.verify(&[&artifact]);
    assert!(verdict.status.success(), "{verdict:?}");
    // Refused with the service's reason, and nothing written.
    let other = workshop.write("other", b"other");
    let output = output_of(&mut script(&[&other, "--provenance", &provenance])).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("refused (4"), "{told}");
    assert!(!workshop.path("other.sig").exists());
}
