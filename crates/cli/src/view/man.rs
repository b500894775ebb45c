//! Manual pages, from the definition of the command line: one for the command and one for each verb.
//!
//! clap_mangen writes what is in the flags. The words behind the help are sections here: a paragraph `Exit status: …`
//! becomes EXIT STATUS, and one like `Examples:` with lines below it becomes EXAMPLES, line by line.

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};
use std::io;

/// Date of the last change to what these pages say.
const DATE: &str = "2026-11-26";

/// A page and the name of its file.
pub(crate) struct Page {
    pub(crate) file: String,
    pub(crate) text: Vec<u8>,
}

/// All pages, the command's own first.
pub(crate) fn pages(command: clap::Command) -> io::Result<Vec<Page>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let verbs: Vec<clap::Command> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    let names: Vec<String> = verbs.iter().map(name).collect();
    let top = name(&command);
    let mut all = vec![page(command, &names)?];
    for verb in verbs {
        all.push(page(verb, std::slice::from_ref(&top))?);
    }
    Ok(all)
}

fn name(command: &clap::Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: clap::Command, see_also: &[String]) -> io::Result<Page> {
    let own = name(&command);
    let after = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string);
    let has_verbs = command.get_subcommands().any(|verb| !verb.is_hide_set());
    let man = Man::new(command).title(own.to_uppercase()).date(DATE).manual("brkmap manual");
    let man = man.source(concat!("brkmap ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_verbs {
        man.render_subcommands_section(&mut text)?;
    }
    let mut roff = Roff::new();
    after.iter().flat_map(|after| after.split("\n\n")).for_each(|paragraph| section(&mut roff, paragraph));
    roff.control("SH", ["SEE ALSO"]);
    let mut others: Vec<Inline> = Vec::new();
    for other in see_also {
        if !others.is_empty() {
            others.push(roman(", "));
        }
        others.extend([bold(other.as_str()), roman("(1)")]);
    }
    roff.text(others);
    roff.to_writer(&mut text)?;
    Ok(Page { file: format!("{own}.1"), text: tidy(&text) })
}

/// What checkers of manual pages complain about and clap_mangen writes: two breaks around an empty line, blanks at ends.
fn tidy(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text).replace("\n.br\n\n.br\n", "\n.sp\n");
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect::<String>().into_bytes()
}

/// One paragraph behind the help.
fn section(roff: &mut Roff, paragraph: &str) {
    let (heading, rest) = match paragraph.split_once(':') {
        Some((heading, rest)) if heading.split(' ').count() <= 3 => (heading.to_uppercase(), rest),
        _ => ("NOTES".to_owned(), paragraph),
    };
    roff.control("SH", [heading.as_str()]);
    match rest.strip_prefix('\n') {
        Some(lines) => {
            roff.control("nf", []);
            for line in lines.lines() {
                roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
            roff.control("fi", []);
        }
        None => drop(roff.text([roman(rest.split_whitespace().collect::<Vec<_>>().join(" "))])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page_with_examples() {
        let pages = pages(crate::cli::command()).unwrap();
        assert_eq!(pages[0].file, "brkmap.1");
        assert!(pages.iter().all(|page| !page.file.contains("__")), "hidden verbs have none");
        for page in &pages {
            let text = String::from_utf8(page.text.clone()).unwrap();
            let needed = if page.file == "brkmap.1" { ".SH \"FIRST STEPS\"" } else { ".SH EXAMPLES" };
            assert!(text.contains(needed), "{} has no {needed}", page.file);
            assert!(text.contains(".SH \"SEE ALSO\""), "{}", page.file);
        }
    }

    #[test]
    fn paragraphs_become_sections() {
        let mut roff = Roff::new();
        section(&mut roff, "Exit status: 0 for\na report.");
        section(&mut roff, "Examples:\n  brkmap x\n  brkmap -y");
        section(&mut roff, "This is a long sentence without a head: see?");
        let text = roff.to_roff();
        assert!(text.contains(".SH \"EXIT STATUS\"\n0 for a report."), "{text}");
        assert!(text.contains(".SH EXAMPLES\n.nf\nbrkmap x\nbrkmap \\-y\n.fi"), "{text}");
        assert!(text.contains(".SH NOTES\n"), "{text}");
    }
}
