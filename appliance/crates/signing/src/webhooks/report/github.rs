//! Results at GitHub: files of the release, and the status of its commit.

use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::forge::{Api, failed, taken};
use super::{Document, Order, Outcome, Post};
use crate::outside::Ask;
use crate::webhooks::Webhooks;
use crate::webhooks::delivery::{Delivered, Undelivered};

/// The fields of every call.
const FIELDS: &[(&str, &str)] = &[
    ("accept", "application/vnd.github+json"),
    ("x-github-api-version", "2022-11-28"),
];

/// Most pages of a release's files that are looked through, of a hundred files each.
const MAX_PAGES: u32 = 10;

/// Most characters of a status's description.
const MAX_DESCRIPTION: usize = 140;

/// Posts the documents of an artifact's signature as files of the release. Those that are
/// there already are not posted again.
pub(super) async fn post_files(webhooks: &Webhooks, post: &Post, order: &Order) -> Delivered {
    let api = Api {
        webhooks,
        post,
        fields: FIELDS,
    };
    let (owner, name) = repository(order)?;
    let release = order
        .context
        .release
        .ok_or_else(|| absent("release's number"))?
        .to_string();
    let release = ["repos", owner, name, "releases", &release, "assets"];
    let Outcome::Signed(made) = &order.result else {
        return Err(Undelivered::for_good("there are no files of what failed"));
    };
    let there = files_there(&api, &Api::url(&post.config.url, &release)?).await?;
    let mut status = 200;
    for made in made {
        for document in webhooks.documents(post, made).await? {
            if let Some(file) = there.iter().find(|file| file["name"] == *document.name) {
                if is_same(file, &document) {
                    continue;
                }
                remove_rest(&api, owner, name, file, &document).await?;
            }
            let mut url = Api::url(&post.config.uploads_url, &release)?;
            url.query_pairs_mut().append_pair("name", &document.name);
            let ask = Ask {
                method: Method::POST,
                fields: vec![(CONTENT_TYPE, document.media_type.clone())],
                body: document.octets,
            };
            status = taken(&api.call(&url, ask).await?)?;
        }
    }
    Ok(status)
}

/// Lists the files of a release.
async fn files_there(api: &Api<'_>, url: &Url) -> Result<Vec<Value>, Undelivered> {
    let mut files = Vec::new();
    for page in 1..=MAX_PAGES {
        let mut url = url.clone();
        url.query_pairs_mut()
            .append_pair("per_page", "100")
            .append_pair("page", &page.to_string());
        let items = api.list(&url).await?;
        let last = items.len() < 100;
        files.extend(items);
        if last {
            break;
        }
    }
    Ok(files)
}

/// Tells whether a file that is there is the document: an attempt before this one posted it.
fn is_same(file: &Value, document: &Document) -> bool {
    let whole = file["state"] == "uploaded" && file["size"] == document.octets.len();
    // Older servers tell no digest.
    whole && (file["digest"].is_null() || file["digest"] == *document.digest.to_string())
}

/// Removes what an upload left behind that ended half-way; nothing else is removed.
async fn remove_rest(
    api: &Api<'_>,
    owner: &str,
    name: &str,
    file: &Value,
    document: &Document,
) -> Result<(), Undelivered> {
    let id = file["id"].as_u64();
    let (Some(id), true) = (id, file["state"] != "uploaded") else {
        return Err(Undelivered::for_good(format!(
            "the release has another file {}, which is not replaced: remove it and send this again",
            document.name
        )));
    };
    let id = id.to_string();
    let url = Api::url(
        &api.post.config.url,
        &["repos", owner, name, "releases", "assets", &id],
    )?;
    let ask = Ask {
        method: Method::DELETE,
        ..Ask::get(Vec::new())
    };
    taken(&api.call(&url, ask).await?).map(drop)
}

/// Posts the status of the release's commit.
pub(super) async fn post_status(webhooks: &Webhooks, post: &Post, order: &Order) -> Delivered {
    let api = Api {
        webhooks,
        post,
        fields: FIELDS,
    };
    let (owner, name) = repository(order)?;
    let tag = order.context.tag.as_deref().ok_or_else(|| absent("tag"))?;
    let commit = commit_of(&api, &["repos", owner, name, "commits", tag]).await?;
    let (state, description) = match &order.result {
        Outcome::Signed(made) if made.len() == 1 => ("success", "1 artifact is signed".to_owned()),
        Outcome::Signed(made) => ("success", format!("{} artifacts are signed", made.len())),
        Outcome::Failed { code, reason } => ("failure", format!("not signed: {code}: {reason}")),
    };
    let description: String = description.chars().take(MAX_DESCRIPTION).collect();
    let body = json!({
        "state": state,
        "context": post.config.context,
        "description": description,
    });
    let url = Api::url(
        &post.config.url,
        &["repos", owner, name, "statuses", &commit],
    )?;
    api.send(&url, &body).await
}

/// Asks which commit a tag names.
async fn commit_of(api: &Api<'_>, path: &[&str]) -> Result<String, Undelivered> {
    let url = Api::url(&api.post.config.url, path)?;
    let digest_alone = HeaderValue::from_static("application/vnd.github.sha");
    let answer = api
        .call(&url, Ask::get(vec![(ACCEPT, digest_alone)]))
        .await?;
    let commit = std::str::from_utf8(&answer.body).unwrap_or_default().trim();
    let is_commit =
        (40..=64).contains(&commit.len()) && commit.bytes().all(|octet| octet.is_ascii_hexdigit());
    if answer.status.is_success() && is_commit {
        Ok(commit.to_owned())
    } else {
        Err(failed(&answer))
    }
}

/// Returns owner and name of the repository.
fn repository(order: &Order) -> Result<(&str, &str), Undelivered> {
    order
        .context
        .repository
        .as_deref()
        .and_then(|repository| repository.split_once('/'))
        .ok_or_else(|| absent("repository"))
}

/// Says that the message did not tell what is needed: the report was added to the rule
/// after the message came.
fn absent(what: &str) -> Undelivered {
    Undelivered::for_good(format!("the message told no {what}"))
}
