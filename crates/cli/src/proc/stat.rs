//! `/proc/PID/stat`.

/// The fields that brkmap uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    /// Time in user mode, in clock ticks.
    pub(crate) user_ticks: u64,
    /// Time in the kernel, in clock ticks.
    pub(crate) system_ticks: u64,
    /// When the process began, in clock ticks since the machine did.
    pub(crate) start_ticks: u64,
}

/// Reads the line. `None` if it is not of the known form.
pub(crate) fn parse(line: &str) -> Option<Stat> {
    // The name stands in parentheses and may itself contain spaces and parentheses.
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // fields[0] is the third field of proc(5), the state.
    let field = |number: usize| fields.get(number - 3)?.parse().ok();
    Some(Stat {
        minor_faults: field(10)?,
        major_faults: field(12)?,
        user_ticks: field(14)?,
        system_ticks: field(15)?,
        start_ticks: field(22)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let line = "77 (a) R 1 (b)) S 1 77 77 0 -1 4194304 310 9 2 8 15 6 0 0 20 0 1 0 12345 8192 100";
        let stat = parse(line).unwrap();
        let expected = Stat { minor_faults: 310, major_faults: 2, user_ticks: 15, system_ticks: 6, start_ticks: 12345 };
        assert_eq!(stat, expected);
    }

    #[test]
    fn short_lines_are_refused() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("77 (sh) S 1 2 3"), None);
        assert_eq!(parse("77 sh S"), None);
        assert_eq!(parse("1 (x) S 1 1 1 0 -1 1 a b c d e f"), None);
    }
}
