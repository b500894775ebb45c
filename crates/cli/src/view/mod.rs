//! Reports: from a [`Report`] to text or JSON. Pure; writing them out is the commands' business.

pub(crate) mod compare;
mod depth;
pub(crate) mod html;
pub(crate) mod inspect;
pub(crate) mod json;
pub(crate) mod maps;
pub(crate) mod metrics;
mod policy;
mod spark;
pub(crate) mod style;
pub(crate) mod svg;
pub(crate) mod syscalls;
pub(crate) mod text;

use crate::model::in_force::Wanted;
use crate::model::process::{Outcome, Process};
use crate::trace::{Following, Usage};
use std::time::Duration;

/// Everything a report says.
pub(crate) struct Report {
    pub(crate) command: Vec<String>,
    pub(crate) wanted: Wanted,
    pub(crate) outcome: Outcome,
    pub(crate) wall: Duration,
    pub(crate) usage: Usage,
    pub(crate) following: Following,
    /// The command's own process, if it was seen.
    pub(crate) main: Option<Process>,
    /// The rest, largest peak first.
    pub(crate) others: Vec<Process>,
    pub(crate) not_kept: u64,
    /// Its system calls for memory, if they were asked for and could be seen.
    pub(crate) calls: Option<syscalls::Calls>,
}

/// Why the command's own process may be missing.
pub(crate) const UNSEEN: &str = "it ended before it could be looked at";

impl Report {
    /// The command as a person would type it, cut to `width` characters.
    pub(crate) fn title(&self, width: usize) -> String {
        cut(&command_line(&self.command), width)
    }
}

/// A process' command without the folder of its program, cut to `width` characters.
pub(crate) fn short_command(process: &Process, width: usize) -> String {
    let mut words = match process.command.as_slice() {
        [] => vec![process.exe.clone()],
        // A program that renames itself writes one line of text over its arguments.
        [title] => title.split(' ').map(str::to_owned).collect(),
        words => words.to_vec(),
    };
    if let Some(first) = words.first_mut() {
        *first = first.rsplit('/').next().unwrap_or_default().to_owned();
    }
    cut(&command_line(&words), width)
}

/// Joins arguments, quoting those that need it; control characters are escaped.
pub(crate) fn command_line(arguments: &[String]) -> String {
    let quote = |argument: &String| {
        let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%^".contains(c);
        match argument {
            argument if !argument.is_empty() && argument.chars().all(is_plain) => argument.clone(),
            argument => format!("'{}'", argument.escape_debug().to_string().replace("\\'", "'")),
        }
    };
    arguments.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// Cuts text to a number of characters.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(3)).collect();
    short.push_str("...");
    short
}

/// Name of a signal.
pub(crate) fn signal_name(signal: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    match usize::try_from(signal - 1).ok().and_then(|index| NAMES.get(index)) {
        Some(name) => format!("SIG{name}"),
        None => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_quoted_and_cut() {
        let words = |text: &[&str]| text.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(command_line(&words(&["git", "fsck", "--full"])), "git fsck --full");
        assert_eq!(command_line(&words(&["sh", "-c", "a\nb", ""])), "sh -c 'a\\nb' ''");
        assert_eq!(command_line(&words(&["\u{1b}[2J"])), "'\\u{1b}[2J'", "no escape sequence reaches the terminal");
        assert_eq!(cut("abcdefgh", 6), "abc...");
        assert_eq!(cut("äöü", 3), "äöü");
    }

    #[test]
    fn signals_have_names() {
        assert_eq!(signal_name(9), "SIGKILL");
        assert_eq!(signal_name(31), "SIGSYS");
        assert_eq!(signal_name(40), "signal 40");
        assert_eq!(signal_name(0), "signal 0");
    }
}
