//! A page: its steps, and how what it shows is compared with what happened.
//!
//! Words have to be the same. What differs from run to run may differ:
//!
//! * a number is any number (`4711`, `1,024`, `12.5`, `+0.3`, `0x7f…`), but sizes in MiB or kB, where either is at least
//!   [`LARGE`], are within [`TOLERANCE`] (not in blocks that begin with `console any-figures`: speeds, moments);
//! * bars are of any length, and blanks of any number;
//! * a line `...` stands for any lines, also none; `…` inside a line for any text.

/// MiB from which a figure has to be right.
const LARGE: f64 = 10.0;
/// How far it may be off, as a share of the larger.
const TOLERANCE: f64 = 0.25;

/// One command and what it is said to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// Line of the page, from 1.
    pub(crate) line: usize,
    pub(crate) command: String,
    pub(crate) expected: Vec<String>,
    /// Whether sizes may be any.
    pub(crate) any_figures: bool,
    /// Lines of the page that `expected` takes: first, and first behind.
    range: (usize, usize),
}

/// The steps of a page in order.
pub(crate) struct Page {
    pub(crate) steps: Vec<Step>,
}

impl Page {
    /// Finds the steps.
    pub(crate) fn parse(text: &str) -> Page {
        let mut steps: Vec<Step> = Vec::new();
        let (mut inside, mut in_command, mut any_figures) = (false, false, false);
        for (index, line) in text.lines().enumerate() {
            if !inside {
                any_figures = line == "```console any-figures";
                inside = any_figures || line == "```console";
                in_command = false;
                continue;
            }
            if line == "```" {
                inside = false;
            } else if let Some(command) = line.strip_prefix("$ ") {
                let range = (index + 1, index + 1);
                steps.push(Step {
                    line: index + 1,
                    command: command.to_owned(),
                    expected: Vec::new(),
                    any_figures,
                    range,
                });
                in_command = true;
            } else if let Some(step) = steps.last_mut() {
                step.range.1 = index + 1;
                match line.strip_prefix("> ").or(if line == ">" { Some("") } else { None }) {
                    Some(more) if in_command => {
                        step.command.push('\n');
                        step.command += more;
                        step.range.0 = index + 1;
                    }
                    _ => {
                        in_command = false;
                        step.expected.push(line.trim_end().to_owned());
                    }
                }
            }
        }
        Page { steps }
    }

    /// The page with what its steps now expect.
    pub(crate) fn render(&self, text: &str) -> String {
        let lines: Vec<&str> = text.lines().collect();
        let (mut out, mut at) = (String::new(), 0);
        let mut add = |line: &str| {
            out.push_str(line);
            out.push('\n');
        };
        for step in &self.steps {
            lines[at..step.range.0].iter().for_each(|line| add(line));
            step.expected.iter().for_each(|line| add(line));
            at = step.range.1;
        }
        lines[at..].iter().for_each(|line| add(line));
        out
    }
}

fn is_bar(c: char) -> bool {
    ('\u{2580}'..='\u{259f}').contains(&c)
}

/// A line in pieces: words as they are, numbers without their value.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Number(f64),
}

/// Takes a line apart.
fn pieces(line: &str) -> Vec<Piece> {
    let line: String = line.chars().filter(|&c| !is_bar(c)).collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut all = Vec::new();
    let mut text = String::new();
    let mut rest = line.as_str();
    while let Some(c) = rest.chars().next() {
        let after_sign = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        // A sign belongs to a number where a word could begin, and a digit inside of a word is part of that word.
        let at_word = text.chars().next_back().is_none_or(|before| !before.is_alphanumeric() && before != '-');
        let starts = if at_word { after_sign } else { rest };
        if starts.starts_with(|c: char| c.is_ascii_digit()) && (at_word || text.is_empty()) {
            let length =
                starts.find(|c: char| !(c.is_ascii_alphanumeric() || ".,".contains(c))).unwrap_or(starts.len());
            let number = starts[..length].trim_end_matches(['.', ',']);
            let digits: String = number.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
            let unit: String = match number.starts_with("0x") {
                true => "0x".to_owned(),
                false => number.chars().filter(|c| c.is_ascii_alphabetic()).collect(),
            };
            all.push(Piece::Text(std::mem::take(&mut text)));
            all.push(Piece::Number(digits.parse().unwrap_or(0.0)));
            text = unit;
            rest = &starts[number.len()..];
        } else {
            text.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    all.push(Piece::Text(text));
    all
}

/// Whether a line is what the page says.
fn fits(expected: &str, actual: &str, any_figures: bool) -> bool {
    if expected.contains('…') {
        return fits_with_gaps(expected, actual);
    }
    let (expected, actual) = (pieces(expected), pieces(actual));
    expected.len() == actual.len()
        && expected.iter().zip(&actual).enumerate().all(|(index, pair)| match pair {
            (Piece::Text(one), Piece::Text(other)) => one == other,
            (Piece::Number(one), Piece::Number(other)) => {
                let Piece::Text(behind) = &expected[index + 1] else { return false };
                let unit = [(" MiB", 1.0), (" kB", 1024.0)].into_iter().find(|(unit, _)| behind.starts_with(unit));
                any_figures || unit.is_none_or(|(_, size)| is_close(one / size, other / size))
            }
            _ => false,
        })
}

fn is_close(one: f64, other: f64) -> bool {
    let largest = one.max(other);
    largest < LARGE || (one - other).abs() <= largest * TOLERANCE
}

/// The same with `…` for any text: the rest has to be there, in order, numbers without value.
fn fits_with_gaps(expected: &str, actual: &str) -> bool {
    let plain = |line: &str| -> String {
        let plain = |piece| match piece {
            Piece::Text(text) => text,
            Piece::Number(_) => "0".to_owned(),
        };
        pieces(line).into_iter().map(plain).collect()
    };
    let (actual, parts) = (plain(actual), expected.split('…').map(plain).collect::<Vec<_>>());
    let (first, last) = (parts[0].trim(), parts[parts.len() - 1].trim());
    let Some(mut rest) = actual.strip_prefix(first) else { return false };
    for part in &parts[1..parts.len() - 1] {
        match rest.find(part.trim()) {
            Some(at) => rest = &rest[at + part.trim().len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Compares all lines; says which does not fit.
pub(crate) fn compare(expected: &[String], actual: &[String], any_figures: bool) -> Result<(), String> {
    match expected.split_first() {
        None if actual.is_empty() => Ok(()),
        None => Err(format!("--- it wrote more: {}", actual[0])),
        Some((line, rest)) if line == "..." => {
            let tries = (0..=actual.len()).map(|skipped| compare(rest, &actual[skipped..], any_figures));
            tries.reduce(Result::or).unwrap_or(Ok(()))
        }
        Some((line, rest)) => match actual.split_first() {
            Some((seen, others)) if fits(line, seen, any_figures) => compare(rest, others, any_figures),
            Some((seen, _)) => Err(format!("--- the page says:   {line}\n--- what was written: {seen}")),
            None => Err(format!("--- missing: {line}")),
        },
    }
}

#[test]
fn steps_are_found_and_put_back() {
    let text = "Text\n```console any-figures\n$ true\n```\n```console\n$ cat > x <<'END'\n> one\n>\n> END\n$ echo a; echo b\na\nb\n```\nMore\n```sh\n$ not this\n```\n";
    let mut page = Page::parse(text);
    assert_eq!(page.steps.remove(0).command, "true");
    assert_eq!((page.steps.len(), page.steps[0].any_figures), (2, false));
    assert_eq!(page.steps[0].command, "cat > x <<'END'\none\n\nEND");
    assert_eq!((page.steps[0].expected.len(), page.steps[1].line), (0, 10));
    assert_eq!(page.steps[1].expected, ["a", "b"]);
    assert_eq!(page.render(text), text);
    page.steps[1].expected = vec!["c".to_owned()];
    assert_eq!(page.render(text), text.replace("a\nb\n", "c\n"));
}

#[test]
fn words_are_compared_and_numbers_within_bounds() {
    for (expected, actual) in [
        ("pid 12 · 1 thread", "pid 4711 · 1 thread"),
        ("  live 100.0 MiB  50.0 %  ████", "  live  90.0 MiB   7.5 %  █▏"),
        ("growth      live +0.0", "growth live -12.3"),
        ("at 0x7f12ab", "at 0x55d0"),
        ("small 1.0 MiB", "small 9.9 MiB"),
        ("1,024 blocks", "7 blocks"),
        ("see /home/…/x.so, 5 times", "see /home/me/.cache/9/x.so, 6 times"),
        ("took 0.12s", "took 3s"),
    ] {
        assert!(fits(expected, actual, false), "{expected} / {actual}");
    }
    for (expected, actual) in [
        ("cached: 100.0 MiB", "cached: 50.0 MiB"),
        ("VmRSS: 450000 kB", "VmRSS: 18000 kB"),
        ("cached: 100.0 MiB", "fine: 100.0 MiB"),
        ("glibc 2.36", "glibc"),
        ("10 threads", "10 thread"),
        ("took 0.12 s", "took 0.12 ms"),
        ("a … c", "b x c"),
        ("a … c", "a x d"),
        ("x86", "x"),
    ] {
        assert!(!fits(expected, actual, false), "{expected} / {actual}");
    }
    assert!(fits("grows 100.0 MiB", "grows 50.0 MiB", true) && !fits("grows 1 MiB", "grows 1 KiB", true));
}

#[test]
fn lines_may_be_left_out_where_the_page_says_so() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let seen = lines("a\nb\nc\nd");
    for expected in ["a\nb\nc\nd", "...", "a\n...\nd", "...\nd", "a\n...", "a\nb\n...\nc\nd"] {
        assert_eq!(compare(&lines(expected), &seen, false), Ok(()), "{expected}");
    }
    for expected in ["a\nb\nc", "a\n...\ne", "b\n...", "a\nb\nc\nd\ne"] {
        assert!(compare(&lines(expected), &seen, false).is_err(), "{expected}");
    }
}
