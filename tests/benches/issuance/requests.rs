//! Requests for certificates.

use chancery_tests::Connection;

/// Makes requests for certificates, each of another name and a key that a few share.
pub(crate) fn requests(count: usize) -> Result<Vec<String>, rcgen::Error> {
    let keys = (0..16)
        .map(|_| rcgen::KeyPair::generate())
        .collect::<Result<Vec<_>, _>>()?;
    (0..count)
        .zip(keys.iter().cycle())
        .map(|(number, key)| {
            let name = format!("host-{number}.bench.example.internal");
            let mut parameters = rcgen::CertificateParams::new([name.clone()])?;
            parameters.distinguished_name = rcgen::DistinguishedName::new();
            parameters
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            parameters.serialize_request(key)?.pem()
        })
        .collect()
}

/// Makes the messages by which the CA is asked for certificates.
pub(crate) fn messages(count: usize) -> Result<Vec<Vec<u8>>, rcgen::Error> {
    Ok(requests(count)?
        .iter()
        .map(|pem| {
            let target = "/sign?profile=tls-server";
            Connection::post(target, "application/x-pem-file", "", pem.as_bytes())
        })
        .collect())
}
