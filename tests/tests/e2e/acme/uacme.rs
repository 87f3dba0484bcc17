//! uacme, Debian's. It trusts what the system trusts, so it runs in a mount namespace
//! where the system trusts our root.

use std::path::{Path, PathBuf};

use chancery_tests::{Appliance, Internet, run};
use tempfile::TempDir;

use super::{client, listed, make_eab, with_acme};
use crate::chain::Chain;

/// uacme with an account of its own.
struct Uacme {
    /// Its state, and its hook.
    folder: TempDir,
    /// The directory's URL.
    directory: String,
    /// The authorities that it trusts.
    trust: PathBuf,
}

impl Uacme {
    /// Makes one.
    fn of(ca: &Appliance, internet: &Internet) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // METHOD TYPE IDENTIFIER TOKEN AUTHORIZATION; others than http-01 are declined.
        let script = "[ \"$2\" = http-01 ] || exit 1\ncase $1 in\n\
             begin) say add-http01 \"{\\\"token\\\":\\\"$4\\\",\\\"content\\\":\\\"$5\\\"}\" ;;\n\
             *) say del-http01 \"{\\\"token\\\":\\\"$4\\\"}\" ;;\nesac\n";
        internet
            .write_hook(&folder.path().join("hook"), script)
            .unwrap();
        Self {
            folder,
            directory: ca.acme_directory(),
            trust: ca.trust(),
        }
    }

    /// Has it do something.
    fn act(&self, act: &[&str]) -> String {
        let mount = "mount --bind \"$0\" /etc/ssl/certs/ca-certificates.crt && exec \"$@\"";
        let mut command = client("unshare");
        command.args(["--mount", "--propagation", "private"]);
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["sh", "-ec", mount]).arg(&self.trust);
        command.args(["uacme", "--yes", "--acme-url", &self.directory]);
        command
            .arg("--confdir")
            .arg(self.folder.path().join("conf"));
        command.arg("--hook").arg(self.folder.path().join("hook"));
        command.args(["--no-ocsp"]).args(act);
        run(&mut command).unwrap()
    }

    /// Obtains a certificate.
    fn issue(&self, ca: &Appliance, name: &str) -> Chain {
        self.act(&["--force", "issue", name]);
        Chain::in_file(ca, &self.file(&format!("{name}/cert.pem")))
    }

    /// Returns one of its files.
    fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join("conf").join(path)
    }
}

/// Returns a path as an argument.
fn argument(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn uacme_issues_changes_its_key_revokes_both_ways_and_leaves() {
    let internet = Internet::answering_http().unwrap();
    let ca = with_acme(&internet).start().unwrap();
    let uacme = Uacme::of(&ca, &internet);
    uacme.act(&["new", "admin@example.test"]);
    let by_account = uacme.issue(&ca, "www.example.test");
    by_account.assert_good(&ca, &["DNS:www.example.test"]);

    let before = listed(&ca, "account");
    uacme.act(&["newkey"]);
    let after = listed(&ca, "account");
    assert_eq!(after.len(), 1, "{after:?}");
    assert_eq!(before[0]["id"], after[0]["id"]);
    assert_ne!(before[0]["thumbprint"], after[0]["thumbprint"]);

    // The account goes on under its new key.
    let by_key = uacme.issue(&ca, "key.example.test");
    by_key.assert_good(&ca, &["DNS:key.example.test"]);
    let certificate = argument(&uacme.file("www.example.test/cert.pem"));
    uacme.act(&["--reason", "5", "revoke", &certificate]);
    by_account.assert_revoked(&ca, "cessationOfOperation");
    let certificate = argument(&uacme.file("key.example.test/cert.pem"));
    let key = argument(&uacme.file("private/key.example.test/key.pem"));
    uacme.act(&["--reason", "1", "revoke", &certificate, &key]);
    by_key.assert_revoked(&ca, "keyCompromise");

    uacme.act(&["deactivate"]);
    assert_eq!(listed(&ca, "account")[0]["status"], "deactivated");
}

#[test]
fn uacme_binds_its_account_and_certifies_an_address() {
    let internet = Internet::answering_http().unwrap();
    let ca = with_acme(&internet)
        .acme("external_account_required = true")
        .start()
        .unwrap();
    let (id, secret) = make_eab(&ca);
    let uacme = Uacme::of(&ca, &internet);
    uacme.act(&["--eab", &format!("{id}:{secret}"), "new"]);
    assert_eq!(listed(&ca, "account")[0]["eab_key"], id);
    uacme
        .issue(&ca, "127.0.0.1")
        .assert_good(&ca, &["IP Address:127.0.0.1"]);
}
