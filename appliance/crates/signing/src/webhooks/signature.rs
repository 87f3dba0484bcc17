//! Signatures of webhooks, as senders make them and as we make ours: GitHub's, and
//! those of the Standard Webhooks specification.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use zeroize::Zeroizing;

use super::secret::MIN_LEN;

/// How far a message's time may lie from ours, before and after.
pub(crate) const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// Most signatures of one message that are looked at.
const MAX_SIGNATURES: usize = 16;

/// What a secret begins with that is written as Standard Webhooks does.
const PREFIX: &str = "whsec_";

/// A key that sender and receiver share.
#[derive(Debug)]
pub(crate) struct SharedKey(SecretSlice<u8>);

/// A secret of which no key can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("behind `{PREFIX}` there must be base64 of at least {MIN_LEN} octets")]
pub struct NoKey;

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsigned {
    /// No signature by any of the keys.
    Forged,
    /// A time that is no number of seconds.
    NoTime,
    /// A time too far from ours, in seconds; negative is past.
    Stale(i64),
}

impl SharedKey {
    /// Takes a secret as its text stands (GitHub).
    pub(crate) fn of_text(secret: &SecretString) -> Self {
        Self(secret.expose_secret().as_bytes().to_vec().into())
    }

    /// Takes a secret of Standard Webhooks: base64 behind `whsec_`, any other text as it
    /// stands.
    ///
    /// # Errors
    ///
    /// When what stands behind the prefix is no key.
    pub(crate) fn of_standard(secret: &SecretString) -> Result<Self, NoKey> {
        let Some(encoded) = secret.expose_secret().strip_prefix(PREFIX) else {
            return Ok(Self::of_text(secret));
        };
        let octets = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| NoKey)?);
        if octets.len() < MIN_LEN {
            return Err(NoKey);
        }
        Ok(Self(octets.to_vec().into()))
    }

    /// Returns the HMAC-SHA-256 of some parts.
    fn tag(&self, parts: &[&[u8]]) -> hmac::Tag {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret());
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            context.update(part);
        }
        context.sign()
    }

    /// Compares a tag with what the parts make, in a time that tells nothing.
    fn verifies(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        verify_slices_are_equal(self.tag(parts).as_ref(), tag).is_ok()
    }

    /// Signs a message: `v1,` and base64 of the HMAC of `id.timestamp.body`.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let timestamp = timestamp.to_string();
        let tag = self.tag(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }
}

/// Tells whether any key verifies any tag; every pair is tried, whatever came before.
fn any_verifies(keys: &[SharedKey], tags: &[Vec<u8>], parts: &[&[u8]]) -> bool {
    let mut found = false;
    for key in keys {
        for tag in tags {
            found |= key.verifies(parts, tag);
        }
    }
    found
}

/// Verifies `X-Hub-Signature-256`: `sha256=` and the HMAC of the raw body in hexadecimal.
///
/// # Errors
///
/// `Forged`.
pub(crate) fn verify_github(
    keys: &[SharedKey],
    signature: &str,
    body: &[u8],
) -> Result<(), Unsigned> {
    let tag = signature
        .strip_prefix("sha256=")
        .and_then(|hexadecimal| hex::decode(hexadecimal).ok())
        .ok_or(Unsigned::Forged)?;
    if any_verifies(keys, &[tag], &[body]) {
        Ok(())
    } else {
        Err(Unsigned::Forged)
    }
}

/// Verifies a message of Standard Webhooks; its time must lie within [`TOLERANCE`].
///
/// `signatures` are separated by spaces; those of other versions than `v1` are not ours to
/// verify and passed over.
///
/// # Errors
///
/// `Forged`, and for a genuine message `NoTime` or `Stale`.
pub(crate) fn verify_standard(
    keys: &[SharedKey],
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Unsigned> {
    let tags: Vec<Vec<u8>> = signatures
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1,"))
        .take(MAX_SIGNATURES)
        .filter_map(|tag| STANDARD.decode(tag).ok())
        .collect();
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    if !any_verifies(keys, &tags, &parts) {
        return Err(Unsigned::Forged);
    }
    let seconds: i64 = timestamp.parse().map_err(|_| Unsigned::NoTime)?;
    let apart = seconds.saturating_sub(now.as_second());
    if apart.unsigned_abs() > TOLERANCE.as_secs() {
        return Err(Unsigned::Stale(apart));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A key of a secret.
    fn key(secret: &str) -> SharedKey {
        SharedKey::of_standard(&SecretString::from(secret)).unwrap()
    }

    /// A time.
    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// GitHub's own example ("Validating webhook deliveries", testing the validation).
    const GITHUB: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn githubs_example_verifies() {
        let keys = [SharedKey::of_text(&SecretString::from(
            "It's a Secret to Everybody",
        ))];
        assert_eq!(verify_github(&keys, GITHUB, b"Hello, World!"), Ok(()));
        for (signature, body) in [
            (GITHUB, &b"Hello, World?"[..]),
            (&GITHUB[..GITHUB.len() - 2], b"Hello, World!"),
            (&GITHUB["sha256=".len()..], b"Hello, World!"),
            ("sha256=", b"Hello, World!"),
            ("", b"Hello, World!"),
        ] {
            assert_eq!(
                verify_github(&keys, signature, body),
                Err(Unsigned::Forged),
                "{signature}"
            );
        }
        let first_digit_wrong = GITHUB.replace("=75", "=65");
        let last_digit_wrong = GITHUB.replace("3e17", "3e18");
        for signature in [first_digit_wrong, last_digit_wrong] {
            let outcome = verify_github(&keys, &signature, b"Hello, World!");
            assert_eq!(outcome, Err(Unsigned::Forged));
        }
    }

    /// The example of Standard Webhooks' reference implementations.
    const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    /// Its message's id.
    const STANDARD_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    /// Its message's time.
    const STANDARD_TIME: i64 = 1_614_265_330;
    /// Its message.
    const STANDARD_BODY: &[u8] = b"{\"test\": 2432232314}";
    /// Its signature.
    const STANDARD_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    /// Verifies the example with something else in its place.
    fn verify(secret: &str, signature: &str, now: i64) -> Result<(), Unsigned> {
        verify_standard(
            &[key(secret)],
            STANDARD_ID,
            &STANDARD_TIME.to_string(),
            signature,
            STANDARD_BODY,
            at(now),
        )
    }

    #[test]
    fn the_example_of_standard_webhooks_verifies_and_is_what_we_make() {
        let made = key(STANDARD_SECRET).sign(STANDARD_ID, STANDARD_TIME, STANDARD_BODY);
        assert_eq!(made, STANDARD_SIGNATURE);
        assert_eq!(
            verify(STANDARD_SECRET, STANDARD_SIGNATURE, STANDARD_TIME),
            Ok(())
        );
        let several = format!("v1a,AAAA v1,AAAA nonsense {STANDARD_SIGNATURE}");
        assert_eq!(verify(STANDARD_SECRET, &several, STANDARD_TIME), Ok(()));
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(
            verify(other, STANDARD_SIGNATURE, STANDARD_TIME),
            Err(Unsigned::Forged)
        );
    }

    #[test]
    fn times_more_than_five_minutes_away_are_stale() {
        let after = |seconds| verify(STANDARD_SECRET, STANDARD_SIGNATURE, STANDARD_TIME + seconds);
        assert_eq!(after(300), Ok(()));
        assert_eq!(after(-300), Ok(()));
        assert_eq!(after(301), Err(Unsigned::Stale(-301)));
        assert_eq!(after(-301), Err(Unsigned::Stale(301)));
    }

    #[test]
    fn a_time_that_is_none_is_told_to_genuine_senders_alone() {
        let keys = [key(STANDARD_SECRET)];
        let tag = keys[0].tag(&[b"id", b".", b"soon", b".", b"{}"]);
        let signature = format!("v1,{}", STANDARD.encode(tag.as_ref()));
        let verify =
            |signature: &str| verify_standard(&keys, "id", "soon", signature, b"{}", at(0));
        assert_eq!(verify(&signature), Err(Unsigned::NoTime));
        assert_eq!(verify("v1,AAAA"), Err(Unsigned::Forged));
    }

    #[test]
    fn while_a_secret_is_rotated_both_are_taken() {
        let (old, new) = ("an-older-secret-of-ours", "a-newer-secret-of-ours");
        let keys = [key(new), key(old)];
        for secret in [old, new] {
            let signature = key(secret).sign("id", 1000, b"{}");
            let outcome = verify_standard(&keys, "id", "1000", &signature, b"{}", at(1000));
            assert_eq!(outcome, Ok(()));
        }
        let third = key("a-secret-of-somebody-else").sign("id", 1000, b"{}");
        let outcome = verify_standard(&keys, "id", "1000", &third, b"{}", at(1000));
        assert_eq!(outcome, Err(Unsigned::Forged));
    }

    #[test]
    fn a_prefixed_secret_that_is_no_base64_or_short_makes_no_key() {
        for secret in ["whsec_!!!!!!!!!!!!!!!!!!!!", "whsec_AAAAAAAAAAAA"] {
            let made = SharedKey::of_standard(&SecretString::from(secret));
            assert_eq!(made.err(), Some(NoKey));
        }
    }

    proptest! {
        #[test]
        fn no_signature_panics_nor_verifies(signature in "\\PC{0,200}", timestamp in "\\PC{0,30}") {
            let keys = [key(STANDARD_SECRET)];
            let outcome =
                verify_standard(&keys, "id", &timestamp, &signature, b"{}", at(0));
            prop_assert_eq!(outcome, Err(Unsigned::Forged));
            prop_assert_eq!(verify_github(&keys, &signature, b"{}"), Err(Unsigned::Forged));
        }

        #[test]
        fn what_is_signed_verifies(id in "[ -~]{1,40}", body: Vec<u8>, time in 0_i64..4_000_000_000) {
            let keys = [key(STANDARD_SECRET)];
            let signature = keys[0].sign(&id, time, &body);
            let verified =
                verify_standard(&keys, &id, &time.to_string(), &signature, &body, at(time));
            prop_assert_eq!(verified, Ok(()));
        }
    }
}
