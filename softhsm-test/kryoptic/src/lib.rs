//! kryoptic as a PKCS#11 module: the two entry points, nothing else.
//!
//! PKCS#11 3.2 with ML-DSA and SLH-DSA, an SQLite file for a token. `KRYOPTIC_CONF`
//! names its configuration. Built by `softhsm-test/kryoptic/build`.

// Linked for their features alone: a vendored OpenSSL, a bundled SQLite.
use openssl_sys as _;
use ossl as _;
use rusqlite as _;

use kryoptic_lib::fns::general::{fn_get_function_list, fn_get_interface, fn_get_interface_list};
use kryoptic_lib::pkcs11::{
    CK_FLAGS, CK_FUNCTION_LIST_PTR_PTR, CK_INTERFACE_PTR, CK_INTERFACE_PTR_PTR, CK_RV,
    CK_ULONG_PTR, CK_UTF8CHAR_PTR, CK_VERSION_PTR,
};

/// Returns the functions of PKCS#11 2.40 (PKCS#11 v3.1, 5.4.4).
// SAFETY: no other crate in this module exports the name.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    fn_get_function_list(list)
}

/// Returns every interface this module has (PKCS#11 v3.1, 5.4.5).
// SAFETY: no other crate in this module exports the name.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetInterfaceList(list: CK_INTERFACE_PTR, count: CK_ULONG_PTR) -> CK_RV {
    fn_get_interface_list(list, count)
}

/// Returns one interface by name and version (PKCS#11 v3.1, 5.4.6).
// SAFETY: no other crate in this module exports the name.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetInterface(
    name: CK_UTF8CHAR_PTR,
    version: CK_VERSION_PTR,
    interface: CK_INTERFACE_PTR_PTR,
    flags: CK_FLAGS,
) -> CK_RV {
    fn_get_interface(name, version, interface, flags)
}
