//! Tests of what only files can get wrong.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// Opens a store in a new directory.
fn store() -> (tempfile::TempDir, FileStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open(&directory.path().join("keys"), KeyStoreMetrics::default());
    (directory, store.unwrap())
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let (_directory, store) = store();
    let id = KeyId::new("ca").unwrap();
    store
        .generate_private_key(&id, KeyAlgorithm::EcP256)
        .unwrap();
    let path = store.key_path(&id);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    for mode in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let refusal = store.get_private_key(&id).unwrap_err();
        assert!(matches!(refusal, Error::Exposed { .. }), "{mode:o}");
        assert!(refusal.to_string().contains("chmod 600"), "{refusal}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    store.get_private_key(&id).unwrap();
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let refusal = FileStore::open(directory.path(), KeyStoreMetrics::default()).unwrap_err();
    assert!(matches!(refusal, Error::Exposed { wanted: 0o700, .. }));
}

#[test]
fn what_a_crash_left_is_cleared_and_what_another_process_writes_is_not() {
    let (directory, store) = store();
    let keys = directory.path().join("keys");
    let dead = keys.join(".a-key.pem.4194305.0.unfinished");
    let alive = keys.join(format!(".a-key.pem.{}.0.unfinished", std::process::id()));
    fs::write(&dead, "x").unwrap();
    fs::write(&alive, "x").unwrap();
    drop(store);
    FileStore::open(&keys, KeyStoreMetrics::default()).unwrap();
    assert!(!dead.exists());
    assert!(alive.exists());
}

#[test]
fn a_file_that_is_no_key_is_told_as_such() {
    let (_directory, store) = store();
    let id = KeyId::new("odd").unwrap();
    for text in [
        "",
        "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        fs::write(store.key_path(&id), text).unwrap();
        fs::set_permissions(store.key_path(&id), Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            store.get_private_key(&id),
            Err(Error::MalformedKey { .. })
        ));
    }
    assert_eq!(store.list().unwrap()[0].key, None);
}

#[test]
fn nothing_unfinished_stays_behind() {
    let (directory, store) = store();
    let id = KeyId::new("a").unwrap();
    store
        .generate_private_key(&id, KeyAlgorithm::Ed25519)
        .unwrap();
    assert!(matches!(
        store.generate_private_key(&id, KeyAlgorithm::Ed25519),
        Err(Error::KeyExists { .. })
    ));
    let pkcs8 = SoftwareKey::generate(KeyAlgorithm::Ed25519).unwrap();
    assert!(matches!(
        store.import_private_key(&id, pkcs8),
        Err(Error::KeyExists { .. })
    ));
    let names: Vec<_> = fs::read_dir(directory.path().join("keys"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["a-key.pem"]);
}
