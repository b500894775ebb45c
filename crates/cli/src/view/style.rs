//! Colours and bars, and when to do without them. Colour repeats what words and order say; it never says it alone.

/// The `--color` choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On terminals that can show it.
    Auto,
    Always,
    Never,
}

/// How a report may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) color: bool,
    pub(crate) ascii: bool,
    pub(crate) width: usize,
}

/// What text stands for. The hues stay apart for people who do not see red and green.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Bold,
    /// Bytes the program uses.
    Used,
    /// Bytes malloc keeps without use.
    Kept,
    /// Anything to look at.
    Alert,
}

/// Decides on colour: the flag, then `NO_COLOR`, `CLICOLOR_FORCE`, `TERM`, then whether it goes to a terminal.
pub(crate) fn wants_color(choice: Color, is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
    match choice {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if is_set("NO_COLOR") => false,
        Color::Auto if variable("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0") => true,
        Color::Auto => is_terminal && variable("TERM").is_none_or(|term| term != "dumb"),
    }
}

/// Whether the locale was set to one without the block characters.
pub(crate) fn locale_is_ascii(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| variable(name).filter(|v| !v.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        !locale.contains("utf-8") && !locale.contains("utf8")
    })
}

impl Style {
    /// Paints text.
    pub(crate) fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            _ if !self.color || text.is_empty() => return text.to_owned(),
            Ink::Bold => "1",
            Ink::Used => "34",
            Ink::Kept => "33",
            Ink::Alert => "1;35",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A bar of `part` of `whole`, at most `cells` wide. Something never looks like nothing.
    pub(crate) fn bar(self, part: u64, whole: u64, cells: usize) -> String {
        const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
        if part == 0 || whole == 0 || cells == 0 {
            return String::new();
        }
        let eighths = (u128::from(part) * cells as u128 * 8).div_ceil(u128::from(whole)) as usize;
        let eighths = eighths.clamp(1, cells * 8);
        if self.ascii {
            return "#".repeat(eighths.div_ceil(8));
        }
        let mut bar = "█".repeat(eighths / 8);
        if !eighths.is_multiple_of(8) {
            bar.push(EIGHTHS[eighths % 8]);
        }
        bar
    }

    /// The sign between before and after.
    pub(crate) fn arrow(self) -> &'static str {
        if self.ascii { " -> " } else { " → " }
    }

    /// The sign between parts of a line.
    pub(crate) fn dot(self) -> &'static str {
        if self.ascii { " - " } else { " · " }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn color_follows_the_conventions() {
        let auto = |terminal, set: &[(&str, &str)]| wants_color(Color::Auto, terminal, with(set));
        assert!(auto(true, &[]));
        assert!(!auto(false, &[]));
        assert!(!auto(true, &[("NO_COLOR", "1")]));
        assert!(auto(true, &[("NO_COLOR", "")]));
        assert!(!auto(true, &[("TERM", "dumb")]));
        assert!(auto(false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!auto(false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!auto(false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
        assert!(wants_color(Color::Always, false, with(&[("NO_COLOR", "1")])));
        assert!(!wants_color(Color::Never, true, with(&[])));
    }

    #[test]
    fn the_locale_decides_on_blocks() {
        assert!(locale_is_ascii(with(&[("LANG", "C")])));
        assert!(!locale_is_ascii(with(&[("LANG", "C"), ("LC_ALL", "en_US.UTF-8")])));
        assert!(!locale_is_ascii(with(&[("LANG", "C.utf8")])));
        assert!(!locale_is_ascii(with(&[])));
    }

    #[test]
    fn bars_have_the_right_length() {
        let style = Style { color: false, ascii: false, width: 80 };
        let ascii = Style { ascii: true, ..style };
        assert_eq!(style.bar(1, 2, 4), "██");
        assert_eq!(style.bar(1, 1_000_000, 4), "▏");
        assert_eq!(style.bar(3, 16, 4), "▊");
        assert_eq!(style.bar(u64::MAX, u64::MAX, 4), "████");
        assert_eq!(style.bar(0, 5, 4), "");
        assert_eq!(style.bar(5, 0, 4), "");
        assert_eq!(style.bar(5, 5, 0), "", "no room");
        assert_eq!(ascii.bar(1, 2, 4), "##");
        assert_eq!(ascii.bar(1, 1_000_000, 4), "#");
        assert_eq!(style.paint(Ink::Bold, "x"), "x");
        assert_eq!(Style { color: true, ..style }.paint(Ink::Used, "x"), "\x1b[34mx\x1b[0m");
    }
}
