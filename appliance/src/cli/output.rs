//! What commands print: tables for people, JSON for programs.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::failure::{Failure, Trying};

/// Prints text to standard output.
///
/// A reader that has seen enough (`| head`) is no failure.
///
/// # Errors
///
/// When standard output cannot be written, for instance on a full disk.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.trying(|| "write to standard output".to_owned()),
    }
}

/// Prints one line to standard output.
///
/// # Errors
///
/// As [`print`].
pub(super) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    print(&format!("{}\n", text.as_ref()))
}

/// Prints a value as JSON for programs.
///
/// # Errors
///
/// As [`print`].
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).trying(|| "render the answer as JSON".into())?;
    line(text)
}

/// Prints rows under headings; nothing but a sentence when there are none.
///
/// # Errors
///
/// As [`print`].
pub(super) fn table(
    headings: &[&str],
    rows: Vec<Vec<String>>,
    when_empty: &str,
) -> Result<(), Failure> {
    if rows.is_empty() {
        return line(when_empty);
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(headings.iter().map(|heading| heading.to_uppercase()));
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    line(table.trim_fmt())
}

/// Prints names and values, the values one below the other.
///
/// # Errors
///
/// As [`print`].
pub(super) fn facts(facts: &[(&str, String)]) -> Result<(), Failure> {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in facts {
        let indent = format!("\n{:width$}  ", "");
        line(format!("{name:width$}  {}", value.replace('\n', &indent)))?;
    }
    Ok(())
}

/// Shows that long work goes on, on a terminal; silent elsewhere.
///
/// The line goes away when the work ends.
pub(super) fn while_working<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let bar = if io::stderr().is_terminal() {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    } else {
        ProgressBar::hidden()
    };
    let outcome = work();
    bar.finish_and_clear();
    outcome
}

/// Tells a person something beside the output, on standard error.
pub(super) fn note(text: &str) {
    // Nowhere is left to report that standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Reads a limit of a listing, 0 standing for none.
pub(super) fn most(limit: usize) -> usize {
    match limit {
        0 => usize::MAX,
        limit => limit,
    }
}

/// Says that a listing was cut, if it was.
pub(super) fn note_more(more: bool, what: &str, limit: usize) {
    if more {
        note(&format!(
            "There are more than {limit} {what}; --limit 0 lists all."
        ));
    }
}

/// Renders a time to the second, UTC.
pub(super) fn time(time: model::Timestamp) -> String {
    format!("{time:.0}")
}

/// Renders octets in lower-case hexadecimal.
pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
