//! Tokens as a test uses them: many at once, through every kind of module.

use std::process::Command;

use crate::support::{Opened, Result};
use softhsm_test::{Kryoptic, SoftHsm, Token};

#[test]
fn a_token_signs_in_two_lines_of_a_test() -> Result {
    let token = SoftHsm::token()?;
    let opened = Opened::new(token.module(), &token)?;
    assert_eq!(opened.sign_once()?.len(), 64);
    Ok(())
}

#[test]
fn kryoptic_signs_as_softhsm_does() -> Result {
    let token = Kryoptic::token()?;
    let opened = Opened::new(token.module(), &token)?;
    assert_eq!(opened.sign_once()?.len(), 64);
    Ok(())
}

#[test]
fn a_module_shows_its_own_token_and_no_other() -> Result {
    let tokens: Vec<Token> = (0..12)
        .map(|_| SoftHsm::token())
        .collect::<std::result::Result<_, _>>()?;
    let opened = tokens
        .iter()
        .map(|token| Opened::new(token.module(), token))
        .collect::<Result<Vec<_>>>()?;
    for (opened, token) in opened.iter().zip(&tokens) {
        let labels = opened.labels()?;
        assert_eq!(labels, [token.label()]);
        assert_eq!(opened.sign_once()?.len(), 64);
    }
    Ok(())
}

#[test]
fn threads_make_and_use_tokens_of_both_kinds_at_once() -> Result {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                scope.spawn(move || -> Result<usize> {
                    let mut signed = 0;
                    for _ in 0..3 {
                        let token = if number % 2 == 0 {
                            SoftHsm::token()?
                        } else {
                            Kryoptic::token()?
                        };
                        signed += Opened::new(token.module(), &token)?.sign_once()?.len();
                    }
                    Ok(signed)
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().expect("the thread ends")?, 3 * 64);
        }
        Ok(())
    })
}

#[test]
fn one_module_finalized_leaves_the_others_at_work() -> Result {
    let (one, other) = (SoftHsm::token()?, SoftHsm::token()?);
    let kept = Opened::new(other.module(), &other)?;
    Opened::new(one.module(), &one)?.finalize()?;
    assert_eq!(kept.sign_once()?.len(), 64);
    Opened::new(one.module(), &one)?.sign_once()?;
    Ok(())
}

#[test]
fn tokens_beside_each_other_are_slots_of_one_module() -> Result {
    let one = SoftHsm::labelled("issuing")?;
    let other = one.beside()?;
    assert_eq!(one.module(), other.module());
    assert_ne!(one.serial(), other.serial());
    let mut labels = Opened::new(one.module(), &one)?.labels()?;
    labels.sort();
    let mut expected = [one.label().to_owned(), other.label().to_owned()];
    expected.sort();
    assert_eq!(labels, expected);
    Ok(())
}

#[test]
fn a_dropped_token_leaves_nothing() -> Result {
    let token = SoftHsm::token()?;
    let folder = token.folder().to_owned();
    assert!(folder.join("tokens").read_dir()?.next().is_some());
    drop(token);
    assert!(!folder.exists());
    Ok(())
}

#[test]
fn a_panicking_test_leaves_nothing() -> Result {
    let token = SoftHsm::token()?;
    let folder = token.folder().to_owned();
    let ended = std::thread::spawn(move || {
        let _token = token;
        std::panic::resume_unwind(Box::new("as a failed test does"));
    })
    .join();
    assert!(ended.is_err());
    assert!(!folder.exists());
    Ok(())
}

#[test]
fn the_pin_file_is_the_owners_alone() -> Result {
    use std::os::unix::fs::PermissionsExt;
    let token = SoftHsm::token()?;
    let mode = token.pin_file().metadata()?.permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert_eq!(std::fs::read_to_string(token.pin_file())?, token.user_pin());
    assert!(!format!("{token:?}").contains(token.user_pin()));
    Ok(())
}

#[test]
fn another_program_uses_the_module_without_an_environment() -> Result {
    for token in [SoftHsm::token()?, Kryoptic::token()?] {
        let listed = Command::new("pkcs11-tool")
            .args(["--list-token-slots", "--module"])
            .arg(token.module())
            .env_remove("SOFTHSM2_CONF")
            .output()?;
        let text = String::from_utf8(listed.stdout)?;
        assert!(text.contains(token.label()), "{text}");
        assert!(text.contains(token.serial()), "{text}");
        let made = Command::new("pkcs11-tool")
            .args([
                "--keypairgen",
                "--key-type",
                "EC:prime256v1",
                "--label",
                "key",
                "--login",
            ])
            .args([
                "--pin",
                token.user_pin(),
                "--token-label",
                token.label(),
                "--module",
            ])
            .arg(token.module())
            .output()?;
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }
    Ok(())
}

#[test]
fn the_installed_module_finds_the_token_by_its_environment() -> Result {
    let token = SoftHsm::token()?;
    let bare = token.bare_module();
    let listed = Command::new("pkcs11-tool")
        .args(["--list-token-slots", "--module"])
        .arg(&bare.library)
        .envs(bare.environment.iter().map(|(name, value)| (name, value)))
        .output()?;
    assert!(String::from_utf8(listed.stdout)?.contains(token.label()));
    Ok(())
}

#[test]
fn the_uri_escapes_what_a_label_may_hold() -> Result {
    let token = SoftHsm::labelled("root & issuing; 50%?")?;
    let uri = token.uri();
    assert!(
        uri.starts_with("pkcs11:token=root%20%26%20issuing%3B%2050%25%3F?module-path=/"),
        "{uri}"
    );
    assert!(!uri.contains(token.user_pin()));
    Ok(())
}
