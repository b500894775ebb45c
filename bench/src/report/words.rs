//! The sentences about a comparison that the table in the terminal, the page and the document have in common.

use super::Comparison;
use super::sheets::three_digits;
use super::standing::{BEHIND_IN_CPU, BEHIND_IN_RSS, Behind, Column, FIRST as WITHIN, Measure, Standing};
use crate::allocator::Allocator;

/// The name of a line, and its number in a column.
type Count = (&'static str, fn(&Column) -> usize);

/// How often an allocator is first.
pub(crate) const FIRST: [Count; 2] = [
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
        all.push(format!(
            "In no mean, because not every allocator has a figure: {}.",
            standing.not_compared.join(", ")
        ));
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

/// The facts of the machine, name and value.
pub(crate) fn facts(comparison: &Comparison) -> Vec<(String, String)> {
    let machine = &comparison.machine;
    let kind = if machine.is_virtual { " (virtual)" } else { "" };
    let load = match machine.load_average_after.as_str() {
        "" => machine.load_average.clone(),
        after => format!("{} at the beginning, {after} at the end", machine.load_average),
    };
    let all = [
        ("processor", format!("{}{kind}", machine.processor)),
        ("CPUs", machine.cpus.to_string()),
        ("memory", format!("{} MiB", machine.memory_bytes >> 20)),
        ("kernel", format!("Linux {}", machine.kernel)),
        ("transparent huge pages", machine.huge_pages.clone()),
        ("load average", load),
        (
            "commit of the sources",
            if comparison.revision.is_empty() { "unknown".into() } else { comparison.revision.clone() },
        ),
        ("date", if machine.date.is_empty() { "unknown".into() } else { format!("{} UTC", machine.date) }),
    ];
    all.map(|(name, value)| (name.to_string(), value)).into()
}

/// Version and file of an allocator.
pub(crate) fn version(allocator: &Allocator) -> String {
    let file = allocator.preload.as_ref().and_then(|path| path.file_name());
    let file = file.map_or("not preloaded".into(), |name| name.to_string_lossy());
    format!("{} ({file})", allocator.version)
}

/// The commands that a reader types to repeat it. The files that were written are the maker's own.
pub(crate) fn commands(comparison: &Comparison) -> Vec<String> {
    const FILES: [&str; 4] = ["--json", "--html", "--svg", "--lib"];
    let one = |line: &str| {
        let mut words = Vec::new();
        let mut all = line.split(' ').skip(1);
        while let Some(word) = all.next() {
            match FILES.iter().find(|option| word.starts_with(**option)) {
                Some(_) if word.contains('=') => {}
                Some(_) => _ = all.next(),
                None => words.push(word),
            }
        }
        format!("cargo xtask bench {}", words.join(" "))
    };
    comparison.command.lines().map(one).collect()
}

/// What a reader must know before the figures.
pub(crate) fn caveats(comparison: &Comparison) -> Vec<String> {
    let standing = Standing::of(comparison);
    let machine = &comparison.machine;
    let counts = comparison.cells.iter().filter(|cell| cell.failure.is_none()).map(|cell| cell.runs.len());
    let (fewest, most) = counts.fold((usize::MAX, 0), |(low, high), count| (low.min(count), high.max(count)));
    let runs = match most {
        1 => "of one run a cell".to_string(),
        most if fewest < most => format!("of {fewest} to {most} runs a cell"),
        most => format!("of {most} runs a cell"),
    };
    let kind = if machine.is_virtual { "one virtual machine" } else { "one machine" };
    let mut all = vec![format!(
        "The figures are medians {runs} on {kind}: {} settings, {} allocators. Repeat them on yours before you decide anything.",
        comparison.settings.len(),
        comparison.allocators.len()
    )];
    let mut spreads: Vec<f64> = comparison
        .cells
        .iter()
        .filter_map(|cell| cell.summary(|run| run.cpu_seconds))
        .map(|cpu| cpu.spread())
        .collect();
    spreads.sort_by(f64::total_cmp);
    if most > 1 && !spreads.is_empty() {
        let at = |part: f64| spreads[((spreads.len() - 1) as f64 * part) as usize] * 100.0;
        all.push(format!(
            "Noise: half the range of a cell's CPU times is ±{} % in the median cell, and more than ±{} % in every tenth. `~` marks a \
             ratio whose runs overlap those of {}: no difference as far as these runs can tell.",
            three_digits(at(0.5)),
            three_digits(at(0.9)),
            comparison.allocators[0].name
        ));
    } else {
        all.push("One run a cell says nothing about the noise; take more before you believe a difference.".into());
    }
    let first_load = machine.load_average.split(' ').next().and_then(|load| load.parse::<f64>().ok());
    if first_load.is_some_and(|load| load > 0.3) {
        all.push(format!(
            "Other work ran on the machine (load average {} when it began), so times, those of several threads most of all, are \
             noisier than they would be on an idle one.",
            machine.load_average
        ));
    }
    if standing.threads > 0 {
        all.push(format!(
            "The number at the end of a setting's name is that of its threads (or pairs). On {} CPUs, what has more threads than that \
             shows how an allocator bears being interrupted, not how it scales.",
            machine.cpus
        ));
    }
    if standing.ours.is_some() {
        all.push(
            "\"best rival\" is the least of several noisy medians in each setting, so it lies somewhat too low, and the more rivals \
             there are, the lower."
                .into(),
        );
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::comparison;
    use crate::setting::Kind;

    #[test]
    fn a_command_is_repeated_without_the_makers_files() {
        let mut made = comparison(&[("a", Kind::Program, [(1.0, 5.0), (2.0, 5.0), (0.5, 5.0)])]);
        made.command = "brkmap-bench short --json /tmp/a.json -n 3 --html=x.html\nbrkmap-bench rust".into();
        assert_eq!(commands(&made), ["cargo xtask bench short -n 3", "cargo xtask bench rust"]);
    }

    #[test]
    fn what_is_behind_is_named_with_the_rival_and_the_doubt() {
        let all = [
            ("a", Kind::Program, [(1.0, 5.0), (1.2, 5.0), (0.9, 5.0)]),
            ("b", Kind::Threads, [(1.0, 5.0), (0.5, 5.4), (1.0, 5.0)]),
        ];
        let text = sentences(&Standing::of(&comparison(&all))).join("\n");
        assert!(text.contains("more than 1.05 × the best rival's CPU time in 1 of them: a 1.33 (rival)."), "{text}");
        assert!(text.contains("more than 1.10 × the best rival's peak RSS in no setting."), "{text}");
    }
}
