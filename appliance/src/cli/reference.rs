//! Holds docs/cli.md to the commands: every command and option stands there,
//! and nothing else does.

use std::collections::{BTreeMap, BTreeSet};

use clap::CommandFactory;

use super::Cli;

/// The page.
const PAGE: &str = include_str!("../../../docs/cli.md");

/// Reads the page: each command's heading and the options of its table.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    PAGE.split("\n## `")
        .skip(1)
        .map(|section| {
            let (command, text) = section.split_once('`').expect("a heading ends");
            let options = text
                .lines()
                .filter_map(|line| line.strip_prefix("| `--"))
                .filter_map(|row| row.split(['`', ' ']).next())
                .map(str::to_owned)
                .collect();
            (command.to_owned(), options)
        })
        .collect()
}

/// Collects the commands that do something, with their own long options.
fn collect(command: &clap::Command, path: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    if !command.has_subcommands() {
        let options = command
            .get_arguments()
            .filter(|argument| !argument.is_global_set())
            .filter_map(clap::Arg::get_long)
            .map(str::to_owned)
            .collect();
        found.insert(path.to_owned(), options);
    }
    for below in command.get_subcommands() {
        collect(below, &format!("{path} {}", below.get_name()), found);
    }
}

#[test]
fn every_command_and_option_is_documented_and_nothing_else() {
    let mut commands = BTreeMap::new();
    collect(&Cli::command(), "chancery", &mut commands);
    assert_eq!(documented(), commands);
}

#[test]
fn clap_finds_no_fault_with_the_commands() {
    Cli::command().debug_assert();
}
