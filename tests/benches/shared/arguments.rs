//! What a benchmark is told on its command line, and the report it leaves.

use std::path::PathBuf;

use serde_json::{Map, Value};

/// The command line: `[--quick] [--json FILE] [NAME…]`.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// Whether rough figures will do.
    pub(crate) quick: bool,
    /// Where the figures go for programs.
    json_file: Option<PathBuf>,
    /// The parts to be measured; all of them where empty.
    chosen: Vec<String>,
}

impl Arguments {
    /// Reads this process's.
    pub(crate) fn read() -> Self {
        let mut read = Self {
            quick: false,
            json_file: None,
            chosen: Vec::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => read.quick = true,
                "--json" => read.json_file = words.next().map(PathBuf::from),
                // Cargo adds `--bench`.
                other if other.starts_with("--") => {}
                _ => read.chosen.push(word),
            }
        }
        read
    }

    /// Tells whether a part is to be measured.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.chosen.is_empty() || self.chosen.iter().any(|chosen| chosen == name)
    }
}

/// Figures, by the part that they are of.
#[derive(Debug, Default)]
pub(crate) struct Report(Map<String, Value>);

impl Report {
    /// Keeps a part's figures.
    pub(crate) fn keep(&mut self, name: &str, figures: Value) {
        self.0.insert(name.to_owned(), figures);
    }

    /// Writes it to the file that was named, if one was.
    pub(crate) fn write(self, arguments: &Arguments) -> std::io::Result<()> {
        match &arguments.json_file {
            Some(path) => std::fs::write(path, format!("{:#}\n", Value::Object(self.0))),
            None => Ok(()),
        }
    }
}
