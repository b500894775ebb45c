//! From the environment to settings.

use super::Settings;
use super::complaint::{Cause, Complaint};
use super::options::{OPTIONS, Row};

/// Complaints of one reading; more would be noise.
const COMPLAINTS: usize = 8;

/// Variables that other parts of the project read: names behind `BRKMAP_`, and beginnings of names up to `_`.
const ELSEWHERE: [&str; 10] =
    ["BENCH", "CACHE", "LIBRARY", "LOG", "MICRO", "MISUSE", "MODEL", "OUTPUT", "TEST", "TRACE"];

/// Could this entry of an environment matter? A quick test for the reader, who may leave all others out.
pub fn matters(first: u8) -> bool {
    matches!(first, b'B' | b'G' | b'M')
}

/// Reads an environment (entries `NAME=value`, in its order) and the compiled-in string, in the documented order.
/// `complain` hears of ours what makes no sense; glibc's names are ignored silently where they make none, as glibc does.
pub fn read<'e>(
    entries: impl DoubleEndedIterator<Item = &'e [u8]> + Clone,
    compiled: Option<&[u8]>,
    complain: &mut dyn FnMut(Complaint<'_>),
) -> Settings {
    let mut settings = Settings::NONE;
    let mut left = COMPLAINTS;
    let mut complain = |cause: Cause<'_>| {
        if left > 0 {
            left -= 1;
            complain(Complaint(cause));
        }
    };
    if let Some(text) = compiled {
        list(text, &mut settings, &mut complain);
    }
    // Of two entries with one name the first counts, as for getenv; so the first is read last.
    for entry in entries.clone().rev() {
        if let Some((name, value)) = variable(entry, b"MALLOC_") {
            glibc(|row| row.variable, name, value, &mut settings);
        }
    }
    // glibc lets the last one count here.
    for entry in entries.clone() {
        if let Some((b"", value)) = variable(entry, b"GLIBC_TUNABLES") {
            tunables(value, &mut settings);
        }
    }
    for entry in entries.clone().rev() {
        if let Some((b"", value)) = variable(entry, b"BRKMAP_CONF") {
            list(value, &mut settings, &mut complain);
        }
    }
    for entry in entries.rev() {
        if let Some((name, value)) = variable(entry, b"BRKMAP_") {
            single(name, value, &mut settings, &mut complain);
        }
    }
    settings
}

/// The rest of the name behind a prefix, and the value; `None`: another name, or no `=`.
fn variable<'e>(entry: &'e [u8], prefix: &[u8]) -> Option<(&'e [u8], &'e [u8])> {
    split(entry.strip_prefix(prefix)?, b'=')
}

/// What stands before and behind the first `sign`.
fn split(text: &[u8], sign: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == sign)?;
    Some((&text[..at], &text[at + 1..]))
}

/// One of glibc's variables or tunables.
fn glibc(of: impl Fn(&Row) -> &'static str, name: &[u8], value: &[u8], settings: &mut Settings) {
    let row = OPTIONS.iter().find(|row| !of(row).is_empty() && of(row).as_bytes() == name);
    if let Some((row, value)) = row.and_then(|row| Some((row, row.glibc_value(value)?))) {
        settings.set(row.key, value);
    }
}

/// `glibc.malloc.NAME=value:…`
fn tunables(text: &[u8], settings: &mut Settings) {
    for entry in text.split(|byte| *byte == b':') {
        if let Some((name, value)) = variable(entry, b"glibc.malloc.") {
            glibc(|row| row.tunable, name, value, settings);
        }
    }
}

/// `key:value,…`
fn list(text: &[u8], settings: &mut Settings, complain: &mut dyn FnMut(Cause<'_>)) {
    for entry in text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if entry.is_empty() {
            continue;
        }
        let Some((name, value)) = split(entry, b':') else {
            complain(Cause::NoValue(entry));
            continue;
        };
        let name = name.trim_ascii();
        match OPTIONS.iter().find(|row| row.name.as_bytes() == name) {
            Some(row) => assign(row, value.trim_ascii(), settings, complain),
            None => complain(Cause::Option(name)),
        }
    }
}

/// `BRKMAP_NAME=value`
fn single(name: &[u8], value: &[u8], settings: &mut Settings, complain: &mut dyn FnMut(Cause<'_>)) {
    if name == b"CONF" {
        return;
    }
    let capitals = !name.iter().any(u8::is_ascii_lowercase);
    match OPTIONS.iter().find(|row| capitals && row.name.as_bytes().eq_ignore_ascii_case(name)) {
        Some(row) => assign(row, value.trim_ascii(), settings, complain),
        None if is_elsewhere(name) => {}
        None => complain(Cause::Variable(name)),
    }
}

fn is_elsewhere(name: &[u8]) -> bool {
    let head = split(name, b'_').map_or(name, |(head, _)| head);
    ELSEWHERE.iter().any(|known| known.as_bytes() == head)
}

fn assign(row: &'static Row, value: &[u8], settings: &mut Settings, complain: &mut dyn FnMut(Cause<'_>)) {
    match row.value(value) {
        Ok(value) => settings.set(row.key, value),
        Err(fault) => complain(Cause::Value(row, value, fault)),
    }
}
