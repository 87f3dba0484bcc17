//! The registry of problem types: stable names, statuses and what to do.
//!
//! `docs/problems.md` lists them; a test holds it to this file.

use actix_web::http::StatusCode;

/// Defines the registry: variant, slug, status, title, meaning, remedy.
macro_rules! problem_types {
    ($($variant:ident, $slug:literal, $status:ident, $title:literal, $meaning:literal, $remedy:literal;)+) => {
        /// A kind of problem: the last part of its `type` URI is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemType {
            $(
                #[doc = concat!("`", $slug, "`: ", $meaning, ".")]
                $variant,
            )+
        }

        impl ProblemType {
            /// Every kind, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the stable name: the last part of the `type` URI.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug,)+ }
            }

            /// Returns the HTTP status that comes with it.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }

            /// Returns the kind in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// Returns what it means, for the documentation.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }

            /// Returns what to do about it, for the documentation.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)+ }
            }
        }
    };
}

problem_types! {
    // Who asks. RFC 9110, 15.5.2 ties 401 to a WWW-Authenticate challenge, which
    // TLS client certificates do not have; so 403.
    ClientCertificateRequired, "client-certificate-required", FORBIDDEN, "A client certificate is required",
        "the TLS connection came without a client certificate",
        "connect with a certificate of this installation (`curl --cert FILE --key FILE`; `chancery identity issue` makes one)";
    PeerUnidentified, "peer-unidentified", FORBIDDEN, "The client certificate names no identity",
        "the client certificate is trusted but carries no one SPIFFE ID of this trust domain",
        "use a certificate made by `chancery identity issue` or by enrolment";
    PeerRefused, "peer-refused", FORBIDDEN, "The client certificate no longer counts",
        "the client certificate was revoked, or expired while the connection was open",
        "connect anew with a certificate that counts";
    RoleForbidden, "role-forbidden", FORBIDDEN, "The role may not make this call",
        "the peer's role is not granted this call",
        "use an identity whose role may, or grant the call in the configuration's roles";
    ProfileForbidden, "profile-forbidden", FORBIDDEN, "The role may not use this profile",
        "the peer's role is not granted the profile",
        "use an identity whose role may, or grant the profile in the configuration's roles";
    IdentityForbidden, "identity-forbidden", FORBIDDEN, "The identity may not be granted",
        "the peer may not have this identity certified, or the profile carries none",
        "ask for the peer's own identity, or have an operator ask";
    RevocationForbidden, "revocation-forbidden", FORBIDDEN, "The certificate may not be revoked by this peer",
        "the peer is neither an operator nor the one that the certificate was issued to",
        "have its owner or an operator ask";
    RevocationUnknown, "revocation-unknown", SERVICE_UNAVAILABLE, "Whether the client certificate was revoked cannot be told",
        "the service has no fresh CRL, and refuses clients meanwhile",
        "ask again after `Retry-After`; `/readyz` tells what keeps the CRL away";

    // What was asked.
    NotFound, "not-found", NOT_FOUND, "There is no such resource",
        "no route of this service has the path",
        "compare the path with the documentation";
    MethodNotAllowed, "method-not-allowed", METHOD_NOT_ALLOWED, "The method is not allowed here",
        "the path exists and does not take the method",
        "use a method of the `Allow` header";
    NotAcceptable, "not-acceptable", NOT_ACCEPTABLE, "No acceptable representation",
        "the resource has none of the media types of `Accept`",
        "ask for one of the media types in the detail";
    UnsupportedMediaType, "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The media type is not supported",
        "the body's `Content-Type` is not one the call takes",
        "send one of the media types in the detail";
    MalformedRequest, "malformed-request", BAD_REQUEST, "The request is malformed",
        "the path, query, a header or the body cannot be read",
        "correct what the detail names";
    BodyTooLarge, "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large",
        "the body is longer than the call takes",
        "send at most as many octets as the detail says";
    UriTooLong, "uri-too-long", URI_TOO_LONG, "The address is too long",
        "the path is longer than any that the call takes",
        "send what it holds in the body of a POST, where the call takes one";
    BodyTimeout, "body-timeout", REQUEST_TIMEOUT, "The body came too slowly",
        "the whole body was not there in time",
        "send it again, faster";
    SerialUnknown, "serial-unknown", NOT_FOUND, "No certificate has this serial number",
        "this CA never recorded the serial number",
        "compare it with `chancery cert list`";
    IssuerUnknown, "issuer-unknown", NOT_FOUND, "There is no such issuer",
        "this CA has no authority of the name",
        "compare it with `GET /status`";
    ProfileUnknown, "profile-unknown", BAD_REQUEST, "There is no such profile",
        "the configuration has no profile of the name",
        "choose one of `GET /profiles`";

    // Revocation.
    AlreadyRevoked, "already-revoked", CONFLICT, "The certificate is revoked already",
        "the certificate was revoked before; `revocation` holds the first record",
        "nothing: it no longer counts";
    NotOnHold, "not-on-hold", CONFLICT, "The certificate is not on hold",
        "only a certificate on hold (`certificateHold`) can be released (`removeFromCRL`)",
        "compare it with `chancery cert show`";
    BadRevocationReason, "bad-revocation-reason", BAD_REQUEST, "The reason for revocation is not taken",
        "the reason is no name or code of RFC 5280, 5.3.1, or does not fit the certificate",
        "give one that fits: `unspecified`, `keyCompromise`, `affiliationChanged`, `superseded`, `cessationOfOperation`, `certificateHold`, `privilegeWithdrawn`, or `removeFromCRL` after a hold";
    BadInvalidityDate, "bad-invalidity-date", BAD_REQUEST, "The invalidity date is not taken",
        "the invalidity date lies in the future or before the certificate",
        "give the moment since when key or certificate were not to be trusted";
    CrlUnknown, "crl-unknown", NOT_FOUND, "There is no such CRL",
        "the authority issues no CRL of this shard or kind, or has not issued one yet",
        "compare it with `chancery crl show`";
    CrlStale, "crl-stale", SERVICE_UNAVAILABLE, "There is no fresh CRL",
        "the last CRL is past its next update and the token cannot sign another now",
        "ask again after `Retry-After`; the service recovers by itself when the token is back";

    // What is wrong with a certificate request.
    NotACsr, "not-a-csr", BAD_REQUEST, "The body is not a certificate request",
        "the body is not one PKCS#10 request in DER or PEM (RFC 2986)",
        "send what `openssl req -new` writes";
    CsrSignatureInvalid, "csr-signature-invalid", BAD_REQUEST, "The request's signature is wrong",
        "the request is not signed by the key it names, so possession of the key is not proved",
        "make the request anew with the key it names";
    CsrForbidden, "csr-forbidden", BAD_REQUEST, "The request holds something that is not taken",
        "the request has an attribute or extension that this CA does not take",
        "leave out what the detail names";
    NameForbidden, "name-forbidden", UNPROCESSABLE_ENTITY, "A name is forbidden",
        "a name or subject attribute is not one the profile certifies",
        "ask for names that the profile allows";
    KeyForbidden, "key-forbidden", UNPROCESSABLE_ENTITY, "The key's algorithm is forbidden",
        "the profile does not certify keys of this algorithm or size",
        "use one of the key algorithms in the detail";
    WeakKey, "weak-key", UNPROCESSABLE_ENTITY, "The key is weak",
        "the key has a known weakness or is on the blocked list",
        "generate a new key with a current library";
    ValidityForbidden, "validity-forbidden", UNPROCESSABLE_ENTITY, "The validity is forbidden",
        "the validity asked for cannot be read, is too long, or reaches past the issuer's",
        "ask for a shorter one, or for none";
    LintFailed, "lint-failed", UNPROCESSABLE_ENTITY, "The certificate would be faulty",
        "the certificate as it would be signed breaks a rule; nothing was signed",
        "read the findings; if the request is right, the profile is not";

    // The same request again.
    IdempotencyConflict, "idempotency-conflict", UNPROCESSABLE_ENTITY, "The idempotency key was used for another request",
        "the key came before with other content",
        "use a new key for a new request";
    InProgress, "in-progress", CONFLICT, "The first request is still being served",
        "a request with this idempotency key is being served",
        "ask again after `Retry-After`";

    // Not now.
    Overloaded, "overloaded", SERVICE_UNAVAILABLE, "Too many requests at once",
        "the service serves as many requests as it may",
        "ask again after `Retry-After`";
    QueueFull, "queue-full", SERVICE_UNAVAILABLE, "The signing queue is full",
        "as many signatures wait as may; nothing was sent to the token",
        "ask again after `Retry-After`";
    TokenUnavailable, "token-unavailable", SERVICE_UNAVAILABLE, "The token is away",
        "the token cannot sign now; the service recovers by itself when it is back",
        "ask again after `Retry-After`; `/readyz` tells the reason";
    TokenTimeout, "token-timeout", SERVICE_UNAVAILABLE, "The token did not sign in time",
        "the token did not answer before the deadline",
        "ask again with the same idempotency key";
    StoreFailed, "store-failed", SERVICE_UNAVAILABLE, "The store fails",
        "the store cannot record durably, so nothing is signed",
        "the operator finds the cause in the log and in `/readyz`";
    DiskFull, "disk-full", SERVICE_UNAVAILABLE, "The disk is full",
        "the store has no space left, so nothing is signed",
        "the operator makes space; the service goes on by itself";
    ClockImplausible, "clock-implausible", SERVICE_UNAVAILABLE, "The clock is implausible",
        "the clock contradicts what was recorded before, so nothing is signed",
        "the operator sets the clock; the service goes on by itself";
    NotReady, "not-ready", SERVICE_UNAVAILABLE, "The service is not ready",
        "a part the service stands on does not serve",
        "`/readyz` tells which and why";
    AcmeUnknown, "acme-unknown", NOT_FOUND, "There is no such account, order or key",
        "the ACME service has no account, order, certificate or EAB key of the name",
        "compare it with `chancery acme account list` and its like";
    AcmeConflict, "acme-conflict", CONFLICT, "The state does not allow it",
        "the account ended otherwise before, or another EAB key has the name",
        "look at its state, or choose another name";

    // What the signing service says no to. Each names the rule, what it expects and
    // what it found.
    ProfileDenied, "profile-denied", FORBIDDEN, "The signing profile does not allow it",
        "the request breaks a rule of its signing profile; nothing was signed",
        "compare `rule`, `expected` and `actual`; `GET /v1/limits` lists the profiles";
    DigestInvalid, "digest-invalid", BAD_REQUEST, "The digest is not one",
        "the digest is not `sha256:`, `sha384:` or `sha512:` and lower-case hexadecimal of its length",
        "write it as `sha256sum` does, behind `sha256:`";
    ArtifactDigestMismatch, "artifact-digest-mismatch", UNPROCESSABLE_ENTITY, "The artifact is another one",
        "the artifact that came has another digest than the request names",
        "compare `expected` and `actual`: the file changed, or was cut on its way";
    SubjectDigestMismatch, "subject-digest-mismatch", UNPROCESSABLE_ENTITY, "The provenance is of another artifact",
        "none of the provenance's subjects has the artifact's digest",
        "send the provenance of this very artifact";
    SbomRequired, "sbom-required", UNPROCESSABLE_ENTITY, "A bill of materials is required",
        "the signing profile wants a bill of materials",
        "send one as `sbom`: CycloneDX or SPDX";
    SbomInvalid, "sbom-invalid", UNPROCESSABLE_ENTITY, "The bill of materials is not one",
        "the bill of materials cannot be read or breaks its format's schema",
        "check it with its format's own tools; the detail names the first fault";
    SbomSubjectMismatch, "sbom-subject-mismatch", UNPROCESSABLE_ENTITY, "The bill of materials is of another artifact",
        "the bill of materials names another digest for what it is of, or none where the profile wants one",
        "send the bill of materials of this very artifact";
    ProvenanceRequired, "provenance-required", UNPROCESSABLE_ENTITY, "Provenance is required",
        "the signing profile wants provenance",
        "send SLSA provenance as `provenance`";
    ProvenanceInvalid, "provenance-invalid", UNPROCESSABLE_ENTITY, "The provenance is not one",
        "the provenance cannot be read, is not SLSA provenance, or is not signed as it says",
        "check it with its builder's own tools; the detail names the first fault";
    ProvenanceUntrustedBuilder, "provenance-untrusted-builder", UNPROCESSABLE_ENTITY, "The builder is not trusted",
        "the signing profile does not trust the builder, or not with this signature",
        "build with a builder of the profile, or have it added to the profile";
    CrlTooOld, "crl-too-old", SERVICE_UNAVAILABLE, "The CRL is too old for the profile",
        "the CRL by which the client was found good is older than the signing profile allows",
        "ask again after `Retry-After`; `/readyz` tells what keeps a newer CRL away";
    RateLimited, "rate-limited", TOO_MANY_REQUESTS, "Too many signatures for now",
        "the client has had as many signatures by the profile as it may for now",
        "ask again after `Retry-After`";
    IdempotencyKeyReused, "idempotency-key-reused", CONFLICT, "The idempotency key was used for another artifact",
        "the signing service saw the key before with another request",
        "use a new key for a new request";

    // What the signing service keeps.
    SignatureUnknown, "signature-unknown", NOT_FOUND, "There is no such signature",
        "the signing service never recorded a signature of the id",
        "find it with `GET /v1/signatures?artifactHash=`";
    ArtifactUnknown, "artifact-unknown", NOT_FOUND, "There is no such artifact",
        "the signing service never signed an artifact of the digest",
        "compare the digest";
    EvidenceAbsent, "evidence-absent", NOT_FOUND, "The signature has no such evidence",
        "nothing of the kind was sent with the artifact or asked for",
        "compare it with the signature's own document";
    LogEntryUnknown, "log-entry-unknown", NOT_FOUND, "The log has no such entry or tree",
        "no checkpoint of the signing service's log covers what was asked for",
        "compare it with `GET /v1/log/checkpoint`";
    AlreadyWithdrawn, "already-withdrawn", CONFLICT, "The signature is withdrawn already",
        "the signature was withdrawn before; `withdrawal` holds the first record",
        "nothing: it no longer counts";
    WithdrawalForbidden, "withdrawal-forbidden", FORBIDDEN, "The signature may not be withdrawn by this peer",
        "the peer is neither an operator nor the one that the signature was made for",
        "have its signer or an operator ask";
    EvidenceMalformed, "evidence-malformed", BAD_REQUEST, "What is to be verified cannot be read",
        "the bundle, signature or policy to verify is not one",
        "correct what the detail names";

    // Builds that bring a forge's token: 401 with the challenge of RFC 6750, 3.
    OidcTokenRequired, "oidc-token-required", UNAUTHORIZED, "A forge's token is required",
        "the request came without an OpenID Connect token in `Authorization: Bearer`",
        "send the token that the forge gives to the job (GitHub: `id-token: write`; GitLab: `id_tokens`)";
    OidcTokenInvalid, "oidc-token-invalid", UNAUTHORIZED, "The forge's token is not taken",
        "the token fails the check that `check` names: its form, signature, issuer, audience, times or claims",
        "ask the forge for a new token with the audience that the service wants; compare the detail with `[[signing.oidc]]`";
    OidcTokenReplayed, "oidc-token-replayed", CONFLICT, "The forge's token was used before",
        "the token came before with another certificate request",
        "ask the forge for a new token";
    OidcClaimsDenied, "oidc-claims-denied", FORBIDDEN, "No rule lets this build sign",
        "the token is good, and none of its issuer's rules matches the build's repository, ref or workflow",
        "compare the token's claims with the rules of `[[signing.oidc]]`";
    OidcKeysUnavailable, "oidc-keys-unavailable", SERVICE_UNAVAILABLE, "The forge's keys are not there",
        "the keys that verify the forge's tokens cannot be read or fetched",
        "ask again after `Retry-After`; the operator finds the cause in the log";
    // Webhooks of the signing service.
    WebhookUnknown, "webhook-unknown", NOT_FOUND, "There is no such webhook",
        "the signing service has no webhook of the name",
        "compare it with `[signing.webhooks]`";
    WebhookSourceForbidden, "webhook-source-forbidden", FORBIDDEN, "The webhook's messages do not come from here",
        "the message came from an address, or without a client certificate, that the webhook does not take",
        "send it from where `addresses` and `clients` of the webhook say";
    WebhookSignatureInvalid, "webhook-signature-invalid", FORBIDDEN, "The message is not signed by a secret of the webhook",
        "no signature or token of the message fits a secret of the webhook; nothing of it was believed",
        "give both ends the same secret, and have nothing in between rewrite the body";
    WebhookStale, "webhook-stale", FORBIDDEN, "The message is too old, or of the future",
        "the message is genuine, and its time lies more than five minutes from the service's",
        "set the sender's clock, and sign the message anew when sending it again";
    WebhookReplayed, "webhook-replayed", CONFLICT, "The delivery came before with another body",
        "the delivery's id was used for another message",
        "give each message an id of its own";
    WebhookUnprocessable, "webhook-unprocessable", UNPROCESSABLE_ENTITY, "The message cannot be worked on",
        "the message is genuine and starts a rule, but lacks what the rule needs, or names a host that nothing is fetched from",
        "change what the detail names, at the sender or in the rule";
    EventUnknown, "event-unknown", NOT_FOUND, "There is no such event",
        "no event of the name came by a webhook, or it ended long ago",
        "compare it with `GET /v1/webhooks/events`";
    DeliveryUnknown, "delivery-unknown", NOT_FOUND, "There is no such delivery",
        "no delivery has the name, or it ended long ago",
        "compare it with `GET /v1/webhooks/deliveries`";

    Internal, "internal", INTERNAL_SERVER_ERROR, "The service failed",
        "a fault of the service",
        "report it with the request id";
}

impl ProblemType {
    /// Returns the URI by which documents name it.
    #[must_use]
    pub fn uri(self) -> String {
        format!("{}{}", Self::URI_PREFIX, self.slug())
    }

    /// What every `type` URI begins with.
    pub const URI_PREFIX: &'static str = "urn:chancery:problem:";

    /// Finds the kind that a document's `type` names.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        let slug = uri.strip_prefix(Self::URI_PREFIX)?;
        Self::ALL.iter().copied().find(|kind| kind.slug() == slug)
    }

    /// Returns the kind that fits a bare status from below the handlers.
    pub(crate) fn for_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::NOT_ACCEPTABLE => Self::NotAcceptable,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            StatusCode::URI_TOO_LONG => Self::UriTooLong,
            StatusCode::REQUEST_TIMEOUT => Self::BodyTimeout,
            status if status.is_client_error() => Self::MalformedRequest,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fmt::Write;

    use super::*;

    /// Writes the documentation as it is to be.
    fn documentation() -> String {
        let mut text = String::from(
            "# Problems\n\n\
             Every error is a document of RFC 9457 (`application/problem+json`). Its `type` is\n\
             `urn:chancery:problem:` and one of these names; they are stable. `request_id` finds\n\
             the request in the service's log.\n\n\
             | problem | status | meaning | what to do |\n|---|---|---|---|\n",
        );
        for kind in ProblemType::ALL {
            writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                kind.slug(),
                kind.status().as_u16(),
                kind.meaning(),
                kind.remedy()
            )
            .unwrap();
        }
        text
    }

    #[test]
    fn the_documentation_lists_every_problem() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/problems.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        let wanted = documentation();
        assert!(
            written == wanted,
            "docs/problems.md differs from the registry; it should read:\n\n{wanted}"
        );
    }

    #[test]
    fn names_are_unique_and_found_again() {
        let mut seen = HashSet::new();
        for kind in ProblemType::ALL {
            assert!(seen.insert(kind.slug()), "{}", kind.slug());
            assert_eq!(ProblemType::from_uri(&kind.uri()), Some(*kind));
        }
        assert_eq!(ProblemType::from_uri("about:blank"), None);
    }
}
