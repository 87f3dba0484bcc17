//! What the forges' tokens say, and how Fulcio writes it.

use std::collections::BTreeMap;

use pki::forge::ForgeClaim;

use super::OidcKind;

/// Where GitHub's repositories are.
pub(super) const GITHUB: &str = "https://github.com";

/// Returns where an issuer of a kind publishes its keys.
pub(super) fn jwks_uri(kind: OidcKind, issuer: &str) -> Option<String> {
    let issuer = issuer.trim_end_matches('/');
    match kind {
        OidcKind::Github => Some(format!("{issuer}/.well-known/jwks")),
        OidcKind::Gitlab => Some(format!("{issuer}/oauth/discovery/keys")),
        OidcKind::Custom => None,
    }
}

/// Returns the claims that every build's token of a kind has.
pub(super) const fn required_claims(kind: OidcKind) -> &'static [&'static str] {
    match kind {
        OidcKind::Github => &[
            "sub",
            "jti",
            "repository",
            "repository_owner",
            "ref",
            "sha",
            "workflow_ref",
            "job_workflow_ref",
            "event_name",
            "run_id",
        ],
        OidcKind::Gitlab => &[
            "sub",
            "jti",
            "project_path",
            "namespace_path",
            "ref",
            "ref_path",
            "sha",
            "ci_config_ref_uri",
            "job_id",
        ],
        OidcKind::Custom => &[],
    }
}

/// Returns the claims of which a rule must hold one to a value, lest anyone's builds
/// sign; none means any claim.
pub(super) const fn anchors(kind: OidcKind) -> &'static [&'static str] {
    match kind {
        OidcKind::Github => &[
            "repository",
            "repository_id",
            "repository_owner",
            "repository_owner_id",
        ],
        OidcKind::Gitlab => &[
            "project_path",
            "project_id",
            "namespace_path",
            "namespace_id",
        ],
        OidcKind::Custom => &[],
    }
}

/// Returns what certificates say of a build, as Fulcio's configuration for the forge has
/// it.
pub(super) fn claims(kind: OidcKind, server: &str) -> BTreeMap<ForgeClaim, String> {
    use ForgeClaim as Claim;
    let at = |path: &str| format!("{server}/{path}");
    let own = |text: &str| text.to_owned();
    match kind {
        OidcKind::Github => BTreeMap::from([
            (Claim::BuildSignerUri, at("{job_workflow_ref}")),
            (Claim::BuildSignerDigest, own("{job_workflow_sha}")),
            (Claim::RunnerEnvironment, own("{runner_environment}")),
            (Claim::SourceRepositoryUri, at("{repository}")),
            (Claim::SourceRepositoryDigest, own("{sha}")),
            (Claim::SourceRepositoryRef, own("{ref}")),
            (Claim::SourceRepositoryIdentifier, own("{repository_id}")),
            (Claim::SourceRepositoryOwnerUri, at("{repository_owner}")),
            (
                Claim::SourceRepositoryOwnerIdentifier,
                own("{repository_owner_id}"),
            ),
            (Claim::BuildConfigUri, at("{workflow_ref}")),
            (Claim::BuildConfigDigest, own("{workflow_sha}")),
            (Claim::BuildTrigger, own("{event_name}")),
            (
                Claim::RunInvocationUri,
                at("{repository}/actions/runs/{run_id}/attempts/{run_attempt}"),
            ),
            (
                Claim::SourceRepositoryVisibility,
                own("{repository_visibility}"),
            ),
        ]),
        OidcKind::Gitlab => BTreeMap::from([
            (Claim::BuildSignerUri, own("https://{ci_config_ref_uri}")),
            (Claim::BuildSignerDigest, own("{ci_config_sha}")),
            (Claim::RunnerEnvironment, own("{runner_environment}")),
            (Claim::SourceRepositoryUri, at("{project_path}")),
            (Claim::SourceRepositoryDigest, own("{sha}")),
            (Claim::SourceRepositoryRef, own("{ref_path}")),
            (Claim::SourceRepositoryIdentifier, own("{project_id}")),
            (Claim::SourceRepositoryOwnerUri, at("{namespace_path}")),
            (
                Claim::SourceRepositoryOwnerIdentifier,
                own("{namespace_id}"),
            ),
            (Claim::BuildConfigUri, own("https://{ci_config_ref_uri}")),
            (Claim::BuildConfigDigest, own("{ci_config_sha}")),
            (Claim::BuildTrigger, own("{pipeline_source}")),
            (
                Claim::RunInvocationUri,
                at("{project_path}/-/jobs/{job_id}"),
            ),
            (
                Claim::SourceRepositoryVisibility,
                own("{project_visibility}"),
            ),
        ]),
        OidcKind::Custom => BTreeMap::new(),
    }
}
