//! Options that are read and set while the program runs, beyond those of `mallopt` (`tuning`).

use core::sync::atomic::Ordering::Relaxed;

use crate::config::{Background, Mechanisms};
use crate::engine::{Engine, Platform};

impl<P: Platform> Engine<P> {
    /// The present trim threshold, in bytes.
    pub fn trim_threshold(&self) -> usize {
        self.start();
        self.tunables.trim_threshold.load(Relaxed)
    }

    /// Bytes that the break moves further than needed.
    pub fn top_pad(&self) -> usize {
        self.start();
        self.tunables.top_pad.load(Relaxed)
    }

    /// Direct mappings at most.
    pub fn mmap_max(&self) -> usize {
        self.start();
        self.tunables.mmap_max.load(Relaxed)
    }

    /// Idle heaps that keep pages for the next thread. `None`: no bound.
    pub fn arena_max(&self) -> Option<usize> {
        self.start();
        self.tunables.knobs.arena_max.get()
    }

    /// Bytes that spans in use and direct mappings may have together. `None`: no bound.
    pub fn limit(&self) -> Option<usize> {
        self.start();
        self.tunables.knobs.limit.get()
    }

    /// Sets the limit. What is in use already stays.
    pub fn set_limit(&self, bytes: usize) {
        self.start();
        self.tunables.knobs.limit.set(bytes);
    }

    /// How long free memory beyond the budget stays, in milliseconds; `None`: as the engine plans it.
    pub fn purge_delay(&self) -> Option<usize> {
        self.start();
        self.tunables.knobs.purge_delay_ms.get()
    }

    /// Sets that time.
    pub fn set_purge_delay(&self, ms: usize) {
        self.start();
        self.tunables.knobs.purge_delay_ms.set(ms);
    }

    /// Says whether a helper thread may give memory back. One that runs at this moment ends at its next look.
    pub fn choose_background(&self, background: Background) {
        self.start();
        self.tunables.knobs.background.set(background as usize);
        self.set_background(background != Background::Off);
    }

    /// The fill byte of `M_PERTURB`; 0: none.
    pub fn perturb_byte(&self) -> u8 {
        self.start();
        self.perturb.load(Relaxed) as u8
    }

    /// Where memory comes from.
    pub fn chosen_mechanisms(&self) -> Mechanisms {
        self.start();
        self.mechanisms()
    }
}
