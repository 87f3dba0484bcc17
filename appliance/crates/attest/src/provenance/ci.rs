//! Minimal provenance from the environment of a CI job.
//!
//! The job says it of itself, unsigned, so that it is worth level 1 at most. Nothing is
//! claimed that the environment does not say.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::json::{Limits, quoted};
use crate::statement::{Statement, StatementError, Subject, predicate_type};

/// Why there is no provenance from an environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CiError {
    /// No CI that is known.
    #[error(
        "this is no job of GitHub Actions (GITHUB_ACTIONS=true) or GitLab CI (GITLAB_CI=true), from whose environment provenance is made: give a file"
    )]
    NotInCi,
    /// A variable that the CI sets is missing.
    #[error("{ci} sets the variable {variable}, but it is missing here: give provenance as a file")]
    Missing {
        /// The CI.
        ci: &'static str,
        /// The variable.
        variable: &'static str,
    },
    /// A variable has a value that the CI would not give it.
    #[error("the variable {variable} of {ci} is {value:?}, which is not {wanted}")]
    Value {
        /// The CI.
        ci: &'static str,
        /// The variable.
        variable: &'static str,
        /// Its value, shortened.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// The subject cannot be one.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

/// The build type of GitHub's workflows.
const GITHUB_BUILD_TYPE: &str = "https://actions.github.io/buildtypes/workflow/v1";

/// Makes provenance of an artifact that the job has built which has this environment.
///
/// # Errors
///
/// `NotInCi` outside of GitHub Actions and GitLab CI; `Missing` or `Value` for an
/// environment that is not what those set; `Statement` for a subject without digests.
pub fn from_ci(
    environment: &BTreeMap<String, String>,
    subject: Subject,
) -> Result<Statement, CiError> {
    let is_set = |name: &str| environment.get(name).is_some_and(|value| value == "true");
    let predicate = if is_set("GITHUB_ACTIONS") {
        github(&Environment {
            ci: "GitHub Actions",
            values: environment,
        })?
    } else if is_set("GITLAB_CI") {
        gitlab(&Environment {
            ci: "GitLab CI",
            values: environment,
        })?
    } else {
        return Err(CiError::NotInCi);
    };
    let predicate = predicate.to_string();
    Ok(Statement::build(
        vec![subject],
        predicate_type::PROVENANCE_V1,
        predicate.as_bytes(),
        &Limits::default(),
    )?)
}

/// Variables of a CI.
struct Environment<'a> {
    /// Which CI.
    ci: &'static str,
    /// The variables.
    values: &'a BTreeMap<String, String>,
}

impl<'a> Environment<'a> {
    /// Returns a variable that may be missing or empty.
    fn optional(&self, variable: &str) -> Option<&'a str> {
        self.values
            .get(variable)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Returns a variable.
    fn required(&self, variable: &'static str) -> Result<&'a str, CiError> {
        self.optional(variable).ok_or(CiError::Missing {
            ci: self.ci,
            variable,
        })
    }

    /// Returns a variable that is the address of a web page.
    fn address(&self, variable: &'static str) -> Result<&'a str, CiError> {
        let value = self.required(variable)?;
        let host = ["https://", "http://"]
            .iter()
            .find_map(|scheme| value.strip_prefix(scheme));
        if host.is_some_and(|host| !host.is_empty() && !host.contains(char::is_whitespace)) {
            Ok(value.trim_end_matches('/'))
        } else {
            Err(self.wrong(variable, value, "an https address"))
        }
    }

    /// Returns a variable that is a commit.
    fn commit(&self, variable: &'static str) -> Result<&'a str, CiError> {
        let value = self.required(variable)?;
        let is_hash =
            matches!(value.len(), 40 | 64) && value.bytes().all(|octet| octet.is_ascii_hexdigit());
        if is_hash {
            Ok(value)
        } else {
            Err(self.wrong(variable, value, "a commit's hash"))
        }
    }

    /// Says that a variable's value is not what it should be.
    fn wrong(&self, variable: &'static str, value: &str, wanted: &'static str) -> CiError {
        CiError::Value {
            ci: self.ci,
            variable,
            value: quoted(value),
            wanted,
        }
    }

    /// Returns those variables that are set, by other names.
    fn known(&self, names: &[(&str, &str)]) -> Map<String, Value> {
        names
            .iter()
            .filter_map(|(name, variable)| {
                Some(((*name).to_owned(), Value::from(self.optional(variable)?)))
            })
            .collect()
    }
}

/// Returns the predicate of a job of GitHub Actions, as the build type describes it.
fn github(environment: &Environment<'_>) -> Result<Value, CiError> {
    let server = environment.address("GITHUB_SERVER_URL")?;
    let repository = environment.required("GITHUB_REPOSITORY")?;
    let source = format!("{server}/{repository}");
    let reference = environment.required("GITHUB_REF")?;
    let commit = environment.commit("GITHUB_SHA")?;
    let run = environment.required("GITHUB_RUN_ID")?;
    let attempt = environment.optional("GITHUB_RUN_ATTEMPT").unwrap_or("1");
    // OWNER/REPOSITORY/PATH@REF, of the workflow that was started.
    let workflow = environment.required("GITHUB_WORKFLOW_REF")?;
    let (path, workflow_ref) = workflow
        .strip_prefix(repository)
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(|rest| rest.split_once('@'))
        .ok_or_else(|| {
            environment.wrong(
                "GITHUB_WORKFLOW_REF",
                workflow,
                "the repository, a path and @ with a reference",
            )
        })?;
    let internal = environment.known(&[
        ("event_name", "GITHUB_EVENT_NAME"),
        ("repository_id", "GITHUB_REPOSITORY_ID"),
        ("repository_owner_id", "GITHUB_REPOSITORY_OWNER_ID"),
        ("runner_environment", "RUNNER_ENVIRONMENT"),
    ]);
    Ok(json!({
        "buildDefinition": {
            "buildType": GITHUB_BUILD_TYPE,
            "externalParameters": {
                "workflow": {"ref": workflow_ref, "repository": source, "path": path},
            },
            "internalParameters": {"github": internal},
            "resolvedDependencies": [{
                "uri": format!("git+{source}@{reference}"),
                "digest": {"gitCommit": commit},
            }],
        },
        "runDetails": {
            "builder": {"id": format!("{server}/{workflow}")},
            "metadata": {"invocationId": format!("{source}/actions/runs/{run}/attempts/{attempt}")},
        },
    }))
}

/// Returns the predicate of a job of GitLab CI, as GitLab's runner would write it.
fn gitlab(environment: &Environment<'_>) -> Result<Value, CiError> {
    let server = environment.address("CI_SERVER_URL")?;
    let source = environment.address("CI_PROJECT_URL")?;
    let commit = environment.commit("CI_COMMIT_SHA")?;
    let runner = environment.required("CI_RUNNER_ID")?;
    let job = environment.address("CI_JOB_URL")?;
    let entry_point = environment.required("CI_JOB_NAME")?;
    let version = environment.optional("CI_RUNNER_VERSION").unwrap_or("main");
    let reference = match environment.optional("CI_COMMIT_TAG") {
        Some(tag) => format!("refs/tags/{tag}"),
        None => format!("refs/heads/{}", environment.required("CI_COMMIT_REF_NAME")?),
    };
    let internal = environment.known(&[
        ("job", "CI_JOB_ID"),
        ("pipeline", "CI_PIPELINE_ID"),
        ("pipelineSource", "CI_PIPELINE_SOURCE"),
        ("architecture", "CI_RUNNER_EXECUTABLE_ARCH"),
        ("project", "CI_PROJECT_ID"),
    ]);
    let mut metadata = json!({"invocationId": job});
    if let Some(started) = environment.optional("CI_JOB_STARTED_AT") {
        let started: model::Timestamp = started.parse().map_err(|_| {
            environment.wrong("CI_JOB_STARTED_AT", started, "a time as RFC 3339 has it")
        })?;
        metadata["startedOn"] = Value::from(started.to_string());
    }
    Ok(json!({
        "buildDefinition": {
            "buildType": format!(
                "https://gitlab.com/gitlab-org/gitlab-runner/-/blob/{version}/PROVENANCE.md"
            ),
            "externalParameters": {
                "entryPoint": entry_point,
                "source": source,
                "configSource": {"uri": source, "ref": reference, "path":
                    environment.optional("CI_CONFIG_PATH").unwrap_or(".gitlab-ci.yml")},
            },
            "internalParameters": internal,
            "resolvedDependencies": [{
                "uri": format!("git+{source}@{reference}"),
                "digest": {"gitCommit": commit},
            }],
        },
        "runDetails": {
            "builder": {"id": format!("{server}/-/runners/{runner}")},
            "metadata": metadata,
        },
    }))
}

#[cfg(test)]
mod tests;
