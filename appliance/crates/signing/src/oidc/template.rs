//! What a forge said, in Fulcio's words: texts with a token's claims in them.

use serde_json::{Map, Value};

/// A text with claims in braces: `https://forge.example/{repository}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// As it stands.
    Text(String),
    /// A claim's value.
    Claim(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("braces stand in pairs around the name of a claim: {{repository}}")]
pub struct InvalidTemplate;

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// `InvalidTemplate` for braces that are none around a name.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').ok_or(InvalidTemplate)?;
            if before.contains('}') || name.is_empty() || name.contains('{') {
                return Err(InvalidTemplate);
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Claim(name.to_owned()));
            rest = behind;
        }
        if rest.contains('}') {
            return Err(InvalidTemplate);
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Fills in the claims; none where one is missing, empty, or no text.
    ///
    /// In a URI their octets that would not stand for themselves are encoded, so that
    /// no claim ends a path or begins a query.
    pub(crate) fn fill(&self, claims: &Map<String, Value>, is_uri: bool) -> Option<String> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Claim(name) => {
                    let value = claims
                        .get(name)
                        .and_then(text_of)
                        .filter(|value| !value.is_empty())?;
                    if is_uri {
                        push_encoded(&value, &mut filled);
                    } else {
                        filled.push_str(&value);
                    }
                }
            }
        }
        Some(filled)
    }
}

/// Returns a claim as text; none for lists, objects and null.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Appends a value to a URI's path (RFC 3986, 3.3: `pchar` and slashes stay).
fn push_encoded(value: &str, out: &mut String) {
    for octet in value.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Fills a template with a build's claims.
    fn fill(template: &str, is_uri: bool) -> Option<String> {
        let claims = json!({
            "repository": "acme/app", "run_id": 17, "fork": false, "empty": "",
            "ref": "refs/heads/a b#ü?x%", "list": ["a"],
        });
        let Value::Object(claims) = claims else {
            unreachable!("it is an object")
        };
        Template::parse(template).unwrap().fill(&claims, is_uri)
    }

    #[test]
    fn claims_take_the_place_of_their_names() {
        let filled = fill("https://forge.example/{repository}/runs/{run_id}", true);
        assert_eq!(
            filled.as_deref(),
            Some("https://forge.example/acme/app/runs/17")
        );
        assert_eq!(fill("{fork}", false).as_deref(), Some("false"));
        assert_eq!(fill("{ref}", false).as_deref(), Some("refs/heads/a b#ü?x%"));
        assert_eq!(
            fill("https://forge.example/{ref}", true).as_deref(),
            Some("https://forge.example/refs/heads/a%20b%23%C3%BC%3Fx%25")
        );
        for missing in ["{actor}", "{empty}", "{list}", "a{actor}b"] {
            assert_eq!(fill(missing, false), None, "{missing}");
        }
    }

    #[test]
    fn braces_stand_in_pairs() {
        for text in ["{", "}", "{}", "{a", "a}", "{{a}}", "}{", "{a}}"] {
            assert_eq!(Template::parse(text), Err(InvalidTemplate), "{text}");
        }
    }
}
