//! curl, as a client that is not ours.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::Error;
use crate::process::output_of;
use crate::profile::Identity;

/// curl with an identity, or none.
#[derive(Debug, Clone)]
pub struct Curl {
    /// What every call is given.
    arguments: Vec<String>,
}

/// What curl brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status; 0 when there was no answer.
    pub status: u16,
    /// The last response's header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// curl's exit status: 0 when there was an answer, whichever.
    pub exit: i32,
    /// What curl said of an error.
    pub said: String,
}

impl Curl {
    /// Trusts these authorities and shows this identity.
    #[must_use]
    pub fn with(identity: &Identity) -> Self {
        let mut curl = Self::anonymous(&identity.trust);
        for (option, path) in [("--cert", &identity.chain), ("--key", &identity.key)] {
            curl.arguments.push(option.to_owned());
            curl.arguments.push(path.display().to_string());
        }
        curl
    }

    /// Trusts these authorities and shows no identity.
    #[must_use]
    pub fn anonymous(trust: &Path) -> Self {
        let arguments = ["--silent", "--show-error", "--max-time", "90", "--cacert"];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(trust.display().to_string());
        Self { arguments }
    }

    /// Trusts nobody: for plain HTTP.
    #[must_use]
    pub fn plain() -> Self {
        let arguments = ["--silent", "--show-error", "--max-time", "30"];
        Self {
            arguments: arguments.map(str::to_owned).into(),
        }
    }

    /// Adds an argument to every call.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Asks for a resource.
    ///
    /// # Errors
    ///
    /// When curl cannot be run.
    pub fn get(&self, url: &str) -> Result<Reply, Error> {
        self.call(url, &[], None)
    }

    /// Posts a body of a media type, with further header fields (`Name: value`).
    ///
    /// # Errors
    ///
    /// When curl cannot be run.
    pub fn post(
        &self,
        url: &str,
        media_type: &str,
        headers: &[&str],
        body: &[u8],
    ) -> Result<Reply, Error> {
        let content_type = format!("Content-Type: {media_type}");
        // curl asks for leave to send a large body, and waits; we want it sent.
        let mut all = vec![content_type.as_str(), "Expect:"];
        all.extend_from_slice(headers);
        self.call(url, &all, Some(body))
    }

    /// Posts a request for a certificate in PEM.
    ///
    /// # Errors
    ///
    /// When curl cannot be run.
    pub fn post_pem(&self, url: &str, pem: &[u8]) -> Result<Reply, Error> {
        self.post(url, "application/x-pem-file", &[], pem)
    }

    /// Runs curl once.
    ///
    /// # Errors
    ///
    /// When curl cannot be run.
    pub fn call(&self, url: &str, headers: &[&str], body: Option<&[u8]>) -> Result<Reply, Error> {
        let folder =
            tempfile::tempdir().map_err(Error::file("make a folder in", &std::env::temp_dir()))?;
        let [head_path, body_path, sent_path] =
            ["head", "body", "sent"].map(|name| folder.path().join(name));
        let mut command = Command::new("curl");
        command
            .args(&self.arguments)
            .args(["--write-out", "%{http_code}", "--dump-header"])
            .arg(&head_path)
            .arg("--output")
            .arg(&body_path);
        for header in headers {
            command.args(["--header", header]);
        }
        if let Some(body) = body {
            fs::write(&sent_path, body).map_err(Error::file("write", &sent_path))?;
            command
                .arg("--data-binary")
                .arg(format!("@{}", sent_path.display()));
        }
        command.arg(url).stdin(Stdio::null());
        let output = output_of(&mut command)?;
        // Neither file is there when there was no answer.
        let head = fs::read_to_string(&head_path).unwrap_or_default();
        Ok(Reply {
            status: String::from_utf8_lossy(&output.stdout)
                .trim()
                .parse()
                .unwrap_or(0),
            headers: last_head(&head),
            body: fs::read(&body_path).unwrap_or_default(),
            exit: output.status.code().unwrap_or(-1),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// Reads the last of the heads that curl dumped.
fn last_head(dumped: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for line in dumped.lines() {
        if line.starts_with("HTTP/") {
            fields.clear();
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    fields
}

impl Reply {
    /// Returns a header field's first value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find_map(|(field, value)| (field == name).then_some(value.as_str()))
    }

    /// Reads the body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns the last part of the problem's type, where the body is a problem.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        if self.header("content-type") != Some("application/problem+json") {
            return None;
        }
        let json = self.json();
        let kind = json["type"].as_str()?;
        kind.strip_prefix("urn:chancery:problem:")
            .map(str::to_owned)
    }

    /// Returns the serial number that the location names.
    #[must_use]
    pub fn serial(&self) -> Option<&str> {
        self.header("location")?.strip_prefix("/certificates/")
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "HTTP {} (curl {}: {})",
            self.status,
            self.exit,
            self.said.trim()
        )?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "\n{}", self.text())
    }
}
