//! `brkmap completions SHELL`.

use super::Failure;
use std::io::{self, Write};

/// Prints the script.
pub(crate) fn run(shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::cli::command(), "brkmap", &mut script);
    if shell == clap_complete::Shell::Fish {
        script.extend(words_for_fish(&crate::cli::command()).bytes());
    }
    match io::stdout().write_all(&script) {
        // `brkmap completions bash | head` is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::tool(format!("cannot write the script to standard output: {error}")))
        }
        _ => Ok(0),
    }
}

/// The words that arguments without a dash may be, which clap_complete leaves out for fish.
fn words_for_fish(command: &clap::Command) -> String {
    let mut lines = String::new();
    for verb in command.get_subcommands() {
        for argument in verb.get_positionals() {
            let values = argument.get_value_parser().possible_values().into_iter().flatten();
            let words: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
            if !words.is_empty() {
                let (verb, words) = (verb.get_name(), words.join(" "));
                lines += &format!("complete -c brkmap -n \"__fish_seen_subcommand_from {verb}\" -f -a \"{words}\"\n");
            }
        }
    }
    lines
}
