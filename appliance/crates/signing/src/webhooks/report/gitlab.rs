//! Results at GitLab: files of a package, linked from the release.

use hyper::Method;
use hyper::header::CONTENT_TYPE;
use serde_json::json;

use super::forge::{Api, taken};
use super::{Order, Outcome, Post};
use crate::outside::Ask;
use crate::webhooks::Webhooks;
use crate::webhooks::delivery::{Delivered, Undelivered};

/// Posts the documents of an artifact's signature as files of a package, and links them
/// from the release. Those that are linked already are not posted again.
pub(super) async fn post_files(webhooks: &Webhooks, post: &Post, order: &Order) -> Delivered {
    let api = Api {
        webhooks,
        post,
        fields: &[],
    };
    let absent = |what: &str| Undelivered::for_good(format!("the message told no {what}"));
    let project = order.context.project.ok_or_else(|| absent("project"))?;
    let project = project.to_string();
    let tag = order.context.tag.as_deref().ok_or_else(|| absent("tag"))?;
    let Outcome::Signed(made) = &order.result else {
        return Err(Undelivered::for_good("there are no files of what failed"));
    };
    let links = Api::url(
        &post.config.url,
        &["projects", &project, "releases", tag, "assets", "links"],
    )?;
    let mut listing = links.clone();
    listing.query_pairs_mut().append_pair("per_page", "100");
    let there = api.list(&listing).await?;
    let mut status = 200;
    for made in made {
        for document in webhooks.documents(post, made).await? {
            let file = Api::url(
                &post.config.url,
                &[
                    "projects",
                    &project,
                    "packages",
                    "generic",
                    &post.config.package,
                    &version(tag),
                    &document.name,
                ],
            )?;
            match there.iter().find(|link| link["name"] == *document.name) {
                Some(link) if link["url"] == *file.as_str() => continue,
                Some(_) => {
                    return Err(Undelivered::for_good(format!(
                        "the release has another link {}, which is not replaced: remove it and \
                         send this again",
                        document.name
                    )));
                }
                None => {}
            }
            let upload = Ask {
                method: Method::PUT,
                fields: vec![(CONTENT_TYPE, document.media_type.clone())],
                body: document.octets,
            };
            taken(&api.call(&file, upload).await?)?;
            let link = json!({
                "name": document.name,
                "url": file.as_str(),
                "link_type": "other",
            });
            status = api.send(&links, &link).await?;
        }
    }
    Ok(status)
}

/// Makes a package's version of a tag: what GitLab does not take in one becomes a hyphen.
fn version(tag: &str) -> String {
    let taken = |character: char| {
        if character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_' | '+') {
            character
        } else {
            '-'
        }
    };
    tag.chars()
        .map(taken)
        .collect::<String>()
        .replace("..", "-")
}
