//! dehydrated, Debian's.

use std::fs;
use std::process::Command;

use chancery_tests::{Appliance, Internet, run};
use tempfile::TempDir;

use super::{client, listed, make_eab, with_acme};
use crate::chain::Chain;

/// dehydrated with an account of its own.
struct Dehydrated {
    /// Its state, its hook and its configuration.
    folder: TempDir,
}

impl Dehydrated {
    /// Makes one, with further settings, and registers it.
    fn of(ca: &Appliance, internet: &Internet, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        // ACT NAME TOKEN VALUE; a value for the web has its token before a dot.
        let script = "case $1 in\n\
             deploy_challenge)\n  case $4 in\n\
             \x20   *.*) say add-http01 \"{\\\"token\\\":\\\"$3\\\",\\\"content\\\":\\\"$4\\\"}\" ;;\n\
             \x20   *) say set-txt \"{\\\"host\\\":\\\"_acme-challenge.$2.\\\",\\\"value\\\":\\\"$4\\\"}\" ;;\n\
             \x20 esac ;;\nesac\n";
        internet
            .write_hook(&folder.path().join("hook"), script)
            .unwrap();
        fs::write(
            folder.path().join("conf"),
            format!(
                "CA={}\nBASEDIR={path}\nWELLKNOWN={path}/www\nHOOK={path}/hook\n\
                 CURL_OPTS=\"--cacert {}\"\nKEY_ALGO=prime256v1\nCONTACT_EMAIL=admin@example.test\n\
                 {settings}\n",
                ca.acme_directory(),
                ca.trust().display()
            ),
        )
        .unwrap();
        fs::create_dir(folder.path().join("www")).unwrap();
        let dehydrated = Self { folder };
        dehydrated.act(&["--register", "--accept-terms"]);
        dehydrated
    }

    /// Has it do something.
    fn act(&self, act: &[&str]) -> String {
        let mut command: Command = client("dehydrated");
        command.arg("--config").arg(self.folder.path().join("conf"));
        run(command.args(act)).unwrap()
    }

    /// Takes up a certificate that it obtained.
    fn chain(&self, ca: &Appliance, name: &str) -> Chain {
        let certificates = self.folder.path().join("certs");
        Chain::in_file(ca, &certificates.join(name).join("fullchain.pem"))
    }
}

#[test]
fn dehydrated_issues_by_web_and_by_dns_renews_revokes_and_leaves() {
    let internet = Internet::answering_http().unwrap();
    let ca = with_acme(&internet).start().unwrap();
    let dehydrated = Dehydrated::of(&ca, &internet, "");
    let names = "www.example.test example.test";
    dehydrated.act(&["--cron", "--domain", names]);
    let first = dehydrated.chain(&ca, "www.example.test");
    first.assert_good(&ca, &["DNS:example.test", "DNS:www.example.test"]);
    dehydrated.act(&["--cron", "--force", "--domain", names]);
    let second = dehydrated.chain(&ca, "www.example.test");
    assert_ne!(first.serial(), second.serial());

    let names = "*.wild.test wild.test";
    let by_dns = [
        "--cron",
        "--challenge",
        "dns-01",
        "--alias",
        "wild",
        "--domain",
        names,
    ];
    dehydrated.act(&by_dns);
    let wild = dehydrated.chain(&ca, "wild");
    wild.assert_good(&ca, &["DNS:*.wild.test", "DNS:wild.test"]);

    let certificate = dehydrated.folder.path().join("certs/wild/cert.pem");
    let certificate = fs::canonicalize(certificate).unwrap().display().to_string();
    dehydrated.act(&["--revoke", &certificate]);
    let answer = wild.ocsp(&ca, &[]);
    assert!(answer.contains("leaf.pem: revoked"), "{answer}");
    second.assert_good(&ca, &["DNS:example.test", "DNS:www.example.test"]);

    dehydrated.act(&["--deactivate"]);
    assert_eq!(listed(&ca, "account")[0]["status"], "deactivated");
}

#[test]
fn dehydrated_binds_its_account_to_a_key_of_the_operator() {
    let internet = Internet::answering_http().unwrap();
    let ca = with_acme(&internet)
        .acme("external_account_required = true")
        .start()
        .unwrap();
    let (id, secret) = make_eab(&ca);
    let settings = format!("EAB_KID={id}\nEAB_HMAC_KEY={secret}");
    let dehydrated = Dehydrated::of(&ca, &internet, &settings);
    dehydrated.act(&["--cron", "--domain", "www.example.test"]);
    dehydrated
        .chain(&ca, "www.example.test")
        .assert_good(&ca, &["DNS:www.example.test"]);
    assert_eq!(listed(&ca, "account")[0]["eab_key"], id);
}
