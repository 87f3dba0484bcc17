//! Calls of a forge's API.

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::Post;
use crate::outside::{Ask, Target};
use crate::webhooks::Webhooks;
use crate::webhooks::delivery::{Short, Undelivered};

/// Calls the API of one forge for one report.
pub(super) struct Api<'a> {
    /// The webhooks.
    pub(super) webhooks: &'a Webhooks,
    /// The report.
    pub(super) post: &'a Post,
    /// Header fields besides the token.
    pub(super) fields: &'static [(&'static str, &'static str)],
}

impl Api<'_> {
    /// Makes a URL of a base and the parts of a path, each escaped.
    pub(super) fn url(base: &Url, parts: &[&str]) -> Result<Url, Undelivered> {
        let mut url = base.clone();
        url.path_segments_mut()
            .map_err(|()| Undelivered::for_good("the API's address takes no path"))?
            .pop_if_empty()
            .extend(parts);
        Ok(url)
    }

    /// Makes a call.
    pub(super) async fn call(&self, url: &Url, mut ask: Ask) -> Result<Short, Undelivered> {
        let target =
            Target::of(url).map_err(|problem| Undelivered::for_good(problem.to_string()))?;
        ask.fields.extend(self.post.token.clone());
        let named = |name: &HeaderName| ask.fields.iter().any(|(own, _)| own == name);
        let usual: Vec<_> = self
            .fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .filter(|(name, _)| !named(name))
            .collect();
        ask.fields.extend(usual);
        self.webhooks
            .call(&self.webhooks.reporter.tls, &target, ask)
            .await
    }

    /// Reads a list; none of its answers may be anything else.
    pub(super) async fn list(&self, url: &Url) -> Result<Vec<Value>, Undelivered> {
        let answer = self.call(url, Ask::get(Vec::new())).await?;
        match serde_json::from_slice(&answer.body) {
            Ok(Value::Array(items)) if answer.status == StatusCode::OK => Ok(items),
            _ => Err(failed(&answer)),
        }
    }

    /// Sends JSON, which must be taken.
    pub(super) async fn send(&self, url: &Url, body: &Value) -> Result<u16, Undelivered> {
        let ask = Ask::json(Method::POST, Vec::new(), body.to_string());
        let answer = self.call(url, ask).await?;
        taken(&answer)
    }
}

/// Tells whether a call was taken.
pub(super) fn taken(answer: &Short) -> Result<u16, Undelivered> {
    if answer.status.is_success() {
        Ok(answer.status.as_u16())
    } else {
        Err(failed(answer))
    }
}

/// Says that a call was not taken. A token may be given more rights, a release be made:
/// only a resource that is gone ends it.
pub(super) fn failed(answer: &Short) -> Undelivered {
    if answer.status == StatusCode::GONE {
        Undelivered::for_good(answer.complaint())
    } else {
        Undelivered::again(answer.complaint(), answer.retry_after)
    }
}
