//! certbot: Debian's, and the newest from PyPI.

use std::path::{Path, PathBuf};
use std::process::Command;

use chancery_tests::{Appliance, Internet, run};
use tempfile::TempDir;

use super::{client, listed, make_eab, with_acme};
use crate::chain::{Chain, said};

/// certbot with an account of its own.
pub(super) struct Certbot {
    /// The program.
    program: PathBuf,
    /// Its state.
    folder: TempDir,
    /// The directory's URL.
    directory: String,
    /// The authorities that it trusts.
    trust: PathBuf,
    /// Where it answers http-01.
    http_port: String,
}

impl Certbot {
    /// Returns Debian's.
    pub(super) fn debian(ca: &Appliance, internet: &Internet) -> Self {
        Self::with(PathBuf::from("certbot"), ca, internet)
    }

    /// Returns the one that tests/run takes from PyPI.
    fn newest(ca: &Appliance, internet: &Internet) -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
            PathBuf::from,
        );
        let program = target.join("certbot/bin/certbot");
        assert!(
            program.is_file(),
            "there is no {}: tests/run installs it",
            program.display()
        );
        Self::with(program, ca, internet)
    }

    /// Makes one.
    fn with(program: PathBuf, ca: &Appliance, internet: &Internet) -> Self {
        Self {
            program,
            folder: tempfile::tempdir().unwrap(),
            directory: ca.acme_directory(),
            trust: ca.trust(),
            http_port: internet.http_port(),
        }
    }

    /// Returns a command.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = client(&self.program.display().to_string());
        command
            .env("REQUESTS_CA_BUNDLE", &self.trust)
            .args(arguments)
            .args(["--non-interactive", "--server", &self.directory]);
        for option in ["--config-dir", "--work-dir", "--logs-dir"] {
            command.arg(option).arg(self.folder.path());
        }
        command
    }

    /// Returns a command that obtains a certificate by http-01.
    pub(super) fn standalone(&self, options: &[&str]) -> Command {
        let mut command = self.command(&["certonly", "--standalone", "--agree-tos"]);
        command
            .args(["--email", "admin@example.test"])
            .args(["--http-01-address", "127.0.0.1", "--http-01-port"])
            .arg(&self.http_port)
            .args(options);
        command
    }

    /// Takes up a certificate that it obtained.
    pub(super) fn chain(&self, ca: &Appliance, name: &str) -> Chain {
        Chain::in_file(ca, &self.file(name, "fullchain"))
    }

    /// Returns a file of a certificate.
    fn file(&self, name: &str, what: &str) -> PathBuf {
        self.folder.path().join(format!("live/{name}/{what}.pem"))
    }
}

#[test]
fn certbot_issues_renews_revokes_by_account_and_by_key_and_leaves() {
    let internet = Internet::start().unwrap();
    let ca = with_acme(&internet).start().unwrap();
    let certbot = Certbot::debian(&ca, &internet);
    let names = ["-d", "www.example.test", "-d", "example.test"];
    run(&mut certbot.standalone(&names)).unwrap();
    let first = certbot.chain(&ca, "www.example.test");
    first.assert_good(&ca, &["DNS:example.test", "DNS:www.example.test"]);

    let renew = ["renew", "--force-renewal", "--no-random-sleep-on-renew"];
    run(&mut certbot.command(&renew)).unwrap();
    let second = certbot.chain(&ca, "www.example.test");
    second.assert_good(&ca, &["DNS:example.test", "DNS:www.example.test"]);
    assert_ne!(first.serial(), second.serial());

    run(&mut certbot.command(&["update_account", "--email", "other@example.test"])).unwrap();
    let accounts = listed(&ca, "account");
    assert_eq!(accounts.len(), 1, "{accounts:?}");
    assert_eq!(accounts[0]["contacts"][0], "mailto:other@example.test");

    let name = [
        "--cert-name",
        "www.example.test",
        "--no-delete-after-revoke",
    ];
    let mut revoke = certbot.command(&["revoke", "--reason", "superseded"]);
    run(revoke.args(name)).unwrap();
    second.assert_revoked(&ca, "superseded");

    // By the certificate's key, which needs no account (RFC 8555, 7.6).
    run(&mut certbot.standalone(&["-d", "key.example.test"])).unwrap();
    let third = certbot.chain(&ca, "key.example.test");
    let mut revoke = certbot.command(&["revoke", "--reason", "keycompromise"]);
    revoke.arg("--no-delete-after-revoke");
    for (option, what) in [("--cert-path", "cert"), ("--key-path", "privkey")] {
        revoke
            .arg(option)
            .arg(certbot.file("key.example.test", what));
    }
    run(&mut revoke).unwrap();
    third.assert_revoked(&ca, "keyCompromise");
    let answer = first.ocsp(&ca, &[]);
    assert!(answer.contains("leaf.pem: good"), "{answer}");

    run(&mut certbot.command(&["unregister"])).unwrap();
    assert_eq!(listed(&ca, "account")[0]["status"], "deactivated");
}

#[test]
fn certbot_binds_its_account_to_a_key_of_the_operator() {
    let internet = Internet::start().unwrap();
    let ca = with_acme(&internet)
        .acme("external_account_required = true")
        .start()
        .unwrap();
    let (id, secret) = make_eab(&ca);
    let certbot = Certbot::debian(&ca, &internet);
    let name = ["-d", "www.example.test"];
    let told = said(&mut certbot.standalone(&name));
    assert!(
        told.to_lowercase().contains("external account binding"),
        "{told}"
    );
    assert!(listed(&ca, "account").is_empty());

    let mut bound = certbot.standalone(&name);
    run(bound.args(["--eab-kid", &id, "--eab-hmac-key", &secret])).unwrap();
    certbot
        .chain(&ca, "www.example.test")
        .assert_good(&ca, &["DNS:www.example.test"]);
    assert_eq!(listed(&ca, "account")[0]["eab_key"], id);
}

#[test]
fn the_newest_certbot_chooses_profiles_certifies_addresses_and_renews_when_told() {
    let internet = Internet::start().unwrap();
    let ca = with_acme(&internet)
        .sections(
            "[acme.profiles.tls-server]\ndescription = \"servers\"\n\
             [acme.profiles.brief]\ndescription = \"servers, for a day\"\nca_profile = \"short\"\n\
             [ca.profiles.short]\nkind = \"tls-server\"\nvalidity = \"24h\"\nmax_validity = \"48h\"\n\
             [ca.roles.\"service:acme\"]\n\
             calls = [\"sign\", \"revoke\", \"certificates\", \"profiles\"]\n\
             profiles = [\"tls-server\", \"short\", \"service\"]\n",
        )
        .start()
        .unwrap();
    let certbot = Certbot::newest(&ca, &internet);
    let identifiers = ["-d", "www.example.test", "--ip-address", "127.0.0.1"];
    let profile = ["--preferred-profile", "brief", "--cert-name", "brief"];
    run(&mut certbot.standalone(&[&identifiers[..], &profile].concat())).unwrap();
    let chain = certbot.chain(&ca, "brief");
    chain.assert_good(&ca, &["DNS:www.example.test", "IP Address:127.0.0.1"]);
    let ends = said(
        Command::new("openssl")
            .args(["x509", "-noout", "-checkend", "172800", "-in"])
            .arg(chain.file("leaf.pem")),
    );
    assert!(ends.contains("will expire"), "{ends}");

    // Renewal information (RFC 9773): nothing to do, until the certificate is revoked.
    run(&mut certbot.standalone(&["-d", "long.example.test"])).unwrap();
    let first = certbot.chain(&ca, "long.example.test");
    let renew = [
        "renew",
        "--no-random-sleep-on-renew",
        "--cert-name",
        "long.example.test",
    ];
    let told = said(&mut certbot.command(&renew));
    assert!(told.contains("not due for renewal"), "{told}");
    ca.cli(&["cert", "revoke", &first.serial(), "--reason", "superseded"])
        .unwrap();
    run(&mut certbot.command(&renew)).unwrap();
    let second = certbot.chain(&ca, "long.example.test");
    assert_ne!(first.serial(), second.serial());
    second.assert_good(&ca, &["DNS:long.example.test"]);
}
