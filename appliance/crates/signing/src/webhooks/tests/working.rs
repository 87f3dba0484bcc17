//! Working on events: fetched, compared, signed, reported; put off, given up, and gone on
//! with after the process was killed.

use serde_json::{Value, json};
use store::signing::EventState;

use super::forge::{Asked, Forge, Reply};
use super::house::{House, Running, start};
use super::inbound::{release, sha256};
use crate::webhooks::SignFailure;

/// The artifact.
const ARTIFACT: &str = "the product, packed";

/// A forge called `forge.test`, and its origin.
async fn forge(
    house: &House,
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Forge, String) {
    house.names.address_records("forge.test", &["127.0.0.1"]);
    let forge = Forge::start(&house.world, &["forge.test"], answer).await;
    let origin = format!("https://forge.test:{}", forge.port());
    (forge, origin)
}

/// Writes a webhook `hub` whose rule has these keys besides.
fn hub(house: &House, origin: &str, rule: &str) -> String {
    format!(
        "{}\n[webhooks.hub]\nkind = 'github'\nsecrets = [{:?}]\n\
         [webhooks.hub.rules.product]\nprofile = 'release'\nevents = ['release']\n{rule}\n",
        house.fetch(&[origin.to_owned()]),
        house.secret("secret"),
    )
}

/// Starts a service and has it take a release of one artifact.
async fn one_release(
    house: &House,
    origin: &str,
    rule: &str,
    digest: Option<&str>,
) -> (Running, model::signing::EventId) {
    let running = house.start(&hub(house, origin, rule)).await;
    let id = running
        .accept("hub", "release", &release(origin, digest))
        .await;
    (running, id)
}

#[tokio::test]
async fn an_artifact_with_the_digest_told_is_signed_by_the_rules_profile() {
    let house = House::new().await;
    let (forge, origin) = forge(&house, |_| Reply::new(200, ARTIFACT)).await;
    let digest = sha256(ARTIFACT);
    let (running, id) = one_release(&house, &origin, "", Some(&digest)).await;
    let result = running.ended(&id).await.unwrap();
    let made = &result["signatures"][0];
    assert_eq!(made["name"], "product.tar.gz");
    assert_eq!(made["artifactHash"], digest);
    let wanted = running.core.asked.lock().unwrap().clone();
    let [wanted] = &wanted[..] else {
        panic!("{wanted:?}");
    };
    assert_eq!(wanted.profile.as_str(), "release");
    assert_eq!(wanted.size, ARTIFACT.len() as u64);
    assert_eq!(wanted.digests[0].to_string(), digest);
    assert_eq!(wanted.idempotency.as_str(), format!("{id}/0"));
    assert_eq!(wanted.request_id.as_str(), "r-1");
    let event = running.store.event(&id).await.unwrap().unwrap();
    let EventState::Done { signature, .. } = &event.state else {
        panic!("{event:?}");
    };
    assert_eq!(signature.unwrap().to_string(), made["id"]);
    assert_eq!(forge.asked().len(), 1);
    for line in [
        "chancery_signing_webhook_events_finished_total{webhook=\"hub\",outcome=\"signed\"} 1",
        "chancery_signing_webhook_fetched_bytes_total 19",
        "chancery_signing_webhook_queue{queue=\"events\"} 0",
    ] {
        running.counted(line).await;
    }
}

#[tokio::test]
async fn another_digest_than_the_one_told_is_signed_by_nobody() {
    let house = House::new().await;
    let (_forge, origin) = forge(&house, |_| Reply::new(200, "something else")).await;
    let digest = sha256(ARTIFACT);
    let (running, id) = one_release(&house, &origin, "", Some(&digest)).await;
    let error = running.ended(&id).await.unwrap_err();
    assert_eq!(
        error,
        format!(
            "artifact_digest_mismatch: product.tar.gz: the message says {digest}, what was \
             fetched has {}",
            sha256("something else")
        )
    );
    assert!(running.core.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn sbom_provenance_and_checksums_come_from_files_of_the_same_message() {
    let house = House::new().await;
    let sums = format!("{}  product.tar.gz\n", &sha256(ARTIFACT)["sha256:".len()..]);
    let provenance = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{
            "name": "product.tar.gz",
            "digest": { "sha256": &sha256(ARTIFACT)["sha256:".len()..] },
        }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://example.com/build/v1",
                "externalParameters": {},
            },
            "runDetails": { "builder": { "id": "https://example.com/builder" } },
        },
    })
    .to_string();
    let served = (sums.clone(), provenance.clone());
    let (_forge, origin) = forge(&house, move |asked| match asked.line.as_str() {
        "GET /product.tar.gz" => Reply::new(200, ARTIFACT),
        "GET /sbom" => Reply::new(200, "{\"bomFormat\":\"CycloneDX\"}"),
        "GET /provenance" => Reply::new(200, &served.1),
        "GET /sums" => Reply::new(200, &served.0),
        _ => Reply::new(404, ""),
    })
    .await;
    let rule = "[webhooks.hub.rules.product.artifacts]\nsbom = '{name}.cdx.json'\n\
                provenance = '{name}.intoto.jsonl'\nchecksums = 'SHA256SUMS'\n\
                digest_from = ['checksums', 'provenance']\nexclude = ['*.txt']";
    let running = house.start(&hub(&house, &origin, rule)).await;
    let mut payload = release(&origin, None);
    payload["release"]["assets"] = json!([
        { "name": "SHA256SUMS", "url": format!("{origin}/sums") },
        { "name": "README.txt", "url": format!("{origin}/readme") },
        { "name": "product.tar.gz", "url": format!("{origin}/product.tar.gz") },
        { "name": "product.tar.gz.cdx.json", "url": format!("{origin}/sbom") },
        { "name": "product.tar.gz.intoto.jsonl", "url": format!("{origin}/provenance") },
        { "name": "product.tar.gz.sig", "url": format!("{origin}/sig") },
    ]);
    let id = running.accept("hub", "release", &payload).await;
    let result = running.ended(&id).await.unwrap();
    assert_eq!(result["signatures"].as_array().unwrap().len(), 1);
    let wanted = running.core.asked.lock().unwrap()[0].clone();
    assert_eq!(
        wanted.sbom.as_deref(),
        Some(&b"{\"bomFormat\":\"CycloneDX\"}"[..])
    );
    assert_eq!(wanted.provenance.as_deref(), Some(provenance.as_bytes()));
}

#[tokio::test]
async fn provenance_of_another_artifact_binds_nothing() {
    let house = House::new().await;
    let other = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "other", "digest": { "sha256": "0".repeat(64) } }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://example.com/build/v1",
                "externalParameters": {},
            },
            "runDetails": { "builder": { "id": "https://example.com/builder" } },
        },
    });
    let (_forge, origin) = forge(&house, move |asked| match asked.line.as_str() {
        "GET /artifact" => Reply::new(200, ARTIFACT),
        _ => Reply::json(200, &other),
    })
    .await;
    let rule = "[webhooks.hub.rules.product.artifacts]\nprovenance = 'multiple.intoto.jsonl'\n\
                digest_from = ['provenance']";
    let running = house.start(&hub(&house, &origin, rule)).await;
    let mut payload = release(&origin, None);
    payload["release"]["assets"] = json!([
        { "name": "product.tar.gz", "url": format!("{origin}/artifact") },
        { "name": "multiple.intoto.jsonl", "url": format!("{origin}/provenance") },
    ]);
    let id = running.accept("hub", "release", &payload).await;
    let error = running.ended(&id).await.unwrap_err();
    assert!(error.starts_with("subject_digest_mismatch: "), "{error}");
    assert!(running.core.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_file_cut_off_half_way_is_fetched_anew_and_signed_once() {
    let house = House::new().await;
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let (forge, origin) = forge(&house, move |_| {
        let reply = Reply::new(200, ARTIFACT);
        match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => reply.cut(7),
            _ => reply,
        }
    })
    .await;
    let digest = sha256(ARTIFACT);
    let (running, id) = one_release(&house, &origin, "", Some(&digest)).await;
    let error = running.put_off(&id).await;
    assert!(error.contains("the connection ended before"), "{error}");
    assert!(running.core.asked.lock().unwrap().is_empty());
    running.advance(60);
    running.ended(&id).await.unwrap();
    assert_eq!(forge.asked().len(), 2);
    assert_eq!(running.core.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_forge_that_stays_away_is_given_up_after_the_configured_age() {
    let house = House::new().await;
    let (_forge, origin) = forge(&house, |_| Reply::new(503, "")).await;
    let digest = sha256(ARTIFACT);
    let fetch = "[fetch]\nretry_pause = '1m'\nmax_retry_pause = '1m'\ngive_up_after = '3m'";
    let toml = hub(&house, &origin, "").replace("[fetch]", fetch);
    let running = house.start(&toml).await;
    let id = running
        .accept("hub", "release", &release(&origin, Some(&digest)))
        .await;
    for attempt in 1..3 {
        running
            .event_until(&id, |event| event.attempts == attempt)
            .await;
        running.advance(80);
    }
    let error = running.ended(&id).await.unwrap_err();
    assert!(error.contains("answered status 503"), "{error}");
    running
        .counted(
            "chancery_signing_webhook_events_finished_total{webhook=\"hub\",outcome=\"failed\"} 1",
        )
        .await;
}

#[tokio::test]
async fn the_signing_cores_refusal_is_final_and_its_absence_is_not() {
    let house = House::new().await;
    let (_forge, origin) = forge(&house, |_| Reply::new(200, ARTIFACT)).await;
    let digest = sha256(ARTIFACT);
    let running = house.start(&hub(&house, &origin, "")).await;
    let failure = |transient, code: &str| SignFailure {
        transient,
        code: code.to_owned(),
        detail: "as it is".to_owned(),
    };
    *running.core.refusals.lock().unwrap() = vec![
        failure(false, "provenance_required"),
        failure(true, "token_unavailable"),
    ];
    let id = running
        .accept("hub", "release", &release(&origin, Some(&digest)))
        .await;
    assert_eq!(running.put_off(&id).await, "token_unavailable: as it is");
    running.advance(60);
    let error = running.ended(&id).await.unwrap_err();
    assert_eq!(error, "provenance_required: as it is");
}

#[tokio::test]
async fn a_killed_process_leaves_work_that_the_next_one_does_once() {
    let house = House::new().await;
    let stall = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let stalls = std::sync::Arc::clone(&stall);
    let (forge, origin) = forge(&house, move |asked| {
        let reply = Reply::new(200, ARTIFACT);
        let second = asked.line.ends_with("/2");
        if second && stalls.load(std::sync::atomic::Ordering::SeqCst) {
            reply.cut(3).hanging()
        } else {
            reply
        }
    })
    .await;
    let digest = sha256(ARTIFACT);
    let mut payload = release(&origin, Some(&digest));
    let mut second = payload["release"]["assets"][0].clone();
    second["name"] = "second.tar.gz".into();
    second["url"] = format!("{origin}/2").into();
    payload["release"]["assets"]
        .as_array_mut()
        .unwrap()
        .push(second);
    let toml = hub(&house, &origin, "");

    // The first artifact is signed, the second half fetched when it ends.
    let first = house.start(&toml).await;
    let id = first.accept("hub", "release", &payload).await;
    forge.asked_times(2).await;
    let before = first.core.asked.lock().unwrap().clone();
    assert_eq!(before.len(), 1);
    first.kill().await;

    stall.store(false, std::sync::atomic::Ordering::SeqCst);
    let next = house.start(&toml).await;
    let result = next.ended(&id).await.unwrap();
    let ids: Vec<&Value> = result["signatures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|made| &made["id"])
        .collect();
    assert_eq!(ids.len(), 2);
    // The first was asked for again by the same key, and is the same signature.
    let again = next.core.asked.lock().unwrap()[0].clone();
    assert_eq!(again.idempotency, before[0].idempotency);
    let counts = next.store.status().counts;
    assert_eq!((counts.begun, counts.signed), (2, 2));
}

#[tokio::test]
async fn an_event_whose_rule_is_gone_fails_and_says_so() {
    let house = House::new().await;
    let (_forge, origin) = forge(&house, |_| Reply::new(200, ARTIFACT)).await;
    let toml = hub(&house, &origin, "");
    let digest = sha256(ARTIFACT);
    let first = house.open(&toml).await;
    let id = first
        .accept("hub", "release", &release(&origin, Some(&digest)))
        .await;
    first.kill().await;
    let next = house
        .start(&toml.replace("rules.product", "rules.other"))
        .await;
    let error = next.ended(&id).await.unwrap_err();
    assert_eq!(
        error,
        "rule_unknown: rule product of webhook hub is no longer configured"
    );
}

#[tokio::test]
async fn the_age_of_the_oldest_is_told() {
    let house = House::new().await;
    let (_forge, origin) = forge(&house, |_| Reply::new(503, "")).await;
    let digest = sha256(ARTIFACT);
    let (running, id) = one_release(&house, &origin, "", Some(&digest)).await;
    running.put_off(&id).await;
    running.advance(5);
    for line in [
        "chancery_signing_webhook_queue_oldest_seconds{queue=\"events\"} 5.0",
        "chancery_signing_webhook_queue{queue=\"events\"} 1",
    ] {
        running.counted(line).await;
    }
    assert_eq!(running.now().duration_since(start()).as_secs(), 5);
}
