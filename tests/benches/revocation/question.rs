//! OCSP queries about the certificates of an appliance.

use std::error::Error;
use std::net::SocketAddr;
use std::process::Command;

use aws_lc_rs::rand;
use chancery_tests::{Appliance, Connection, run};
use model::SerialNumber;
use pki::certificate::Certificate;
use pki::ocsp::{CertIdHash, IssuerHashes, encode_request};

/// Asks the responder of one issuer.
#[derive(Debug)]
pub(crate) struct Asker {
    /// How CertIDs name it.
    hashes: IssuerHashes,
    /// Where it is asked.
    pub(crate) address: SocketAddr,
}

impl Asker {
    /// Fetches the issuer's certificate from an appliance that serves.
    pub(crate) fn new(ca: &Appliance) -> Result<Self, Box<dyn Error>> {
        let address = ca
            .distribution_url("")
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .parse()?;
        let answer = Connection::plain(address)?.exchange(&Connection::get("/ca/issuing.cer"))?;
        let issuer = Certificate::from_der(&answer.body)?;
        Ok(Self {
            hashes: IssuerHashes::of(&issuer),
            address,
        })
    }

    /// Forms a request, DER.
    pub(crate) fn request(
        &self,
        hash: CertIdHash,
        serial: &SerialNumber,
        nonce: Option<&[u8]>,
    ) -> Vec<u8> {
        encode_request(&[&self.hashes.cert_id_der(hash, serial)], nonce)
    }

    /// Forms a request with a nonce of its own.
    pub(crate) fn fresh(&self, serial: &SerialNumber) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut nonce = [0; 32];
        rand::fill(&mut nonce).map_err(|_| "no random bytes")?;
        Ok(self.request(CertIdHash::Sha1, serial, Some(&nonce)))
    }

    /// Asks by POST and returns the OCSPResponse.
    pub(crate) fn ask(&self, request: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut connection = Connection::plain(self.address)?;
        Ok(connection.exchange(&message(request))?.body)
    }
}

/// Makes the message of a POST.
pub(crate) fn message(request: &[u8]) -> Vec<u8> {
    Connection::post("/ocsp", "application/ocsp-request", "", request)
}

/// Makes the path of a GET.
pub(crate) fn path(request: &[u8]) -> Result<String, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("request");
    std::fs::write(&file, request)?;
    let text = run(Command::new("base64").arg("-w0").arg(&file))?;
    let text = text.trim().replace('+', "%2B").replace('=', "%3D");
    Ok(format!("/ocsp/{}", text.replace('/', "%2F")))
}

/// Lists the serial numbers of every certificate of an appliance.
pub(crate) fn serials(ca: &Appliance) -> Result<Vec<SerialNumber>, Box<dyn Error>> {
    ca.certificates()?
        .iter()
        .filter_map(|record| record["serial"].as_str())
        .map(|serial| serial.parse().map_err(Into::into))
        .collect()
}
