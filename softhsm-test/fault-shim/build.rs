//! Marks the module as never unloaded, for the module behind it calls back into it, and as
//! bound to its own symbols, for libp11-kit has a `C_GetFunctionList` too.

/// Prints the linker's arguments.
fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    println!("cargo::rerun-if-changed=build.rs");
}
