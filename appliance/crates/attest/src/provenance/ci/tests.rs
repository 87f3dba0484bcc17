//! Tests of provenance from the environment of a CI job.

use super::super::Submission;
use super::*;
use crate::statement::DigestSet;

/// The artifact.
fn subject() -> Subject {
    let digest = BTreeMap::from([("sha256".into(), "ab".repeat(32))]);
    Subject {
        name: "tool".into(),
        digest: DigestSet::new(digest).unwrap(),
    }
}

/// An environment from names and values.
fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The environment of a job of GitHub Actions.
fn github_environment() -> BTreeMap<String, String> {
    environment(&[
        ("CI", "true"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_REPOSITORY", "octo/tool"),
        ("GITHUB_REPOSITORY_ID", "1"),
        ("GITHUB_REF", "refs/tags/v1.2.3"),
        ("GITHUB_SHA", "c27d339ee6075c1f744c5d4b200f7901aad2c369"),
        ("GITHUB_RUN_ID", "4711"),
        ("GITHUB_RUN_ATTEMPT", "2"),
        ("GITHUB_EVENT_NAME", "push"),
        ("RUNNER_ENVIRONMENT", ""),
        (
            "GITHUB_WORKFLOW_REF",
            "octo/tool/.github/workflows/release.yml@refs/heads/main",
        ),
        ("GITHUB_TOKEN", "secret"),
    ])
}

/// The environment of a job of GitLab CI.
fn gitlab_environment() -> BTreeMap<String, String> {
    environment(&[
        ("GITLAB_CI", "true"),
        ("CI_SERVER_URL", "https://gitlab.example"),
        ("CI_PROJECT_URL", "https://gitlab.example/a/b"),
        ("CI_PROJECT_ID", "7"),
        ("CI_COMMIT_SHA", "c27d339ee6075c1f744c5d4b200f7901aad2c369"),
        ("CI_COMMIT_REF_NAME", "main"),
        ("CI_RUNNER_ID", "12"),
        ("CI_RUNNER_VERSION", "17.0.0"),
        ("CI_JOB_URL", "https://gitlab.example/a/b/-/jobs/99"),
        ("CI_JOB_ID", "99"),
        ("CI_JOB_NAME", "build"),
        ("CI_JOB_STARTED_AT", "2026-03-01T12:00:00Z"),
        ("CI_JOB_TOKEN", "secret"),
    ])
}

#[test]
fn a_job_of_github_says_what_its_environment_says() {
    let made = from_ci(&github_environment(), subject()).unwrap();
    let predicate: Value = serde_json::from_slice(made.predicate()).unwrap();
    assert_eq!(
        predicate,
        json!({
            "buildDefinition": {
                "buildType": "https://actions.github.io/buildtypes/workflow/v1",
                "externalParameters": {"workflow": {
                    "ref": "refs/heads/main",
                    "repository": "https://github.com/octo/tool",
                    "path": ".github/workflows/release.yml",
                }},
                "internalParameters": {"github": {"event_name": "push", "repository_id": "1"}},
                "resolvedDependencies": [{
                    "uri": "git+https://github.com/octo/tool@refs/tags/v1.2.3",
                    "digest": {"gitCommit": "c27d339ee6075c1f744c5d4b200f7901aad2c369"},
                }],
            },
            "runDetails": {
                "builder": {"id": "https://github.com/octo/tool/.github/workflows/release.yml@refs/heads/main"},
                "metadata": {"invocationId": "https://github.com/octo/tool/actions/runs/4711/attempts/2"},
            },
        })
    );
}

#[test]
fn what_is_made_is_taken() {
    for environment in [github_environment(), gitlab_environment()] {
        let made = from_ci(&environment, subject()).unwrap();
        let read = Submission::parse(made.bytes(), &Limits::default()).unwrap();
        let of = read.of(&subject().digest).unwrap();
        let facts = of[0].facts();
        assert_eq!(
            facts.commit.as_deref(),
            Some("c27d339ee6075c1f744c5d4b200f7901aad2c369")
        );
        let source = facts.source.as_deref().unwrap();
        assert!(source.ends_with("octo/tool") || source.ends_with("a/b"));
        let text = String::from_utf8(made.into_bytes()).unwrap();
        assert!(!text.contains("secret"), "no variable but the named ones");
    }
    let made = from_ci(&gitlab_environment(), subject()).unwrap();
    let read = Submission::parse(made.bytes(), &Limits::default()).unwrap();
    let facts = read.provenance()[0].facts();
    assert_eq!(facts.builder_id, "https://gitlab.example/-/runners/12");
    assert_eq!(facts.source_ref.as_deref(), Some("refs/heads/main"));
    assert_eq!(
        facts.started_on,
        Some("2026-03-01T12:00:00Z".parse().unwrap())
    );
}

#[test]
fn outside_of_ci_and_in_a_broken_one_nothing_is_made_up() {
    assert_eq!(
        from_ci(&environment(&[("CI", "true")]), subject()),
        Err(CiError::NotInCi)
    );
    for (full, required) in [
        (
            github_environment(),
            &[
                "GITHUB_SERVER_URL",
                "GITHUB_REPOSITORY",
                "GITHUB_REF",
                "GITHUB_SHA",
                "GITHUB_RUN_ID",
                "GITHUB_WORKFLOW_REF",
            ][..],
        ),
        (
            gitlab_environment(),
            &[
                "CI_SERVER_URL",
                "CI_PROJECT_URL",
                "CI_COMMIT_SHA",
                "CI_COMMIT_REF_NAME",
                "CI_RUNNER_ID",
                "CI_JOB_URL",
                "CI_JOB_NAME",
            ],
        ),
    ] {
        for name in required {
            let mut environment = full.clone();
            environment.remove(*name);
            let refused = from_ci(&environment, subject()).unwrap_err();
            assert!(
                matches!(refused, CiError::Missing { variable, .. } if variable == *name),
                "{name}: {refused:?}"
            );
            environment.insert((*name).to_owned(), String::new());
            assert!(from_ci(&environment, subject()).is_err(), "{name} is empty");
        }
    }
    for (name, value) in [
        ("GITHUB_SHA", "main"),
        ("GITHUB_SERVER_URL", "github.com"),
        ("GITHUB_WORKFLOW_REF", "other/tool/x.yml@refs/heads/main"),
        ("GITHUB_WORKFLOW_REF", "octo/tool/x.yml"),
    ] {
        let mut environment = github_environment();
        environment.insert(name.to_owned(), value.to_owned());
        assert!(
            matches!(from_ci(&environment, subject()), Err(CiError::Value { .. })),
            "{name}"
        );
    }
    let mut environment = gitlab_environment();
    environment.insert("CI_JOB_STARTED_AT".to_owned(), "now".to_owned());
    assert!(from_ci(&environment, subject()).is_err());
}
