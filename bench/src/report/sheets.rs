//! The tables of the page and of the document, before either has a form: what is compared, setting by setting.

use super::{Comparison, Row};
use crate::curve::{Curve, MOMENTS};
use crate::setting::{Figure, Kind};
use crate::stats::Summary;
use crate::suite::Cell;

const MIB: f64 = 1024.0 * 1024.0;

/// A quantity for every setting that has it and every allocator.
pub(crate) struct Sheet {
    /// A word for addresses within a page.
    pub id: &'static str,
    /// The heading.
    pub title: &'static str,
    /// What is in it.
    pub note: &'static str,
    /// The settings.
    pub lines: Vec<Line>,
}

/// A setting.
pub(crate) struct Line {
    /// Its name.
    pub name: String,
    /// One for each allocator, or the word that stands there instead.
    pub entries: Vec<Result<Entry, &'static str>>,
}

/// What one allocator needed.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The figure with its unit.
    pub shown: String,
    /// Half the range of the runs over their median; `None` of one run alone.
    pub spread: Option<f64>,
    /// Median, least and greatest over the first column's median; not numbers where the first column has none.
    pub ratio: Summary,
    /// Whether the runs lie apart from those of the first column.
    pub is_resolved: bool,
}

impl Entry {
    /// The figure, and half the range of the runs in per cent.
    pub(crate) fn with_spread(&self) -> String {
        let spread = self.spread.map_or(String::new(), |spread| format!(" ±{:.0}%", spread * 100.0));
        self.shown.clone() + &spread
    }
}

/// Which quantity.
#[derive(Clone, Copy)]
enum Quantity {
    Cpu,
    Wall,
    Rss,
    Printed,
}

impl Quantity {
    fn of(self, cell: &Cell) -> Option<Summary> {
        match self {
            Quantity::Cpu => cell.summary(|run| run.cpu_seconds),
            Quantity::Wall => cell.summary(|run| run.wall_seconds),
            Quantity::Rss => cell.peak_rss(),
            Quantity::Printed => cell.value(),
        }
    }

    fn show(self, row: &Row, value: f64) -> String {
        match self {
            Quantity::Cpu | Quantity::Wall => format!("{} s", three_digits(value)),
            Quantity::Rss => format!("{:.1} MiB", value / MIB),
            Quantity::Printed => format!("{} {}", three_digits(value), row.figure.unit()),
        }
    }
}

/// A number with three digits or more.
pub(crate) fn three_digits(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        v if v >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A ratio: two decimals, or fewer where they would say nothing.
pub(crate) fn ratio(value: f64) -> String {
    if value.is_nan() {
        return "-".into();
    }
    if value < 9.995 { format!("{value:.2}") } else { three_digits(value) }
}

/// Every table that has a line.
pub(crate) fn sheets(comparison: &Comparison) -> Vec<Sheet> {
    let is_size = |row: &Row| matches!(row.figure, Figure::Memory { .. });
    let sheet = |id, title, note, quantity: Quantity, wanted: &dyn Fn(&Row) -> bool| Sheet {
        id,
        title,
        note,
        lines: comparison
            .rows()
            .filter(|(row, _)| wanted(row))
            .map(|(row, cells)| line(row, cells, quantity))
            .collect(),
    };
    let all = [
        sheet(
            "cpu",
            "CPU time",
            "User and system time of the whole process and of the children it waited for. These are the settings that the means count.",
            Quantity::Cpu,
            &|row| row.counted,
        ),
        sheet(
            "apart",
            "CPU time that no mean counts",
            "The same of settings that are not counted.",
            Quantity::Cpu,
            &|row| !row.counted && row.figure == Figure::Cpu,
        ),
        sheet(
            "wall",
            "Wall time of several threads",
            "From the start of the process to its end.",
            Quantity::Wall,
            &|row| row.counted && row.kind == Kind::Threads,
        ),
        sheet(
            "rss",
            "Peak RSS",
            "The largest resident size of the process and of the children it waited for. Where it is a few MiB, the fixed \
             footprint of a library is most of it.",
            Quantity::Rss,
            &|row| row.counted || !is_size(row) && !matches!(row.kind, Kind::Path | Kind::Start | Kind::GiveBack),
        ),
        sheet(
            "loops",
            "What measuring loops print",
            "Time for an operation, as the loop takes it inside the process: what they mean is said with the settings.",
            Quantity::Printed,
            &|row| matches!(row.figure, Figure::Time { .. }),
        ),
        sheet(
            "sizes",
            "Sizes that settings print",
            "Resident bytes per live block, anonymous memory at the start, memory that exists twice after a fork.",
            Quantity::Printed,
            &|row| is_size(row) && row.kind != Kind::GiveBack,
        ),
    ];
    all.into_iter().filter(|sheet| !sheet.lines.is_empty()).collect()
}

fn line(row: &Row, cells: &[Cell], quantity: Quantity) -> Line {
    let base = cells.first().and_then(|cell| quantity.of(cell));
    let entry = |cell: &Cell| {
        let summary = quantity.of(cell).ok_or(cell.absent())?;
        let over = |value: f64| base.filter(|base| base.median > 0.0).map_or(f64::NAN, |base| value / base.median);
        Ok(Entry {
            shown: quantity.show(row, summary.median),
            spread: (cell.runs.len() > 1).then(|| summary.spread()),
            ratio: Summary { median: over(summary.median), min: over(summary.min), max: over(summary.max) },
            is_resolved: base.is_none_or(|base| !summary.overlaps(&base)),
        })
    };
    Line { name: row.name.clone(), entries: cells.iter().map(entry).collect() }
}

/// A moment of a setting that is followed over time.
pub(crate) struct Moment {
    /// The setting.
    pub setting: String,
    /// The moment.
    pub moment: &'static str,
    /// MiB over the start for each allocator, or the word that stands there instead.
    pub mib: Vec<Result<f64, &'static str>>,
}

/// What stays of freed memory, moment by moment.
pub(crate) fn moments(comparison: &Comparison) -> Vec<Moment> {
    let mut all = Vec::new();
    for (row, cells) in comparison.rows().filter(|(row, _)| row.kind == Kind::GiveBack) {
        let mut add = |moment, of: &dyn Fn(&Curve) -> f64| {
            let mib = cells.iter().map(|cell| cell.curve(of).ok_or(cell.absent())).collect();
            all.push(Moment { setting: row.name.clone(), moment, mib });
        };
        add("before the frees", &Curve::full);
        for (seconds, moment) in MOMENTS {
            add(moment, &|curve| curve.at(seconds));
        }
        add("malloc_trim(0)", &|curve| curve.trimmed_mib);
    }
    all
}

impl Moment {
    /// MiB with one decimal for each allocator.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.mib.iter().map(|mib| mib.map_or_else(String::from, |mib| format!("{mib:.1}"))).collect()
    }
}

/// Failures, then what was left out, each as a sentence.
pub(crate) fn not_there(comparison: &Comparison) -> Vec<String> {
    let failed = comparison.cells.iter().filter_map(|cell| {
        cell.failure.as_ref().map(|failure| format!("failed: {} on {}: {failure}", cell.setting, cell.allocator))
    });
    failed.chain(comparison.left_out.iter().map(|reason| format!("left out: {reason}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::comparison;

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!([0.1234, 3.456, 34.56, 9.999, 345.6].map(three_digits), ["0.123", "3.46", "34.6", "10.0", "346"]);
        assert_eq!([0.5, 9.994, 99.9, 345.6].map(ratio), ["0.50", "9.99", "99.9", "346"]);
    }

    #[test]
    fn every_counted_setting_has_a_line_and_a_failed_cell_no_entry() {
        let comparison = comparison(&[
            ("a", Kind::Program, [(1.0, 20.0), (0.5, 10.0), (1.005, 20.0)]),
            ("b", Kind::Threads, [(1.0, 5.0), (-1.0, 5.0), (0.5, 5.0)]),
        ]);
        let sheets = sheets(&comparison);
        let lines: Vec<_> = sheets.iter().map(|sheet| (sheet.id, sheet.lines.len())).collect();
        assert_eq!(lines, [("cpu", 2), ("wall", 1), ("rss", 2)]);
        let (faster, same) =
            (sheets[0].lines[0].entries[1].clone().unwrap(), sheets[0].lines[0].entries[2].clone().unwrap());
        assert_eq!(
            (faster.shown.as_str(), ratio(faster.ratio.median), faster.is_resolved),
            ("0.500 s", "0.50".into(), true)
        );
        assert!(!same.is_resolved);
        assert_eq!(sheets[0].lines[1].entries[1].as_ref().err(), Some(&"failed"));
        let lame = sheets_of_lame_base();
        assert_eq!((lame.shown.as_str(), ratio(lame.ratio.median)), ("0.500 s", "-".into()));
        assert_eq!(not_there(&comparison), ["failed: b on brkmap: it ended with status 1"]);
    }

    /// brkmap's entry where glibc failed.
    fn sheets_of_lame_base() -> Entry {
        let comparison = comparison(&[("a", Kind::Program, [(-1.0, 5.0), (0.5, 5.0), (0.5, 5.0)])]);
        sheets(&comparison)[0].lines[0].entries[1].clone().unwrap()
    }
}
