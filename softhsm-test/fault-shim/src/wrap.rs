//! Every function of PKCS#11 2.40 with a fault in front of it.

use std::ffi::c_void;

use cryptoki_sys::*;

use crate::control::{Control, Verdict};
use crate::front::{self, C_GetFunctionList};
use crate::function::{Function, for_each_function};
use crate::pace;

/// Octets of the longest signature that is thrown away (SLH-DSA-SHAKE-256f: 49,856).
const LONGEST_SIGNATURE: usize = 65_536;

/// Passes a call through its fault to the token.
///
/// `real` makes the call; none where the module behind lacks the function.
fn pass(function: Function, real: impl FnOnce(&CK_FUNCTION_LIST) -> Option<CK_RV>) -> CK_RV {
    let Some(front) = front::front() else {
        return CKR_GENERAL_ERROR;
    };
    let verdict = front
        .control
        .as_ref()
        .map_or(Verdict::Proceed, |control| control.enter(function));
    if let Verdict::Fail(answer) = verdict {
        return answer;
    }
    let answer = real(front.real).unwrap_or(CKR_FUNCTION_NOT_SUPPORTED);
    match verdict {
        Verdict::Lose(answer) => answer,
        Verdict::Proceed | Verdict::Fail(_) => answer,
    }
}

/// Passes a call that makes a signature: paced, and ended on the token whatever happens.
///
/// `out` is where the signature goes. Where it is null only a length is asked for
/// (PKCS#11 v3.1, 5.2): that is no signature, neither counted nor struck.
fn pass_signature(
    function: Function,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
    real: impl Fn(&CK_FUNCTION_LIST, *mut CK_BYTE, *mut CK_ULONG) -> Option<CK_RV>,
) -> CK_RV {
    let Some(front) = front::front() else {
        return CKR_GENERAL_ERROR;
    };
    let control = front.control.as_ref().filter(|_| !out.is_null());
    let verdict = control.map_or(Verdict::Proceed, |control| control.enter(function));
    let lane = control.map(Control::pace).and_then(pace::Pace::take_lane);
    let answer = if let Verdict::Fail(answer) = verdict {
        let mut unseen = vec![0; LONGEST_SIGNATURE];
        let mut unseen_len = LONGEST_SIGNATURE as CK_ULONG;
        let _thrown_away = real(front.real, unseen.as_mut_ptr(), &raw mut unseen_len);
        answer
    } else {
        real(front.real, out, out_len).unwrap_or(CKR_FUNCTION_NOT_SUPPORTED)
    };
    if let Some(ends_ns) = lane {
        pace::sleep_until(ends_ns);
    }
    match verdict {
        Verdict::Lose(answer) => answer,
        Verdict::Proceed | Verdict::Fail(_) => answer,
    }
}

/// Defines a wrapper for each function, and the list of them.
macro_rules! define_wrappers {
    ($($c_name:ident $name:ident($($arg:ident: $type:ty),*);)*) => {
        /// The plain wrappers.
        #[expect(non_snake_case, reason = "the standard's names")]
        mod plain {
            use super::*;

            $(
                #[doc = concat!("Passes a call of `", stringify!($c_name), "`.")]
                ///
                /// # Safety
                ///
                /// As the standard has it for this function.
                pub(super) unsafe extern "C" fn $c_name($($arg: $type),*) -> CK_RV {
                    // SAFETY: the caller's promise, passed on.
                    pass(Function::$name, |list| list.$c_name.map(|real| unsafe { real($($arg),*) }))
                }
            )*
        }

        /// The function list of a module with faults.
        pub(crate) static LIST: &CK_FUNCTION_LIST = &CK_FUNCTION_LIST {
            C_Sign: Some(sign),
            C_SignFinal: Some(sign_final),
            ..PLAIN
        };

        /// The function list with no wrapper but the plain ones.
        const PLAIN: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            C_GetFunctionList: Some(C_GetFunctionList),
            $($c_name: Some(plain::$c_name),)*
        };
    };
}

for_each_function!(define_wrappers);

/// Passes a call of `C_Sign`.
///
/// # Safety
///
/// As the standard has it for this function (PKCS#11 v3.1, 5.13.2).
unsafe extern "C" fn sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_len: *mut CK_ULONG,
) -> CK_RV {
    pass_signature(
        Function::Sign,
        signature,
        signature_len,
        |list, out, out_len| {
            // SAFETY: the caller's promise, or room of our own.
            list.C_Sign
                .map(|real| unsafe { real(session, data, data_len, out, out_len) })
        },
    )
}

/// Passes a call of `C_SignFinal`.
///
/// # Safety
///
/// As the standard has it for this function (PKCS#11 v3.1, 5.13.4).
unsafe extern "C" fn sign_final(
    session: CK_SESSION_HANDLE,
    signature: *mut CK_BYTE,
    signature_len: *mut CK_ULONG,
) -> CK_RV {
    pass_signature(
        Function::SignFinal,
        signature,
        signature_len,
        |list, out, out_len| {
            // SAFETY: the caller's promise, or room of our own.
            list.C_SignFinal
                .map(|real| unsafe { real(session, out, out_len) })
        },
    )
}
