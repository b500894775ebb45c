//! The first comment of a test file: what it shows, where that is laid down, and how it has to be run.
//!
//! One `key: value` per line, after any of the comment signs `/*`, `*`, `//`, `#`. Keys that no test may have are an
//! error, so that a misspelt key cannot switch a check off.
//!
//! | key | meaning |
//! |---|---|
//! | `behaviour` | what must hold; required |
//! | `source` | standard, man page or section that says so; required |
//! | `glibc` | `differs (reason)`: must fail there; `exempt (reason)`: is not run there |
//! | `flags` | more flags for the compiler |
//! | `timeout` | seconds that are plenty on a machine without other work, 30 unless given; four times as many are allowed |
//! | `alone` | C programs: no other one runs beside it, for this reason |
//! | `cases` | `list`: the program prints its cases when called with `--list`, one run each |
//! | `ways` | `preload` (default), `linked`, `loaded`; `thread`: main runs in a thread; `behind`: companions come first |
//! | `preload` | companion libraries (`lib_*.c`) to preload behind the library |
//! | `user` | `nobody`: run as that user when the caller is root |
//! | `env` | `NAME=value` for the run |
//! | `extended` | `NAME=value …`: the full size, for `cargo xtask extended`; the test command runs the program without |
//! | `inject` | fault programs: `call=ERROR …`, each such call of the library fails in turn |
//! | `inject-always` | the same, all such calls of the library fail |
//! | `programs` | scripts: executables that must have been seen with the right malloc |
//! | `own-malloc` | scripts: executables that bring their own malloc; the library need only be loaded |
//! | `baseline` | scripts: what the glibc run preloads |
//! | `calls`, `calls-glibc`, `calls-brkmap` | programs under strace: which calls for memory each phase makes (`calls.rs`) |

use std::path::Path;
use std::time::Duration;

const KEYS: &[&str] = &[
    "behaviour",
    "source",
    "glibc",
    "flags",
    "timeout",
    "alone",
    "cases",
    "ways",
    "preload",
    "user",
    "env",
    "extended",
    "programs",
    "own-malloc",
    "baseline",
    "inject",
    "inject-always",
    "calls",
    "calls-glibc",
    "calls-brkmap",
];

/// The limits only end what hangs, so a machine that is slow or busy with other things gets this many times as long.
const PATIENCE: u64 = 4;

/// The parsed comment.
pub(crate) struct Header {
    entries: Vec<(String, String)>,
}

/// What glibc says about a test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Yardstick {
    /// It must pass there too.
    Same,
    /// It must fail there, for this reason.
    Differs(String),
    /// It is not run there, for this reason.
    Exempt(String),
}

impl Header {
    /// Reads the first comment of `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        Self::parse(&text).map_err(|why| format!("{}: {why}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut entries: Vec<(String, String)> = Vec::new();
        for line in text.lines().skip_while(|line| line.starts_with("#!")) {
            let is_comment = ["/*", " *", "//", "#"].iter().any(|sign| line.starts_with(sign));
            if !is_comment || line.starts_with("#include") {
                break;
            }
            let body = line.trim_start_matches(['/', '*', '#', ' ']).trim_end_matches(['*', '/', ' ']);
            match body.split_once(": ") {
                Some((key, value)) if KEYS.contains(&key) => entries.push((key.to_owned(), value.trim().to_owned())),
                Some((key, _)) if key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') => {
                    return Err(format!("unknown key `{key}` in its first comment"));
                }
                _ => {
                    if let Some((_, value)) = entries.last_mut().filter(|_| !body.trim().is_empty()) {
                        *value = format!("{value} {}", body.trim());
                    }
                }
            }
            if line.ends_with("*/") {
                break;
            }
        }
        let header = Self { entries };
        for key in ["behaviour", "source"] {
            header.get(key).ok_or_else(|| format!("its first comment has no `{key}:`"))?;
        }
        Ok(header)
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// The words of a key's value; none when it is absent.
    pub(crate) fn words(&self, key: &str) -> Vec<&str> {
        self.get(key).map(|v| v.split_whitespace().collect()).unwrap_or_default()
    }

    /// The time limit.
    pub(crate) fn timeout(&self) -> Result<Duration, String> {
        let seconds = self.get("timeout").unwrap_or("30");
        let limit = |seconds: u64| Duration::from_secs(seconds.saturating_mul(PATIENCE));
        seconds.parse().map(limit).map_err(|e| format!("timeout `{seconds}`: {e}"))
    }

    /// What glibc says about it.
    pub(crate) fn yardstick(&self) -> Result<Yardstick, String> {
        let Some(text) = self.get("glibc") else { return Ok(Yardstick::Same) };
        let reason = |rest: &str| rest.trim().trim_start_matches('(').trim_end_matches(')').to_owned();
        match text.split_once(' ') {
            Some(("differs", rest)) => Ok(Yardstick::Differs(reason(rest))),
            Some(("exempt", rest)) => Ok(Yardstick::Exempt(reason(rest))),
            _ => Err(format!("glibc: `{text}` is neither `differs (reason)` nor `exempt (reason)`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_keys_and_continuation_lines() {
        let header = Header::parse(
            "/* behaviour: one\n *   and two\n * source: malloc(3)\n * glibc: differs (a, b)\n */\n#include <x.h>\n",
        )
        .unwrap();
        assert_eq!(header.get("behaviour"), Some("one and two"));
        assert_eq!(header.yardstick(), Ok(Yardstick::Differs("a, b".into())));
        assert_eq!(header.timeout(), Ok(Duration::from_secs(30 * PATIENCE)));
    }

    #[test]
    fn a_script_header_ends_at_the_first_command() {
        let header =
            Header::parse("#!/bin/bash\n# behaviour: b\n# source: s\n# programs: a b\nset -e\n# user: x\n").unwrap();
        assert_eq!(header.words("programs"), ["a", "b"]);
        assert_eq!(header.get("user"), None);
    }

    #[test]
    fn refuses_a_missing_source_and_an_unknown_key() {
        assert!(Header::parse("/* behaviour: b */\n").is_err());
        assert!(Header::parse("/* behavior: b\n * source: s */\n").is_err());
    }
}
