//! An appliance of its own for a test: token, folder, ports and process.

use std::any::Any;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use softhsm_test::SoftHsm;
use tempfile::TempDir;

use crate::builder::Builder;
use crate::client::TlsClient;
use crate::curl::{Curl, Reply};
use crate::deadline::{PATIENCE, until};
use crate::error::Error;
use crate::log::Log;
use crate::port::Port;
use crate::process::{Service, run};
use crate::profile::{Identity, Profile};

/// A CA and everything it needs. Dropped, all of it is gone.
#[derive(Debug)]
pub struct Appliance {
    /// The process, while it is to run.
    pub(crate) service: Option<Service>,
    /// The program.
    pub(crate) program: PathBuf,
    /// Everything it keeps.
    pub(crate) folder: TempDir,
    /// Its configuration.
    pub(crate) config: PathBuf,
    /// The CA API's port.
    pub(crate) api: Port,
    /// The port of metrics and health.
    pub(crate) telemetry: Port,
    /// The port of CRLs, OCSP and the authorities' certificates.
    pub(crate) distribution: Port,
    /// The port of stock ACME clients.
    pub(crate) acme: Port,
    /// The port of ACME clients with certificates, and of `chancery acme`.
    pub(crate) acme_mesh: Port,
    /// The signing service's port for clients with certificates.
    pub(crate) signing: Port,
    /// The signing service's port for those without.
    pub(crate) signing_open: Port,
    /// Environment of its processes.
    pub(crate) environment: Vec<(String, String)>,
    /// What the service is started by.
    pub(crate) wrapper: Vec<String>,
    /// Which services run.
    pub(crate) services: Vec<&'static str>,
    /// Where its operator's identities are.
    pub(crate) identities: PathBuf,
    /// Tokens and servers that it uses; dropped last.
    pub(crate) _keep: Vec<Box<dyn Any + Send + Sync>>,
}

impl Appliance {
    /// Makes and starts a CA on a SoftHSM token of its own.
    ///
    /// # Errors
    ///
    /// When any of it fails, with what the program said.
    pub fn start() -> Result<Self, Error> {
        let token = SoftHsm::token()?;
        let module = token.module().to_owned();
        Builder::on_token(&token, &module).keeping(token).start()
    }

    /// Returns a command of the program with this appliance's configuration.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.folder.path())
            .env("CHANCERY_CONFIG", &self.config)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Sets a variable of every process from now on.
    #[must_use]
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs a command of the program that is to succeed, and returns its output.
    ///
    /// # Errors
    ///
    /// `Failed` with what it said.
    pub fn cli(&self, arguments: &[&str]) -> Result<String, Error> {
        run(self.command().args(arguments))
    }

    /// Starts the service and waits until it is ready.
    ///
    /// # Errors
    ///
    /// `Ended` or `Late` with its log.
    pub fn serve(&mut self) -> Result<(), Error> {
        self.spawn()?;
        self.wait_ready()
    }

    /// Starts the service without waiting.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub fn spawn(&mut self) -> Result<(), Error> {
        let mut command = self.serve_command();
        command.arg("serve").args(&self.services);
        self.service = Some(Service::spawn(command)?);
        Ok(())
    }

    /// Starts the service with its log in a file, which costs the test nothing.
    ///
    /// # Errors
    ///
    /// When it cannot be started or does not become ready.
    pub fn serve_quietly(&mut self) -> Result<(), Error> {
        let path = self.folder.path().join("service.log");
        let log = fs::File::create(&path).map_err(Error::file("make", &path))?;
        let mut command = self.serve_command();
        command.arg("serve").args(&self.services);
        let other = log.try_clone().map_err(Error::file("make", &path))?;
        command.stdout(log).stderr(other);
        self.service = Some(Service::spawn_unfollowed(command)?);
        self.wait_ready()
    }

    /// Returns the command that runs the service, behind the wrapper if there is one.
    fn serve_command(&self) -> Command {
        let plain = self.command();
        let Some((program, arguments)) = self.wrapper.split_first() else {
            return plain;
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(&self.program)
            .current_dir(self.folder.path())
            .env("CHANCERY_CONFIG", &self.config)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Waits until the service says that it is ready.
    ///
    /// # Errors
    ///
    /// `Ended` or `Late` with its log.
    pub fn wait_ready(&mut self) -> Result<(), Error> {
        self.wait_readiness(true).map(|_| ())
    }

    /// Waits until `/readyz` says this, and returns what it says.
    ///
    /// # Errors
    ///
    /// `Ended` or `Late` with its log.
    pub fn wait_readiness(&mut self, ready: bool) -> Result<Value, Error> {
        let url = self.telemetry_url("/readyz");
        let curl = Curl::plain();
        let mut ended = None;
        let found = until("/readyz says so", PATIENCE, || {
            if let Some(service) = &mut self.service
                && let Some(status) = service.ended()
            {
                // The last lines may still be on their way.
                let _closed = service.log().wait_closed(PATIENCE);
                ended = Some(Error::Ended {
                    status,
                    log: service.log().tail(),
                });
                return Ok(Value::Null);
            }
            let reply = curl.get(&url).map_err(|error| error.to_string())?;
            let wanted = if ready { 200 } else { 503 };
            if reply.status == wanted {
                return Ok(reply.json());
            }
            let log = self.service.as_ref().map(|service| service.log().tail());
            Err(format!("{reply}\n{}", log.unwrap_or_default()))
        });
        match ended {
            Some(error) => Err(error),
            None => found,
        }
    }

    /// Waits until `/readyz` says of a part that it is not ready, in these words among
    /// others.
    ///
    /// # Errors
    ///
    /// `Late` with what it says instead.
    pub fn wait_for_reason(&self, part: &str, words: &str) -> Result<(), Error> {
        let url = self.telemetry_url("/readyz");
        let says = |check: &Value| {
            let reason = check["reason"].as_str().unwrap_or_default();
            check["name"] == part && reason.contains(words)
        };
        until(&format!("{part} says {words:?}"), PATIENCE, || {
            let reply = Curl::plain().get(&url).map_err(|error| error.to_string())?;
            let told = reply.json();
            let mut checks = told["checks"].as_array().into_iter().flatten();
            if checks.any(says) {
                return Ok(());
            }
            Err(format!("{reply}\n{}", self.log().tail()))
        })
    }

    /// Kills the service as a power cut would.
    pub fn kill9(&mut self) {
        if let Some(mut service) = self.service.take() {
            service.kill9();
        }
    }

    /// Asks the service to end and returns how it did.
    ///
    /// # Errors
    ///
    /// `Late` when it does not end.
    pub fn stop(&mut self) -> Result<Option<ExitStatus>, Error> {
        match self.service.take() {
            Some(mut service) => service.terminate().map(Some),
            None => Ok(None),
        }
    }

    /// Stops the service, if it runs, and starts it again.
    ///
    /// # Errors
    ///
    /// When it does not end or does not become ready.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.stop()?;
        self.serve()
    }

    /// Returns the process of the service, while it runs.
    pub fn service(&mut self) -> Option<&mut Service> {
        self.service.as_mut()
    }

    /// Returns what the service wrote; empty when it does not run.
    #[must_use]
    pub fn log(&self) -> Arc<Log> {
        self.service
            .as_ref()
            .map(|service| Arc::clone(service.log()))
            .unwrap_or_default()
    }

    /// Returns the folder with everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Returns the state directory.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Returns the segments of the CA's journal, in order.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn journal_segments(&self) -> Result<Vec<PathBuf>, Error> {
        let folder = self.state_dir().join("ca/journal");
        let entries = fs::read_dir(&folder).map_err(Error::file("read", &folder))?;
        let mut segments: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "segment"))
            .collect();
        segments.sort();
        Ok(segments)
    }

    /// Returns the address of the CA API.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.api.address()
    }

    /// Returns the address of the ACME service for stock clients.
    #[must_use]
    pub fn acme_address(&self) -> SocketAddr {
        self.acme.address()
    }

    /// Returns the address of ACME for clients with certificates.
    #[must_use]
    pub fn acme_mesh_address(&self) -> SocketAddr {
        self.acme_mesh.address()
    }

    /// Returns the URL of the ACME directory for stock clients.
    #[must_use]
    pub fn acme_directory(&self) -> String {
        format!("https://{}/directory", self.acme.address())
    }

    /// Returns the address of the signing service for clients with certificates.
    #[must_use]
    pub fn signing_address(&self) -> SocketAddr {
        self.signing.address()
    }

    /// Returns the address of the signing service for those without.
    #[must_use]
    pub fn signing_open_address(&self) -> SocketAddr {
        self.signing_open.address()
    }

    /// Returns a URL of the signing service for clients with certificates.
    #[must_use]
    pub fn signing_url(&self, target: &str) -> String {
        format!("https://{}{target}", self.signing.address())
    }

    /// Returns a URL of the signing service for those without.
    #[must_use]
    pub fn signing_open_url(&self, target: &str) -> String {
        format!("https://{}{target}", self.signing_open.address())
    }

    /// Returns a URL of the CA API.
    #[must_use]
    pub fn url(&self, target: &str) -> String {
        format!("https://127.0.0.1:{}{target}", self.api.number())
    }

    /// Returns the URL of `POST /sign` for a profile.
    #[must_use]
    pub fn sign_url(&self, profile: Profile) -> String {
        self.url(&format!("/sign?profile={}", profile.name()))
    }

    /// Returns a URL of metrics and health.
    #[must_use]
    pub fn telemetry_url(&self, target: &str) -> String {
        format!("http://127.0.0.1:{}{target}", self.telemetry.number())
    }

    /// Returns a URL of CRLs, OCSP and the authorities' certificates.
    #[must_use]
    pub fn distribution_url(&self, target: &str) -> String {
        format!("http://127.0.0.1:{}{target}", self.distribution.number())
    }

    /// Returns the identity that `init` left for the operator.
    #[must_use]
    pub fn operator(&self) -> Identity {
        self.identity("operator")
    }

    /// Returns an identity of the operator's folder.
    #[must_use]
    pub fn identity(&self, name: &str) -> Identity {
        let folder = &self.identities;
        Identity {
            chain: folder.join(format!("{name}-chain.pem")),
            key: folder.join(format!("{name}-key.pem")),
            trust: folder.join("ca.pem"),
        }
    }

    /// Has the program make an identity of a role.
    ///
    /// # Errors
    ///
    /// When the program refuses.
    pub fn issue_identity(&self, role: &str, name: &str) -> Result<Identity, Error> {
        self.cli(&["identity", "issue", "--role", role, name])?;
        Ok(self.identity(name))
    }

    /// Lists the names of the keys in its keystore.
    ///
    /// # Errors
    ///
    /// When the program refuses, or prints no list.
    pub fn keys(&self) -> Result<Vec<String>, Error> {
        let told = self.cli(&["key", "list", "--json"])?;
        let entries: Option<Vec<Value>> = serde_json::from_str(&told).ok();
        let entries = entries.ok_or(Error::Malformed {
            what: "a list of keys",
            seen: told,
        })?;
        let names = entries.iter().filter_map(|entry| entry["id"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// Returns the file with the root's certificate.
    #[must_use]
    pub fn trust(&self) -> PathBuf {
        self.operator().trust
    }

    /// Returns curl as the operator.
    #[must_use]
    pub fn curl(&self) -> Curl {
        Curl::with(&self.operator())
    }

    /// Returns our own client as the operator.
    ///
    /// # Errors
    ///
    /// When its files cannot be read.
    pub fn client(&self) -> Result<TlsClient, Error> {
        TlsClient::with(&self.operator())
    }

    /// Reads the metrics.
    ///
    /// # Errors
    ///
    /// When they cannot be had.
    pub fn metrics(&self) -> Result<Reply, Error> {
        Curl::plain().get(&self.telemetry_url("/metrics"))
    }

    /// Sums a metric over its labels, those of which `wanted` is a part.
    ///
    /// # Errors
    ///
    /// When the metrics cannot be had.
    pub fn metric(&self, name: &str, wanted: &str) -> Result<f64, Error> {
        let text = self.metrics()?.text();
        Ok(text
            .lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
                    && line.contains(wanted)
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// Lists the certificates' records, every page of them.
    ///
    /// # Errors
    ///
    /// When the service does not answer as it should.
    pub fn certificates(&self) -> Result<Vec<Value>, Error> {
        let curl = self.curl();
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let reply = curl.get(&self.url(&format!("/certificates?limit=500{cursor}")))?;
            let page = reply.json();
            let records = page["certificates"].as_array().ok_or(Error::Malformed {
                what: "a page of certificates",
                seen: reply.to_string(),
            })?;
            all.extend_from_slice(records);
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Issues a certificate to a new P-256 key as the operator, and returns the answer.
    ///
    /// # Errors
    ///
    /// When no answer comes.
    pub fn issue(&self, name: &str) -> Result<Reply, Error> {
        let request = crate::request::Request::new(name)?;
        self.curl()
            .post_pem(&self.sign_url(Profile::TlsServer), request.pem())
    }

    /// Waits until a condition on this appliance holds.
    ///
    /// # Errors
    ///
    /// `Late` with what was seen last.
    pub fn until<T>(
        &self,
        awaited: &str,
        at_most: Duration,
        mut look: impl FnMut(&Self) -> Result<T, String>,
    ) -> Result<T, Error> {
        until(awaited, at_most, || look(self))
    }
}
