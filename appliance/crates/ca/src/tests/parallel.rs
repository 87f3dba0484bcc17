//! Many at once: numbers stay unique, keys sign once.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;
use tokio::task::JoinSet;

use super::installation::{Installation, idempotency, request};
use crate::{IssueRequest, Refusal};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_issuances_have_serial_numbers_of_their_own() {
    let installation = Installation::ready("node = 7").await;
    let (ca, _store) = installation.open().await;
    let csr = installation.csr("a.example").await;
    let mut tasks = JoinSet::new();
    for _ in 0..128 {
        tasks.spawn(Arc::clone(&ca).issue(request(csr.clone())));
    }
    let serials: HashSet<String> = tasks
        .join_all()
        .await
        .into_iter()
        .map(|issued| issued.unwrap().serial.to_string())
        .collect();
    assert_eq!(serials.len(), 128);
    assert!(serials.iter().all(|serial| serial.starts_with("4007")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn an_idempotency_key_never_signs_twice(keys in prop::collection::vec(0_u8..4, 2..24)) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let installation = Installation::ready("").await;
            let (ca, _store) = installation.open().await;
            let csr = installation.csr("a.example").await;
            let asked = installation.keys.asked();
            let mut tasks = JoinSet::new();
            for key in &keys {
                let request = IssueRequest {
                    idempotency: idempotency(&format!("key-{key}")),
                    ..request(csr.clone())
                };
                let (ca, key) = (Arc::clone(&ca), *key);
                tasks.spawn(async move { (key, ca.issue(request).await) });
            }
            let mut serials: Vec<HashSet<String>> = vec![HashSet::new(); 4];
            for (key, outcome) in tasks.join_all().await {
                match outcome {
                    Ok(issued) => {
                        serials[usize::from(key)].insert(issued.serial.to_string());
                    }
                    Err(Refusal::InProgress { .. }) => {}
                    Err(refusal) => panic!("{refusal}"),
                }
            }
            let distinct: HashSet<u8> = keys.iter().copied().collect();
            assert!(serials.iter().all(|one| one.len() <= 1));
            assert_eq!(serials.iter().flatten().count(), distinct.len());
            assert_eq!(installation.keys.asked() - asked, distinct.len());
        });
    }
}
