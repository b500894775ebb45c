//! Gates: how many instructions brkmap needs against glibc, counted in the same run, for the rows of
//! `tests/instructions/gates.txt`: three programs and two measuring loops. A row's number is the ratio that was reached; a
//! change that needs noticeably more fails, and `cargo xtask gates` writes the file anew where that is meant.

use crate::context::Context;
use crate::instructions;
use crate::report::Outcome;
use std::path::{Path, PathBuf};

/// Other versions of the programs and of the compiler count a little differently; a regression worth a name counts more.
const SLACK: f64 = 1.01;

/// The helper looks at the heap by the clock, and a program under callgrind is slow by a factor of fifty: as many looks more
/// would be counted, in other numbers each time. So it sleeps through; what the calls themselves do to give back is counted.
const NO_LOOKS: &str = "BRKMAP_CONF=purge_delay_ms:100000";

/// Compares every row.
pub(crate) fn run(context: &mut Context) {
    let rows = match read(&path(context)) {
        Ok(rows) => rows,
        Err(why) => return context.report.check("instructions", "gates", || Err(why)),
    };
    let rows: Vec<_> = rows.into_iter().filter(|(name, _)| context.selects("instructions", name)).collect();
    if rows.is_empty() {
        return;
    }
    context.report.section("instructions");
    for (name, recorded) in rows {
        let start = std::time::Instant::now();
        let outcome = count(context, &name).and_then(|counts| compare(&counts, recorded));
        context.report.record("instructions", &name, outcome, start.elapsed());
    }
}

/// `cargo xtask gates`: writes the file from what is counted now.
pub(crate) fn write(context: &mut Context) -> Result<bool, String> {
    let path = path(context);
    let mut text = format!("{:<12}{:>7}\n", "# name", "ratio");
    for (name, _) in read(&path)? {
        let ratio = count(context, &name)?.ratio();
        text.push_str(&format!("{name:<12}{ratio:>7.3}\n"));
    }
    print!("{text}");
    std::fs::write(&path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    Ok(true)
}

/// Instructions of one row.
struct Counts {
    glibc: f64,
    brkmap: f64,
}

impl Counts {
    fn ratio(&self) -> f64 {
        self.brkmap / self.glibc
    }
}

fn path(context: &Context) -> PathBuf {
    context.root.join("tests/instructions/gates.txt")
}

fn count(context: &mut Context, name: &str) -> Result<Counts, String> {
    let preload = instructions::preload(context)?;
    let script = context.root.join(format!("tests/instructions/{name}.sh"));
    Ok(Counts {
        glibc: instructions::count(context, &script, &[])?,
        brkmap: instructions::count(context, &script, &[&preload, NO_LOOKS])?,
    })
}

fn compare(counts: &Counts, recorded: f64) -> Outcome {
    let (ratio, most) = (counts.ratio(), recorded * SLACK);
    if ratio <= most {
        return Ok(());
    }
    Err(format!(
        "{:.0} instructions against glibc's {:.0}: {ratio:.3} of them, at most {most:.3}\n\
         if that is meant: `cargo xtask gates` writes tests/instructions/gates.txt anew",
        counts.brkmap, counts.glibc
    ))
}

/// The rows: name and ratio.
fn read(path: &Path) -> Result<Vec<(String, f64)>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    parse(&text).map_err(|line| format!("{}: not a row: {line}", path.display()))
}

/// The rows of a text; the first line that is none is the error.
fn parse(text: &str) -> Result<Vec<(String, f64)>, &str> {
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    rows.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, ratio] = words[..] else { return Err(line) };
        let ratio = ratio.parse().ok().filter(|ratio: &f64| *ratio > 0.0).ok_or(line)?;
        Ok((name.to_owned(), ratio))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regression_of_two_per_cent_is_caught_and_noise_is_not() {
        let counts = |brkmap| Counts { glibc: 1_000_000.0, brkmap };
        assert_eq!(compare(&counts(880_000.0), 0.88), Ok(()));
        assert_eq!(compare(&counts(886_000.0), 0.88), Ok(()));
        let why = compare(&counts(898_000.0), 0.88).unwrap_err();
        assert!(why.contains("898000") && why.contains("0.898") && why.contains("0.889"), "{why}");
        // A count that could not be made is no pass.
        assert!(compare(&counts(f64::NAN), 0.88).is_err());
    }

    #[test]
    fn every_row_has_its_script_and_nonsense_is_none() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/instructions");
        let rows = read(&tests.join("gates.txt")).unwrap();
        let loops = rows.iter().filter(|(name, _)| ["pairs", "replace"].contains(&name.as_str())).count();
        assert!(loops == 2 && rows.len() - loops >= 3, "three programs and two loops: {rows:?}");
        for (name, _) in rows {
            assert!(tests.join(format!("{name}.sh")).is_file(), "{name}");
        }
        assert_eq!(parse("# c\na 0.5\n\n"), Ok(vec![("a".to_owned(), 0.5)]));
        assert_eq!(parse("a 0.5\nb\n"), Err("b"));
        assert_eq!(parse("a -1\n"), Err("a -1"));
    }
}
