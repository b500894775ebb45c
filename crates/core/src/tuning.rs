//! Settings at work: what [`Settings`] and `mallopt` change in an engine.
//!
//! An engine of zeros has every option unset, so each cell says by 0 that nobody set it, or keeps its value plus one.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use brkmap_sys::Kernel;
use brkmap_wire::{Counter, Rule};

use crate::classes::SMALL_MAX;
use crate::config::{Background, Key, Mechanisms, Settings};
use crate::engine::{Engine, Platform};
use crate::geometry::SLICE;
use crate::heap::Origin;
use crate::patience;
use crate::policy::{self, Mechanism};
use crate::spans::Spans;

/// A value that may be unset: 0, or the value plus one.
pub(crate) struct Cell(AtomicUsize);

impl Cell {
    const fn new() -> Cell {
        Cell(AtomicUsize::new(0))
    }

    pub(crate) fn get(&self) -> Option<usize> {
        self.0.load(Relaxed).checked_sub(1)
    }

    pub(crate) fn set(&self, value: usize) {
        self.0.store(value.saturating_add(1), Relaxed);
    }
}

/// The options that are not thresholds.
pub(crate) struct Knobs {
    pub(crate) mechanisms: Cell,
    pub(crate) arena_max: Cell,
    tcache_count: Cell,
    tcache_max: Cell,
    thp: Cell,
    pub(crate) background: Cell,
    pub(crate) limit: Cell,
    pub(crate) purge_delay_ms: Cell,
    purge: Cell,
}

impl Knobs {
    pub(crate) const fn new() -> Knobs {
        Knobs {
            mechanisms: Cell::new(),
            arena_max: Cell::new(),
            tcache_count: Cell::new(),
            tcache_max: Cell::new(),
            thp: Cell::new(),
            background: Cell::new(),
            limit: Cell::new(),
            purge_delay_ms: Cell::new(),
            purge: Cell::new(),
        }
    }
}

impl<P: Platform> Engine<P> {
    /// Puts settings in force. Inside the first initialisation, when the defaults stand.
    pub(crate) fn apply(&self, settings: &Settings) {
        let threshold = |key, cell: &AtomicUsize| {
            if let Some(value) = settings.get(key) {
                self.fix(cell, value);
            }
        };
        threshold(Key::MmapThreshold, &self.tunables.mmap_threshold);
        threshold(Key::TrimThreshold, &self.tunables.trim_threshold);
        threshold(Key::TopPad, &self.tunables.top_pad);
        threshold(Key::MmapMax, &self.tunables.mmap_max);
        let knobs = &self.tunables.knobs;
        let knob = |key, cell: &Cell| {
            if let Some(value) = settings.get(key) {
                cell.set(value);
            }
        };
        knob(Key::ArenaMax, &knobs.arena_max);
        knob(Key::TcacheCount, &knobs.tcache_count);
        knob(Key::TcacheMax, &knobs.tcache_max);
        knob(Key::Thp, &knobs.thp);
        knob(Key::Use, &knobs.mechanisms);
        knob(Key::Background, &knobs.background);
        knob(Key::Limit, &knobs.limit);
        knob(Key::PurgeDelayMs, &knobs.purge_delay_ms);
        if settings.get(Key::Pressure) == Some(0) {
            self.gauge.switch_off();
            self.with_spans(|spans| spans.kin.switch_off());
        }
        knob(Key::Purge, &knobs.purge);
        if let Some(byte) = settings.get(Key::Perturb) {
            self.perturb.store(byte as u32, Relaxed);
        }
        self.set_background(self.background() != Background::Off);
        if self.mechanisms() == Mechanisms::Mappings {
            self.with_spans(|spans| spans.brk.closed = true);
        }
    }

    /// Sets one of the four options that end the dynamic threshold.
    fn fix(&self, cell: &AtomicUsize, value: usize) {
        cell.store(value, Relaxed);
        self.tunables.fixed.store(1, Relaxed);
    }

    /// `M_MMAP_THRESHOLD`: ends the dynamic threshold.
    pub fn set_mmap_threshold(&self, bytes: usize) {
        self.start();
        self.fix(&self.tunables.mmap_threshold, bytes);
    }

    /// `M_TRIM_THRESHOLD`: ends the dynamic threshold.
    pub fn set_trim_threshold(&self, bytes: usize) {
        self.start();
        self.fix(&self.tunables.trim_threshold, bytes);
    }

    /// `M_TOP_PAD`: ends the dynamic threshold.
    pub fn set_top_pad(&self, bytes: usize) {
        self.start();
        self.fix(&self.tunables.top_pad, bytes);
    }

    /// `M_MMAP_MAX`: ends the dynamic threshold.
    pub fn set_mmap_max(&self, mappings: usize) {
        self.start();
        self.fix(&self.tunables.mmap_max, mappings);
    }

    /// `M_ARENA_MAX`: heaps that become idle from now on keep pages only while fewer than this many do; threads that get
    /// their heap from now on live on the break if it is 1.
    pub fn set_arena_max(&self, arenas: usize) {
        self.start();
        self.tunables.knobs.arena_max.set(arenas);
    }

    /// The present mmap threshold, in bytes.
    pub fn mmap_threshold(&self) -> usize {
        self.start();
        self.tunables.mmap_threshold.load(Relaxed)
    }

    /// May a helper thread give memory back?
    pub fn background(&self) -> Background {
        match self.tunables.knobs.background.get() {
            Some(value) if value == Background::On as usize => Background::On,
            Some(value) if value == Background::Off as usize => Background::Off,
            _ => Background::Auto,
        }
    }

    /// Are transparent huge pages wished (`Some(true)`), unwished, or left to the engine?
    pub fn huge_pages(&self) -> Option<bool> {
        self.tunables.knobs.thp.get().filter(|&value| value < 2).map(|value| value != 0)
    }

    /// May purged memory hold what it held (`purge:free`)?
    pub(crate) fn purges_lazily(&self) -> bool {
        self.tunables.knobs.purge.get() == Some(1)
    }

    /// How long calls or the helper let free memory beyond the budget stay, in milliseconds: what was planned, unless
    /// `purge_delay_ms` says otherwise.
    pub(crate) fn pause_ms(&self, planned: u64) -> u64 {
        self.pause_limit(self.tunables.knobs.purge_delay_ms.get().map_or(planned, |ms| (ms as u64).max(1)))
    }

    /// No pause is long while memory is short.
    pub(crate) fn pause_limit(&self, planned: u64) -> u64 {
        if self.is_tight() { planned.min(patience::SHORTEST_MS) } else { planned }
    }

    pub(crate) fn mechanisms(&self) -> Mechanisms {
        match self.tunables.knobs.mechanisms.get() {
            Some(value) if value == Mechanisms::Break as usize => Mechanisms::Break,
            Some(value) if value == Mechanisms::Mappings as usize => Mechanisms::Mappings,
            _ => Mechanisms::Both,
        }
    }

    /// What serves a request above the classes.
    pub(crate) fn mechanism(&self, bytes: usize) -> Mechanism {
        if self.mechanisms() == Mechanisms::Break {
            return Mechanism::Run;
        }
        policy::mechanism(
            bytes,
            self.tunables.mmap_threshold.load(Relaxed),
            self.counter(Counter::DirectLive) as usize,
            self.tunables.mmap_max.load(Relaxed),
        )
    }

    /// A threshold below 64 KiB: shall a request that a medium class could serve get a mapping all the same? As in glibc,
    /// free blocks come first. Small classes never ask.
    #[inline]
    pub(crate) fn prefers_mapping(&self, class: usize, bytes: usize) -> bool {
        bytes > SMALL_MAX
            && bytes >= self.tunables.mmap_threshold.load(Relaxed)
            && self.prefers_mapping_slow(class, bytes)
    }

    #[cold]
    fn prefers_mapping_slow(&self, class: usize, bytes: usize) -> bool {
        self.start();
        let heap = self.own_heap();
        let has_free = || !self.current_page(heap, class).local.load(Relaxed).is_null();
        bytes >= self.tunables.mmap_threshold.load(Relaxed)
            && !has_free()
            && self.mechanism(bytes) == Mechanism::Mapping
    }

    /// Where the pages of a thread's heap come from first.
    pub(crate) fn origin_for(&self, is_main: bool) -> Origin {
        let on_break = match self.mechanisms() {
            Mechanisms::Both => is_main || self.tunables.knobs.arena_max.get() == Some(1),
            Mechanisms::Break => true,
            Mechanisms::Mappings => false,
        };
        if on_break { Origin::Break } else { Origin::Region }
    }

    /// May a heap that becomes idle, when `idle` others are, keep pages for the next thread?
    pub(crate) fn may_keep_pages(&self, idle: u32) -> bool {
        self.tunables.knobs.arena_max.get().is_none_or(|most| (idle as usize) < most)
    }

    /// Blocks of `size` bytes that a thread collects of a foreign page before it hands them over, `most` at most.
    pub(crate) fn parcel_blocks(&self, size: usize, most: u32) -> u32 {
        let knobs = &self.tunables.knobs;
        if knobs.tcache_max.get().is_some_and(|largest| size > largest) {
            return 1;
        }
        knobs.tcache_count.get().map_or(most, |count| count.clamp(1, most as usize) as u32)
    }

    /// Is there room below `limit` for `bytes` more? What is free goes back first where that makes room. Slices that are
    /// free and were given back do not count, direct mappings do.
    pub(crate) fn fits_limit(&self, spans: &mut Spans, bytes: usize) -> bool {
        let Some(limit) = self.tunables.knobs.limit.get() else { return true };
        let used = spans.used * SLICE + self.counter(Counter::DirectLiveBytes) as usize;
        let wanted = used.saturating_add(bytes);
        let loose = spans.dirty * SLICE + spans.kept.bytes();
        if wanted <= limit && wanted.saturating_add(loose) > limit && self.kernel().purge_is_honest() {
            self.give_back_in(spans, 0, Rule::Limit);
        }
        wanted <= limit
    }

    /// As [`Engine::fits_limit`], for who does not hold the store's lock.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.make_room(bytes);
        self.tunables.knobs.limit.get().is_none() || self.with_spans(|spans| self.fits_limit(spans, bytes))
    }
}
