//! `C_Sign` alone, for keys that want the PIN between `C_SignInit` and it.
//!
//! The library calls the two together only. The module's function list is
//! therefore looked up once more, for this one call. Some modules (p11-kit's
//! client) answer such a look-up with another instance of themselves, which
//! knows none of our sessions: that is found out first, by asking it.

use std::ffi::c_ulong;
use std::path::Path;
use std::ptr;

use cryptoki::context::Function;
use cryptoki::error::{Error as CallError, Rv};
use cryptoki::session::Session;
use cryptoki_sys::{CK_C_GetSessionInfo, CK_C_Sign, CK_FUNCTION_LIST, CK_SESSION_INFO, CKR_OK};

/// Longest signature of ours: RSA-4096.
const LONGEST: usize = 512;

/// The two functions, and what keeps them loaded.
pub(super) struct SinglePart {
    /// Keeps the module loaded.
    _library: cryptoki_sys::Pkcs11,
    /// `C_Sign`.
    sign: CK_C_Sign,
    /// `C_GetSessionInfo`.
    session_info: CK_C_GetSessionInfo,
}

impl SinglePart {
    /// Looks the functions up in a module that is loaded already.
    pub(super) fn look_up(module: &Path) -> Option<Self> {
        // SAFETY: the module is loaded in this process already, so loading it once more runs
        // none of its code and returns the same library.
        let library = unsafe { cryptoki_sys::Pkcs11::new(module) }.ok()?;
        if library.C_GetFunctionList.is_err() {
            return None;
        }
        let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
        // SAFETY: the symbol was found, and `list` is a place for one pointer, which is all
        // that C_GetFunctionList writes.
        let answer = unsafe { library.C_GetFunctionList(&raw mut list) };
        if answer != CKR_OK || list.is_null() {
            return None;
        }
        // SAFETY: C_GetFunctionList answered CKR_OK: `list` points at a function list that
        // lives as long as the library (PKCS#11 v3.1, 5.4.4), which we keep. The structure may
        // be packed, so it is copied and not referred to.
        let list = unsafe { list.read_unaligned() };
        Some(Self {
            sign: list.C_Sign,
            session_info: list.C_GetSessionInfo,
            _library: library,
        })
    }

    /// Tells whether these functions know a session of ours.
    pub(super) fn knows(&self, session: &Session) -> bool {
        let Some(session_info) = self.session_info else {
            return false;
        };
        let mut info = CK_SESSION_INFO::default();
        // SAFETY: the function is the module's own, the library is kept, and `info` is a
        // place for what it writes.
        unsafe { session_info(session.handle(), &raw mut info) == CKR_OK }
    }

    /// Ends the signature that C_SignInit began on this session.
    ///
    /// # Errors
    ///
    /// What C_Sign answered.
    pub(super) fn sign(&self, session: &Session, data: &[u8]) -> Result<Vec<u8>, CallError> {
        let sign = self.sign.ok_or(CallError::NullFunctionPointer)?;
        let mut signature = vec![0; LONGEST];
        let mut length: c_ulong = signature.len().try_into()?;
        // SAFETY: the function is the module's own and the library is kept; `data` is only read
        // (PKCS#11 lacks `const`), `signature` has `length` octets, and `length` is a place for
        // their number. A session is used by one thread at a time: `Session` is not `Sync`.
        let answer = unsafe {
            sign(
                session.handle(),
                data.as_ptr().cast_mut(),
                data.len().try_into()?,
                signature.as_mut_ptr(),
                &raw mut length,
            )
        };
        Rv::from(answer).into_result(Function::Sign)?;
        signature.truncate(length.try_into()?);
        Ok(signature)
    }
}
