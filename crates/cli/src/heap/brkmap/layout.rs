//! The root's numbers, checked once, so that the walker can use them without looking again.

use super::Damage;
use super::reader::{Reader, half_at, number, word_at};
use brkmap_wire::Root;

/// What the walker needs of one engine.
pub(super) struct Layout {
    pub(super) root: Root,
    pub(super) slice: u64,
    /// Block size by class.
    pub(super) sizes: Vec<u64>,
    /// Requests seen and the sum of their bytes, by class, over all heaps.
    pub(super) samples: Vec<(u64, u64)>,
    pub(super) counters: Vec<u64>,
    /// Heaps with and without a thread.
    pub(super) heaps: (u64, u64),
    pub(super) mmap_threshold: u64,
}

fn within(what: &str, value: u64, low: u64, high: u64) -> Result<(), Damage> {
    match (low..=high).contains(&value) {
        true => Ok(()),
        false => Err(Damage::new(format!("the root claims {value} for {what}"))),
    }
}

/// Checks that `size` bytes at each offset lie inside a record.
fn fields(what: &str, record: u64, fields: &[(u64, u64)]) -> Result<(), Damage> {
    match fields.iter().all(|&(offset, size)| offset.checked_add(size).is_some_and(|end| end <= record)) {
        true => Ok(()),
        false => Err(Damage::new(format!("the root puts a field outside of {what}"))),
    }
}

fn check(root: &Root) -> Result<(), Damage> {
    within("the OS page", root.os_page, 4096, 1 << 16)?;
    within("the slice", root.slice_shift, 12, 30)?;
    within("the slices of a leaf", root.leaf_slices, 64, 1 << 16)?;
    within("a page meta", root.meta_stride, 16, 4096)?;
    within("a leaf", root.leaf_bytes, 64, 64 << 20)?;
    within("the size classes", root.class_count, 1, 1024)?;
    within("the slices of a medium page", root.medium_slices, 1, 1 << 10)?;
    within("a heap", root.heap_bytes, 16, 1 << 20)?;
    within("the counters", root.counter_count, 0, 4096)?;
    if !root.os_page.is_power_of_two() || !root.leaf_slices.is_multiple_of(64) {
        return Err(Damage::new("the root claims an OS page or leaf of odd size"));
    }
    let bitmap = root.leaf_slices / 8;
    let metas = (root.leaf_metas, root.leaf_slices * root.meta_stride);
    let bitmaps = [root.leaf_owned, root.leaf_free, root.leaf_direct].map(|offset| (offset, bitmap));
    fields("a leaf", root.leaf_bytes, &[metas, (root.leaf_next, 8), (root.leaf_first_slice, 8)])?;
    fields("a leaf", root.leaf_bytes, &bitmaps)?;
    let words = [root.meta_owner, root.meta_states, root.meta_span_bytes, root.meta_requested, root.meta_start];
    fields("a page meta", root.meta_stride, &words.map(|offset| (offset, 8)))?;
    let small = [(root.meta_in_play, 2), (root.meta_class, 1)];
    fields("a page meta", root.meta_stride, &small)?;
    fields("a page meta", root.meta_stride, &[(root.meta_flags, 1)])?;
    fields("a heap", root.heap_bytes, &[(root.heap_next, 8), (root.heap_state, 4)])?;
    fields("a heap", root.heap_bytes, &[(root.heap_samples, root.class_count * 8)])
}

impl Layout {
    /// Checks the root and fetches the small tables.
    pub(super) fn read(reader: &Reader<'_, '_>, root: &Root) -> Result<Layout, Damage> {
        check(root)?;
        let classes = root.class_count as usize;
        let sizes = reader.bytes("the class table", root.class_sizes, root.class_count * 4)?;
        let sizes: Vec<u64> = (0..classes).map(|class| u64::from(half_at(&sizes, class * 4))).collect();
        if sizes.contains(&0) {
            return Err(Damage::new("the class table has a class of 0 bytes"));
        }
        let counters = reader.bytes("the counters", root.counters, root.counter_count * 8)?;
        let counters = (0..root.counter_count as usize).map(|index| word_at(&counters, index * 8)).collect();
        let mut layout = Layout {
            slice: 1 << root.slice_shift,
            sizes,
            samples: vec![(0, 0); classes],
            counters,
            heaps: (0, 0),
            mmap_threshold: reader.word("the mmap threshold", root.mmap_threshold)?,
            root: *root,
        };
        layout.read_heaps(reader)?;
        Ok(layout)
    }

    fn read_heaps(&mut self, reader: &Reader<'_, '_>) -> Result<(), Damage> {
        let root = self.root;
        // The list cannot be longer than the memory that is mapped for it.
        let mapped: u64 = reader.mappings.iter().map(|mapping| mapping.size()).fold(0, u64::saturating_add);
        let most = (mapped / root.heap_bytes).min(1 << 20);
        let mut next = reader.word("the list of heaps", root.heap_head)?;
        for _ in 0..=most {
            if next == 0 {
                return Ok(());
            }
            let heap = reader.bytes("a heap", next, root.heap_bytes)?;
            match u64::from(half_at(&heap, root.heap_state as usize)) == root.heap_active {
                true => self.heaps.0 += 1,
                false => self.heaps.1 += 1,
            }
            for (class, sample) in self.samples.iter_mut().enumerate() {
                let at = root.heap_samples as usize + class * 8;
                sample.0 += u64::from(half_at(&heap, at));
                sample.1 += u64::from(half_at(&heap, at + 4));
            }
            next = word_at(&heap, root.heap_next as usize);
        }
        Err(Damage::new("the list of heaps has no end"))
    }

    /// Slices of a page of a class.
    pub(super) fn slices(&self, class: u64) -> u64 {
        let is_medium = class >= self.root.class_medium && class < self.root.class_fine;
        if is_medium { self.root.medium_slices } else { 1 }
    }

    /// What of `bytes` in live blocks of a class is rounding, by the mean of the requests that were seen.
    pub(super) fn rounding(&self, class: usize, bytes: u64) -> u64 {
        let (&(count, sum), &size) = match (self.samples.get(class), self.sizes.get(class)) {
            (Some(sample), Some(size)) if sample.0 > 0 => (sample, size),
            _ => return 0,
        };
        let unused = u128::from(size).saturating_sub(u128::from(sum) / u128::from(count));
        (u128::from(bytes) * unused / u128::from(size)) as u64
    }
}

/// One page meta, decoded.
pub(super) struct Meta {
    pub(super) owner: u64,
    pub(super) in_play: u64,
    pub(super) class: u64,
    pub(super) status: u64,
    pub(super) states: u64,
    pub(super) span_bytes: u64,
    pub(super) requested: u64,
    pub(super) start: u64,
}

impl Meta {
    /// Decodes the meta at an offset of a row of metas.
    pub(super) fn decode(root: &Root, metas: &[u8], at: usize) -> Meta {
        let word = |offset: u64| word_at(metas, at + offset as usize);
        let part = |offset: u64, size| number(metas, at + offset as usize, size);
        Meta {
            owner: word(root.meta_owner),
            in_play: part(root.meta_in_play, 2),
            class: part(root.meta_class, 1),
            status: part(root.meta_flags, 1) & root.status_mask,
            states: word(root.meta_states),
            span_bytes: word(root.meta_span_bytes),
            requested: word(root.meta_requested),
            start: word(root.meta_start),
        }
    }

    /// Free blocks that a thread takes next, or that are on their way to one; `None` in a state that is not a page's.
    pub(super) fn cached(&self, root: &Root, states: &[u8]) -> Option<u64> {
        let count = |wanted: u64| states.iter().filter(|&&state| u64::from(state) == wanted).count() as u64;
        let loose = || if root.state_loose == 0 { 0 } else { count(root.state_loose) };
        match self.status {
            status if status == root.status_current => Some(self.in_play.saturating_sub(count(root.state_live))),
            status if status == root.status_partial || status == root.status_full => {
                Some(count(root.state_remote) + loose())
            }
            _ => None,
        }
    }
}
