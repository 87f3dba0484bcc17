//! Object identifiers by name.

use const_oid::ObjectIdentifier;

/// Defines constants from dotted text, checked when compiled.
macro_rules! oids {
    ($($(#[$doc:meta])* $name:ident = $dotted:literal;)+) => {
        $($(#[$doc])* pub(crate) const $name: ObjectIdentifier =
            ObjectIdentifier::new_unwrap($dotted);)+
    };
}

oids! {
    /// RSA public keys (RFC 3279, 2.3.1).
    RSA_ENCRYPTION = "1.2.840.113549.1.1.1";
    /// Elliptic curve public keys (RFC 5480, 2.1.1).
    EC_PUBLIC_KEY = "1.2.840.10045.2.1";
    /// NIST P-256.
    SECP256R1 = "1.2.840.10045.3.1.7";
    /// NIST P-384.
    SECP384R1 = "1.3.132.0.34";
    /// NIST P-521.
    SECP521R1 = "1.3.132.0.35";
    /// Ed25519 (RFC 8410).
    ED25519 = "1.3.101.112";

    /// SHA-1.
    SHA1 = "1.3.14.3.2.26";
    /// SHA-256.
    SHA256 = "2.16.840.1.101.3.4.2.1";
    /// SHA-384.
    SHA384 = "2.16.840.1.101.3.4.2.2";
    /// SHA-512.
    SHA512 = "2.16.840.1.101.3.4.2.3";

    /// commonName.
    COMMON_NAME = "2.5.4.3";
    /// surname.
    SURNAME = "2.5.4.4";
    /// serialNumber, of a device or person.
    SERIAL_NUMBER = "2.5.4.5";
    /// countryName.
    COUNTRY = "2.5.4.6";
    /// localityName.
    LOCALITY = "2.5.4.7";
    /// stateOrProvinceName.
    STATE = "2.5.4.8";
    /// streetAddress.
    STREET = "2.5.4.9";
    /// organizationName.
    ORGANIZATION = "2.5.4.10";
    /// organizationalUnitName.
    ORGANIZATIONAL_UNIT = "2.5.4.11";
    /// title.
    TITLE = "2.5.4.12";
    /// businessCategory.
    BUSINESS_CATEGORY = "2.5.4.15";
    /// postalCode.
    POSTAL_CODE = "2.5.4.17";
    /// givenName.
    GIVEN_NAME = "2.5.4.42";
    /// dnQualifier.
    DN_QUALIFIER = "2.5.4.46";
    /// organizationIdentifier.
    ORGANIZATION_IDENTIFIER = "2.5.4.97";
    /// userId.
    USER_ID = "0.9.2342.19200300.100.1.1";
    /// domainComponent.
    DOMAIN_COMPONENT = "0.9.2342.19200300.100.1.25";
    /// emailAddress (PKCS#9).
    EMAIL_ADDRESS = "1.2.840.113549.1.9.1";

    /// id-data (RFC 5652, 4).
    DATA = "1.2.840.113549.1.7.1";
    /// id-signedData (RFC 5652, 5.1).
    SIGNED_DATA = "1.2.840.113549.1.7.2";
    /// id-contentType, a signed attribute (RFC 5652, 11.1).
    CONTENT_TYPE = "1.2.840.113549.1.9.3";
    /// id-messageDigest, a signed attribute (RFC 5652, 11.2).
    MESSAGE_DIGEST = "1.2.840.113549.1.9.4";
    /// id-signingTime, a signed attribute (RFC 5652, 11.3).
    SIGNING_TIME = "1.2.840.113549.1.9.5";
    /// id-ct-TSTInfo (RFC 3161, 2.4.2).
    TST_INFO = "1.2.840.113549.1.9.16.1.4";
    /// id-aa-timeStampToken, an unsigned attribute (RFC 3161, A).
    TIME_STAMP_TOKEN = "1.2.840.113549.1.9.16.2.14";
    /// id-aa-signingCertificateV2, a signed attribute (RFC 5035, 3).
    SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47";

    /// extensionRequest (RFC 2985, 5.4.2).
    EXTENSION_REQUEST = "1.2.840.113549.1.9.14";

    /// subjectKeyIdentifier.
    SUBJECT_KEY_IDENTIFIER = "2.5.29.14";
    /// keyUsage.
    KEY_USAGE = "2.5.29.15";
    /// subjectAltName.
    SUBJECT_ALT_NAME = "2.5.29.17";
    /// basicConstraints.
    BASIC_CONSTRAINTS = "2.5.29.19";
    /// nameConstraints.
    NAME_CONSTRAINTS = "2.5.29.30";
    /// cRLNumber.
    CRL_NUMBER = "2.5.29.20";
    /// cRLReason, of a CRL's entry.
    CRL_REASON = "2.5.29.21";
    /// invalidityDate, of a CRL's entry.
    INVALIDITY_DATE = "2.5.29.24";
    /// deltaCRLIndicator.
    DELTA_CRL_INDICATOR = "2.5.29.27";
    /// issuingDistributionPoint.
    ISSUING_DISTRIBUTION_POINT = "2.5.29.28";
    /// cRLDistributionPoints.
    CRL_DISTRIBUTION_POINTS = "2.5.29.31";
    /// certificatePolicies.
    CERTIFICATE_POLICIES = "2.5.29.32";
    /// anyPolicy.
    ANY_POLICY = "2.5.29.32.0";
    /// authorityKeyIdentifier.
    AUTHORITY_KEY_IDENTIFIER = "2.5.29.35";
    /// freshestCRL.
    FRESHEST_CRL = "2.5.29.46";
    /// expiredCertsOnCRL (X.509, 9.5.2.8).
    EXPIRED_CERTS_ON_CRL = "2.5.29.60";
    /// extKeyUsage.
    EXTENDED_KEY_USAGE = "2.5.29.37";
    /// anyExtendedKeyUsage.
    ANY_EXTENDED_KEY_USAGE = "2.5.29.37.0";
    /// authorityInfoAccess.
    AUTHORITY_INFO_ACCESS = "1.3.6.1.5.5.7.1.1";
    /// TLS features (RFC 7633).
    TLS_FEATURE = "1.3.6.1.5.5.7.1.24";
    /// id-pkix-ocsp-basic.
    OCSP_BASIC = "1.3.6.1.5.5.7.48.1.1";
    /// id-pkix-ocsp-nonce (RFC 9654).
    OCSP_NONCE = "1.3.6.1.5.5.7.48.1.2";
    /// id-pkix-ocsp-response: the response types a client takes.
    OCSP_RESPONSE = "1.3.6.1.5.5.7.48.1.4";
    /// id-pkix-ocsp-archive-cutoff.
    OCSP_ARCHIVE_CUTOFF = "1.3.6.1.5.5.7.48.1.6";
    /// id-pkix-ocsp-service-locator.
    OCSP_SERVICE_LOCATOR = "1.3.6.1.5.5.7.48.1.7";
    /// id-pkix-ocsp-pref-sig-algs.
    OCSP_PREFERRED_ALGORITHMS = "1.3.6.1.5.5.7.48.1.8";
    /// id-pkix-ocsp-extended-revoke.
    OCSP_EXTENDED_REVOKE = "1.3.6.1.5.5.7.48.1.9";
    /// id-pkix-ocsp-nocheck (RFC 6960, 4.2.2.2.1).
    OCSP_NO_CHECK = "1.3.6.1.5.5.7.48.1.5";

    /// id-qt-cps.
    CPS_QUALIFIER = "1.3.6.1.5.5.7.2.1";
    /// id-ad-ocsp.
    AD_OCSP = "1.3.6.1.5.5.7.48.1";
    /// id-ad-caIssuers.
    AD_CA_ISSUERS = "1.3.6.1.5.5.7.48.2";

    /// id-kp-serverAuth.
    SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
    /// id-kp-clientAuth.
    CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
    /// id-kp-codeSigning.
    CODE_SIGNING = "1.3.6.1.5.5.7.3.3";
    /// id-kp-emailProtection.
    EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4";
    /// id-kp-timeStamping.
    TIME_STAMPING = "1.3.6.1.5.5.7.3.8";
    /// id-kp-OCSPSigning.
    OCSP_SIGNING = "1.3.6.1.5.5.7.3.9";

    /// id-on-permanentIdentifier (RFC 4043, 2).
    PERMANENT_IDENTIFIER = "1.3.6.1.5.5.7.8.3";

    /// Fulcio's Issuer (V2).
    FORGE_ISSUER = "1.3.6.1.4.1.57264.1.8";
    /// Fulcio's Build Signer URI.
    FORGE_BUILD_SIGNER_URI = "1.3.6.1.4.1.57264.1.9";
    /// Fulcio's Build Signer Digest.
    FORGE_BUILD_SIGNER_DIGEST = "1.3.6.1.4.1.57264.1.10";
    /// Fulcio's Runner Environment.
    FORGE_RUNNER_ENVIRONMENT = "1.3.6.1.4.1.57264.1.11";
    /// Fulcio's Source Repository URI.
    FORGE_SOURCE_REPOSITORY_URI = "1.3.6.1.4.1.57264.1.12";
    /// Fulcio's Source Repository Digest.
    FORGE_SOURCE_REPOSITORY_DIGEST = "1.3.6.1.4.1.57264.1.13";
    /// Fulcio's Source Repository Ref.
    FORGE_SOURCE_REPOSITORY_REF = "1.3.6.1.4.1.57264.1.14";
    /// Fulcio's Source Repository Identifier.
    FORGE_SOURCE_REPOSITORY_IDENTIFIER = "1.3.6.1.4.1.57264.1.15";
    /// Fulcio's Source Repository Owner URI.
    FORGE_SOURCE_REPOSITORY_OWNER_URI = "1.3.6.1.4.1.57264.1.16";
    /// Fulcio's Source Repository Owner Identifier.
    FORGE_SOURCE_REPOSITORY_OWNER_IDENTIFIER = "1.3.6.1.4.1.57264.1.17";
    /// Fulcio's Build Config URI.
    FORGE_BUILD_CONFIG_URI = "1.3.6.1.4.1.57264.1.18";
    /// Fulcio's Build Config Digest.
    FORGE_BUILD_CONFIG_DIGEST = "1.3.6.1.4.1.57264.1.19";
    /// Fulcio's Build Trigger.
    FORGE_BUILD_TRIGGER = "1.3.6.1.4.1.57264.1.20";
    /// Fulcio's Run Invocation URI.
    FORGE_RUN_INVOCATION_URI = "1.3.6.1.4.1.57264.1.21";
    /// Fulcio's Source Repository Visibility At Signing.
    FORGE_SOURCE_REPOSITORY_VISIBILITY = "1.3.6.1.4.1.57264.1.22";

    /// Signed certificate timestamps (RFC 6962, 3.3).
    SCT_LIST = "1.3.6.1.4.1.11129.2.4.2";
}
