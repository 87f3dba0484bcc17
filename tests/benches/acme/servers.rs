//! The servers that are measured: ours, pebble and caddy, each with folder and ports of its own.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chancery_tests::{Appliance, Builder, Port, Service, TlsClient, until};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use softhsm_test::SoftHsm;
use tempfile::TempDir;

use crate::challenges::Challenges;
use crate::client::{Endpoint, Line};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ours: CA and ACME service in one process.
    Chancery,
    /// Let's Encrypt's server for tests.
    Pebble,
    /// caddy's `acme_server`.
    Caddy,
}

impl Kind {
    /// Every one.
    pub(crate) const ALL: [Self; 3] = [Self::Chancery, Self::Pebble, Self::Caddy];

    /// Returns the program's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Chancery => "chancery",
            Self::Pebble => "pebble",
            Self::Caddy => "caddy",
        }
    }

    /// Says how it works.
    pub(crate) const fn means(self) -> &'static str {
        match self {
            Self::Chancery => "on disk before every answer, signed by SoftHSM, CA over mutual TLS",
            Self::Pebble => "in memory, software RSA-2048",
            Self::Caddy => "on disk, software P-256",
        }
    }
}

/// A server that runs; dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it is.
    pub(crate) endpoint: Endpoint,
    /// Its process.
    pub(crate) process: u32,
    /// What it needs.
    _keep: Keep,
}

/// What lives as long as a server.
#[derive(Debug)]
#[expect(dead_code, reason = "held only to be dropped")]
enum Keep {
    /// Ours; the process only where the appliance did not start it.
    Appliance(Option<Service>, Box<Appliance>),
    /// Another program with its folder and ports.
    Program(Service, TempDir, Vec<Port>),
}

impl Server {
    /// Starts one; quiet, it writes its log to nowhere.
    pub(crate) fn start(
        kind: Kind,
        challenges: &Challenges,
        quiet: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let server = match kind {
            Kind::Chancery => chancery(challenges, quiet)?,
            Kind::Pebble => pebble(challenges)?,
            Kind::Caddy => caddy()?,
        };
        let mut line = Line::to(server.endpoint.clone());
        until("the directory is served", PATIENCE, || {
            line.directory().map_err(|error| error.to_string())
        })?;
        Ok(server)
    }

    /// Kills it, so that who waits for it waits no longer.
    pub(crate) fn kill(&self) {
        if let Some(process) = i32::try_from(self.process).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _gone = kill_process(process, Signal::KILL);
        }
    }
}

/// Starts ours.
fn chancery(challenges: &Challenges, quiet: bool) -> Result<Server, Box<dyn Error>> {
    let token = SoftHsm::token()?;
    let module = token.module().to_owned();
    let mut appliance = Builder::on_token(&token, &module)
        .keeping(token)
        .serving_all()
        .sections(&format!(
            "[acme.validation]\nhttp_port = {}\n\
             [acme.validation.addresses]\nallow = [\"127.0.0.0/8\"]\n\
             [acme.caa]\nenabled = false\n\
             [acme.rate_limits]\nexempt_networks = [\"127.0.0.0/8\"]\n",
            challenges.port()
        ))
        .prepare()?;
    appliance.cli(&["init"])?;
    let mut service = None;
    let process = if quiet {
        let mut command = appliance.command();
        command
            .args(["serve", "all"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        service.insert(Service::spawn_unfollowed(command)?).id()
    } else {
        appliance.serve_quietly()?;
        appliance.service().map_or(0, |service| service.id())
    };
    Ok(Server {
        endpoint: Endpoint {
            tls: TlsClient::anonymous(&appliance.trust())?,
            address: appliance.acme_address(),
            directory: "/directory",
        },
        process,
        _keep: Keep::Appliance(service, Box::new(appliance)),
    })
}

/// Starts pebble: no pauses, no refused nonces, no authorization used twice.
fn pebble(challenges: &Challenges) -> Result<Server, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let tls = Files::make(folder.path())?;
    let (port, management) = (Port::reserve()?, Port::reserve()?);
    let config = json!({"pebble": {
        "listenAddress": port.address().to_string(),
        "managementListenAddress": management.address().to_string(),
        "certificate": tls.chain,
        "privateKey": tls.key,
        "httpPort": challenges.port(),
        "tlsPort": 443,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": false,
    }});
    let file = folder.path().join("pebble.json");
    fs::write(&file, config.to_string())?;
    let mut command = Command::new("pebble");
    command
        .arg("-config")
        .arg(&file)
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_WFE_NONCEREJECT", "0")
        .env("PEBBLE_AUTHZREUSE", "0");
    program(command, folder, &tls, "/dir", vec![port, management])
}

/// Starts caddy with its `acme_server`.
fn caddy() -> Result<Server, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let tls = Files::make(folder.path())?;
    let port = Port::reserve()?;
    let config = json!({
        "admin": {"disabled": true, "config": {"persist": false}},
        "storage": {"module": "file_system", "root": folder.path().join("storage")},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {
            "pki": {"certificate_authorities": {"local": {"install_trust": false}}},
            "tls": {"certificates": {"load_files": [
                {"certificate": tls.chain, "key": tls.key},
            ]}},
            "http": {"servers": {"acme": {
                "listen": [port.address().to_string()],
                "automatic_https": {"disable": true},
                "tls_connection_policies": [{}],
                "routes": [{"handle": [{"handler": "acme_server", "ca": "local"}]}],
            }}},
        },
    });
    let file = folder.path().join("caddy.json");
    fs::write(&file, config.to_string())?;
    let mut command = Command::new("caddy");
    command
        .args(["run", "--config"])
        .arg(&file)
        .env("HOME", folder.path())
        .env("XDG_DATA_HOME", folder.path().join("data"));
    program(command, folder, &tls, "/acme/local/directory", vec![port])
}

/// Starts another program, whose first port is the one that clients use.
fn program(
    mut command: Command,
    folder: TempDir,
    tls: &Files,
    directory: &'static str,
    ports: Vec<Port>,
) -> Result<Server, Box<dyn Error>> {
    let address = ports.first().map(Port::address).ok_or("no port")?;
    command
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let service = Service::spawn_unfollowed(command)?;
    Ok(Server {
        endpoint: Endpoint {
            tls: TlsClient::anonymous(&tls.trust)?,
            address,
            directory,
        },
        process: service.id(),
        _keep: Keep::Program(service, folder, ports),
    })
}

/// A server's certificate for 127.0.0.1, in files.
#[derive(Debug)]
struct Files {
    /// The authority.
    trust: PathBuf,
    /// The certificate.
    chain: PathBuf,
    /// Its key.
    key: PathBuf,
}

impl Files {
    /// Makes it, by an authority of its own.
    fn make(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name = DistinguishedName::new();
        authority
            .distinguished_name
            .push(rcgen::DnType::CommonName, "bench");
        let authority_key = KeyPair::generate()?;
        let trust_pem = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
        let files = Self {
            trust: folder.join("trust.pem"),
            chain: folder.join("chain.pem"),
            key: folder.join("key.pem"),
        };
        fs::write(&files.trust, trust_pem)?;
        fs::write(&files.chain, leaf.pem())?;
        fs::write(&files.key, key.serialize_pem())?;
        Ok(files)
    }
}
