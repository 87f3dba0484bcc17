//! tls-alpn-01 (RFC 8737), for IP addresses too (RFC 8738, 6).

mod certificate;

use std::net::IpAddr;

use mesh::dial::Host;
use model::acme::Identifier;
use rustls::pki_types::ServerName;

pub(super) use certificate::ProofCertificate;

use super::Proof;
use super::failure::{CertificateProblem, Failure, TlsProblem};
use super::task::Task;
use super::tls;
use super::validator::Validator;

/// The protocol of RFC 8737, 6.2.
pub(super) const ACME_TLS_1: &[u8] = b"acme-tls/1";

/// Makes one attempt.
pub(super) async fn validate(validator: &Validator, task: &Task) -> Result<Proof, Failure> {
    let host = Host::from(&task.identifier);
    // RFC 8737, 3: the connection goes to an address of the identifier, port 443.
    let (stream, address) = validator
        .dialler
        .connect(&host, validator.config.tls_alpn_port)
        .await?;
    let failed = |problem| Failure::Tls {
        host: host.to_string().into(),
        address,
        problem,
    };
    let name = ServerName::try_from(server_name(&task.identifier))
        .map_err(|_| failed(TlsProblem::ServerName))?;
    let stream = tls::handshake(&validator.tls.acme, name, stream, &host, address).await?;
    let (_, connection) = stream.get_ref();
    // 3, step 5: "the 'acme-tls/1' protocol was successfully negotiated".
    if connection.alpn_protocol() != Some(ACME_TLS_1) {
        return Err(failed(TlsProblem::Protocol));
    }
    let certificate_der = connection
        .peer_certificates()
        .and_then(|chain| chain.first());
    let checked = match certificate_der {
        None => Err(CertificateProblem::Missing),
        Some(der) => ProofCertificate::parse(der).and_then(|certificate| {
            certificate.check(
                &task.identifier,
                &task.key_authorization,
                &validator.tls.algorithms,
            )
        }),
    };
    checked.map_err(|problem| Failure::Certificate {
        host: host.to_string().into(),
        address,
        problem,
    })?;
    Ok(Proof {
        address: Some(address),
        caa_checked: false,
    })
}

/// Returns the name in the server name indication.
pub(super) fn server_name(identifier: &Identifier) -> String {
    match identifier {
        // Devices are not dialled: the method does not fit them.
        Identifier::Dns(text) | Identifier::PermanentIdentifier(text) => text.to_string(),
        // RFC 8738, 6: the reverse mapping of the address (RFC 1034, 5.2.1 and
        // RFC 3596, 2.5), since no address may stand there.
        Identifier::Ip(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Identifier::Ip(IpAddr::V6(address)) => {
            let mut name = String::with_capacity(72);
            for octet in address.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", octet & 0xf, octet >> 4));
            }
            name + "ip6.arpa"
        }
    }
}
