//! The table of options: names, glibc's names, values.

use super::Key;
use super::number;

/// What values an option has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes.
    Size,
    /// A plain number.
    Number,
    /// On or off.
    Switch,
    /// On, off or auto (2).
    SwitchOrAuto,
    /// One of some words; the value is the word's place.
    Word(&'static [&'static str]),
}

/// An option.
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) name: &'static str,
    /// glibc's variable, without `MALLOC_`; "" = none.
    pub(super) variable: &'static str,
    /// glibc's tunable, without `glibc.malloc.`; "" = none.
    pub(super) tunable: &'static str,
    pub(super) kind: Kind,
    pub(super) least: usize,
    pub(super) most: usize,
    /// The values, in words.
    pub(super) accepted: &'static str,
}

/// Why a value is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not of the option's kind.
    Kind,
    /// It is of the kind, but too small or too large.
    Range,
}

const BYTES: &str = "bytes, with k, M, G or T (powers of 1024), 0x for hexadecimal, -1 for no bound";
const SWITCH: &str = "on, off, true, false, yes, no, 1, 0";
const SWITCH_OR_AUTO: &str = "on, off, auto, true, false, yes, no, 1, 0";
const MAX: usize = usize::MAX;
/// Largest `int`: glibc keeps some of its parameters in one.
const INT: usize = i32::MAX as usize;

const fn size(key: Key, name: &'static str, variable: &'static str, tunable: &'static str) -> Row {
    Row { key, name, variable, tunable, kind: Kind::Size, least: 0, most: MAX, accepted: BYTES }
}

const fn small(key: Key, name: &'static str, tunable: &'static str, most: usize, accepted: &'static str) -> Row {
    Row { key, name, variable: "", tunable, kind: Kind::Size, least: 0, most, accepted }
}

const fn number(key: Key, names: [&'static str; 3], least: usize, most: usize, accepted: &'static str) -> Row {
    let [name, variable, tunable] = names;
    Row { key, name, variable, tunable, kind: Kind::Number, least, most, accepted }
}

const fn switch(key: Key, name: &'static str, tunable: &'static str) -> Row {
    Row { key, name, variable: "", tunable, kind: Kind::Switch, least: 0, most: 1, accepted: SWITCH }
}

const fn word(key: Key, name: &'static str, words: &'static [&'static str], accepted: &'static str) -> Row {
    Row { key, name, variable: "", tunable: "", kind: Kind::Word(words), least: 0, most: MAX, accepted }
}

/// Every option. Ranges are glibc 2.36's (`elf/dl-tunables.list`; `do_set_mxfast`, `do_set_tcache_…` in its `malloc.c`).
pub(super) static OPTIONS: [Row; 22] = [
    size(Key::MmapThreshold, "mmap_threshold", "MMAP_THRESHOLD_", "mmap_threshold"),
    size(Key::TrimThreshold, "trim_threshold", "TRIM_THRESHOLD_", "trim_threshold"),
    size(Key::TopPad, "top_pad", "TOP_PAD_", "top_pad"),
    number(Key::MmapMax, ["mmap_max", "MMAP_MAX_", "mmap_max"], 0, INT, "0 to 2147483647"),
    number(Key::ArenaMax, ["arena_max", "ARENA_MAX", "arena_max"], 1, MAX, "a number from 1 on"),
    number(Key::ArenaTest, ["arena_test", "ARENA_TEST", "arena_test"], 1, MAX, "a number from 1 on"),
    small(Key::Mxfast, "mxfast", "mxfast", 160, "0 to 160 bytes"),
    number(Key::Perturb, ["perturb", "PERTURB_", "perturb"], 0, 255, "0 to 255"),
    number(Key::TcacheCount, ["tcache_count", "", "tcache_count"], 0, 65535, "0 to 65535"),
    small(Key::TcacheMax, "tcache_max", "tcache_max", 1032, "0 to 1032 bytes"),
    number(Key::Check, ["check", "CHECK_", "check"], 0, 3, "0 to 3"),
    Row { kind: Kind::SwitchOrAuto, most: 2, accepted: SWITCH_OR_AUTO, ..switch(Key::Thp, "thp", "hugetlb") },
    word(Key::Use, "use", &["brk+mmap", "brk", "mmap"], "brk+mmap, brk, mmap"),
    word(Key::Background, "background", &["auto", "on", "off"], "on, off, auto"),
    size(Key::Limit, "limit", "", ""),
    switch(Key::ShowStats, "show_stats", ""),
    switch(Key::ShowStats, "stats_print", ""),
    number(Key::PurgeDelayMs, ["purge_delay_ms", "", ""], 0, 3_600_000, "milliseconds, 0 to 3600000"),
    switch(Key::Pressure, "pressure", ""),
    word(Key::Purge, "purge", &["dontneed", "free"], "dontneed, free"),
    switch(Key::AbortConf, "abort_conf", ""),
    switch(Key::Verbose, "verbose", ""),
];

impl Row {
    /// The value that a text of ours means.
    pub(super) fn value(&self, text: &[u8]) -> Result<usize, Fault> {
        let value = match self.kind {
            Kind::Size => number::size(text),
            Kind::Number => number::decimal(text),
            Kind::Switch => number::switch(text),
            Kind::SwitchOrAuto if text == b"auto" => Some(2),
            Kind::SwitchOrAuto => number::switch(text),
            Kind::Word(words) => words.iter().position(|word| word.as_bytes() == text),
        };
        self.in_range(value.ok_or(Fault::Kind)?).ok_or(Fault::Range)
    }

    /// The value that a text means to glibc; `None`: malformed or out of range.
    pub(super) fn glibc_value(&self, text: &[u8]) -> Option<usize> {
        let value = number::glibc(text)?;
        // Any kind of glibc's huge pages is our one kind.
        self.in_range(if self.kind == Kind::SwitchOrAuto { value.min(1) } else { value })
    }

    fn in_range(&self, value: usize) -> Option<usize> {
        (self.least <= value && value <= self.most).then_some(value)
    }

    /// What a value of this option is called.
    pub(super) fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Size => "size",
            Kind::Number => "number",
            Kind::Switch | Kind::SwitchOrAuto => "switch",
            Kind::Word(_) => "such word",
        }
    }
}
