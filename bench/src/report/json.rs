//! The whole comparison as one JSON document: every run, bytes as integers.

use super::Comparison;
use crate::setting::{Figure, Kind};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs::File;
use std::path::Path;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    command: &'a str,
    machine: &'a super::Machine,
    rounds: usize,
    allocators: &'a [crate::allocator::Allocator],
    settings: Vec<SettingRow>,
    left_out: &'a [String],
    cells: &'a [crate::suite::Cell],
}

#[derive(Serialize)]
struct SettingRow {
    name: &'static str,
    kind: Kind,
    figure: Figure,
    arguments: &'static [&'static str],
}

/// Writes the document; a file of that name is replaced.
pub(crate) fn write(comparison: &Comparison, path: &Path) -> Result<()> {
    let document = Document {
        schema_version: 1,
        command: &comparison.command,
        machine: &comparison.machine,
        rounds: comparison.rounds,
        allocators: comparison.allocators,
        settings: comparison
            .settings
            .iter()
            .map(|setting| SettingRow {
                name: setting.name,
                kind: setting.kind,
                figure: setting.figure,
                arguments: setting.arguments,
            })
            .collect(),
        left_out: comparison.left_out,
        cells: comparison.cells,
    };
    let file = File::create(path)
        .with_context(|| format!("--json {}: the file could not be created; name one that can", path.display()))?;
    serde_json::to_writer_pretty(file, &document).with_context(|| format!("--json {}", path.display()))
}
