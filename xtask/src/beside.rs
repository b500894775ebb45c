//! The library and the command beside other tools: the scripts of `tests/beside`, each of which checks for itself.
//!
//! A script gets `BRKMAP_LIBRARY` (the library), `REPOSITORY` (the sources) and `CARGO`, and runs in an empty directory.

use crate::context::{Context, stem};
use crate::header::Header;
use crate::process;
use crate::report::Outcome;
use std::path::Path;
use std::process::Command;

/// Runs every script.
pub(crate) fn run(context: &mut Context) {
    let scripts = match context.sources("tests/beside", &["sh"]) {
        Ok(scripts) => scripts,
        Err(why) => return context.report.check("beside", "sources", || Err(why)),
    };
    for script in scripts {
        let name = stem(&script);
        if context.selects("beside", &name) {
            let outcome = (context.library(), context.scratch(&format!("beside-{name}")));
            let root = context.root.clone();
            context.report.check("beside", &name, || one(&root, &script, &outcome.0?, &outcome.1?));
        }
    }
}

fn one(root: &Path, script: &Path, library: &Path, directory: &Path) -> Outcome {
    let limit = Header::read(script)?.timeout()?;
    let mut command = Command::new("bash");
    command.arg("-x").arg(script).current_dir(directory).env("REPOSITORY", root).env("BRKMAP_LIBRARY", library);
    command.env("CARGO", std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).env_remove("LD_PRELOAD");
    process::run(&mut command, limit, directory)?.success()
}
