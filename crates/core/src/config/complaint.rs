//! What is said of options that make no sense: one line each, naming the option, the cause and the remedy.

use super::options::{Fault, Kind, OPTIONS, Row};
use super::{KEYS, Key, Settings};

/// An option that was left out.
#[derive(Clone, Copy)]
pub struct Complaint<'a>(pub(super) Cause<'a>);

#[derive(Clone, Copy)]
pub(super) enum Cause<'a> {
    /// No option has this name.
    Option(&'a [u8]),
    /// No variable of ours has this name; the part behind `BRKMAP_`.
    Variable(&'a [u8]),
    /// An entry without a colon.
    NoValue(&'a [u8]),
    /// The option has no such value.
    Value(&'static Row, &'a [u8], Fault),
}

/// Bytes of what was written that a line repeats.
const QUOTED: usize = 48;
/// A name is suggested if it is at most this many edits away.
const NEAR: usize = 3;
/// Longer names are near to none.
const NAME_MAX: usize = 24;

impl Complaint<'_> {
    /// The complaint as one line, ended by a newline.
    pub fn line(&self) -> Line {
        let mut line = Line::new();
        line.push(b"brkmap: ");
        match self.0 {
            Cause::Option(name) => {
                line.push(b"unknown option ").quote(name);
                match nearest(name) {
                    Some(near) => line.push(b": did you mean \"").push(near.as_bytes()).push(b"\"?"),
                    None => line.push(b"; known: ").names(),
                };
            }
            Cause::Variable(name) => {
                line.push(b"unknown variable \"BRKMAP_").escape(name).push(b"\"");
                if distance(name, b"conf") <= 1 {
                    line.push(b": did you mean \"BRKMAP_CONF\"?");
                } else if let Some(near) = nearest(name) {
                    line.push(b": did you mean \"BRKMAP_").upper(near).push(b"\"?");
                } else {
                    line.push(b"; known: BRKMAP_CONF and BRKMAP_ with an option in capitals: ").names();
                }
            }
            Cause::NoValue(entry) => {
                line.push(b"option ").quote(entry).push(b" has no value; write it as key:value");
            }
            Cause::Value(row, value, fault) => {
                line.push(b"option ").push(row.name.as_bytes()).push(b": ").quote(value);
                match fault {
                    Fault::Kind => line.push(b" is no ").push(row.noun().as_bytes()),
                    Fault::Range => line.push(b" is out of range"),
                };
                line.push(b"; accepted: ").push(row.accepted.as_bytes());
            }
        }
        line.push(b"\n");
        line
    }
}

/// The option whose name is nearest, if any is near. Case does not count.
fn nearest(name: &[u8]) -> Option<&'static str> {
    // A third of the letters may differ, or short names would be near to everything.
    let near = NEAR.min(name.len().div_ceil(3));
    let best = OPTIONS.iter().map(|row| (distance(name, row.name.as_bytes()), row.name)).min()?;
    (best.0 <= near).then_some(best.1)
}

/// Edits (a byte inserted, dropped or replaced) that make one name out of the other, case apart. At most
/// [`NAME_MAX`]² steps.
fn distance(left: &[u8], right: &[u8]) -> usize {
    if left.len() > NAME_MAX || right.len() > NAME_MAX {
        return usize::MAX;
    }
    let mut row = [0; NAME_MAX + 1];
    for (at, cell) in row.iter_mut().enumerate() {
        *cell = at;
    }
    for (i, l) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + !l.eq_ignore_ascii_case(r) as usize;
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

/// A line of text on the stack; what does not fit is cut, the newline never.
pub struct Line {
    text: [u8; 512],
    length: usize,
}

impl Line {
    const fn new() -> Line {
        Line { text: [0; 512], length: 0 }
    }

    /// The settings in force, as one line: `brkmap: settings: use=mmap top_pad=0`.
    pub fn of_settings(settings: &Settings) -> Line {
        let mut line = Line::new();
        line.push(b"brkmap: settings:");
        let mut said = [false; KEYS];
        for row in &OPTIONS {
            let Some(value) = settings.get(row.key) else { continue };
            if core::mem::replace(&mut said[row.key as usize], true) || row.key == Key::Verbose {
                continue;
            }
            line.push(b" ").push(row.name.as_bytes()).push(b"=");
            match row.kind {
                Kind::Word(words) => line.push(words.get(value).copied().unwrap_or_default().as_bytes()),
                _ => line.number(value),
            };
        }
        if settings.present & !(1 << Key::Verbose as u32) == 0 {
            line.push(b" none");
        }
        line.push(b"\n");
        line
    }

    /// The text.
    pub fn bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }

    fn push(&mut self, bytes: &[u8]) -> &mut Self {
        // The last byte is the newline's.
        let room = self.text.len() - self.length - (bytes != b"\n") as usize;
        let part = &bytes[..bytes.len().min(room)];
        self.text[self.length..self.length + part.len()].copy_from_slice(part);
        self.length += part.len();
        self
    }

    /// What somebody wrote: its beginning, without bytes that could act on a terminal.
    fn escape(&mut self, bytes: &[u8]) -> &mut Self {
        for byte in bytes.iter().take(QUOTED) {
            let shown = if byte.is_ascii_graphic() || *byte == b' ' { *byte } else { b'?' };
            self.push(&[shown]);
        }
        if bytes.len() > QUOTED { self.push(b"...") } else { self }
    }

    fn quote(&mut self, bytes: &[u8]) -> &mut Self {
        self.push(b"\"").escape(bytes).push(b"\"")
    }

    /// Announces the census at the end: several processes may write theirs to one place.
    pub fn at_exit(process: u32) -> Line {
        let mut line = Line::new();
        line.push(b"brkmap: statistics at exit of process ").number(process as usize).push(b":\n");
        line
    }

    fn upper(&mut self, name: &str) -> &mut Self {
        for byte in name.bytes() {
            self.push(&[byte.to_ascii_uppercase()]);
        }
        self
    }

    fn names(&mut self) -> &mut Self {
        for (at, row) in OPTIONS.iter().enumerate() {
            self.push(if at == 0 { b"" } else { b", " }).push(row.name.as_bytes());
        }
        self
    }

    fn number(&mut self, mut value: usize) -> &mut Self {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.push(&digits[at..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance(b"thp", b"thp"), 0);
        assert_eq!(distance(b"THP_", b"thp"), 1);
        assert_eq!(distance(b"", b"thp"), 3);
        assert_eq!(distance(b"trim_treshold", b"trim_threshold"), 1);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(&[b'a'; NAME_MAX + 1], b"thp"), usize::MAX);
    }

    #[test]
    fn names_of_options_are_near_to_themselves() {
        for row in &OPTIONS {
            assert!(row.name.len() <= NAME_MAX);
            assert_eq!(nearest(row.name.as_bytes()), Some(row.name));
        }
        assert_eq!(nearest(b"zzz"), None);
        assert_eq!(nearest(b""), None);
    }

    #[test]
    fn a_line_is_never_longer_than_its_buffer() {
        let mut line = Line::new();
        line.push(&[b'x'; 5000]).push(b"\n");
        assert_eq!(line.bytes().len(), 512);
        assert_eq!(line.bytes()[511], b'\n');
    }
}
