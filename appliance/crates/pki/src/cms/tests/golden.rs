//! What is written, octet for octet.

use super::*;
use crate::encode::cms as encode;
use crate::oid;

#[test]
fn golden_attributes_are_what_openssl_reads() {
    let name: DistinguishedName = "CN=A".parse().unwrap();
    let number = "0123".parse().unwrap();
    let attributes = encode::SignedAttributes {
        content_type: oid::DATA,
        message_digest: &[0xaa; 32],
        signing_time: Some(Timestamp::UNIX_EPOCH),
        signing_certificate: &encode::signing_certificate(&[7; 32], &name.to_der(), &number),
    };
    // openssl asn1parse -inform DER -i
    //     0:d=0  hl=3 l= 186 cons: SET
    //     3:d=1  hl=2 l=  24 cons:  SEQUENCE
    //     5:d=2  hl=2 l=   9 prim:   OBJECT            :contentType
    //    16:d=2  hl=2 l=  11 cons:   SET
    //    18:d=3  hl=2 l=   9 prim:    OBJECT            :pkcs7-data
    //    29:d=1  hl=2 l=  28 cons:  SEQUENCE
    //    31:d=2  hl=2 l=   9 prim:   OBJECT            :signingTime
    //    42:d=2  hl=2 l=  15 cons:   SET
    //    44:d=3  hl=2 l=  13 prim:    UTCTIME           :700101000000Z
    //    59:d=1  hl=2 l=  47 cons:  SEQUENCE
    //    61:d=2  hl=2 l=   9 prim:   OBJECT            :messageDigest
    //    72:d=2  hl=2 l=  34 cons:   SET
    //    74:d=3  hl=2 l=  32 prim:    OCTET STRING      [HEX DUMP]:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
    //   108:d=1  hl=2 l=  79 cons:  SEQUENCE
    //   110:d=2  hl=2 l=  11 prim:   OBJECT            :id-smime-aa-signingCertificateV2
    //   123:d=2  hl=2 l=  64 cons:   SET
    //   125:d=3  hl=2 l=  62 cons:    SEQUENCE
    //   127:d=4  hl=2 l=  60 cons:     SEQUENCE
    //   129:d=5  hl=2 l=  58 cons:      SEQUENCE
    //   131:d=6  hl=2 l=  32 prim:       OCTET STRING      [HEX DUMP]:0707070707070707070707070707070707070707070707070707070707070707
    //   165:d=6  hl=2 l=  22 cons:       SEQUENCE
    //   167:d=7  hl=2 l=  16 cons:        SEQUENCE
    //   169:d=8  hl=2 l=  14 cons:         cont [ 4 ]
    //   171:d=9  hl=2 l=  12 cons:          SEQUENCE
    //   173:d=10 hl=2 l=  10 cons:           SET
    //   175:d=11 hl=2 l=   8 cons:            SEQUENCE
    //   177:d=12 hl=2 l=   3 prim:             OBJECT            :commonName
    //   182:d=12 hl=2 l=   1 prim:             UTF8STRING        :A
    //   185:d=7  hl=2 l=   2 prim:        INTEGER           :0123
    assert_eq!(
        hex::encode(attributes.to_der()),
        concat!(
            "3181ba301806092a864886f70d010903310b06092a864886f70d010701301c06",
            "092a864886f70d010905310f170d3730303130313030303030305a302f06092a",
            "864886f70d01090431220420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "aaaaaaaaaaaaaaaaaaaaaaaa304f060b2a864886f70d010910022f3140303e30",
            "3c303a0420070707070707070707070707070707070707070707070707070707",
            "070707070730163010a40e300c310a300806035504030c014102020123",
        )
    );
}

#[test]
fn a_golden_signature_is_what_openssl_reads() {
    let name: DistinguishedName = "CN=A".parse().unwrap();
    let number = "0123".parse().unwrap();
    let signed = encode::SignedData {
        content_type: oid::DATA,
        content: None,
        certificates: &[],
        issuer_and_serial: &encode::issuer_and_serial(&name.to_der(), &number),
        hash: HashAlgorithm::Sha256,
        signed_attributes: &[0x31, 0],
        algorithm: SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256),
        signature: &[1, 2, 3],
    };
    //     0:d=0  hl=2 l= 105 cons: SEQUENCE
    //     2:d=1  hl=2 l=   9 prim:  OBJECT            :pkcs7-signedData
    //    13:d=1  hl=2 l=  92 cons:  cont [ 0 ]
    //    15:d=2  hl=2 l=  90 cons:   SEQUENCE
    //    17:d=3  hl=2 l=   1 prim:    INTEGER           :01
    //    20:d=3  hl=2 l=  13 cons:    SET
    //    22:d=4  hl=2 l=  11 cons:     SEQUENCE
    //    24:d=5  hl=2 l=   9 prim:      OBJECT            :sha256
    //    35:d=3  hl=2 l=  11 cons:    SEQUENCE
    //    37:d=4  hl=2 l=   9 prim:     OBJECT            :pkcs7-data
    //    48:d=3  hl=2 l=  57 cons:    SET
    //    50:d=4  hl=2 l=  55 cons:     SEQUENCE
    //    52:d=5  hl=2 l=   1 prim:      INTEGER           :01
    //    55:d=5  hl=2 l=  18 cons:      SEQUENCE
    //    57:d=6  hl=2 l=  12 cons:       SEQUENCE
    //    59:d=7  hl=2 l=  10 cons:        SET
    //    61:d=8  hl=2 l=   8 cons:         SEQUENCE
    //    63:d=9  hl=2 l=   3 prim:          OBJECT            :commonName
    //    68:d=9  hl=2 l=   1 prim:          UTF8STRING        :A
    //    71:d=6  hl=2 l=   2 prim:       INTEGER           :0123
    //    75:d=5  hl=2 l=  11 cons:      SEQUENCE
    //    77:d=6  hl=2 l=   9 prim:       OBJECT            :sha256
    //    88:d=5  hl=2 l=   0 cons:      cont [ 0 ]
    //    90:d=5  hl=2 l=  10 cons:      SEQUENCE
    //    92:d=6  hl=2 l=   8 prim:       OBJECT            :ecdsa-with-SHA256
    //   102:d=5  hl=2 l=   3 prim:      OCTET STRING      [HEX DUMP]:010203
    assert_eq!(
        hex::encode(signed.to_der()),
        concat!(
            "306906092a864886f70d010702a05c305a020101310d300b0609608648016503",
            "040201300b06092a864886f70d010701313930370201013012300c310a300806",
            "035504030c014102020123300b0609608648016503040201a000300a06082a86",
            "48ce3d0403020403010203",
        )
    );
    // RFC 3370, 3.2: rsaEncryption, whatever the hash.
    let rsa = encode::SignedData {
        hash: HashAlgorithm::Sha384,
        algorithm: SignatureAlgorithm::RsaPkcs1(HashAlgorithm::Sha384),
        ..signed
    };
    //     0:d=0  hl=2 l= 108 cons: SEQUENCE
    //     2:d=1  hl=2 l=   9 prim:  OBJECT            :pkcs7-signedData
    //    13:d=1  hl=2 l=  95 cons:  cont [ 0 ]
    //    15:d=2  hl=2 l=  93 cons:   SEQUENCE
    //    17:d=3  hl=2 l=   1 prim:    INTEGER           :01
    //    20:d=3  hl=2 l=  13 cons:    SET
    //    22:d=4  hl=2 l=  11 cons:     SEQUENCE
    //    24:d=5  hl=2 l=   9 prim:      OBJECT            :sha384
    //    35:d=3  hl=2 l=  11 cons:    SEQUENCE
    //    37:d=4  hl=2 l=   9 prim:     OBJECT            :pkcs7-data
    //    48:d=3  hl=2 l=  60 cons:    SET
    //    50:d=4  hl=2 l=  58 cons:     SEQUENCE
    //    52:d=5  hl=2 l=   1 prim:      INTEGER           :01
    //    55:d=5  hl=2 l=  18 cons:      SEQUENCE
    //    57:d=6  hl=2 l=  12 cons:       SEQUENCE
    //    59:d=7  hl=2 l=  10 cons:        SET
    //    61:d=8  hl=2 l=   8 cons:         SEQUENCE
    //    63:d=9  hl=2 l=   3 prim:          OBJECT            :commonName
    //    68:d=9  hl=2 l=   1 prim:          UTF8STRING        :A
    //    71:d=6  hl=2 l=   2 prim:       INTEGER           :0123
    //    75:d=5  hl=2 l=  11 cons:      SEQUENCE
    //    77:d=6  hl=2 l=   9 prim:       OBJECT            :sha384
    //    88:d=5  hl=2 l=   0 cons:      cont [ 0 ]
    //    90:d=5  hl=2 l=  13 cons:      SEQUENCE
    //    92:d=6  hl=2 l=   9 prim:       OBJECT            :rsaEncryption
    //   103:d=6  hl=2 l=   0 prim:       NULL
    //   105:d=5  hl=2 l=   3 prim:      OCTET STRING      [HEX DUMP]:010203
    assert_eq!(
        hex::encode(rsa.to_der()),
        concat!(
            "306c06092a864886f70d010702a05f305d020101310d300b0609608648016503",
            "040202300b06092a864886f70d010701313c303a0201013012300c310a300806",
            "035504030c014102020123300b0609608648016503040202a000300d06092a86",
            "4886f70d01010105000403010203",
        )
    );
}
