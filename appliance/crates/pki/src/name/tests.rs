use proptest::prelude::*;

use super::*;

#[test]
fn text_and_encoding_run_in_opposite_directions() {
    let name: DistinguishedName = "CN=Root CA, O=Example\\, Inc.,C=DE".parse().unwrap();
    assert_eq!(name.to_string(), "CN=Root CA,O=Example\\, Inc.,C=DE");
    // Golden: as `openssl asn1parse` prints it,
    //  0:d=0 hl=2 l=  55 cons: SEQUENCE
    //  2:d=1 hl=2 l=  11 cons: SET  … OBJECT :countryName      PRINTABLESTRING :DE
    // 15:d=1 hl=2 l=  22 cons: SET  … OBJECT :organizationName UTF8STRING :Example, Inc.
    // 39:d=1 hl=2 l=  16 cons: SET  … OBJECT :commonName       UTF8STRING :Root CA
    let golden = hex::decode(concat!(
        "3037",
        "310b3009060355040613024445",
        "31163014060355040a0c0d4578616d706c652c20496e632e",
        "3110300e06035504030c07526f6f74204341",
    ))
    .unwrap();
    assert_eq!(name.to_der(), golden);
    assert_eq!(DistinguishedName::from_der(&golden).unwrap(), name);
}

#[test]
fn values_keep_to_their_types_bounds_and_alphabets() {
    let refused = |text: &str| text.parse::<DistinguishedName>().unwrap_err();
    assert_eq!(refused("C=Germany"), InvalidName::Country);
    assert_eq!(refused("C=de"), InvalidName::Country);
    assert!(matches!(refused("CN="), InvalidName::Empty { .. }));
    assert!(matches!(refused("CN=\\ "), InvalidName::Empty { .. }));
    assert!(matches!(
        refused("serialNumber=a_b"),
        InvalidName::Character { character: '_', .. }
    ));
    assert!(matches!(
        refused("CN=a\\00b"),
        InvalidName::Character {
            character: '\0',
            ..
        }
    ));
    assert!(matches!(
        refused("1.2.3.4=a"),
        InvalidName::NotIssued { .. }
    ));
    assert!(matches!(refused("nonsense=a"), InvalidName::UnknownType(_)));
    assert!(matches!(refused("CN=a+O=b"), InvalidName::Text { .. }));
    let long = format!("CN={}", "é".repeat(65));
    assert!(matches!(
        refused(&long),
        InvalidName::TooLong {
            len: 65,
            max: 64,
            ..
        }
    ));
    let fits = format!("CN={}", "é".repeat(64));
    assert!(fits.parse::<DistinguishedName>().is_ok());
}

#[test]
fn retired_strings_are_shown_but_not_issued() {
    // CN as a BMPString "A".
    let der = hex::decode(
        "300e310c300a06035504031e030041"
            .replace("1e03", "1e02")
            .replace("300e310c300a", "300d310b3009"),
    )
    .unwrap();
    let name = DistinguishedName::from_der(&der).unwrap();
    assert_eq!(name.to_string(), "CN=#1e020041");
    assert!(matches!(
        name.check_issuable(),
        Err(InvalidName::NotIssued { .. })
    ));
}

#[test]
fn joined_attributes_are_read_and_not_issued() {
    // One SET of CN=a and O=b, in DER order.
    let der =
        hex::decode("3018311630080603550403 0c0161 300a060355040a 0c03626262".replace(' ', ""))
            .unwrap();
    let name = DistinguishedName::from_der(&der).unwrap();
    assert_eq!(name.to_string(), "CN=a+O=bbb");
    assert!(matches!(
        name.check_issuable(),
        Err(InvalidName::Joined { .. })
    ));
    // The same members the other way round are no DER.
    let der =
        hex::decode("30183116300a060355040a 0c03626262 30080603550403 0c0161".replace(' ', ""))
            .unwrap();
    assert!(matches!(
        DistinguishedName::from_der(&der),
        Err(InvalidName::Encoding(_))
    ));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = DistinguishedName::from_der(&bytes);
    }

    #[test]
    fn no_text_panics(text in ".{0,60}") {
        let _ = text.parse::<DistinguishedName>();
    }

    #[test]
    fn text_and_der_round_trip(values in prop::collection::vec("[ #+,;<>=\\\\\"a-zé]{1,20}", 1..5)) {
        prop_assume!(values.iter().all(|value| !value.trim().is_empty()));
        let attributes = values
            .iter()
            .map(|value| Attribute::new(AttributeType::Organization, value).unwrap())
            .collect();
        let name = DistinguishedName::new(attributes);
        prop_assert_eq!(&name.to_string().parse::<DistinguishedName>().unwrap(), &name);
        prop_assert_eq!(&DistinguishedName::from_der(&name.to_der()).unwrap(), &name);
    }
}
