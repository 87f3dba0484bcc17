//! What configurations are refused, and with which words.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::refusal::ConfigError;
use super::source::Source;

/// A configuration with one of everything that can be wrong.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read by serde alone")]
struct Sample {
    /// A required table.
    server: Server,
    /// Tables by name.
    #[serde(default)]
    stores: BTreeMap<String, Backend>,
}

/// A table with typed values.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Server {
    /// An address.
    listen: std::net::SocketAddr,
    /// A number.
    workers: u8,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 1).into(),
            workers: 1,
        }
    }
}

/// A table whose `type` decides its keys.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Backend {
    /// Files.
    #[expect(dead_code, reason = "read by serde alone")]
    File {
        /// Where.
        directory: String,
    },
}

/// Says why `text` is refused.
fn refusal_of(text: &str) -> String {
    match Source::from_text("chancery.toml", text).extract::<Sample>() {
        Err(error @ ConfigError::Refused { .. }) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_mistyped_key_is_refused_with_its_line_and_the_nearest_name() {
    let words = refusal_of("[server]\nworkers = 2\nlisten_ = \"127.0.0.1:1\"\n");
    assert_eq!(
        words,
        "chancery.toml:3: no such key server.listen_, did you mean listen? \
         (known here: listen, workers)"
    );
}

#[test]
fn a_mistyped_key_of_a_tagged_table_is_refused_alike() {
    let words = refusal_of(
        "[server]\n[stores.root]\ntype = \"file\"\ndirectry = \"keys\"\ndirectory = \"x\"\n",
    );
    assert_eq!(
        words,
        "chancery.toml:4: no such key stores.root.directry, did you mean directory? \
         (known here: directory)"
    );
}

#[test]
fn a_mistyped_section_is_refused_with_its_line() {
    let words = refusal_of("[server]\n\n[store]\n");
    assert!(
        words.starts_with("chancery.toml:3: no such key store, did you mean stores?"),
        "{words}"
    );
}

#[test]
fn a_value_of_the_wrong_kind_names_key_value_and_what_is_allowed() {
    let words = refusal_of("[server]\nworkers = \"many\"\n");
    assert_eq!(
        words,
        "chancery.toml:2: server.workers must be u8, not string \"many\""
    );
    let words = refusal_of("[server]\nlisten = \"here\"\n");
    assert!(words.contains("chancery.toml:2: server.listen"), "{words}");
}

#[test]
fn a_missing_section_is_named() {
    let words = refusal_of("");
    assert_eq!(words, "chancery.toml: server is missing and has no default");
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_line() {
    let error = Source::from_text("chancery.toml", "[server\n")
        .extract::<Sample>()
        .unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("line 1"), "{cause}");
}
