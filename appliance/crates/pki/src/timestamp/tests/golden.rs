//! What is written, octet for octet.

use super::*;
use crate::encode::timestamp as encode;
use crate::name::DistinguishedName;

#[test]
fn a_golden_request_is_what_openssl_reads() {
    let request = RequestPlan {
        digest: ArtifactDigest::sha256([0xaa; 32]),
        policy: Some("1.2.3.4".parse().unwrap()),
        nonce: Some(&[0x80]),
        certificate: true,
    };
    // openssl asn1parse -inform DER -i
    //     0:d=0  hl=2 l=  64 cons: SEQUENCE
    //     2:d=1  hl=2 l=   1 prim:  INTEGER           :01
    //     5:d=1  hl=2 l=  47 cons:  SEQUENCE
    //     7:d=2  hl=2 l=  11 cons:   SEQUENCE
    //     9:d=3  hl=2 l=   9 prim:    OBJECT            :sha256
    //    20:d=2  hl=2 l=  32 prim:   OCTET STRING      [HEX DUMP]:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
    //    54:d=1  hl=2 l=   3 prim:  OBJECT            :1.2.3.4
    //    59:d=1  hl=2 l=   2 prim:  INTEGER           :80
    //    63:d=1  hl=2 l=   1 prim:  BOOLEAN           :255
    assert_eq!(
        hex::encode(request.encode()),
        concat!(
            "3040020101302f300b06096086480165030402010420aaaaaaaaaaaaaaaaaaaa",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa06032a03040202008001",
            "01ff",
        )
    );
}

#[test]
fn a_golden_token_is_what_openssl_reads() {
    let name: DistinguishedName = "CN=A".parse().unwrap();
    let policy: PolicyOid = "1.2.3.4".parse().unwrap();
    let info = encode::TstInfo {
        policy: policy.oid(),
        imprint_der: &encode::imprint(&ArtifactDigest::sha256([0xaa; 32])),
        serial: &"0123".parse().unwrap(),
        gen_time: b"19700101000000.5Z",
        accuracy: Some(Accuracy {
            seconds: 1,
            millis: 500,
            micros: 0,
        }),
        ordering: true,
        nonce: Some(&[0, 0x80]),
        name_der: Some(&name.to_der()),
    };
    //     0:d=0  hl=2 l= 114 cons: SEQUENCE
    //     2:d=1  hl=2 l=   1 prim:  INTEGER           :01
    //     5:d=1  hl=2 l=   3 prim:  OBJECT            :1.2.3.4
    //    10:d=1  hl=2 l=  47 cons:  SEQUENCE
    //    12:d=2  hl=2 l=  11 cons:   SEQUENCE
    //    14:d=3  hl=2 l=   9 prim:    OBJECT            :sha256
    //    25:d=2  hl=2 l=  32 prim:   OCTET STRING      [HEX DUMP]:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
    //    59:d=1  hl=2 l=   2 prim:  INTEGER           :0123
    //    63:d=1  hl=2 l=  17 prim:  GENERALIZEDTIME   :19700101000000.5Z
    //    82:d=1  hl=2 l=   7 cons:  SEQUENCE
    //    84:d=2  hl=2 l=   1 prim:   INTEGER           :01
    //    87:d=2  hl=2 l=   2 prim:   cont [ 0 ]
    //    91:d=1  hl=2 l=   1 prim:  BOOLEAN           :255
    //    94:d=1  hl=2 l=   2 prim:  INTEGER           :80
    //    98:d=1  hl=2 l=  16 cons:  cont [ 0 ]
    //   100:d=2  hl=2 l=  14 cons:   cont [ 4 ]
    //   102:d=3  hl=2 l=  12 cons:    SEQUENCE
    //   104:d=4  hl=2 l=  10 cons:     SET
    //   106:d=5  hl=2 l=   8 cons:      SEQUENCE
    //   108:d=6  hl=2 l=   3 prim:       OBJECT            :commonName
    //   113:d=6  hl=2 l=   1 prim:       UTF8STRING        :A
    assert_eq!(
        hex::encode(info.to_der()),
        concat!(
            "307202010106032a0304302f300b06096086480165030402010420aaaaaaaaaa",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0202012318",
            "1131393730303130313030303030302e355a3007020101800201f40101ff0202",
            "0080a010a40e300c310a300806035504030c0141",
        )
    );
}

#[test]
fn golden_responses_are_what_openssl_reads() {
    //     0:d=0  hl=2 l=   7 cons: SEQUENCE
    //     2:d=1  hl=2 l=   3 cons:  SEQUENCE
    //     4:d=2  hl=2 l=   1 prim:   INTEGER           :00
    //     7:d=1  hl=2 l=   0 cons:  SEQUENCE
    assert_eq!(
        hex::encode(encode::granted(&[0x30, 0])),
        "300730030201003000"
    );
    //     0:d=0  hl=2 l=  15 cons: SEQUENCE
    //     2:d=1  hl=2 l=  13 cons:  SEQUENCE
    //     4:d=2  hl=2 l=   1 prim:   INTEGER           :02
    //     7:d=2  hl=2 l=   4 cons:   SEQUENCE
    //     9:d=3  hl=2 l=   2 prim:    UTF8STRING        :no
    //    13:d=2  hl=2 l=   2 prim:   BIT STRING
    assert_eq!(
        hex::encode(rejection(FailureInfo::BadDataFormat, "no")),
        "300f300d02010230040c026e6f03020204"
    );
}
