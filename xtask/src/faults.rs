//! Faults: the programs of `tests/faults`, run like the C programs; those with an `inject:` line are run once for each
//! call that the library makes, with that call failing, once and from then on (`tests/tools/inject.c`), those with an
//! `inject-always:` line once for each kind of call, with all of these failing.

use crate::behaviour::{self, Bench, Note};
use crate::context::{Context, stem};
use crate::header::Header;
use crate::process;
use crate::report::Outcome;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Runs every fault program.
pub(crate) fn run(context: &mut Context) {
    behaviour::run_directory(context, "faults", "tests/faults", one_fault);
}

fn one_fault(bench: &Bench, source: &Path) -> Vec<Note> {
    let header = match Header::read(source) {
        Ok(header) => header,
        Err(why) => return vec![Note::Done(stem(source), Err(why), Duration::ZERO)],
    };
    let mut notes = behaviour::one_program(bench, source);
    if bench.extended {
        return notes;
    }
    for (key, how, label) in [("inject", None, ""), ("inject-always", Some("always"), "always ")] {
        for injection in header.words(key) {
            let start = Instant::now();
            let outcome = inject(bench, source, &header, injection, how);
            notes.push(Note::Done(format!("{} [{label}{injection}]", stem(source)), outcome, start.elapsed()));
        }
    }
    notes
}

fn inject(bench: &Bench, source: &Path, header: &Header, injection: &str, how: Option<&str>) -> Outcome {
    let (call, error) = injection.split_once('=').ok_or_else(|| format!("inject: `{injection}` is not call=ERROR"))?;
    let tool = bench.work.join(format!("inject.{}.{injection}", stem(source)));
    let tool_source = bench.sources.with_file_name("tools").join("inject.c");
    behaviour::compile(bench, &tool_source, &tool, &[])?;
    let mut command = Command::new(&tool);
    command.current_dir(&bench.work).env("PATH", crate::tools::SYSTEM_PATH);
    command.args([call, error]).arg(&bench.library).arg(bench.work.join(stem(source)));
    command.args(how);
    process::run(&mut command, header.timeout()?, &bench.work)?.success()
}
