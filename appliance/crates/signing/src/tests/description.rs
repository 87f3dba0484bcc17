//! The API's description, held to the API.

use std::collections::BTreeMap;

use mesh::wire::ProblemDocument;
use reqwest::Method;
use serde_json::Value;

use super::client::{signed, smallest};
use super::evidence::{ARTIFACT, artifact_hash};
use super::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn every_call_that_is_described_is_there_and_answers_as_described() {
    let server = TestServer::start("[log]\nenabled = true").await;
    let client = server.http(Some("operator/bob"));
    let object = signed(&server, &client, &smallest()).await;
    let url = server.url("/v1/openapi.json");
    let description: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    let mut calls = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        let place = path
            .replace("{id}", object["id"].as_str().unwrap())
            .replace("{index}", "0")
            .replace("{digest}", &artifact_hash(ARTIFACT));
        for (method, operation) in operations.as_object().unwrap() {
            calls += 1;
            let wanted: Method = method.to_uppercase().parse().unwrap();
            let response = client
                .request(wanted, server.url(&place))
                .send()
                .await
                .unwrap();
            let status = response.status().as_u16();
            let declared = operation["responses"].as_object().unwrap();
            assert!(
                declared.contains_key(&status.to_string()),
                "{method} {path}: {status}"
            );
            if status >= 400 {
                let problem: ProblemDocument = response.json().await.unwrap();
                assert!(
                    !problem.kind.ends_with(":not-found"),
                    "{method} {path}: {problem:?}"
                );
            }
        }
    }
    assert_eq!(calls, 28);
    server.stop().await;
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    /// Gathers references.
    fn gather(value: &Value, found: &mut BTreeMap<String, usize>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    *found.entry(reference.clone()).or_default() += 1;
                }
                members.values().for_each(|member| gather(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
            _ => {}
        }
    }
    let text = include_str!("../http/openapi.json");
    let description: Value = serde_json::from_str(text).unwrap();
    let mut found = BTreeMap::new();
    gather(&description, &mut found);
    assert!(found.len() > 20);
    for reference in found.keys() {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(description.pointer(pointer).is_some(), "{reference}");
    }
    for name in description["components"]["responses"]
        .as_object()
        .unwrap()
        .keys()
    {
        let used = format!("#/components/responses/{name}");
        assert!(found.contains_key(&used), "{name}");
    }
}
