//! An appliance to be made: its configuration, before anything runs.

use std::any::Any;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use softhsm_test::Token;

use crate::appliance::Appliance;
use crate::error::Error;
use crate::internet::Internet;
use crate::port::Port;
use crate::process::run;
use crate::program::chancery;

/// An appliance to be made.
#[derive(Debug)]
pub struct Builder {
    /// The `[keystore]` section's keys.
    keystore: String,
    /// Sections beside it.
    sections: String,
    /// What must live as long as the appliance.
    keep: Vec<Box<dyn Any + Send + Sync>>,
    /// Environment of every process.
    environment: Vec<(String, String)>,
    /// Keys of `[ca]`.
    ca: String,
    /// Keys of `[telemetry]`.
    telemetry: String,
    /// A program that starts the service, with its arguments.
    wrapper: Vec<String>,
    /// Which services run.
    services: Vec<&'static str>,
    /// Where the operator's identities are, if not in its own folder.
    identities: Option<PathBuf>,
    /// Keys of `[client]`.
    client: String,
    /// Keys of `[acme.open]`.
    acme: String,
    /// Keys of `[signing]`.
    signing: String,
}

impl Builder {
    /// Keeps the keys on a token behind a module: its own, a shim, a remote one.
    #[must_use]
    pub fn on_token(token: &Token, module: &Path) -> Self {
        let keystore = format!(
            "type = \"pkcs11\"\nmodule = {:?}\ntoken = {:?}\npin_source = \"file:{}\"\n",
            module.display().to_string(),
            token.label(),
            token.pin_file().display()
        );
        Self::keeping_keys(keystore)
    }

    /// Keeps the keys in files of the appliance's folder.
    #[must_use]
    pub fn on_files() -> Self {
        Self::keeping_keys("type = \"file\"\nkey_dir = \"keys\"\n".to_owned())
    }

    /// Begins with a keystore and nothing else.
    fn keeping_keys(keystore: String) -> Self {
        Self {
            keystore,
            sections: String::new(),
            keep: Vec::new(),
            environment: Vec::new(),
            ca: String::new(),
            telemetry: String::new(),
            wrapper: Vec::new(),
            services: vec!["ca"],
            identities: None,
            client: String::new(),
            acme: String::new(),
            signing: String::new(),
        }
    }

    /// Adds keys to `[keystore]`.
    #[must_use]
    pub fn keystore(mut self, keys: &str) -> Self {
        self.keystore.push_str(keys);
        self.keystore.push('\n');
        self
    }

    /// Adds keys to `[ca]`.
    #[must_use]
    pub fn ca(mut self, keys: &str) -> Self {
        self.ca.push_str(keys);
        self.ca.push('\n');
        self
    }

    /// Adds keys to `[telemetry]`.
    #[must_use]
    pub fn telemetry(mut self, keys: &str) -> Self {
        self.telemetry.push_str(keys);
        self.telemetry.push('\n');
        self
    }

    /// Runs the ACME service too; it looks for proofs of control here.
    #[must_use]
    pub fn with_acme(mut self, internet: &Internet) -> Self {
        self.services.push("acme");
        self.sections(&internet.sections())
    }

    /// Runs the signing service too.
    #[must_use]
    pub fn with_signing(mut self) -> Self {
        self.services.push("signing");
        self
    }

    /// Has every service started, as configured by sections of the caller's own.
    #[must_use]
    pub fn serving_all(mut self) -> Self {
        self.services = vec!["all"];
        self
    }

    /// Makes it a machine without a CA: that of another appliance signs for its
    /// services, and the operator is the same.
    #[must_use]
    pub fn under(mut self, ca: &Appliance) -> Self {
        self.client = format!(
            "url = \"{}\"\nidentities = {:?}\n",
            ca.url(""),
            ca.identities.display().to_string()
        );
        self.identities = Some(ca.identities.clone());
        self.services.retain(|service| *service != "ca");
        self
    }

    /// Adds keys to `[acme.open]`.
    #[must_use]
    pub fn acme(mut self, keys: &str) -> Self {
        self.acme.push_str(keys);
        self.acme.push('\n');
        self
    }

    /// Adds keys to `[signing]`.
    #[must_use]
    pub fn signing(mut self, keys: &str) -> Self {
        self.signing.push_str(keys);
        self.signing.push('\n');
        self
    }

    /// Adds whole sections.
    #[must_use]
    pub fn sections(mut self, sections: &str) -> Self {
        self.sections.push_str(sections);
        self.sections.push('\n');
        self
    }

    /// Sets a variable of every process.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the service by another program, which is given the command line.
    #[must_use]
    pub fn wrapped_by<'a>(mut self, wrapper: impl IntoIterator<Item = &'a str>) -> Self {
        self.wrapper = wrapper.into_iter().map(str::to_owned).collect();
        self
    }

    /// Keeps something for as long as the appliance lives.
    #[must_use]
    pub fn keeping(mut self, thing: impl Any + Send + Sync) -> Self {
        self.keep.push(Box::new(thing));
        self
    }

    /// Writes the configuration; nothing is made or started yet.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written or the program cannot be built.
    pub fn prepare(self) -> Result<Appliance, Error> {
        let folder = tempfile::Builder::new()
            .prefix("chancery-test-")
            .tempdir()
            .map_err(Error::file("make a folder in", &std::env::temp_dir()))?;
        let (api, telemetry, distribution) = (Port::reserve()?, Port::reserve()?, Port::reserve()?);
        let (acme, acme_mesh) = (Port::reserve()?, Port::reserve()?);
        let (signing, signing_open) = (Port::reserve()?, Port::reserve()?);
        let mut text = format!(
            "state_dir = {:?}\n\n[keystore]\n{}",
            folder.path().join("state").display().to_string(),
            self.keystore
        );
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[ca]\nlisten = \"{}\"\ndistribution_url = \"http://{}\"\n{}\n\
             [ca.distribution]\nlisten = \"{}\"\n\n[telemetry]\nlisten = \"{}\"\n{}\n\
             [acme.open]\nlisten = \"{}\"\n{}\n[acme.mesh]\nlisten = \"{}\"\n\n\
             [signing]\n{}\n[signing.mesh]\nlisten = \"{}\"\n\n[signing.open]\nlisten = \"{}\"\n\n\
             [client]\n{}\n{}",
            api.address(),
            distribution.address(),
            self.ca,
            distribution.address(),
            telemetry.address(),
            self.telemetry,
            acme.address(),
            self.acme,
            acme_mesh.address(),
            self.signing,
            signing.address(),
            signing_open.address(),
            self.client,
            self.sections
        );
        let config = folder.path().join("chancery.toml");
        fs::write(&config, text).map_err(Error::file("write", &config))?;
        Ok(Appliance {
            service: None,
            program: chancery()?,
            identities: self
                .identities
                .unwrap_or_else(|| folder.path().join("state/identities")),
            folder,
            config,
            api,
            telemetry,
            distribution,
            acme,
            acme_mesh,
            signing,
            signing_open,
            environment: self.environment,
            wrapper: self.wrapper,
            services: self.services,
            _keep: self.keep,
        })
    }

    /// Makes the CA and starts it.
    ///
    /// # Errors
    ///
    /// When any of it fails, with what the program said.
    pub fn start(self) -> Result<Appliance, Error> {
        let mut appliance = self.prepare()?;
        run(appliance.command().arg("init"))?;
        appliance.serve()?;
        Ok(appliance)
    }
}
