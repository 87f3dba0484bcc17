//! Holds docs/configuration.md to the types: every key stands there, with its
//! true default, and nothing else does.

use std::collections::{BTreeMap, BTreeSet};

use super::RawConfig;
use super::refusal::ConfigError;
use super::source::Source;

/// The page.
const PAGE: &str = include_str!("../../../docs/configuration.md");

/// What every configuration needs before anything else can be tried.
const SMALLEST: &str = "[keystore]\ntype = \"file\"\n";

/// A key no table has.
const PROBE: &str = "no-such-key";

/// One documented key.
#[derive(Debug)]
struct Row {
    /// Its default as TOML; none for a dash.
    default: Option<String>,
}

/// Reads the page: each section `` ## `[a.b]` `` and the rows of its table.
/// In a section's name an upper-case word stands for any name.
fn documented() -> BTreeMap<String, BTreeMap<String, Row>> {
    let mut sections: BTreeMap<String, BTreeMap<String, Row>> = BTreeMap::new();
    let mut section = None;
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ").or(line.strip_prefix("### ")) {
            section = heading
                .strip_prefix("`[")
                .and_then(|rest| rest.split_once("]`"))
                .map(|(name, _)| name.to_owned())
                .or_else(|| (heading == "Top level").then(String::new));
        } else if let (Some(section), Some(row)) = (&section, line.strip_prefix("| `")) {
            let (key, rest) = row.split_once("` | ").expect("a row's key ends");
            let default = rest
                .strip_prefix('`')
                .and_then(|rest| rest.split_once('`'))
                .map(|(default, _)| default.to_owned());
            let before = sections
                .entry(section.clone())
                .or_default()
                .insert(key.to_owned(), Row { default });
            assert!(before.is_none(), "[{section}] {key} stands twice");
        }
    }
    sections
}

/// The section's name with something in every place that may hold any name.
fn example(section: &str) -> String {
    section
        .split('.')
        .map(|part| match part {
            "NAME" => "tls-server",
            "ROLE" => "operator",
            other => other,
        })
        .collect::<Vec<_>>()
        .join(".")
}

/// Writes a configuration with one line in one section.
fn with(section: &str, line: &str) -> String {
    let section = example(section);
    match section.as_str() {
        "" => format!("{line}\n{SMALLEST}"),
        "keystore" => format!("[keystore]\n{line}\n{}", kind_for(line, "keystore")),
        keystore if keystore.starts_with("keystores.") => {
            format!(
                "{SMALLEST}[{keystore}]\n{line}\n{}",
                kind_for(line, keystore)
            )
        }
        other => format!("{SMALLEST}[{other}]\n{line}\n"),
    }
}

/// Adds the `type` that a keystore's key belongs to.
fn kind_for(line: &str, _section: &str) -> &'static str {
    if line.starts_with("type") {
        ""
    } else if line.starts_with("key_dir") || line.contains("file-probe") {
        "type = \"file\"\n"
    } else {
        "type = \"pkcs11\"\n"
    }
}

/// Asks the types which keys a section has: an unknown key is answered with
/// those that are known. None if it is no table of fixed keys.
fn known(section: &str, line: &str) -> Option<BTreeSet<String>> {
    let outcome = Source::from_text("page", with(section, line)).extract::<RawConfig>();
    let Err(ConfigError::Refused { refusals }) = outcome else {
        return None;
    };
    let words = refusals.first()?.to_string();
    let (complaint, rest) = words.split_once("(known here: ")?;
    let expected = match example(section).as_str() {
        "" => format!("no such key {PROBE}"),
        section => format!("no such key {section}.{PROBE}"),
    };
    complaint.contains(&expected).then(|| {
        rest.trim_end_matches(')')
            .split(", ")
            .map(str::to_owned)
            .collect()
    })
}

/// Every key of a section, of all its kinds.
fn keys_of(section: &str) -> Option<BTreeSet<String>> {
    let mut keys = known(section, &format!("{PROBE} = 0"))?;
    if section.starts_with("keystore") {
        keys.extend(known(section, &format!("{PROBE} = \"file-probe\"")).unwrap_or_default());
        keys.insert("type".to_owned());
    }
    Some(keys)
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let documented = documented();
    let mut wanting = Vec::new();
    for (section, rows) in &documented {
        let Some(keys) = keys_of(section) else {
            wanting.push(format!("[{section}] is no table of the configuration"));
            continue;
        };
        for key in rows.keys().filter(|key| !keys.contains(*key)) {
            wanting.push(format!(
                "[{section}] {key} is documented and does not exist"
            ));
        }
        for key in keys.iter().filter(|key| !rows.contains_key(*key)) {
            let below = match section.as_str() {
                "" => key.clone(),
                section => format!("{section}.{key}"),
            };
            let has_section = documented
                .keys()
                .any(|other| other == &below || other.starts_with(&format!("{below}.")));
            if !has_section {
                wanting.push(format!("[{section}] {key} is not documented"));
            }
        }
    }
    assert!(wanting.is_empty(), "{}", wanting.join("\n"));
}

#[test]
fn every_documented_default_is_the_default() {
    let read = |text: &str| Source::from_text("page", text).extract::<RawConfig>();
    for (section, rows) in documented() {
        for (key, row) in rows {
            let Some(default) = row.default else { continue };
            let stated = read(&with(&section, &format!("{key} = {default}")))
                .unwrap_or_else(|error| panic!("[{section}] {key} = {default}: {error}"));
            // The same without the line itself; a keystore keeps its type.
            let unstated = with(&section, &format!("{key} = {default}"))
                .replace(&format!("{key} = {default}\n"), "");
            if key == "type" {
                continue;
            }
            let unstated = read(&unstated)
                .unwrap_or_else(|error| panic!("[{section}] without {key}: {error}"));
            assert_eq!(
                format!("{stated:?}"),
                format!("{unstated:?}"),
                "[{section}] {key}"
            );
        }
    }
}

#[test]
fn the_page_s_examples_are_configurations() {
    let mut examples = 0;
    for block in PAGE.split("```toml\n").skip(1) {
        let (text, _) = block.split_once("```").expect("a block ends");
        let text = if text.contains("[keystore]") {
            text.to_owned()
        } else {
            format!("{SMALLEST}{text}")
        };
        Source::from_text("page", text.clone())
            .extract::<RawConfig>()
            .unwrap_or_else(|error| panic!("{text}\n{error}"));
        examples += 1;
    }
    assert!(examples > 0);
}
