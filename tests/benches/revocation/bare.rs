//! The limit: an actix handler that does nothing but return bytes.

use std::error::Error;
use std::net::SocketAddr;

use actix_web::{App, HttpResponse, HttpServer, web};

/// Serves these bytes at every path, from this process, until it ends.
pub(crate) fn serve(body: &[u8]) -> Result<SocketAddr, Box<dyn Error>> {
    let body = web::Bytes::copy_from_slice(body);
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let system = actix_web::rt::System::new();
        system.block_on(async move {
            let handler = move |_: web::Bytes| {
                let body = body.clone();
                async move {
                    HttpResponse::Ok()
                        .content_type("application/ocsp-response")
                        .body(body)
                }
            };
            let server =
                HttpServer::new(move || App::new().default_service(web::to(handler.clone())))
                    .bind(("127.0.0.1", 0))?;
            let address = server.addrs().first().copied();
            let _ = tell.send(address);
            server.disable_signals().run().await
        })
    });
    told.recv()?
        .ok_or_else(|| "the bare server has no address".into())
}
