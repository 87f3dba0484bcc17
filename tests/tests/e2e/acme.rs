//! Certificates without a hand: ACME clients as distributions ship them, unchanged, get,
//! renew and revoke what the token signs.

mod certbot;
mod dehydrated;
mod lego;
mod mesh;
mod outage;
mod proxy;
mod torture;
mod uacme;

use std::process::Command;

use chancery_tests::{Appliance, Builder, Internet};
use serde_json::Value;
use softhsm_test::SoftHsm;

pub(crate) use self::lego::Lego;
pub(crate) use self::outage::{issued_for, wait_for_order};

/// Begins an appliance with ACME on a SoftHSM token of its own.
fn with_acme(internet: &Internet) -> Builder {
    let token = SoftHsm::token().unwrap();
    let module = token.module().to_owned();
    Builder::on_token(&token, &module)
        .keeping(token)
        .with_acme(internet)
}

/// Returns a client's command, ended should it hang.
fn client(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "240", program]);
    command
}

/// Lists accounts, orders or EAB keys as the operator sees them.
fn listed(ca: &Appliance, what: &str) -> Vec<Value> {
    let told = ca.cli(&["acme", what, "list", "--json"]).unwrap();
    serde_json::from_str(&told).unwrap()
}

/// Makes an EAB key as the operator and returns its name and secret.
fn make_eab(ca: &Appliance) -> (String, String) {
    let told = ca
        .cli(&["acme", "eab", "create", "a client's", "--json"])
        .unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    let text = |key: &str| {
        told[key]
            .as_str()
            .unwrap_or_else(|| panic!("{key} in {told}"))
            .to_owned()
    };
    (text("id"), text("hmac_key"))
}
