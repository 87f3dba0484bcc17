//! Tells the library where cargo puts the fault shim's module.

use std::path::PathBuf;

/// Prints the folder of this profile's libraries.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let Some(out_dir) = std::env::var_os("OUT_DIR").map(PathBuf::from) else {
        return;
    };
    // target/PROFILE/build/softhsm-test-HASH/out
    if let Some(profile) = out_dir.ancestors().nth(3) {
        println!(
            "cargo::rustc-env=SOFTHSM_TEST_LIBRARIES={}",
            profile.join("deps").display()
        );
    }
}
