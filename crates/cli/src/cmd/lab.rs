//! `brkmap lab`.

use super::Failure;
use crate::cli::lab::{Arguments, Subject};
use crate::embed;
use crate::lab::{self, Bench, Claim, Ending, Trial};
use crate::view::lab as view;
use crate::view::style::{Style, locale_is_ascii, wants_color};
use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::time::Instant;

/// Exit status when a figure did not come out as expected.
const MISSED: u8 = 1;

/// Tries what is named and reports.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let claims = lab::claims().map_err(Failure::tool)?;
    let style = style(arguments);
    if arguments.names.is_empty() || arguments.names.iter().any(|name| name == "list") {
        return print(&list(arguments, &claims, style)).map(|()| 0);
    }
    let chosen = choose(&arguments.names, &claims)?;
    let library = embed::unpack(|name| std::env::var_os(name)).map_err(Failure::tool)?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::tool(format!("cannot find this program to start it again: {error}")))?;
    let bench = Bench::new(program, library.path());
    let brief = arguments.names.iter().any(|name| name == "all") && !arguments.full;
    let start = Instant::now();
    let (mut trials, mut shown_family) = (Vec::new(), String::new());
    for (number, claim) in chosen.iter().enumerate() {
        progress(arguments, Some((number + 1, chosen.len(), &claim.id)));
        let trial = lab::run(&bench, claim);
        progress(arguments, None);
        if !arguments.json {
            let is_new = shown_family != claim.family;
            shown_family.clone_from(&claim.family);
            let failed = matches!(trial.ending, Ending::Failed(_));
            let text = match brief && !failed {
                true => view::line(&trial, is_new, style),
                false => view::trial(&trial, arguments.explain, style),
            };
            print(&text)?;
        }
        trials.push(trial);
    }
    if arguments.json {
        print(&format!("{:#}\n", view::document(&trials, start.elapsed())))?;
    } else if trials.len() > 1 {
        print(&view::summary(&trials, start.elapsed(), style))?;
    }
    Ok(if trials.iter().any(|trial: &Trial| matches!(trial.ending, Ending::Failed(_))) { MISSED } else { 0 })
}

/// Becomes a subject.
pub(crate) fn subject(arguments: &Subject) -> Result<u8, Failure> {
    Ok(lab::run_subject(&arguments.name, &arguments.numbers))
}

fn style(arguments: &Arguments) -> Style {
    let variable = |name: &str| std::env::var(name).ok();
    Style {
        color: wants_color(arguments.color, io::stdout().is_terminal(), variable),
        ascii: arguments.ascii || locale_is_ascii(variable),
        width: crate::os::terminal_width(io::stdout().as_raw_fd()).unwrap_or(100).clamp(72, 120),
    }
}

fn list(arguments: &Arguments, claims: &[Claim], style: Style) -> String {
    match () {
        () if arguments.json => format!("{:#}\n", view::index(claims)),
        () if arguments.markdown => view::page(claims),
        () => view::list(claims, arguments.explain, style),
    }
}

/// The claims behind names, in the order of the index, each once.
fn choose<'a>(names: &[String], claims: &'a [Claim]) -> Result<Vec<&'a Claim>, Failure> {
    let mut wanted: BTreeSet<usize> = BTreeSet::new();
    for name in names {
        let fits = |claim: &Claim| name == "all" || claim.id == *name || claim.family == *name;
        let found: Vec<usize> = (0..claims.len()).filter(|&index| fits(&claims[index])).collect();
        wanted.extend(&found);
        if found.is_empty() {
            let near = nearest(name, claims);
            let message = format!("the lab has no claim or family '{name}'{near}; 'brkmap lab list' names all");
            return Err(Failure::tool(message));
        }
    }
    Ok(wanted.into_iter().map(|index| &claims[index]).collect())
}

/// The names that contain what was typed, or begin alike.
fn nearest(name: &str, claims: &[Claim]) -> String {
    let close = |id: &str| id.contains(name) || (name.len() >= 4 && id.contains(&name[name.len() / 2..]));
    let near: Vec<&str> =
        claims.iter().map(|claim| claim.id.as_str()).filter(|id| name.is_ascii() && close(id)).collect();
    if near.is_empty() { String::new() } else { format!(" (near: {})", near[..near.len().min(4)].join(", ")) }
}

/// Says which one is at work, where somebody watches.
fn progress(arguments: &Arguments, at: Option<(usize, usize, &str)>) {
    if !io::stderr().is_terminal() || arguments.color == crate::view::style::Color::Never && arguments.json {
        return;
    }
    let mut out = io::stderr().lock();
    // Where standard error is gone, nobody misses the line.
    let _ = match at {
        Some((number, all, id)) => write!(out, "\r\x1b[K[{number}/{all}] {id} …"),
        None => write!(out, "\r\x1b[K"),
    };
    let _ = out.flush();
}

fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::tool(format!("cannot write the report to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
