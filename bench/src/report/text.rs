//! The tables. Each cell is a median and its ratio to the first column; `~` marks a ratio whose runs overlap those of
//! the first column, so that the difference is not resolved.

use super::sheets::{self, three_digits};
use super::standing::{Measure, Standing};
use super::{Comparison, Row, words};
use crate::setting::{Figure, Kind};
use crate::stats::{Summary, geometric_mean};
use crate::suite::Cell;
use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write as _;

const MIB: f64 = 1024.0 * 1024.0;

/// A quantity that has a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Time,
    Memory,
}

impl Quantity {
    /// The figure of a cell under this quantity; `None` where the setting has none or the cell failed.
    fn of(self, setting: &Row, cell: &Cell) -> Option<Summary> {
        match (self, setting.figure) {
            (Quantity::Time, Figure::Memory { .. }) => None,
            (Quantity::Memory, _) if setting.kind == Kind::GiveBack => None,
            (Quantity::Time, _) | (Quantity::Memory, Figure::Memory { .. }) => cell.value(),
            // A loop over one block has the footprint of an empty process, which the start settings measure better.
            (Quantity::Memory, _) if matches!(setting.kind, Kind::Path | Kind::Start) => None,
            (Quantity::Memory, _) => cell.peak_rss(),
        }
    }

    fn applies(self, setting: &Row) -> bool {
        match (self, setting.figure) {
            (Quantity::Time, figure) => !matches!(figure, Figure::Memory { .. }),
            // Followed over time, in a table of its own.
            (Quantity::Memory, _) if setting.kind == Kind::GiveBack => false,
            (Quantity::Memory, Figure::Memory { .. }) => true,
            (Quantity::Memory, _) => !matches!(setting.kind, Kind::Path | Kind::Start),
        }
    }

    fn show(self, setting: &Row, value: f64) -> String {
        match (self, setting.figure) {
            (Quantity::Memory, figure) if !matches!(figure, Figure::Memory { .. }) => format!("{:.1} MiB", value / MIB),
            (_, figure) => format!("{} {}", three_digits(value), figure.unit()),
        }
    }
}

/// The whole report.
pub(crate) fn render(comparison: &Comparison) -> String {
    let mut text = heading(comparison);
    for (quantity, title) in [
        (Quantity::Time, "Time (median of the runs; ratio to the first column)"),
        (Quantity::Memory, "Memory (peak RSS, or the size named by the unit; ratio to the first column)"),
    ] {
        if comparison.settings.iter().any(|setting| quantity.applies(setting)) {
            _ = write!(text, "\n{title}\n{}\n", table(comparison, quantity));
        }
    }
    if comparison.settings.iter().any(|setting| setting.kind == Kind::GiveBack) {
        _ = write!(text, "\nResident over the start, MiB (median of the runs)\n{}\n", over_time(comparison));
    }
    if let Some(calls) = system_calls(comparison) {
        _ = write!(text, "\nSystem calls of one run (of them brk, mmap, munmap, mremap, madvise, mprotect)\n{calls}\n");
    }
    text.push_str(&standing(comparison));
    for line in sheets::not_there(comparison) {
        _ = writeln!(text, "{line}");
    }
    text
}

fn heading(comparison: &Comparison) -> String {
    let machine = &comparison.machine;
    let mut text = format!(
        "{}\n{}, {} CPUs, {:.0} MiB, Linux {}, huge pages {}, load {}; runs a cell after one warm-up, interleaved: {}\n",
        comparison.command,
        machine.processor,
        machine.cpus,
        machine.memory_bytes as f64 / MIB,
        machine.kernel,
        machine.huge_pages,
        machine.load_average,
        comparison.rounds
    );
    for allocator in &comparison.allocators {
        let file = allocator.preload.as_ref().and_then(|path| path.file_name());
        let file = file.map_or("not preloaded".into(), |name| name.to_string_lossy());
        _ = writeln!(text, "  {:<12} {} ({file})", allocator.name, allocator.version);
    }
    text.push_str("The malloc in force was checked in every process of the warm-up run and in every measured run.\n");
    text
}

fn table(comparison: &Comparison, quantity: Quantity) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let mut header = vec!["".to_string()];
    for allocator in &comparison.allocators {
        header.extend([allocator.name.clone(), "".into()]);
    }
    table.set_header(header);
    for (number, setting) in comparison.settings.iter().enumerate() {
        if quantity.applies(setting) {
            table.add_row(row(setting, comparison.row(number), quantity));
        }
    }
    for kind in Kind::ALL.map(Some).into_iter().chain([None]) {
        if let Some(row) = mean_row(comparison, quantity, kind) {
            table.add_row(row);
        }
    }
    align(&mut table, 1);
    table
}

/// The columns after the `names` first ones hold numbers.
fn align(table: &mut Table, names: usize) {
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_cell_alignment(if number < names { CellAlignment::Left } else { CellAlignment::Right });
        column.set_padding((0, 1));
    }
}

/// The moments of the settings that are followed over time, one line each.
fn over_time(comparison: &Comparison) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let names = comparison.allocators.iter().map(|allocator| allocator.name.clone());
    table.set_header(["".to_string(), "".to_string()].into_iter().chain(names));
    for moment in sheets::moments(comparison) {
        let names = [moment.setting.clone(), moment.moment.to_string()];
        table.add_row(names.into_iter().chain(moment.shown()));
    }
    align(&mut table, 2);
    table
}

fn system_calls(comparison: &Comparison) -> Option<Table> {
    comparison.cells.iter().find(|cell| cell.system_calls.is_some())?;
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let names = comparison.allocators.iter().map(|allocator| allocator.name.clone());
    table.set_header([String::new()].into_iter().chain(names));
    for (row, cells) in comparison.rows() {
        let shown = cells.iter().map(|cell| match cell.system_calls {
            Some(calls) => format!("{} ({})", calls.all, calls.for_memory),
            None => cell.absent().into(),
        });
        table.add_row([row.name.clone()].into_iter().chain(shown));
    }
    align(&mut table, 1);
    Some(table)
}

fn row(setting: &Row, cells: &[Cell], quantity: Quantity) -> Vec<String> {
    let base = cells.first().and_then(|cell| quantity.of(setting, cell));
    let mut row = vec![setting.name.clone()];
    for (number, cell) in cells.iter().enumerate() {
        let Some(summary) = quantity.of(setting, cell) else {
            row.extend([cell.absent().into(), "".into()]);
            continue;
        };
        row.push(quantity.show(setting, summary.median));
        row.push(match base {
            _ if number == 0 => format!("±{:.0}%", summary.spread() * 100.0),
            Some(base) if base.median > 0.0 => {
                let mark = if summary.overlaps(&base) { "~" } else { "" };
                format!("{mark}{:.2}", summary.median / base.median)
            }
            _ => "".into(),
        });
    }
    row
}

/// Geometric means of the ratios, over the rows that no allocator failed, so that columns can be compared.
fn mean_row(comparison: &Comparison, quantity: Quantity, kind: Option<Kind>) -> Option<Vec<String>> {
    let wanted = |setting: &Row| kind.is_none_or(|kind| setting.kind == kind);
    let mut columns = vec![Vec::new(); comparison.allocators.len()];
    for (number, setting) in comparison.settings.iter().enumerate().filter(|(_, setting)| wanted(setting)) {
        let medians: Option<Vec<f64>> = comparison
            .row(number)
            .iter()
            .map(|cell| quantity.of(setting, cell).map(|summary| summary.median))
            .collect();
        if let Some(medians) = medians.filter(|medians| medians.iter().all(|&median| median > 0.0)) {
            for (column, median) in columns.iter_mut().zip(&medians) {
                column.push(median / medians[0]);
            }
        }
    }
    let count = columns[0].len();
    if count < 2 {
        return None;
    }
    let mut row = vec![format!("mean of {count} ({})", kind.map_or("all", Kind::name))];
    for ratios in &columns {
        row.extend(["".into(), geometric_mean(ratios).map_or(String::new(), |mean| format!("{mean:.3}"))]);
    }
    Some(row)
}

/// The block at the end; empty where no mean could be taken.
fn standing(comparison: &Comparison) -> String {
    let standing = Standing::of(comparison);
    if standing.settings < 2 {
        return String::new();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let names = comparison.allocators.iter().map(|allocator| allocator.name.clone());
    table.set_header([String::new()].into_iter().chain(names).chain(["best rival".into()]));
    let shown = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
    for measure in Measure::ALL {
        let columns = standing.columns.iter().map(|column| shown(column.means.of(measure)));
        let label = words::measure(&standing, measure);
        table.add_row([label].into_iter().chain(columns).chain([shown(standing.best_rival.of(measure))]));
    }
    for (label, of) in words::FIRST {
        let columns = standing.columns.iter().map(|column| of(column).to_string());
        table.add_row([label.to_string()].into_iter().chain(columns).chain([String::new()]));
    }
    align(&mut table, 1);
    let base = &comparison.allocators[0].name;
    let mut text = format!("\nSummary: geometric means of the ratios to {base}; less is better\n{table}\n");
    for sentence in words::sentences(&standing) {
        _ = writeln!(text, "{sentence}");
    }
    text
}
