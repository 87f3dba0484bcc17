//! Holds a token open until the end of input, for a look at it from a shell.
//!
//! `cargo run -p softhsm-test --example token -- [softhsm|kryoptic] [remote]`

use std::io::Read;

use softhsm_test::{Error, Kryoptic, P11Kit, SoftHsm};

/// Makes the token, says where it is, waits.
fn main() -> Result<(), Error> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |word: &str| asked.iter().any(|given| given == word);
    let token = if wants("kryoptic") {
        Kryoptic::token()?
    } else {
        SoftHsm::token()?
    };
    let remote = if wants("remote") {
        Some(P11Kit::serve(&token)?)
    } else {
        None
    };
    println!("{}", token.folder().display());
    println!(
        "{}",
        remote.as_ref().map_or_else(|| token.uri(), P11Kit::uri)
    );
    // Whatever comes, or nothing: the end of input is what counts.
    let _read = std::io::stdin().read_to_end(&mut Vec::new());
    // As a program ends that keeps its token in a static: nothing is dropped.
    std::mem::forget((token, remote));
    Ok(())
}
