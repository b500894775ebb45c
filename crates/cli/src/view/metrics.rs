//! Figures of processes in the text formats that Prometheus reads. Pure.
//!
//! OpenMetrics 1.0 and the older text format 0.0.4 differ in what matters here by two things: where `_total` of a
//! counter stands in its description, and the lines `# UNIT` and `# EOF`. Types that only one of them has (`info`,
//! `stateset`) are not used, so that tools which do not tell the formats apart read either.

use crate::heap::Heap;
use crate::model::xray::Row;
use crate::view::inspect::Inspection;
use brkmap_wire::Counter;
use std::fmt::Write;

/// How figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// OpenMetrics 1.0
    Openmetrics,
    /// Prometheus text format 0.0.4
    Prometheus,
}

/// Content type of an answer over HTTP.
pub(crate) fn content_type(format: Format) -> &'static str {
    match format {
        Format::Openmetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
    }
}

/// What one round of looks saw.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    pub(crate) processes: Vec<Process>,
    /// Processes that gave no figures.
    pub(crate) missed: Missed,
    pub(crate) took_seconds: f64,
}

/// Why processes gave no figures, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) denied: u64,
    pub(crate) unreadable: u64,
    /// The round took too long.
    pub(crate) late: u64,
}

/// The figures of one process.
#[derive(Debug)]
pub(crate) struct Process {
    /// Labels of every sample: they say which process it is.
    labels: Vec<(&'static str, String)>,
    malloc: String,
    verdict: &'static str,
    confidence: &'static str,
    /// Name of the family and value.
    gauges: Vec<(&'static str, u64)>,
    rows: Vec<(&'static str, u64)>,
    /// brkmap's counters, if it serves the process.
    counters: Option<Vec<u64>>,
    look_seconds: f64,
}

impl Process {
    /// Reduces what was seen. What nobody knows is left out: 0 would be a claim.
    pub(crate) fn of(inspection: &Inspection) -> Process {
        let (look, xray) = (&inspection.look, &inspection.xray);
        let snapshot = &look.snapshot;
        let mut gauges = vec![
            ("resident_bytes", xray.rss()),
            ("peak_resident_bytes", snapshot.status.peak_rss.max(xray.rss())),
            ("swap_bytes", snapshot.status.swap),
            ("mapped_bytes", snapshot.mappings.iter().map(|mapping| mapping.size()).sum()),
            ("mappings", snapshot.mappings.len() as u64),
            ("threads", snapshot.status.threads),
            ("lazy_free_bytes", inspection.lazy_free()),
            ("huge_page_bytes", inspection.huge()),
        ];
        if xray.malloc_seen {
            gauges.extend([
                ("live_bytes", xray.live()),
                ("returnable_bytes", xray.get(Row::Returnable)),
                ("pinned_bytes", xray.get(Row::Pinned)),
                ("thread_cache_bytes", xray.get(Row::Caches)),
                ("floor_bytes", inspection.floor()),
            ]);
        }
        if let Some(limit) = &look.limit {
            gauges.extend([("limit_bytes", limit.limit), ("limit_used_bytes", limit.used)]);
        }
        let used: Vec<&Heap> = snapshot.heaps.iter().filter(|heap| heap.has_served()).collect();
        let counter = |index: usize| used.iter().filter_map(|heap| heap.counters.get(index)).sum();
        Process {
            labels: vec![("pid", inspection.pid.to_string()), ("name", snapshot.status.name.clone())],
            malloc: inspection.malloc.clone(),
            verdict: inspection.diagnosis.class.key(),
            confidence: inspection.diagnosis.confidence.key(),
            gauges,
            rows: Row::ALL.into_iter().map(|row| (row.key(), xray.get(row))).collect(),
            counters: (!used.is_empty()).then(|| (0..brkmap_wire::COUNTERS).map(counter).collect()),
            look_seconds: inspection.took.as_secs_f64(),
        }
    }
}

/// Gauges of a process: name, unit, what it is.
const GAUGES: [(&str, &str, &str); 15] = [
    ("resident_bytes", "bytes", "Resident memory (RSS)"),
    ("peak_resident_bytes", "bytes", "Highest resident memory so far"),
    ("swap_bytes", "bytes", "Memory in swap"),
    ("mapped_bytes", "bytes", "Address space of all mappings"),
    ("mappings", "", "Mappings; Linux allows 65530 unless vm.max_map_count says otherwise"),
    ("threads", "", "Threads"),
    ("lazy_free_bytes", "bytes", "Resident memory that was given back and that the kernel has not taken yet"),
    ("huge_page_bytes", "bytes", "Resident memory on huge pages"),
    ("live_bytes", "bytes", "Resident memory in live blocks of malloc, with headers and rounding"),
    ("returnable_bytes", "bytes", "Free memory that malloc_trim(0) would return"),
    ("pinned_bytes", "bytes", "Free memory on OS pages that a live block keeps resident"),
    ("thread_cache_bytes", "bytes", "Free memory in the caches of threads"),
    ("floor_bytes", "bytes", "Memory on OS pages with a live block: no trim gets below that"),
    ("limit_bytes", "bytes", "Tightest memory limit of its control group and those above"),
    ("limit_used_bytes", "bytes", "Memory that counts against this limit"),
];

/// Counters of brkmap: name, unit, what it is, then label and counter of each sample.
type CounterFamily = (&'static str, &'static str, &'static str, &'static str, &'static [(&'static str, Counter)]);
const COUNTERS: [CounterFamily; 9] = [
    (
        "break_moves",
        "",
        "Moves of the program break by brkmap",
        "direction",
        &[("up", Counter::BreakGrow), ("down", Counter::BreakShrink)],
    ),
    (
        "break_moved_bytes",
        "bytes",
        "Bytes of these moves",
        "direction",
        &[("up", Counter::BreakGrowBytes), ("down", Counter::BreakShrinkBytes)],
    ),
    (
        "maps",
        "",
        "Mappings that brkmap made",
        "kind",
        &[("region", Counter::MapRegion), ("direct", Counter::MapDirect), ("tables", Counter::MapMetadata)],
    ),
    (
        "maps_bytes",
        "bytes",
        "Bytes of these mappings",
        "kind",
        &[
            ("region", Counter::MapRegionBytes),
            ("direct", Counter::MapDirectBytes),
            ("tables", Counter::MapMetadataBytes),
        ],
    ),
    ("unmaps", "", "Mappings that brkmap removed", "", &[("", Counter::Unmap)]),
    ("unmapped_bytes", "bytes", "Bytes of these mappings", "", &[("", Counter::UnmapBytes)]),
    ("purges", "", "Times that brkmap gave contents back in the middle of memory", "", &[("", Counter::Purge)]),
    ("purged_bytes", "bytes", "Bytes given back in this way", "", &[("", Counter::PurgeBytes)]),
    (
        "refused_calls",
        "",
        "Calls for memory, or to give it back, that the kernel refused",
        "call",
        &[("break", Counter::BreakRefused), ("map", Counter::MapRefused), ("purge", Counter::PurgeRefused)],
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
}

/// One family: its description, then samples.
struct Writer {
    text: String,
    format: Format,
}

impl Writer {
    fn family(&mut self, name: &str, unit: &str, kind: Kind, help: &str) {
        let (word, suffix) = match (kind, self.format) {
            (Kind::Gauge, _) => ("gauge", ""),
            (Kind::Counter, Format::Openmetrics) => ("counter", ""),
            (Kind::Counter, Format::Prometheus) => ("counter", "_total"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP brkmap_{name}{suffix} {help}.\n# TYPE brkmap_{name}{suffix} {word}");
        if self.format == Format::Openmetrics && !unit.is_empty() {
            let _ = writeln!(self.text, "# UNIT brkmap_{name} {unit}");
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.text, "brkmap_{name}");
        for (index, (label, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(value));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }
}

/// As both formats want it between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// The labels of a process and some more.
fn labels<'a>(process: &'a Process, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let own = process.labels.iter().map(|(name, value)| (*name, value.as_str()));
    own.chain(more.iter().copied().filter(|(name, _)| !name.is_empty())).collect()
}

/// Writes everything.
pub(crate) fn render(scrape: &Scrape, format: Format) -> String {
    let mut out = Writer { text: String::new(), format };
    out.family("build_info", "", Kind::Gauge, "Version of the command that looked");
    out.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    out.family("round_seconds", "seconds", Kind::Gauge, "Time that this round of looks took");
    out.sample("round_seconds", &[], scrape.took_seconds);
    out.family("missed_processes", "", Kind::Gauge, "Processes that gave no figures in this round");
    let Missed { denied, unreadable, late } = scrape.missed;
    for (reason, count) in [("denied", denied), ("unreadable", unreadable), ("late", late)] {
        out.sample("missed_processes", &[("reason", reason)], count);
    }
    if !scrape.processes.is_empty() {
        processes(&mut out, &scrape.processes);
    }
    if format == Format::Openmetrics {
        out.text.push_str("# EOF\n");
    }
    out.text
}

fn processes(out: &mut Writer, all: &[Process]) {
    out.family("process_info", "", Kind::Gauge, "Which malloc serves the process");
    for process in all {
        out.sample("process_info", &labels(process, &[("malloc", &process.malloc)]), 1);
    }
    let help = "What is the matter with its memory, as brkmap inspect has it";
    out.family("process_verdict_info", "", Kind::Gauge, help);
    for process in all {
        let more = [("verdict", process.verdict), ("confidence", process.confidence)];
        out.sample("process_verdict_info", &labels(process, &more), 1);
    }
    for (name, unit, help) in GAUGES {
        let value =
            |process: &Process| process.gauges.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        if !all.iter().any(|process| value(process).is_some()) {
            continue;
        }
        let full = format!("process_{name}");
        out.family(&full, unit, Kind::Gauge, help);
        for process in all {
            if let Some(value) = value(process) {
                out.sample(&full, &labels(process, &[]), value);
            }
        }
    }
    out.family("process_row_bytes", "bytes", Kind::Gauge, "Resident memory by reason; the rows sum to RSS");
    for process in all {
        for (row, bytes) in &process.rows {
            out.sample("process_row_bytes", &labels(process, &[("row", row)]), bytes);
        }
    }
    out.family("process_look_seconds", "seconds", Kind::Gauge, "Time that the look at the process took");
    for process in all {
        out.sample("process_look_seconds", &labels(process, &[]), process.look_seconds);
    }
    for (name, unit, help, label, samples) in COUNTERS {
        if !all.iter().any(|process| process.counters.is_some()) {
            return;
        }
        let full = format!("process_{name}");
        out.family(&full, unit, Kind::Counter, help);
        for process in all {
            let Some(counters) = &process.counters else { continue };
            for (kind, counter) in samples {
                let value = counters.get(*counter as usize).copied().unwrap_or(0);
                out.sample(&format!("{full}_total"), &labels(process, &[(label, kind)]), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, name: &str) -> Process {
        Process {
            labels: vec![("pid", pid.to_string()), ("name", name.to_owned())],
            malloc: "brkmap 0.1.0".to_owned(),
            verdict: "fine",
            confidence: "high",
            gauges: vec![("resident_bytes", 4096), ("live_bytes", 1024)],
            rows: vec![("live", 1024), ("unexplained", 3072)],
            counters: (pid == 1).then(|| (0..brkmap_wire::COUNTERS as u64).collect()),
            look_seconds: 0.25,
        }
    }

    fn scrape() -> Scrape {
        Scrape { processes: vec![process(1, "a\"b\\c\nd"), process(2, "x")], ..Scrape::default() }
    }

    #[test]
    fn counters_are_described_as_each_format_wants_it() {
        let open = render(&scrape(), Format::Openmetrics);
        assert!(
            open.contains("# TYPE brkmap_process_purged_bytes counter\n# UNIT brkmap_process_purged_bytes bytes\n")
        );
        assert!(open.ends_with("# EOF\n"));
        let old = render(&scrape(), Format::Prometheus);
        assert!(old.contains("# TYPE brkmap_process_purged_bytes_total counter\n"));
        assert!(!old.contains("# UNIT") && !old.contains("# EOF"));
        for text in [&open, &old] {
            let sample = format!("brkmap_process_purged_bytes_total{{pid=\"1\",name=\"a\\\"b\\\\c\\nd\"}} {}\n", 17);
            assert_eq!(Counter::PurgeBytes as usize, 17);
            assert!(text.contains(&sample), "{text}");
            assert!(
                text.contains(
                    "brkmap_process_break_moves_total{pid=\"1\",name=\"a\\\"b\\\\c\\nd\",direction=\"up\"} 0\n"
                )
            );
        }
    }

    #[test]
    fn a_family_stands_together_once_and_its_unit_ends_its_name() {
        let text = render(&scrape(), Format::Openmetrics);
        let mut families: Vec<&str> = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().unwrap();
                assert!(!families.contains(&name), "{name} twice");
                families.push(name);
            } else if let Some(rest) = line.strip_prefix("# UNIT ") {
                let (name, unit) = rest.split_once(' ').unwrap();
                assert!(name.ends_with(&format!("_{unit}")), "{name}");
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                let family = families.last().unwrap();
                assert!(name == *family || name.strip_suffix("_total") == Some(family), "{name} under {family}");
            }
        }
        assert!(families.len() > 12);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let text = render(&scrape(), Format::Openmetrics);
        assert!(!text.contains("pinned_bytes"));
        assert!(!text.contains("brkmap_process_purges_total{pid=\"2\""));
        assert!(text.contains("brkmap_process_live_bytes{pid=\"2\",name=\"x\"} 1024\n"));
        let empty = render(&Scrape::default(), Format::Prometheus);
        assert!(empty.contains("brkmap_missed_processes{reason=\"denied\"} 0\n") && !empty.contains("process_info"));
    }

    #[test]
    fn every_gauge_has_a_description() {
        let names: Vec<&str> = GAUGES.iter().map(|(name, ..)| *name).collect();
        for name in ["live_bytes", "limit_used_bytes", "mappings", "threads", "floor_bytes"] {
            assert!(names.contains(&name));
        }
        for (name, unit, _) in GAUGES {
            assert_eq!(name.ends_with("_bytes"), unit == "bytes", "{name}");
        }
    }
}
