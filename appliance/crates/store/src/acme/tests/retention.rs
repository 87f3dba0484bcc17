//! Records that are over leave the index, and nothing else does.

use std::time::Duration;

use tempfile::tempdir;

use super::*;
use crate::acme::rebuild;
use crate::acme::record::OrderFilter;

/// Makes an order at a second and brings it as far as asked.
async fn make(store: &AcmeRecords, number: u32, second: i64, finalize: bool, issue: bool) {
    let new = NewOrder {
        replaces: Some(certificate_id(1_000_000 + number)),
        ..new_order(number, &[name(number, 0)], second)
    };
    store.create_order(new).await.unwrap();
    if finalize {
        store
            .record_validation(&challenge(number, 0), success(second), at(second))
            .await
            .unwrap();
        store
            .begin_finalize(&order_id(number), finalization(1, second))
            .await
            .unwrap();
    }
    if issue {
        let issued = certificate(number, 1, second);
        store
            .record_certificate(&order_id(number), issued)
            .await
            .unwrap();
    }
}

#[test]
fn what_is_over_leaves_the_index_when_its_time_has_come() {
    let retention = Retention {
        ended: Duration::from_secs(100),
        certificates: Duration::from_secs(1000),
    };
    let directory = tempdir().unwrap();
    let reopen = || {
        let config = config(directory.path());
        AcmeRecords::open(&config, StoreMetrics::default(), retention).unwrap()
    };
    // An orderly stop writes a checkpoint, which collects.
    let store = reopen();
    wait(async {
        with_account(&store).await;
        make(&store, 1, 0, false, false).await;
        make(&store, 2, 0, true, false).await;
        make(&store, 3, 0, true, true).await;
    });
    let there = |store: &AcmeRecords| {
        [1, 2, 3].map(|number| {
            let order = wait(store.order(&order_id(number), at(0))).unwrap();
            let own = wait(store.authorization(&authorization_id(number, 0), at(0))).unwrap();
            (order.is_some(), own.is_some())
        })
    };
    // Each step is made by an act at its time, and lasts over restart and rebuild.
    let authorization_gone = AUTHORIZATION_LIFE + 100;
    let certificate_gone = 90 * 86_400 + 1000;
    let all = (true, true);
    let steps = [
        (ORDER_LIFE + 99, [all, all, all]),
        (ORDER_LIFE + 101, [(false, false), all, all]),
        (authorization_gone - 1, [(false, false), all, all]),
        (
            authorization_gone + 1,
            [(false, false), (true, false), (true, false)],
        ),
        (
            certificate_gone - 1,
            [(false, false), (true, false), (true, false)],
        ),
        (
            certificate_gone + 1,
            [(false, false), (true, false), (false, false)],
        ),
    ];
    let mut store = store;
    for (number, (second, expected)) in (10..).zip(steps) {
        let account = NewAccount {
            at: at(second),
            ..new_account(number)
        };
        wait(store.create_account(account)).unwrap();
        store.close();
        store = reopen();
        assert_eq!(there(&store), expected, "at {second}");
    }
    // What is processing stays whatever its age, and is still finished.
    let work = wait(store.open_work()).unwrap();
    assert_eq!(work.orders, [order_id(2)]);
    let issued = certificate(2, 1, certificate_gone + 2);
    wait(store.record_certificate(&order_id(2), issued)).unwrap();

    // Nothing that leads to them is left.
    for number in [1, 3] {
        let replaced = serial(1_000_000 + number);
        assert_eq!(
            wait(store.order_that_replaces(&replaced, at(0))).unwrap(),
            None
        );
        assert_eq!(
            wait(store.order_of_certificate(&serial(number))).unwrap(),
            None
        );
        let count = wait(store.count_certificates(&name(number, 0), at(0), 9)).unwrap();
        assert_eq!(count.number, 0);
    }
    let count = wait(store.count_orders(&account_id(1), at(0), 9)).unwrap();
    assert_eq!(count.number, 1);
    let all = wait(store.orders(OrderFilter::default(), None, 9, at(0))).unwrap();
    assert_eq!(all.items.len(), 1);
    store.close();

    // The journal has it all; a rebuilt index collects again.
    rebuild(&config(directory.path()), retention).unwrap();
    let store = reopen();
    assert_eq!(
        there(&store),
        [(false, false), (true, false), (false, false)]
    );
    assert_eq!(store.status().counts.orders, 3);
}
