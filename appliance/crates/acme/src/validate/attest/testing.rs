//! A maker of devices, and what its devices say.

use ciborium::Value;
use pki::names::PermanentIdentifier;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, IsCa, KeyPair,
    KeyUsagePurpose, SigningKey,
};

use crate::testing::TestKey;

/// Arcs of subjectAltName.
const SUBJECT_ALT_NAME: [u64; 4] = [2, 5, 29, 17];

/// Arcs of a YubiKey's serial number.
const YUBIKEY_SERIAL: [u64; 9] = [1, 3, 6, 1, 4, 1, 41482, 3, 7];

/// Writes a value of DER of at most 65535 octets.
pub(crate) fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut written = vec![tag];
    match content.len() {
        len @ ..128 => written.push(len as u8),
        len @ 128..256 => written.extend([0x81, len as u8]),
        len => written.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    written.extend(content);
    written
}

/// Writes the subjectAltName of a device and of DNS names, as an extension.
pub(crate) fn device_names(devices: &[&str], dns: &[&str]) -> CustomExtension {
    let mut names: Vec<Vec<u8>> = devices.iter().map(|device| other_name(device)).collect();
    names.extend(dns.iter().map(|name| der(0x82, &[name.as_bytes()])));
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    CustomExtension::from_oid_content(&SUBJECT_ALT_NAME, der(0x30, &names))
}

/// Writes a GeneralName of a permanent identifier.
fn other_name(device: &str) -> Vec<u8> {
    let identifier: PermanentIdentifier = device.parse().unwrap();
    let mut fields = vec![der(0x0c, &[identifier.value().as_bytes()])];
    if let Some(assigner) = identifier.assigner() {
        fields.push(der(0x06, &[assigner.as_bytes()]));
    }
    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    // id-on-permanentIdentifier, 1.3.6.1.5.5.7.8.3.
    let kind = der(0x06, &[&[0x2b, 6, 1, 5, 5, 7, 8, 3]]);
    der(0xa0, &[&kind, &der(0xa0, &[&der(0x30, &fields)])])
}

/// Makes a certificate request for a device, DER.
pub(crate) fn device_csr(key: &TestKey, device: &str, common_name: Option<&str>) -> Vec<u8> {
    device_csr_of(key, &[device], common_name)
}

/// Makes a certificate request for devices, DER.
pub(crate) fn device_csr_of(key: &TestKey, devices: &[&str], common_name: Option<&str>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    if !devices.is_empty() {
        params.custom_extensions = vec![device_names(devices, &[])];
    }
    let key = KeyPair::try_from(key.pkcs8().as_slice()).unwrap();
    params.serialize_request(&key).unwrap().der().to_vec()
}

/// Who makes devices and vouches for their keys.
pub(crate) struct Maker {
    /// The root.
    root: CertifiedIssuer<'static, KeyPair>,
    /// Issues in the root's name.
    issuing: CertifiedIssuer<'static, KeyPair>,
}

/// What a device's certificate says of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Says<'a> {
    /// A YubiKey's serial number.
    Serial(u32),
    /// A permanent identifier.
    Identifier(&'a str),
    /// A serial number as these octets.
    Octets(&'a [u8]),
    /// Nothing.
    Nothing,
}

impl Maker {
    /// Founds a maker.
    pub(crate) fn new() -> Self {
        let root =
            CertifiedIssuer::self_signed(authority("Maker Root"), KeyPair::generate().unwrap())
                .unwrap();
        let issuing = CertifiedIssuer::signed_by(
            authority("Maker PIV Attestation"),
            KeyPair::generate().unwrap(),
            &root,
        )
        .unwrap();
        Self { root, issuing }
    }

    /// Returns the root in PEM.
    pub(crate) fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// Returns the root, DER.
    pub(crate) fn root_der(&self) -> Vec<u8> {
        self.root.der().to_vec()
    }

    /// Returns the issuing authority's certificate, DER.
    pub(crate) fn issuing_der(&self) -> Vec<u8> {
        self.issuing.der().to_vec()
    }

    /// Signs with the issuing authority's own key, which is no device's.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.issuing.key().sign(message).unwrap()
    }

    /// Vouches for a key made in a device; the certificate, DER.
    pub(crate) fn certify(
        &self,
        key: &TestKey,
        says: Says<'_>,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "YubiKey PIV Attestation 9a");
        let yubikey =
            |octets: &[u8]| CustomExtension::from_oid_content(&YUBIKEY_SERIAL, octets.to_vec());
        params.custom_extensions = match says {
            // A number of four octets, as YubiKeys have them: 0x01000000 to 0x7fffffff.
            Says::Serial(serial) => vec![yubikey(&der(0x02, &[&serial.to_be_bytes()]))],
            Says::Identifier(device) => vec![device_names(&[device], &[])],
            Says::Octets(octets) => vec![yubikey(octets)],
            Says::Nothing => Vec::new(),
        };
        change(&mut params);
        let key = KeyPair::try_from(key.pkcs8().as_slice()).unwrap();
        params
            .signed_by(&key, &self.issuing)
            .unwrap()
            .der()
            .to_vec()
    }
}

/// Returns what is certified of an authority.
fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Signs as a device does: ECDSA in DER, RSA by PKCS #1, Ed25519.
pub(crate) fn sign(key: &TestKey, message: &[u8]) -> Vec<u8> {
    let key = KeyPair::try_from(key.pkcs8().as_slice()).unwrap();
    key.sign(message).unwrap()
}

/// Writes a value as CBOR.
pub(crate) fn cbor(value: &Value) -> Vec<u8> {
    let mut written = Vec::new();
    ciborium::into_writer(value, &mut written).unwrap();
    written
}

/// Writes a map whose keys are text.
pub(crate) fn map(members: Vec<(&str, Value)>) -> Value {
    Value::Map(
        members
            .into_iter()
            .map(|(key, value)| (Value::from(key), value))
            .collect(),
    )
}

/// Writes a chain.
pub(crate) fn chain(certificates: &[&[u8]]) -> Value {
    let certificates = certificates.iter().map(|der| Value::Bytes(der.to_vec()));
    Value::Array(certificates.collect())
}

/// Writes an attestation object of format `step`, its signature wrapped as the format's
/// clients do.
pub(crate) fn step(certificates: &[&[u8]], algorithm: i64, signature: &[u8]) -> Vec<u8> {
    let wrapped = cbor(&Value::Bytes(signature.to_vec()));
    cbor(&map(vec![
        ("fmt", Value::from("step")),
        (
            "attStmt",
            map(vec![
                ("alg", Value::from(algorithm)),
                ("sig", Value::Bytes(wrapped)),
                ("x5c", chain(certificates)),
            ]),
        ),
    ]))
}
