//! What no longer counts: revoked, published, asked for, and refused, by tools that are
//! not ours.

mod clients;
mod outage;
mod records;
mod servers;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chancery_tests::{Appliance, Curl, Profile, Request};

use crate::chain::{Chain, said};

/// A certificate that was issued, and what relying parties hold beside it.
struct Issued {
    /// Its certificate, and those above.
    chain: Chain,
    /// Its request and its key.
    request: Request,
    /// Its serial number.
    serial: String,
}

impl Issued {
    /// Has a TLS server's certificate issued.
    fn by(ca: &Appliance, name: &str) -> Self {
        Self::of(ca, Request::new(name).unwrap(), Profile::TlsServer)
    }

    /// Has a request signed.
    fn of(ca: &Appliance, request: Request, profile: Profile) -> Self {
        let reply = ca
            .curl()
            .post_pem(&ca.sign_url(profile), request.pem())
            .unwrap();
        assert_eq!(reply.status, 201, "{reply}");
        Self {
            serial: reply.serial().unwrap().to_owned(),
            chain: Chain::of(ca, &reply.text()),
            request,
        }
    }

    /// Returns one of its files.
    fn file(&self, name: &str) -> PathBuf {
        self.chain.file(name)
    }

    /// Returns the path of one of its files as an argument.
    fn argument(&self, name: &str) -> String {
        self.chain.argument(name)
    }

    /// Has OpenSSL ask the responder, its answer kept in `ocsp.der`.
    fn ocsp(&self, ca: &Appliance, options: &[&str]) -> String {
        self.chain.ocsp(ca, options)
    }

    /// Fetches the CRL that certificates point to into `full.crl` and returns its path.
    fn crl(&self, ca: &Appliance) -> PathBuf {
        let reply = Curl::plain()
            .get(&ca.distribution_url("/crl/issuing.crl"))
            .unwrap();
        assert_eq!(reply.status, 200, "{reply}");
        assert_eq!(reply.header("content-type"), Some("application/pkix-crl"));
        let path = self.file("full.crl");
        fs::write(&path, &reply.body).unwrap();
        path
    }

    /// Waits until the published CRL holds this certificate, or no longer does.
    fn wait_on_crl(&self, ca: &Appliance, listed: bool) {
        ca.until("the CRL changes", chancery_tests::PATIENCE, |ca| {
            let text = crl_text(&self.crl(ca));
            if text.contains(&self.serial.to_uppercase()) == listed {
                Ok(())
            } else {
                Err(text)
            }
        })
        .unwrap();
    }

    /// Revokes it by the command.
    fn revoke(&self, ca: &Appliance, reason: &str) -> String {
        ca.cli(&["cert", "revoke", &self.serial, "--reason", reason])
            .unwrap()
    }
}

/// Renders a CRL in DER as OpenSSL reads it.
fn crl_text(crl: &Path) -> String {
    said(
        Command::new("openssl")
            .args(["crl", "-inform", "DER", "-noout", "-text", "-in"])
            .arg(crl),
    )
}

/// Reads the number of a CRL.
fn crl_number(crl: &Path) -> u128 {
    let text = said(
        Command::new("openssl")
            .args(["crl", "-inform", "DER", "-noout", "-crlnumber", "-in"])
            .arg(crl),
    );
    let digits = text.trim().rsplit("0x").next().unwrap();
    u128::from_str_radix(digits, 16).unwrap_or_else(|error| panic!("{text}: {error}"))
}
