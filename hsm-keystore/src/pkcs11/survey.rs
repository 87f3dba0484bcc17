//! What a module's tokens are, and what of the product each can carry.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::{MechanismInfo, MechanismType};
use cryptoki::slot::{Limit, Slot, TokenInfo};
use serde::Serialize;

use super::fault::Trouble;
use super::module::{Modules, within};
use super::uri::TokenPattern;
use crate::error::Error;
use crate::{KeyAlgorithm, SignatureScheme};

/// How long a module may take to tell all of it.
const LIMIT: Duration = Duration::from_secs(60);

/// A module and what is in it.
#[derive(Debug, Clone, Serialize)]
pub struct ModuleSurvey {
    /// The module's path.
    pub module: PathBuf,
    /// What it says of itself, if it does.
    pub library: Option<LibrarySurvey>,
    /// Its slots.
    pub slots: Vec<SlotSurvey>,
}

/// What a module says of itself.
#[derive(Debug, Clone, Serialize)]
pub struct LibrarySurvey {
    /// Its name.
    pub description: String,
    /// Who made it.
    pub manufacturer: String,
    /// Its version.
    pub version: String,
    /// The version of PKCS#11 that it speaks.
    pub cryptoki_version: String,
}

/// A slot and the token in it.
#[derive(Debug, Clone, Serialize)]
pub struct SlotSurvey {
    /// The slot's number, which may be another after the next start.
    pub slot_id: u64,
    /// The slot's name.
    pub description: String,
    /// The token, if one is present and readable.
    pub token: Option<TokenSurvey>,
}

/// A token and what it can carry.
#[derive(Debug, Clone, Serialize)]
pub struct TokenSurvey {
    /// Its address for the configuration (RFC 7512), without the module.
    pub uri: String,
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Who made it.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Whether it has been initialized.
    pub initialized: bool,
    /// Whether its user has a PIN.
    pub pin_set: bool,
    /// Whether its user's PIN is locked.
    pub pin_locked: bool,
    /// Whether one more wrong PIN locks it.
    pub pin_last_try: bool,
    /// Whether it must be logged in to.
    pub login_required: bool,
    /// Whether the PIN is typed on the token itself.
    pub pin_pad: bool,
    /// Whether it gives random bytes.
    pub random: bool,
    /// Most sessions at once, if it tells.
    pub most_sessions: Option<u64>,
    /// Its mechanisms.
    pub mechanisms: Vec<MechanismSurvey>,
    /// What of the product it can carry.
    pub carries: Vec<Capability>,
    /// What stands in the way, in words; empty when nothing does.
    pub obstacles: Vec<String>,
}

/// A mechanism of a token.
#[derive(Debug, Clone, Serialize)]
pub struct MechanismSurvey {
    /// Its name.
    pub name: String,
    /// Least key size, in the mechanism's own unit.
    pub least: usize,
    /// Greatest key size.
    pub most: usize,
    /// Whether it signs.
    pub signs: bool,
    /// Whether it makes key pairs.
    pub generates: bool,
    /// Whether hardware does it.
    pub hardware: bool,
}

/// One algorithm of the product on a token.
#[derive(Debug, Clone, Serialize)]
pub struct Capability {
    /// The algorithm.
    pub algorithm: KeyAlgorithm,
    /// Whether the token makes such keys.
    pub generates: bool,
    /// The schemes by which it signs with them.
    pub signs: Vec<SignatureScheme>,
}

/// Looks at every token of a module. Nobody logs in.
///
/// # Errors
///
/// `Module` when it cannot be loaded, `Unavailable` when it does not work or
/// does not answer within a minute.
pub fn survey(module: &Path, modules: &Modules) -> Result<ModuleSurvey, Error> {
    let path = module.to_owned();
    let modules = modules.clone();
    within("token-survey", LIMIT, move || {
        let module = modules.load(&path)?;
        let inside = module.enter();
        let library = inside.context.get_library_info().ok();
        let slots = inside
            .context
            .get_all_slots()
            .map_err(|error| Trouble::from(error).into_error())?;
        Ok(ModuleSurvey {
            module: module.path().to_owned(),
            library: library.map(|info| LibrarySurvey {
                description: info.library_description().to_owned(),
                manufacturer: info.manufacturer_id().to_owned(),
                version: info.library_version().to_string(),
                cryptoki_version: info.cryptoki_version().to_string(),
            }),
            slots: slots
                .into_iter()
                .map(|slot| survey_slot(inside.context, slot))
                .collect(),
        })
    })
}

/// Looks at one slot; what cannot be read is left out.
fn survey_slot(context: &Pkcs11, slot: Slot) -> SlotSurvey {
    let description = context.get_slot_info(slot);
    let token = context.get_token_info(slot);
    SlotSurvey {
        slot_id: slot.id(),
        description: description
            .map_or_else(|_| String::new(), |info| info.slot_description().to_owned()),
        token: token.ok().map(|info| survey_token(context, slot, &info)),
    }
}

/// Looks at one token.
fn survey_token(context: &Pkcs11, slot: Slot, info: &TokenInfo) -> TokenSurvey {
    let text = |text: &str| text.trim_end().to_owned();
    let mechanisms: Vec<_> = context
        .get_mechanism_list(slot)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|mechanism| {
            Some((mechanism, context.get_mechanism_info(slot, mechanism).ok()?))
        })
        .collect();
    let pattern = TokenPattern {
        label: Some(text(info.label())),
        serial: Some(text(info.serial_number())).filter(|serial| !serial.is_empty()),
        ..TokenPattern::default()
    };
    let carries: Vec<_> = KeyAlgorithm::ALL
        .into_iter()
        .map(|algorithm| capability(algorithm, &mechanisms))
        .filter(|capability| capability.generates || !capability.signs.is_empty())
        .collect();
    TokenSurvey {
        uri: pattern.to_uri(),
        label: text(info.label()),
        serial: text(info.serial_number()),
        manufacturer: text(info.manufacturer_id()),
        model: text(info.model()),
        initialized: info.token_initialized(),
        pin_set: info.user_pin_initialized(),
        pin_locked: info.user_pin_locked(),
        pin_last_try: info.user_pin_final_try(),
        login_required: info.login_required(),
        pin_pad: info.protected_authentication_path(),
        random: info.rng(),
        most_sessions: match info.max_session_count() {
            Limit::Max(most) => Some(most),
            Limit::Unavailable | Limit::Infinite => None,
        },
        obstacles: obstacles(info, &carries),
        mechanisms: mechanisms
            .iter()
            .map(|(mechanism, info)| MechanismSurvey {
                name: mechanism.to_string(),
                least: info.min_key_size(),
                most: info.max_key_size(),
                signs: info.sign(),
                generates: info.generate_key_pair(),
                hardware: info.hardware(),
            })
            .collect(),
        carries,
    }
}

/// Says what keeps a token from serving.
fn obstacles(info: &TokenInfo, carries: &[Capability]) -> Vec<String> {
    let found = [
        (
            !info.token_initialized(),
            "it is not initialized: give it a label and an SO PIN (`pkcs11-tool --init-token`)",
        ),
        (
            info.token_initialized() && info.login_required() && !info.user_pin_initialized(),
            "its user has no PIN: set one (`pkcs11-tool --init-pin`)",
        ),
        (
            info.user_pin_locked(),
            "its PIN is locked by wrong tries: unblock it with the SO PIN",
        ),
        (
            info.user_pin_final_try(),
            "one more wrong PIN locks it: make sure of the PIN before anything is started",
        ),
        (
            matches!(info.max_session_count(), Limit::Max(1)),
            "it allows one session only, and two are needed: one that holds the login, one that signs",
        ),
        (
            carries.iter().all(|capability| capability.signs.is_empty()),
            "it signs by no algorithm of ours: P-256, P-384, RSA of 2048 to 4096 bits, Ed25519",
        ),
        (
            info.write_protected(),
            "it is write-protected: keys and certificates cannot be stored",
        ),
    ];
    found
        .into_iter()
        .filter(|(stands, _)| *stands)
        .map(|(_, words)| words.to_owned())
        .collect()
}

/// Finds what a token can do with one algorithm.
fn capability(
    algorithm: KeyAlgorithm,
    mechanisms: &[(MechanismType, MechanismInfo)],
) -> Capability {
    let bits = match algorithm {
        KeyAlgorithm::EcP256 | KeyAlgorithm::Ed25519 => 256,
        KeyAlgorithm::EcP384 => 384,
        KeyAlgorithm::Rsa2048 => 2048,
        KeyAlgorithm::Rsa3072 => 3072,
        KeyAlgorithm::Rsa4096 => 4096,
    };
    let has = |wanted: MechanismType, does: fn(&MechanismInfo) -> bool| {
        mechanisms.iter().any(|(mechanism, info)| {
            // Modules give sizes in bits or, for Ed25519, in octets, or none at all: only
            // a greatest size below the key's is taken as a refusal.
            let fits = algorithm == KeyAlgorithm::Ed25519
                || info.max_key_size() == 0
                || (info.min_key_size()..=info.max_key_size()).contains(&bits);
            *mechanism == wanted && does(info) && fits
        })
    };
    let generation = match algorithm {
        KeyAlgorithm::EcP256 | KeyAlgorithm::EcP384 => MechanismType::ECC_KEY_PAIR_GEN,
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
            MechanismType::RSA_PKCS_KEY_PAIR_GEN
        }
        KeyAlgorithm::Ed25519 => MechanismType::ECC_EDWARDS_KEY_PAIR_GEN,
    };
    let signs_by = |scheme: &SignatureScheme| {
        let mechanism = match scheme {
            SignatureScheme::EcdsaP256Sha256 | SignatureScheme::EcdsaP384Sha384 => {
                MechanismType::ECDSA
            }
            SignatureScheme::RsaPkcs1Sha256
            | SignatureScheme::RsaPkcs1Sha384
            | SignatureScheme::RsaPkcs1Sha512 => MechanismType::RSA_PKCS,
            SignatureScheme::RsaPssSha256
            | SignatureScheme::RsaPssSha384
            | SignatureScheme::RsaPssSha512 => MechanismType::RSA_PKCS_PSS,
            SignatureScheme::Ed25519 => MechanismType::EDDSA,
        };
        has(mechanism, MechanismInfo::sign)
    };
    Capability {
        algorithm,
        generates: has(generation, MechanismInfo::generate_key_pair),
        signs: algorithm
            .schemes()
            .iter()
            .copied()
            .filter(signs_by)
            .collect(),
    }
}
