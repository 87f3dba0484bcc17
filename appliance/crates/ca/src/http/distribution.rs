//! The distribution listener: plain HTTP, for relying parties everywhere.
//!
//! | path | answer |
//! |---|---|
//! | `/crl/{issuer}.crl`, `/crl/{issuer}-{shard}.crl`, `/crl/{issuer}-delta.crl` | CRLs, DER |
//! | `/ca/{issuer}.cer`, `/ca/chain.pem` | the authorities' certificates |
//! | `/ocsp` | OCSP |

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mesh::{Problem, ProblemType, wire};

use super::conditional::Document;
use super::crl::respond;
use crate::crl::Crl;
use crate::publication::Publication;

/// Returns the routes of the distribution listener.
pub(crate) fn distribution_routes(
    publication: Arc<Publication>,
) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    let responder = Arc::clone(&publication.responder);
    move |config| {
        let resource = |path: &str| web::resource(path);
        config
            .app_data(Data::from(Arc::clone(&publication)))
            // What is asked most is looked for first.
            .configure(|config| super::ocsp::routes(config, &responder))
            .service(
                resource("/crl/{name}.crl")
                    .route(web::get().to(crl))
                    .route(web::head().to(crl)),
            )
            .service(
                resource("/ca/chain.pem")
                    .route(web::get().to(chain))
                    .route(web::head().to(chain)),
            )
            .service(
                resource("/ca/{issuer}.cer")
                    .route(web::get().to(certificate))
                    .route(web::head().to(certificate)),
            );
    }
}

/// `GET /crl/{name}.crl`.
async fn crl(
    publication: Data<Publication>,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    match publication.board.find(&name) {
        Some(crl) => Ok(respond(&request, &crl, &publication)),
        None => Err(Problem::new(
            ProblemType::CrlUnknown,
            "there is no CRL of this name; certificates and CRLs name those there are",
        )),
    }
}

/// How long caches may keep an authority's certificate.
const CERTIFICATE_FRESH: Duration = Duration::from_secs(24 * 3600);

/// `GET /ca/{issuer}.cer`: one certificate, DER (RFC 5280, 4.2.2.1).
async fn certificate(
    publication: Data<Publication>,
    request: HttpRequest,
    issuer: Path<String>,
) -> Result<HttpResponse, Problem> {
    let certificate = publication.certificate(&issuer).ok_or_else(|| {
        Problem::new(
            ProblemType::IssuerUnknown,
            format!(
                "there is no such authority; there are {} and {}",
                publication.issuing_id, publication.root_id
            ),
        )
    })?;
    let body = Bytes::copy_from_slice(certificate.der());
    Ok(unchanging(&request, &publication, body, wire::PKIX_CERT))
}

/// `GET /ca/chain.pem`: the issuing authority, then the root.
async fn chain(publication: Data<Publication>, request: HttpRequest) -> HttpResponse {
    let certificates = &publication.certificates;
    let chain = pki::pem::write_chain([certificates.issuing.der(), certificates.root.der()]);
    unchanging(&request, &publication, chain.into(), wire::PEM_CHAIN)
}

/// Answers with certificates, which stay as they are.
fn unchanging(
    request: &HttpRequest,
    publication: &Publication,
    body: Bytes,
    media_type: &'static str,
) -> HttpResponse {
    let etag = Crl::etag_of(&body);
    Document {
        body,
        media_type,
        etag: &etag,
        modified: publication.certificates.issuing.not_before(),
        fresh_for: CERTIFICATE_FRESH,
    }
    .respond(request, publication.clock.now())
}
