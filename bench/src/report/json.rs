//! The whole comparison as one JSON document: every run, bytes as integers; and back.

use super::Comparison;
use super::standing::Standing;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// The version of the document that this program writes and reads.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// The comparison, and what follows from it.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    comparison: &'a Comparison,
    summary: Standing,
}

/// Writes the document; a file of that name is replaced.
pub(crate) fn write(comparison: &Comparison, path: &Path) -> Result<()> {
    let document = Document { comparison, summary: Standing::of(comparison) };
    let file = File::create(path)
        .with_context(|| format!("--json {}: the file could not be created; name one that can", path.display()))?;
    let mut out = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut out, &document).with_context(|| format!("--json {}", path.display()))?;
    out.flush().with_context(|| format!("--json {}", path.display()))
}

/// Reads a document. What follows from the runs is made anew, not read.
pub(crate) fn read(path: &Path) -> Result<Comparison> {
    let text = fs::read(path)
        .with_context(|| format!("--from {}: the file could not be read; make it with --json", path.display()))?;
    let comparison: Comparison = serde_json::from_slice(&text)
        .with_context(|| format!("--from {}: this is not what --json writes", path.display()))?;
    ensure!(
        comparison.schema_version == SCHEMA_VERSION,
        "--from {}: it is a document of version {}, and this program reads version {SCHEMA_VERSION}",
        path.display(),
        comparison.schema_version
    );
    let places = comparison.settings.len() * comparison.allocators.len();
    ensure!(
        comparison.cells.len() == places && places > 0,
        "--from {}: {} cells for {places} places; it is damaged",
        path.display(),
        comparison.cells.len()
    );
    Ok(comparison)
}
