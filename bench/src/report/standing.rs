//! Where each allocator stands over all counted settings: geometric means of ratios to the first column, how often it is first,
//! and brkmap against the best of the others taken setting by setting.

use super::{Comparison, Row};
use crate::setting::Kind;
use crate::stats::{Summary, geometric_mean};
use crate::suite::Cell;
use serde::{Serialize, Serializer};

/// Within this factor of the best, an allocator counts as first.
pub(crate) const FIRST: f64 = 1.03;
/// Beyond this factor of the best rival's CPU time, a setting is named.
pub(crate) const BEHIND_IN_CPU: f64 = 1.05;
/// The same for peak RSS.
pub(crate) const BEHIND_IN_RSS: f64 = 1.10;
/// Settings whose peak RSS in the first column is above this many bytes are "large": the fixed footprint of a library matters
/// less there.
pub(crate) const LARGE: f64 = 10.0 * 1024.0 * 1024.0;

/// A mean that has a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// CPU time, all counted settings.
    Cpu,
    /// CPU time, programs.
    CpuPrograms,
    /// Wall time, settings of several threads.
    WallThreads,
    /// Peak RSS, all counted settings.
    Rss,
    /// Peak RSS, those that are large.
    RssLarge,
    /// Peak RSS, programs.
    RssPrograms,
    /// The product of the means of CPU time and peak RSS.
    CpuTimesRss,
}

impl Measure {
    /// Every measure, in the order of the lines.
    pub(crate) const ALL: [Measure; 7] = [
        Measure::Cpu,
        Measure::CpuPrograms,
        Measure::WallThreads,
        Measure::Rss,
        Measure::RssLarge,
        Measure::RssPrograms,
        Measure::CpuTimesRss,
    ];

    /// The name in JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Measure::Cpu => "cpu",
            Measure::CpuPrograms => "cpu_programs",
            Measure::WallThreads => "wall_threads",
            Measure::Rss => "rss",
            Measure::RssLarge => "rss_large",
            Measure::RssPrograms => "rss_programs",
            Measure::CpuTimesRss => "cpu_times_rss",
        }
    }
}

/// A value for each measure; `None` where no setting has it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Means([Option<f64>; 7]);

impl Means {
    /// The value of a measure.
    pub(crate) fn of(&self, measure: Measure) -> Option<f64> {
        self.0[measure as usize]
    }
}

impl Serialize for Means {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(Measure::ALL.map(|measure| (measure.key(), self.of(measure))))
    }
}

/// The standing of one allocator.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Column {
    /// Its name.
    pub allocator: String,
    /// Ratios to the first column.
    pub means: Means,
    /// Settings in which no allocator takes less than this one's CPU time by more than 3 %.
    pub first_in_cpu: usize,
    /// The same for peak RSS.
    pub first_in_rss: usize,
}

/// A setting in which brkmap is behind the best rival.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Behind {
    /// The setting.
    pub setting: String,
    /// The best rival there.
    pub rival: String,
    /// brkmap's median over the rival's.
    pub ratio: f64,
    /// Whether the runs of the two lie apart.
    pub is_resolved: bool,
}

/// brkmap against the best rivals.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ours {
    /// Its column.
    pub allocator: String,
    /// Means of the ratios to the best rival of each setting.
    pub to_best_rival: Means,
    /// Settings with more than 1.05 of the best rival's CPU time, the worst first.
    pub behind_in_cpu: Vec<Behind>,
    /// Settings with more than 1.10 of the best rival's peak RSS, the worst first.
    pub behind_in_rss: Vec<Behind>,
}

/// Everything of this file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Standing {
    /// Settings that every allocator ended and that are counted.
    pub settings: usize,
    /// Of them, programs.
    pub programs: usize,
    /// Of them, settings of several threads.
    pub threads: usize,
    /// Of them, large ones.
    pub large: usize,
    /// Counted settings that some allocator failed, so that they are in no mean.
    pub not_compared: Vec<String>,
    /// The allocators.
    pub columns: Vec<Column>,
    /// The best of brkmap's rivals, taken setting by setting; glibc is one of them.
    pub best_rival: Means,
    /// brkmap, where it is a column.
    pub ours: Option<Ours>,
}

/// A setting with what every column needed for it.
struct Compared<'a> {
    row: &'a Row,
    cpu: Vec<Summary>,
    wall: Vec<Summary>,
    rss: Vec<Summary>,
}

impl<'a> Compared<'a> {
    fn of(row: &'a Row, cells: &[Cell]) -> Option<Compared<'a>> {
        let cpu: Option<Vec<_>> = cells.iter().map(|cell| cell.summary(|run| run.cpu_seconds)).collect();
        let wall: Option<Vec<_>> = cells.iter().map(|cell| cell.summary(|run| run.wall_seconds)).collect();
        let rss: Option<Vec<_>> = cells.iter().map(Cell::peak_rss).collect();
        let (cpu, wall, rss) = (cpu?, wall?, rss?);
        let is_whole = [&cpu, &wall, &rss].iter().all(|all| all.iter().all(|one| one.median > 0.0));
        is_whole.then_some(Compared { row, cpu, wall, rss })
    }

    fn is_large(&self) -> bool {
        self.rss[0].median > LARGE
    }
}

impl Standing {
    /// Takes the means of a comparison.
    pub(crate) fn of(comparison: &Comparison) -> Standing {
        let (mut all, mut not_compared) = (Vec::new(), Vec::new());
        for (row, cells) in comparison.rows().filter(|(row, _)| row.counted) {
            match Compared::of(row, cells) {
                Some(compared) => all.push(compared),
                None => not_compared.push(row.name.clone()),
            }
        }
        let names: Vec<&str> = comparison.allocators.iter().map(|allocator| allocator.name.as_str()).collect();
        let ours = names.iter().position(|name| name.starts_with("brkmap"));
        let rivals: Vec<usize> =
            (0..names.len()).filter(|&column| ours.is_none() || !names[column].starts_with("brkmap")).collect();
        let column = |(number, name): (usize, &&str)| Column {
            allocator: (*name).to_string(),
            means: means(&all, |of| of[number].median / of[0].median),
            first_in_cpu: times_first(&all, number, |one| &one.cpu),
            first_in_rss: times_first(&all, number, |one| &one.rss),
        };
        Standing {
            settings: all.len(),
            programs: all.iter().filter(|one| one.row.kind == Kind::Program).count(),
            threads: all.iter().filter(|one| one.row.kind == Kind::Threads).count(),
            large: all.iter().filter(|one| one.is_large()).count(),
            not_compared,
            columns: names.iter().enumerate().map(column).collect(),
            best_rival: means(&all, |of| best(of, &rivals).1 / of[0].median),
            ours: ours.filter(|_| !rivals.is_empty()).map(|ours| Ours {
                allocator: names[ours].to_string(),
                to_best_rival: means(&all, |of| of[ours].median / best(of, &rivals).1),
                behind_in_cpu: behind(&all, ours, &rivals, &names, BEHIND_IN_CPU, |one| &one.cpu),
                behind_in_rss: behind(&all, ours, &rivals, &names, BEHIND_IN_RSS, |one| &one.rss),
            }),
        }
    }
}

/// The column with the least median of some, and that median.
fn best(of: &[Summary], columns: &[usize]) -> (usize, f64) {
    let least = columns.iter().map(|&column| (column, of[column].median)).min_by(|a, b| a.1.total_cmp(&b.1));
    least.unwrap_or((0, of[0].median))
}

/// The means of a ratio that is made from what the columns needed.
fn means(all: &[Compared], ratio: impl Fn(&[Summary]) -> f64) -> Means {
    let mean = |wanted: &dyn Fn(&Compared) -> bool, of: Quantity| {
        let ratios: Vec<f64> = all.iter().filter(|one| wanted(one)).map(|one| ratio(of(one))).collect();
        geometric_mean(&ratios)
    };
    let program = |one: &Compared| one.row.kind == Kind::Program;
    let cpu = mean(&|_| true, |one| &one.cpu);
    let rss = mean(&|_| true, |one| &one.rss);
    Means([
        cpu,
        mean(&program, |one| &one.cpu),
        mean(&|one| one.row.kind == Kind::Threads, |one| &one.wall),
        rss,
        mean(&|one| one.is_large(), |one| &one.rss),
        mean(&program, |one| &one.rss),
        cpu.zip(rss).map(|(cpu, rss)| cpu * rss),
    ])
}

/// One of the quantities of a setting, for every column.
type Quantity = for<'a, 'b> fn(&'a Compared<'b>) -> &'a [Summary];

fn times_first(all: &[Compared], column: usize, of: Quantity) -> usize {
    let is_first = |one: &&Compared| {
        let least = of(one).iter().map(|summary| summary.median).fold(f64::INFINITY, f64::min);
        of(one)[column].median <= least * FIRST
    };
    all.iter().filter(is_first).count()
}

fn behind(all: &[Compared], ours: usize, rivals: &[usize], names: &[&str], limit: f64, of: Quantity) -> Vec<Behind> {
    let judged = all.iter().filter_map(|one| {
        let (rival, least) = best(of(one), rivals);
        let ratio = of(one)[ours].median / least;
        (ratio > limit).then(|| Behind {
            setting: one.row.name.clone(),
            rival: names[rival].to_string(),
            ratio,
            is_resolved: !of(one)[ours].overlaps(&of(one)[rival]),
        })
    });
    let mut found: Vec<Behind> = judged.collect();
    found.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::comparison;

    #[test]
    fn means_are_over_what_every_column_ended() {
        // CPU seconds and MiB of glibc, brkmap and a rival.
        let standing = Standing::of(&comparison(&[
            ("a", Kind::Program, [(1.0, 20.0), (0.5, 10.0), (2.0, 20.0)]),
            ("b", Kind::Threads, [(1.0, 5.0), (2.0, 5.0), (0.5, 5.0)]),
            ("broken", Kind::Program, [(1.0, 5.0), (-1.0, 5.0), (1.0, 5.0)]),
        ]));
        assert_eq!((standing.settings, standing.programs, standing.threads, standing.large), (2, 1, 1, 1));
        assert_eq!(standing.not_compared, ["broken"]);
        let close = |value: Option<f64>, wanted: f64| assert!((value.unwrap() - wanted).abs() < 1e-9, "{value:?}");
        let ours = &standing.columns[1].means;
        close(ours.of(Measure::Cpu), 1.0);
        close(ours.of(Measure::CpuPrograms), 0.5);
        close(ours.of(Measure::WallThreads), 2.0);
        close(ours.of(Measure::Rss), 0.5f64.sqrt());
        close(ours.of(Measure::RssLarge), 0.5);
        close(ours.of(Measure::CpuTimesRss), 0.5f64.sqrt());
        assert_eq!(standing.columns.iter().map(|one| one.first_in_cpu).collect::<Vec<_>>(), [0, 1, 1]);
        assert_eq!(standing.columns.iter().map(|one| one.first_in_rss).collect::<Vec<_>>(), [1, 2, 1]);
    }

    #[test]
    fn the_best_rival_is_taken_setting_by_setting_and_never_brkmap() {
        let standing = Standing::of(&comparison(&[
            ("a", Kind::Program, [(1.0, 20.0), (0.5, 22.5), (2.0, 20.0)]),
            ("b", Kind::Threads, [(1.0, 5.0), (0.52, 5.0), (0.5, 5.0)]),
            ("c", Kind::Threads, [(1.0, 5.0), (0.6, 5.4), (0.5, 5.0)]),
        ]));
        assert!((standing.best_rival.of(Measure::Cpu).unwrap() - 0.25f64.powf(1.0 / 3.0)).abs() < 1e-9);
        let ours = standing.ours.unwrap();
        assert!((ours.to_best_rival.of(Measure::CpuPrograms).unwrap() - 0.5).abs() < 1e-9);
        let names = |all: &[Behind]| all.iter().map(|one| one.setting.clone()).collect::<Vec<_>>();
        assert_eq!(names(&ours.behind_in_cpu), ["c"]);
        assert_eq!(names(&ours.behind_in_rss), ["a"]);
        assert_eq!((ours.behind_in_cpu[0].rival.as_str(), ours.behind_in_cpu[0].is_resolved), ("rival", true));
    }
}
