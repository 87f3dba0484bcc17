//! A token opened by cryptoki, with a key to sign by.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use softhsm_test::Token;

/// What a test answers.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The curve P-256 as an object identifier in DER.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// A module, initialized, with a user logged in.
pub(crate) struct Opened {
    /// The module.
    pkcs11: Pkcs11,
    /// The token's slot.
    slot: Slot,
    /// Holds the login.
    session: Session,
    /// A P-256 key of the session.
    key: ObjectHandle,
}

impl Opened {
    /// Opens a token through a module and makes a key.
    pub(crate) fn new(module: &Path, token: &Token) -> Result<Self> {
        let pkcs11 = Pkcs11::new(module)?;
        pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
        Self::log_in(pkcs11, token)
    }

    /// Finds the token, logs in and makes a key.
    fn log_in(pkcs11: Pkcs11, token: &Token) -> Result<Self> {
        let mut found = None;
        for slot in pkcs11.get_slots_with_token()? {
            if pkcs11.get_token_info(slot)?.label() == token.label() {
                found = Some(slot);
            }
        }
        let slot = found.ok_or("the module shows no such token")?;
        let session = pkcs11.open_rw_session(slot)?;
        session.login(UserType::User, Some(&AuthPin::from(token.user_pin())))?;
        let (_, key) = session.generate_key_pair(
            &Mechanism::EccKeyPairGen,
            &[Attribute::EcParams(P256.to_vec()), Attribute::Verify(true)],
            &[
                Attribute::Sign(true),
                Attribute::Sensitive(true),
                Attribute::Token(false),
            ],
        )?;
        Ok(Self {
            pkcs11,
            slot,
            session,
            key,
        })
    }

    /// Ends the module and begins anew, as one does after its device was away.
    pub(crate) fn start_over(self, token: &Token) -> Result<Self> {
        let Self {
            pkcs11, session, ..
        } = self;
        drop(session);
        let again = pkcs11.clone();
        pkcs11.finalize()?;
        again.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
        Self::log_in(again, token)
    }

    /// Ends the module.
    pub(crate) fn finalize(self) -> Result {
        drop(self.session);
        Ok(self.pkcs11.finalize()?)
    }

    /// Returns a second session, for another thread.
    pub(crate) fn session(&self) -> Result<Session> {
        Ok(self.pkcs11.open_ro_session(self.slot)?)
    }

    /// Returns the key.
    pub(crate) fn key(&self) -> ObjectHandle {
        self.key
    }

    /// Signs a digest.
    pub(crate) fn sign_once(&self) -> std::result::Result<Vec<u8>, cryptoki::error::Error> {
        sign(&self.session, self.key)
    }

    /// Returns the labels of the tokens that the module shows.
    pub(crate) fn labels(&self) -> Result<Vec<String>> {
        let mut labels = Vec::new();
        for slot in self.pkcs11.get_all_slots()? {
            let info = self.pkcs11.get_token_info(slot)?;
            if info.token_initialized() {
                labels.push(info.label().to_owned());
            }
        }
        Ok(labels)
    }
}

/// Signs a digest in a session.
pub(crate) fn sign(
    session: &Session,
    key: ObjectHandle,
) -> std::result::Result<Vec<u8>, cryptoki::error::Error> {
    session.sign(&Mechanism::Ecdsa, key, &[7; 32])
}

/// Counts the living processes whose command line names a folder.
pub(crate) fn processes_of(folder: &Path) -> Result<usize> {
    let named = std::fs::read_dir("/proc")?.flatten().filter(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&*folder.to_string_lossy())
    });
    Ok(named.count())
}
