//! What ACME validation sees of the world: names, and answers that prove control of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::curl::Curl;
use crate::deadline::{PATIENCE, until};
use crate::error::Error;
use crate::port::Port;
use crate::process::Service;

/// An Internet of one machine, by Debian's pebble-challtestsrv: every name leads to the
/// loopback address, and http-01 and tls-alpn-01 are looked for on ports of its own.
#[derive(Debug)]
pub struct Internet {
    /// Where names are asked for.
    dns: Port,
    /// Where answers are set.
    management: Port,
    /// Where validation looks for http-01.
    http: Port,
    /// Where validation looks for tls-alpn-01.
    tls_alpn: Port,
    /// The server.
    _server: Service,
}

impl Internet {
    /// Makes one whose ports of http-01 and tls-alpn-01 are left to clients.
    ///
    /// # Errors
    ///
    /// When its server cannot be started.
    pub fn start() -> Result<Self, Error> {
        Self::with(false)
    }

    /// Makes one that answers http-01 itself, with what it is told (`add-http01`).
    ///
    /// # Errors
    ///
    /// When its server cannot be started.
    pub fn answering_http() -> Result<Self, Error> {
        Self::with(true)
    }

    /// Starts the server and waits until it can be told things.
    fn with(answers_http: bool) -> Result<Self, Error> {
        let [dns, management, http, tls_alpn] = [
            Port::reserve()?,
            Port::reserve()?,
            Port::reserve()?,
            Port::reserve()?,
        ];
        let mut command = Command::new("pebble-challtestsrv");
        command
            .args(["-dns01", &dns.address().to_string()])
            .args(["-management", &management.address().to_string()])
            .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""])
            .args(["-https01", "", "-tlsalpn01", "", "-http01"])
            .arg(if answers_http {
                http.address().to_string()
            } else {
                String::new()
            });
        let internet = Self {
            dns,
            management,
            http,
            tls_alpn,
            _server: Service::spawn(command)?,
        };
        until("pebble-challtestsrv answers", PATIENCE, || {
            internet
                .tell("clear-txt", &json!({"host": "nobody.test."}))
                .map_err(|error| error.to_string())
        })?;
        Ok(internet)
    }

    /// Tells the server something, in the words of its management interface: `set-txt`,
    /// `add-http01`, `add-caa`.
    ///
    /// # Errors
    ///
    /// `Malformed` when it does not agree.
    pub fn tell(&self, act: &str, what: &Value) -> Result<(), Error> {
        let url = format!("{}/{act}", self.management_url());
        let body = what.to_string();
        let reply = Curl::plain().post(&url, "application/json", &[], body.as_bytes())?;
        if reply.status == 200 {
            return Ok(());
        }
        Err(Error::Malformed {
            what: "pebble-challtestsrv's answer",
            seen: reply.to_string(),
        })
    }

    /// Returns the URL where answers are set.
    fn management_url(&self) -> String {
        format!("http://{}", self.management.address())
    }

    /// Returns the address of its name server.
    #[must_use]
    pub fn dns(&self) -> String {
        self.dns.address().to_string()
    }

    /// Returns the port on which a client answers http-01.
    #[must_use]
    pub fn http_port(&self) -> String {
        self.http.number().to_string()
    }

    /// Returns the port on which a client answers tls-alpn-01.
    #[must_use]
    pub fn tls_alpn_port(&self) -> String {
        self.tls_alpn.number().to_string()
    }

    /// Returns the sections by which the ACME service validates here.
    pub(crate) fn sections(&self) -> String {
        format!(
            "[acme.validation]\nhttp_port = {}\ntls_alpn_port = {}\n\n\
             [acme.validation.addresses]\nallow = [\"127.0.0.0/8\"]\n\n\
             [acme.validation.dns]\nservers = [\"{}\"]\n",
            self.http_port(),
            self.tls_alpn_port(),
            self.dns()
        )
    }

    /// Writes a hook for a client: a shell script that has `say ACT JSON` for [`Self::tell`].
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_hook(&self, path: &Path, script: &str) -> Result<(), Error> {
        let text = format!(
            "#!/bin/sh\nset -e\nsay() {{\n  curl --silent --show-error --fail --max-time 60 \
             --data \"$2\" '{}'/\"$1\" >/dev/null\n}}\n{script}",
            self.management_url()
        );
        fs::write(path, text).map_err(Error::file("write", path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(Error::file("make executable", path))
    }
}
