//! lego, Debian's.

use std::path::{Path, PathBuf};
use std::process::Command;

use chancery_tests::{Appliance, Internet, KeyKind, Request, run};
use tempfile::TempDir;

use super::{client, listed, make_eab, with_acme};
use crate::chain::{Chain, said};

/// lego with an account of its own at one directory.
pub(crate) struct Lego {
    /// Its state.
    folder: TempDir,
    /// The directory's URL.
    directory: String,
    /// The authorities that it trusts.
    trust: PathBuf,
}

impl Lego {
    /// Makes one for a service.
    pub(crate) fn of(ca: &Appliance) -> Self {
        Self::at(ca.acme_directory(), ca.trust())
    }

    /// Makes one for a directory elsewhere.
    pub(crate) fn at(directory: String, trust: PathBuf) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            directory,
            trust,
        }
    }

    /// Returns a command for these options and this act.
    pub(crate) fn command(&self, options: &[&str], act: &[&str]) -> Command {
        let mut command = client("lego");
        command
            .env("LEGO_CA_CERTIFICATES", &self.trust)
            .args(["--server", &self.directory, "--accept-tos"])
            .args(["--email", "admin@example.test", "--path"])
            .arg(self.folder.path())
            .args(options)
            .args(act);
        command
    }

    /// Obtains a certificate by http-01.
    pub(crate) fn run_http(&self, ca: &Appliance, internet: &Internet, name: &str) -> Chain {
        let port = format!("127.0.0.1:{}", internet.http_port());
        let options = ["--http", "--http.port", &port, "-d", name];
        run(&mut self.command(&options, &["run"])).unwrap();
        self.chain(ca, name)
    }

    /// Takes up a certificate that it obtained.
    pub(crate) fn chain(&self, ca: &Appliance, name: &str) -> Chain {
        Chain::in_file(ca, &self.file(name, "crt"))
    }

    /// Returns a file of a certificate.
    fn file(&self, name: &str, end: &str) -> PathBuf {
        self.folder
            .path()
            .join(format!("certificates/{name}.{end}"))
    }
}

#[test]
fn lego_proves_control_on_the_web_and_in_tls_renews_and_revokes() {
    let internet = Internet::start().unwrap();
    let ca = with_acme(&internet).start().unwrap();
    let lego = Lego::of(&ca);
    let name = "www.example.test";
    let first = lego.run_http(&ca, &internet, name);
    first.assert_good(&ca, &["DNS:www.example.test"]);

    let http = format!("127.0.0.1:{}", internet.http_port());
    let options = ["--http", "--http.port", &http, "-d", name];
    let renew = ["renew", "--days", "3000", "--no-random-sleep"];
    run(&mut lego.command(&options, &renew)).unwrap();
    let second = lego.chain(&ca, name);
    second.assert_good(&ca, &["DNS:www.example.test"]);
    assert_ne!(first.serial(), second.serial());

    let revoke = ["revoke", "--reason", "4"];
    run(&mut lego.command(&["-d", name], &revoke)).unwrap();
    second.assert_revoked(&ca, "superseded");
    let answer = first.ocsp(&ca, &[]);
    assert!(answer.contains("leaf.pem: good"), "{answer}");

    let tls = format!("127.0.0.1:{}", internet.tls_alpn_port());
    let options = ["--tls", "--tls.port", &tls, "-d", "tls.example.test"];
    run(&mut lego.command(&options, &["run"])).unwrap();
    let chain = lego.chain(&ca, "tls.example.test");
    chain.assert_good(&ca, &["DNS:tls.example.test"]);

    let orders = listed(&ca, "order");
    assert_eq!(orders.len(), 3, "{orders:?}");
    assert!(orders.iter().all(|order| order["status"] == "valid"));
}

#[test]
fn lego_gets_wildcards_by_dns_and_brings_requests_of_its_own() {
    let internet = Internet::start().unwrap();
    let ca = with_acme(&internet).start().unwrap();
    let lego = Lego::of(&ca);
    let hook = ca.folder().join("lego-hook");
    internet
        .write_hook(
            &hook,
            "case $1 in\npresent) say set-txt \"{\\\"host\\\":\\\"$2\\\",\\\"value\\\":\\\"$3\\\"}\" ;;\n\
             cleanup) say clear-txt \"{\\\"host\\\":\\\"$2\\\"}\" ;;\nesac\n",
        )
        .unwrap();
    let dns = internet.dns();
    let by_dns = ["--dns", "exec", "--dns.disable-cp", "--dns.resolvers", &dns];
    let names = ["-d", "*.example.test", "-d", "example.test"];
    let run_with_hook = |options: &[&str]| {
        run(lego.command(options, &["run"]).env("EXEC_PATH", &hook)).unwrap();
    };
    run_with_hook(&[&by_dns[..], &names].concat());
    let chain = lego.chain(&ca, "_.example.test");
    chain.assert_good(&ca, &["DNS:*.example.test", "DNS:example.test"]);

    let names = ["DNS:a.example.test", "DNS:b.example.test"];
    let request = Request::with(KeyKind::Rsa2048, "/CN=a.example.test", &names).unwrap();
    let csr = request.path().display().to_string();
    run_with_hook(&[&by_dns[..], &["--csr", &csr]].concat());
    let chain = lego.chain(&ca, "a.example.test");
    chain.assert_good(&ca, &["DNS:a.example.test", "DNS:b.example.test"]);
    assert_same_key(&chain, &request.path());
}

/// Compares the public keys of a certificate and a request.
fn assert_same_key(chain: &Chain, request: &Path) {
    let asked = said(
        Command::new("openssl")
            .args(["req", "-noout", "-pubkey", "-in"])
            .arg(request),
    );
    assert_eq!(chain.x509(&["-pubkey"]), asked);
}

#[test]
fn names_that_others_may_certify_alone_are_refused_with_the_reason() {
    let internet = Internet::start().unwrap();
    let ca = with_acme(&internet).start().unwrap();
    let policy = serde_json::json!([{"tag": "issue", "value": "another-ca.test"}]);
    internet
        .tell(
            "add-caa",
            &serde_json::json!({"host": "locked.test.", "policies": policy}),
        )
        .unwrap();
    let lego = Lego::of(&ca);
    let port = format!("127.0.0.1:{}", internet.http_port());
    let options = ["--http", "--http.port", &port, "-d", "www.locked.test"];
    let told = said(&mut lego.command(&options, &["run"]));
    assert!(told.contains("urn:ietf:params:acme:error:caa"), "{told}");
    lego.run_http(&ca, &internet, "www.free.test")
        .assert_good(&ca, &["DNS:www.free.test"]);
}

#[test]
fn accounts_are_bound_to_keys_that_the_operator_hands_out() {
    let internet = Internet::start().unwrap();
    let ca = with_acme(&internet)
        .acme("external_account_required = true")
        .start()
        .unwrap();
    let (id, secret) = make_eab(&ca);
    let port = format!("127.0.0.1:{}", internet.http_port());
    let options = ["--http", "--http.port", &port, "-d", "www.example.test"];
    let told = said(&mut Lego::of(&ca).command(&options, &["run"]));
    assert!(told.contains("requires External Account Binding"), "{told}");

    let bound = ["--eab", "--kid", &id, "--hmac", &secret];
    let options = [&bound[..], &options].concat();
    let lego = Lego::of(&ca);
    run(&mut lego.command(&options, &["run"])).unwrap();
    lego.chain(&ca, "www.example.test")
        .assert_good(&ca, &["DNS:www.example.test"]);
    let keys = listed(&ca, "eab");
    assert_eq!(keys[0]["status"], "bound", "{keys:?}");
    // A key binds one account.
    let told = said(&mut Lego::of(&ca).command(&options, &["run"]));
    assert!(told.contains("urn:ietf:params:acme:error"), "{told}");
    assert_eq!(listed(&ca, "account").len(), 1);
}
