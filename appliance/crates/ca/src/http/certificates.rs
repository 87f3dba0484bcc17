//! `GET /certificates` and `GET /certificates/{serial}`.

use actix_web::http::header::{self, Accept, Header};
use actix_web::web::{self, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse, Responder};
use mesh::wire::{self, CertificateFilter, CertificateRecord};
use mesh::{Peer, Problem, ProblemType};
use model::SerialNumber;

use super::{authorize, problem, serial_unknown};
use crate::grants::Call;
use crate::issue::Ca;

/// Lists certificates.
pub(super) async fn list(
    ca: Data<Ca>,
    peer: Peer,
    request: HttpRequest,
) -> Result<impl Responder, Problem> {
    authorize(&ca, &peer, Call::Certificates)?;
    let filter =
        Query::<CertificateFilter>::from_query(request.query_string()).map_err(|error| {
            Problem::new(
                ProblemType::MalformedRequest,
                format!(
                    "the query cannot be read ({error}); it may hold status, subject, profile, \
                 expires_before, limit and cursor"
                ),
            )
        })?;
    let page = ca
        .certificates(&filter)
        .await
        .map_err(|error| match error {
            store::Error::BadCursor => {
                Problem::new(ProblemType::MalformedRequest, format!("cursor: {error}"))
            }
            error => problem(error.into()),
        })?;
    Ok(web::Json(page))
}

/// How one certificate can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Representation {
    /// Everything that is recorded.
    Json,
    /// The certificate and the authorities above it.
    PemChain,
    /// The certificate alone, DER.
    Der,
}

/// The representations and their media types, the default first.
const REPRESENTATIONS: [(&str, Representation); 4] = [
    ("application/json", Representation::Json),
    (wire::PEM_CHAIN, Representation::PemChain),
    (wire::PEM_FILE, Representation::PemChain),
    (wire::PKIX_CERT, Representation::Der),
];

/// Tells about one certificate.
pub(super) async fn show(
    ca: Data<Ca>,
    peer: Peer,
    request: HttpRequest,
    serial: Path<String>,
) -> Result<HttpResponse, Problem> {
    authorize(&ca, &peer, Call::Certificates)?;
    let (media_type, representation) = negotiate(&request)?;
    let serial: SerialNumber = serial
        .parse()
        .map_err(|error| Problem::new(ProblemType::MalformedRequest, format!("serial: {error}")))?;
    let record = ca
        .certificate(&serial)
        .await
        .map_err(|error| problem(error.into()))?
        .ok_or_else(|| serial_unknown(&serial))?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::VARY, "accept"));
    match representation {
        Representation::Json => Ok(response.json(record)),
        Representation::PemChain => {
            let chain = record
                .chain_pem
                .as_deref()
                .ok_or_else(|| never_issued(&record))?;
            Ok(response.content_type(media_type).body(chain.to_owned()))
        }
        Representation::Der => {
            let der = record
                .chain_pem
                .as_deref()
                .and_then(|chain| pki::pem::read_certificates(chain.as_bytes()).ok())
                .and_then(|chain| chain.into_iter().next())
                .ok_or_else(|| never_issued(&record))?;
            Ok(response.content_type(media_type).body(der))
        }
    }
}

/// States that a serial number has no certificate.
fn never_issued(record: &CertificateRecord) -> Problem {
    Problem::new(
        ProblemType::SerialUnknown,
        format!(
            "serial {} is recorded and no certificate was issued under it; ask for \
             application/json to see its record",
            record.serial
        ),
    )
}

/// Picks the representation a client likes best.
fn negotiate(request: &HttpRequest) -> Result<(&'static str, Representation), Problem> {
    let [default, ..] = REPRESENTATIONS;
    if !request.headers().contains_key(header::ACCEPT) {
        return Ok(default);
    }
    let accept = Accept::parse(request)
        .map_err(|error| Problem::new(ProblemType::MalformedRequest, format!("Accept: {error}")))?;
    if accept.0.is_empty() {
        return Ok(default);
    }
    let found = accept.ranked().into_iter().find_map(|wanted| {
        REPRESENTATIONS.into_iter().find(|(media_type, _)| {
            let (kind, subtype) = media_type.split_once('/').unwrap_or_default();
            (wanted.type_() == "*" || wanted.type_() == kind)
                && (wanted.subtype() == "*" || wanted.essence_str() == format!("{kind}/{subtype}"))
        })
    });
    found.ok_or_else(|| {
        let offered = REPRESENTATIONS.map(|(media_type, _)| media_type);
        Problem::new(
            ProblemType::NotAcceptable,
            format!("a certificate is told as {}", offered.join(", ")),
        )
        .with("offered", offered.to_vec())
    })
}
