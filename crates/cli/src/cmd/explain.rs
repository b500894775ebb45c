//! `brkmap explain`.

use super::{Failure, print};
use crate::cli::explain::Arguments;
use crate::model::terms::{self, Found};
use crate::view::style::Style;
use crate::view::terms::{document, list, text};

/// Says what a word means.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let word = arguments.term.join(" ");
    let style = Style { ascii: true, ..print::style(arguments.color, false) };
    if word.is_empty() {
        let all = || format!("{:#}\n", document(terms::all()));
        return print::out(&if arguments.json { all() } else { list(style) });
    }
    let term = match terms::find(&word) {
        Found::Exact(term) => term,
        Found::Near(term) => {
            super::complain(&format!("no term is called '{}'; this is '{}'", word.escape_debug(), term.name));
            term
        }
        Found::Nothing(near) => {
            let near = near.join(", ");
            let word = word.escape_debug();
            return Err(Failure::tool(format!(
                "no term is called '{word}'; nearest: {near}; `brkmap explain` lists all"
            )));
        }
    };
    print::out(&if arguments.json { format!("{:#}\n", document([term])) } else { text(term, style) })
}
