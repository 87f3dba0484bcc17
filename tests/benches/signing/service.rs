//! The service that is measured: a CA and the signing service in one process.

use std::error::Error;
use std::path::Path;

use chancery_tests::{Answer, Appliance, Builder, Connection};
use serde_json::Value;
use softhsm_test::Token;

use crate::evidence::Requests;
use crate::load::{self, Found, Messages, Target, Until};

/// How the token's signatures are counted that are made for clients.
const COUNTED: &str = "priority=\"bulk\",outcome=\"ok\"";

/// Starts it on a token behind a module.
pub(crate) fn start(token: &Token, module: &Path) -> Result<Appliance, Box<dyn Error>> {
    let mut appliance = Builder::on_token(token, module).with_signing().prepare()?;
    appliance.cli(&["init"])?;
    appliance.serve_quietly()?;
    Ok(appliance)
}

/// Returns its process.
pub(crate) fn process(appliance: &mut Appliance) -> Result<u32, Box<dyn Error>> {
    let service = appliance.service().ok_or("the service is gone")?;
    Ok(service.id())
}

/// What a load of requests for signatures found.
#[derive(Debug)]
pub(crate) struct Signed {
    /// Rate, latency and processor time.
    pub(crate) load: Found,
    /// Signatures of the token for one request, by the keystore's own count.
    pub(crate) token_signatures: f64,
}

/// Has clients ask for signatures for a time.
pub(crate) fn sign(
    appliance: &mut Appliance,
    requests: &Requests,
    clients: usize,
    until: Until,
) -> Result<Signed, Box<dyn Error>> {
    let server = process(appliance)?;
    let target = Target::Tls(appliance.client()?, appliance.signing_address());
    let (made, signatures) = (requests.made(), signatures(appliance)?);
    let load = load::run(&target, server, clients, until, requests, 201)?;
    let signatures = self::signatures(appliance)? - signatures;
    Ok(Signed {
        load,
        token_signatures: signatures / (requests.made() - made) as f64,
    })
}

/// Returns how many signatures the token has made for clients.
pub(crate) fn signatures(appliance: &Appliance) -> Result<f64, chancery_tests::Error> {
    appliance.metric("chancery_keystore_signatures_total", COUNTED)
}

/// Asks for one signature; returns what the service says of it.
pub(crate) fn one(appliance: &Appliance, requests: &Requests) -> Result<Value, Box<dyn Error>> {
    let mut connection = appliance.client()?.connect(appliance.signing_address())?;
    let mut room = Vec::new();
    let answer = connection.exchange(requests.message(0, 0, &mut room))?;
    object(&answer)
}

/// Fetches one of a signature's documents.
pub(crate) fn document(appliance: &Appliance, url: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let target = url
        .strip_prefix(&appliance.signing_url(""))
        .ok_or_else(|| format!("{url} is not of this service"))?;
    let mut connection = appliance.client()?.connect(appliance.signing_address())?;
    let answer = connection.exchange(&Connection::get(target))?;
    match answer.status {
        200 => Ok(answer.body),
        _ => Err(said(&answer).into()),
    }
}

/// Reads the answer to a request for a signature.
pub(crate) fn object(answer: &Answer) -> Result<Value, Box<dyn Error>> {
    match answer.status {
        201 => Ok(serde_json::from_slice(&answer.body)?),
        _ => Err(said(answer).into()),
    }
}

/// Writes an answer that was not wanted.
fn said(answer: &Answer) -> String {
    format!("{} {}", answer.head, String::from_utf8_lossy(&answer.body))
}
