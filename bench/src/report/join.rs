//! Several runs as one: what was measured on the same machine with the same allocators may stand in one table.

use super::Comparison;

/// Joins comparisons of the same allocators and machine, in their order; what differs in either stays a comparison of its own. A
/// setting that is in several has the runs of all of them.
pub(crate) fn join(all: Vec<Comparison>) -> Vec<Comparison> {
    let mut joined: Vec<Comparison> = Vec::new();
    for one in all {
        match joined.iter_mut().find(|known| may_be_joined(known, &one)) {
            Some(known) => add(known, one),
            None => joined.push(one),
        }
    }
    joined
}

fn may_be_joined(left: &Comparison, right: &Comparison) -> bool {
    let machine = |of: &Comparison| {
        let machine = of.machine.clone();
        (machine.processor, machine.cpus, machine.memory_bytes, machine.kernel, machine.huge_pages)
    };
    left.allocators == right.allocators && machine(left) == machine(right)
}

fn add(known: &mut Comparison, one: Comparison) {
    known.command = format!("{}\n{}", known.command, one.command);
    known.machine.load_average_after = one.machine.load_average_after;
    if known.revision != one.revision {
        known.revision = format!("{}, {}", known.revision, one.revision);
    }
    known.rounds = known.rounds.min(one.rounds);
    known
        .left_out
        .extend(one.left_out.into_iter().filter(|reason| !known.left_out.contains(reason)).collect::<Vec<_>>());
    let mut cells = one.cells.into_iter();
    for row in one.settings {
        let of_row = cells.by_ref().take(known.allocators.len());
        match known.settings.iter().position(|other| other.name == row.name) {
            Some(number) => {
                let begin = number * known.allocators.len();
                for (cell, more) in known.cells[begin..].iter_mut().zip(of_row) {
                    cell.runs.extend(more.runs);
                    cell.failure = cell.failure.take().or(more.failure);
                    cell.system_calls = cell.system_calls.or(more.system_calls);
                }
            }
            None => {
                known.settings.push(row);
                known.cells.extend(of_row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::comparison;
    use crate::setting::Kind;

    #[test]
    fn runs_of_one_setting_are_pooled_and_new_settings_follow() {
        let columns = [(1.0, 5.0), (2.0, 5.0), (0.5, 5.0)];
        let first = comparison(&[("a", Kind::Program, columns), ("b", Kind::Program, columns)]);
        let second = comparison(&[("c", Kind::Threads, columns), ("b", Kind::Program, columns)]);
        let runs = first.cells[0].runs.len();
        let joined = join(vec![first, second]);
        assert_eq!(joined.len(), 1);
        let names: Vec<_> = joined[0].settings.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        let counts: Vec<_> = (0..3).map(|number| joined[0].row(number)[1].runs.len()).collect();
        assert_eq!(counts, [runs, 2 * runs, runs]);
        assert!(joined[0].rows().all(|(row, cells)| cells.iter().all(|cell| cell.setting == row.name)));
    }

    #[test]
    fn other_versions_and_other_machines_stay_apart() {
        let one = || comparison(&[("a", Kind::Program, [(1.0, 5.0), (2.0, 5.0), (0.5, 5.0)])]);
        let (mut newer, mut elsewhere) = (one(), one());
        newer.allocators[1].version = "another".into();
        elsewhere.machine.kernel = "another".into();
        assert_eq!(join(vec![one(), newer, elsewhere, one()]).len(), 3);
    }
}
