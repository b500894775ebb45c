//! The sentences about a comparison that the table in the terminal, the page and the document have in common.

use super::standing::{BEHIND_IN_CPU, BEHIND_IN_RSS, Behind, Column, FIRST as WITHIN, Measure, Standing};

/// How often an allocator is first: the name of the line, and its number.
pub(crate) const FIRST: [(&str, fn(&Column) -> usize); 2] = [
    ("first or within 3 % in CPU time", |column| column.first_in_cpu),
    ("first or within 3 % in peak RSS", |column| column.first_in_rss),
];
const _: () = assert!(WITHIN == 1.03);

/// The name of a measure's line.
pub(crate) fn measure(standing: &Standing, measure: Measure) -> String {
    match measure {
        Measure::Cpu => format!("CPU time, all {} settings", standing.settings),
        Measure::CpuPrograms => format!("CPU time, {} programs", standing.programs),
        Measure::WallThreads => format!("wall time, {} settings of several threads", standing.threads),
        Measure::Rss => format!("peak RSS, all {} settings", standing.settings),
        Measure::RssLarge => format!("peak RSS, {} settings above 10 MiB", standing.large),
        Measure::RssPrograms => format!("peak RSS, {} programs", standing.programs),
        Measure::CpuTimesRss => "CPU time × peak RSS".into(),
    }
}

/// What the table of means does not say: brkmap against the best rival of each setting.
pub(crate) fn sentences(standing: &Standing) -> Vec<String> {
    let mut all = vec![
        "\"best rival\" takes the best of brkmap's rivals setting by setting; no single one reaches it.".to_string(),
    ];
    if let Some(ours) = &standing.ours {
        let share = |measure| ours.to_best_rival.of(measure).map_or("-".into(), |value| format!("{value:.3}"));
        all.push(format!(
            "{} ÷ best rival: CPU time {} (programs {}), wall time of several threads {}, peak RSS {} (above 10 MiB {}, programs {}).",
            ours.allocator,
            share(Measure::Cpu),
            share(Measure::CpuPrograms),
            share(Measure::WallThreads),
            share(Measure::Rss),
            share(Measure::RssLarge),
            share(Measure::RssPrograms)
        ));
        all.push(behind(&ours.allocator, "CPU time", BEHIND_IN_CPU, &ours.behind_in_cpu));
        all.push(behind(&ours.allocator, "peak RSS", BEHIND_IN_RSS, &ours.behind_in_rss));
    }
    if !standing.not_compared.is_empty() {
        all.push(format!("In no mean, because an allocator failed: {}.", standing.not_compared.join(", ")));
    }
    all
}

fn behind(allocator: &str, what: &str, limit: f64, all: &[Behind]) -> String {
    if all.is_empty() {
        return format!("{allocator} takes more than {limit:.2} × the best rival's {what} in no setting.");
    }
    let one = |behind: &Behind| {
        let mark = if behind.is_resolved { "" } else { "~" };
        format!("{} {mark}{:.2} ({})", behind.setting, behind.ratio, behind.rival)
    };
    let list: Vec<String> = all.iter().map(one).collect();
    format!(
        "{allocator} takes more than {limit:.2} × the best rival's {what} in {} of them: {}.",
        all.len(),
        list.join(", ")
    )
}
