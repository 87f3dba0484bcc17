//! A token in another process: killed, stopped, brought back.

use std::time::Duration;

use crate::support::{Opened, Result, processes_of};
use softhsm_test::{FaultShim, Function, Kryoptic, P11Kit, SoftHsm};

#[test]
fn remote_tokens_of_both_kinds_sign() -> Result {
    for token in [SoftHsm::token()?, Kryoptic::token()?] {
        let remote = P11Kit::serve(&token)?;
        let opened = Opened::new(remote.module(), &token)?;
        assert_eq!(opened.sign_once()?.len(), 64);
    }
    Ok(())
}

#[test]
fn many_remote_tokens_live_in_one_process() -> Result {
    let tokens = [SoftHsm::token()?, SoftHsm::token()?, SoftHsm::token()?];
    let mut opened = Vec::new();
    for token in &tokens {
        let remote = P11Kit::serve(token)?;
        opened.push((Opened::new(remote.module(), token)?, remote));
    }
    for ((opened, _), token) in opened.iter().zip(&tokens) {
        assert_eq!(opened.labels()?, [token.label()]);
    }
    Ok(())
}

#[test]
fn a_killed_server_fails_calls_and_a_new_one_serves_again() -> Result {
    let token = SoftHsm::token()?;
    let remote = P11Kit::serve(&token)?;
    let opened = Opened::new(remote.module(), &token)?;
    remote.kill()?;
    assert!(opened.sign_once().is_err());
    assert!(opened.sign_once().is_err());
    remote.restart()?;
    let opened = opened.start_over(&token)?;
    opened.sign_once()?;
    Ok(())
}

#[test]
fn a_stopped_server_hangs_calls_until_it_goes_on() -> Result {
    let token = SoftHsm::token()?;
    let remote = P11Kit::serve(&token)?;
    let opened = std::sync::Mutex::new(Opened::new(remote.module(), &token)?);
    remote.stop()?;
    std::thread::scope(|scope| {
        let (sender, signed) = std::sync::mpsc::channel();
        let opened = &opened;
        scope.spawn(move || sender.send(opened_sign(opened)));
        assert!(signed.recv_timeout(Duration::from_millis(300)).is_err());
        remote.resume()?;
        assert_eq!(signed.recv_timeout(Duration::from_secs(20))??, 64);
        Ok(())
    })
}

/// Signs and returns the signature's length.
fn opened_sign(opened: &std::sync::Mutex<Opened>) -> std::result::Result<usize, String> {
    opened
        .lock()
        .map_err(|error| error.to_string())?
        .sign_once()
        .map(|s| s.len())
        .map_err(|e| e.to_string())
}

#[test]
fn faults_stand_in_front_of_a_remote_token_too() -> Result {
    let token = SoftHsm::token()?;
    let remote = P11Kit::serve(&token)?;
    let shim = FaultShim::over(&remote)?;
    let opened = Opened::new(shim.module(), &token)?;
    opened.sign_once()?;
    assert_eq!(shim.count(Function::SignInit), 1);
    Ok(())
}

#[test]
fn a_dropped_remote_token_leaves_no_process() -> Result {
    let token = SoftHsm::token()?;
    let remote = P11Kit::serve(&token)?;
    let folder = remote
        .module()
        .parent()
        .map(std::path::Path::to_owned)
        .ok_or("no folder")?;
    assert!(processes_of(&folder)? >= 1);
    drop(remote);
    assert_eq!(processes_of(&folder)?, 0);
    assert!(!folder.exists());
    Ok(())
}
