//! The signing service's part of `chancery status`.

use ::signing::status::StatusReport;
use model::Role;
use reqwest::Method;
use serde::Serialize;

use crate::cli::output;
use crate::cli::service::{ServiceClient, Which};
use crate::config::Config;
use crate::failure::Failure;

/// The service.
const SIGNING: Which = Which {
    role: Role::ServiceSigning,
    title: "the signing service",
    section: "[signing.mesh]",
};

/// What is known of the signing service.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum SigningService {
    /// What it says.
    Told(Box<StatusReport>),
    /// It says nothing.
    Silent {
        /// Why not, in one sentence.
        unreachable: String,
    },
}

/// Asks the service; none where its listener is switched off.
///
/// # Errors
///
/// When the identity, or what it trusts, is not there or cannot be used.
pub(super) fn ask(config: &Config) -> Result<Option<SigningService>, Failure> {
    let Some(url) = config.signing_url() else {
        return Ok(None);
    };
    let client = ServiceClient::connect(config, SIGNING, &url)?;
    let request = client.request(Method::GET, ["v1", "status"]);
    let told = client.ask("ask the signing service how it is", request);
    Ok(Some(match told {
        Ok(report) => SigningService::Told(Box::new(report)),
        Err(failure) => SigningService::Silent {
            unreachable: failure.sentence(),
        },
    }))
}

impl SigningService {
    /// Tells whether nothing is known to stand in its way.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Told(report) => report.parts.iter().all(|part| part.ready),
            Self::Silent { .. } => true,
        }
    }

    /// Prints it for people.
    pub(super) fn show(&self) -> Result<(), Failure> {
        let report = match self {
            Self::Told(report) => report,
            Self::Silent { unreachable } => {
                return output::line(format!("The signing service is not there: {unreachable}"));
            }
        };
        let parts = report
            .parts
            .iter()
            .map(|part| {
                let state = if part.ready { "ready" } else { "NOT READY" };
                vec![part.name.clone(), state.to_owned(), part.detail.clone()]
            })
            .collect();
        output::table(&["signing", "state", "detail"], parts, "No part reports.")?;
        output::line("")?;
        let keys = report
            .keys
            .iter()
            .map(|key| {
                vec![
                    key.name.clone(),
                    format!("{} ({})", key.key, key.algorithm),
                    output::time(key.renew_at),
                    output::time(key.not_after),
                    key.serial.clone(),
                ]
            })
            .collect();
        output::table(
            &[
                "signing key",
                "on the token",
                "renewed at",
                "expires",
                "serial",
            ],
            keys,
            "There is no key.",
        )?;
        output::line(format!(
            "{} signatures made, {} withdrawn, {} time-stamps.",
            report.made.signatures, report.made.withdrawn, report.made.timestamps
        ))
    }
}
