//! The settings: what a program, its environment and its user may ask of the allocator.
//!
//! Pure: bytes in, [`Settings`] out; no kernel, no allocation, no state. Any input is survived in time linear in its
//! length; what makes no sense is left out, and said where it is ours to say. `docs/POLICY.md` has the meaning of each
//! option.
//!
//! # Who decides
//!
//! Five sources are read, each overriding the ones before it:
//!
//! 1. the string `brkmap_conf` that was compiled into the program,
//! 2. `MALLOC_MMAP_THRESHOLD_` and the other variables of mallopt(3),
//! 3. `GLIBC_TUNABLES`: glibc skips a variable whose tunable was set (`__tunables_init` in its `elf/dl-tunables.c`), in
//!    whatever order they stand,
//! 4. `BRKMAP_CONF`,
//! 5. a `BRKMAP_` variable of one option.
//!
//! `mallopt` comes later, while the program runs, and has the last word. In a program that runs with more rights than
//! its caller (`AT_SECURE`) the face asks for none of these.

mod complaint;
mod number;
mod options;
mod read;
#[cfg(test)]
mod tests;

pub use complaint::{Complaint, Line};
pub use read::{matters, read};

/// An option. What each means is in `options` and in `docs/POLICY.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Key {
    /// Bytes from which a request gets a mapping of its own (8 KiB at least, 64 MiB at most); ends the dynamic threshold.
    MmapThreshold,
    /// Free bytes at the top of the break above which they go back; ends the dynamic threshold.
    TrimThreshold,
    /// Bytes that the break moves further than needed; ends the dynamic threshold.
    TopPad,
    /// Direct mappings at most; ends the dynamic threshold.
    MmapMax,
    /// Idle heaps that keep pages for the next thread; 1: every thread's heap is on the break.
    ArenaMax,
    /// Accepted: there is no contention to test for.
    ArenaTest,
    /// Accepted up to 160: there are no fast bins.
    Mxfast,
    /// Fill byte: fresh blocks hold its complement, freed ones the byte; 0 = neither.
    Perturb,
    /// Blocks of a foreign page that a thread collects before it hands them over; 0 = none.
    TcacheCount,
    /// Largest block, in bytes, that is collected.
    TcacheMax,
    /// Accepted, as glibc does since 2.26: misuse is always checked.
    Check,
    /// Transparent huge pages: 0 off, 1 on, 2 left to the engine.
    Thp,
    /// A [`Mechanisms`].
    Use,
    /// A [`Background`].
    Background,
    /// Bytes that the heap may have from the kernel at most.
    Limit,
    /// 1: a census on stderr when the program ends.
    ShowStats,
    /// Milliseconds that free memory beyond the budget stays.
    PurgeDelayMs,
    /// 0: limits and stalls of the process's control group are not looked at.
    Pressure,
    /// How contents go back: 0 at once (`MADV_DONTNEED`), 1 when the kernel needs the memory (`MADV_FREE`).
    Purge,
    /// 1: a bad option ends the program.
    AbortConf,
    /// 1: the settings in force are named on stderr at the start.
    Verbose,
}

/// Number of [`Key`]s.
pub(crate) const KEYS: usize = Key::Verbose as usize + 1;

/// Where memory may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mechanisms {
    /// Each for what it is good at.
    Both,
    /// The program break; mappings where the break is refused, and for blocks that no run of slices can be.
    Break,
    /// Mappings alone.
    Mappings,
}

/// May a helper thread give memory back while the program sleeps?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Background {
    /// As measured best.
    Auto,
    /// Yes.
    On,
    /// No.
    Off,
}

/// The options that were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bit `Key`: that option is set.
    present: u32,
    values: [usize; KEYS],
}

const _: () = assert!(KEYS <= 32);

impl Settings {
    /// No option is set.
    pub const NONE: Settings = Settings { present: 0, values: [0; KEYS] };

    /// The value of an option, if it is set.
    pub fn get(&self, key: Key) -> Option<usize> {
        (self.present & 1 << key as u32 != 0).then_some(self.values[key as usize])
    }

    /// Sets an option.
    pub fn set(&mut self, key: Key, value: usize) {
        self.present |= 1 << key as u32;
        self.values[key as usize] = value;
    }

    /// Is a switch set to on?
    pub fn is_on(&self, key: Key) -> bool {
        self.get(key).unwrap_or(0) != 0
    }

    /// `use`, if it is set.
    pub fn mechanisms(&self) -> Option<Mechanisms> {
        const ALL: [Mechanisms; 3] = [Mechanisms::Both, Mechanisms::Break, Mechanisms::Mappings];
        ALL.get(self.get(Key::Use)?).copied()
    }

    /// `background`, if it is set.
    pub fn background(&self) -> Option<Background> {
        const ALL: [Background; 3] = [Background::Auto, Background::On, Background::Off];
        ALL.get(self.get(Key::Background)?).copied()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings::NONE
    }
}
