//! Pages come and go: taking one from the store, carving it, moving it between the states of `page::Status`, giving it
//! back. All of it by the heap's owner, inside its gate.

use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::AtomicU8;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::classes;
use crate::engine::{Engine, Platform};
use crate::geometry::slice_address;
use crate::heap::{Heap, no_block};
use crate::page::{Block, CURRENT_BIAS, PageMeta, STATUS_MASK, Status, owner, state};

/// Pages loosened since the last refill after which a heap ends the use of its CURRENT ones.
const LOOSENED_TO_RETIRE: u32 = 32;

/// Bytes that a vector load with a mask may reach past the byte it is for (`memcmp` of short strings with AVX-512). Where
/// that part lies on an OS page that was never touched, the processor takes a microcode assist of some hundred cycles at
/// every such load.
const MASKED_LOAD: usize = 64;
/// Blocks up to this size are taken to hold short strings.
const SHORT_BLOCK: usize = 256;

impl<P: Platform> Engine<P> {
    /// The meta of a slice that is known to have a leaf.
    pub(crate) fn page(&self, slice: u32) -> &PageMeta {
        match self.map.meta(slice_address(slice)) {
            Some(page) => page,
            None => {
                self.die(crate::fatal::Misuse::CorruptedList, slice_address(slice), None);
                &crate::heap::EMPTY_PAGE
            }
        }
    }

    /// The meta of the page, run or mapping that has the slice around an address; `None` where there is no leaf.
    #[inline]
    pub(crate) fn page_of(&self, address: usize) -> Option<&PageMeta> {
        let slice = self.map.meta(address)?;
        Some(if slice.owner.load(Acquire) == owner::INTERIOR { self.page(slice.first_slice()) } else { slice })
    }

    /// Takes a fresh page of a class from the store, as the heap's CURRENT one.
    pub(crate) fn new_page(&self, heap: &Heap, class: usize) -> Option<&PageMeta> {
        let slices = classes::slices(class);
        let (span, states) = self.with_spans(|spans| {
            let states = self.take_table(spans, class)?;
            match self.take_span(spans, slices, heap.origin()) {
                Some(span) => Some((span, states)),
                None => {
                    self.return_table(spans, class, states);
                    None
                }
            }
        })?;
        let page = self.page(span.first);
        page.local.store(no_block(), Relaxed);
        page.counter.store(CURRENT_BIAS, Relaxed);
        page.magic.store(classes::MAGIC[class], Relaxed);
        page.in_play.store(0, Relaxed);
        page.class.store(class as u8, Relaxed);
        page.flags.store(Status::Current as u8, Relaxed);
        page.set_zero(span.zero);
        page.states.store(with_exposed_provenance_mut(states), Relaxed);
        page.start.store(slice_address(span.first), Relaxed);
        for interior in 1..slices as u32 {
            let meta = self.page(span.first + interior);
            meta.start.store(slice_address(span.first), Relaxed);
            meta.owner.store(owner::INTERIOR, Release);
        }
        heap.pages.set(heap.pages.get() + 1);
        self.set_owner(page, heap.owner_word());
        Some(page)
    }

    /// Writes whose a page is, and the copy of it ([owner-copy]).
    pub(crate) fn set_owner(&self, page: &PageMeta, word: usize) {
        page.owner.store(word, Release);
        if let Some(place) = self.map.place(page.start()) {
            place.set_owner(word);
        }
    }

    /// Gives an empty page back to the store. It is on no ring and its remote word is quiet ([queued-lives]).
    pub(crate) fn release_page(&self, heap: &Heap, page: &PageMeta) {
        heap.pages.set(heap.pages.get() - 1);
        let class = page.class();
        let slices = classes::slices(class);
        let first = page.first_slice();
        let states = page.states.load(Relaxed).addr();
        // SAFETY: [page-table] the page is in use.
        let holes = unsafe { page.record() }.count_holes();
        if holes != 0 {
            self.asleep.fetch_sub(holes * self.os_page.load(Relaxed), Relaxed);
        }
        self.set_owner(page, owner::NONE);
        page.flags.store(Status::None as u8, Relaxed);
        page.local.store(no_block(), Relaxed);
        for interior in 1..slices as u32 {
            self.page(first + interior).owner.store(owner::NONE, Release);
        }
        self.with_spans(|spans| {
            self.return_table(spans, class, states);
            self.return_span(spans, first, slices);
        });
    }

    /// A table of state bytes, all NEVER.
    fn take_table(&self, spans: &mut crate::spans::Spans, class: usize) -> Option<usize> {
        let bytes = PageMeta::table_bytes(class);
        let free = spans.tables[class];
        if free == 0 {
            // Each on lines of its own: two threads' pages change their state bytes all the time.
            return self.bump_metadata(spans, bytes, 64).map(|table| table.addr().get());
        }
        let table = with_exposed_provenance_mut::<usize>(free);
        // SAFETY: [free-table] a table of this class that no page has; its first word links to the next.
        unsafe {
            spans.tables[class] = *table;
            table.cast::<u8>().write_bytes(0, bytes);
        }
        Some(free)
    }

    fn return_table(&self, spans: &mut crate::spans::Spans, class: usize, table: usize) {
        // SAFETY: [free-table] no page has it any more; tables are 16-aligned and at least 16 bytes.
        unsafe { with_exposed_provenance_mut::<usize>(table).write(spans.tables[class]) };
        spans.tables[class] = table;
    }

    /// Cuts the blocks that end on the next OS page off the untouched part, as a list in address order; what nobody needs
    /// stays untouched. A block that reaches into the OS page
    /// behind, or almost, comes with the blocks there, whose links touch it ([`MASKED_LOAD`]). The blocks count as out. Null:
    /// the page is carved to its end.
    pub(crate) fn carve(&self, page: &PageMeta) -> *mut Block {
        // SAFETY: [page-table] the page is in use.
        let frontier = unsafe { &page.record().frontier };
        let size = page.block_bytes();
        let carved = frontier.load(Relaxed) as usize;
        let left = page.capacity() as usize - carved;
        if left == 0 {
            return no_block();
        }
        let os_page = self.os_page.load(Relaxed);
        let offset = carved * size;
        let behind = if size <= SHORT_BLOCK { MASKED_LOAD } else { 0 };
        let reach = (offset + size + behind).next_multiple_of(os_page);
        let count = ((reach - behind - offset) / size).min(left);
        frontier.store((carved + count) as u32, Relaxed);
        self.deal(page, carved..carved + count)
    }

    /// Wakes the lowest hole of a page that has blocks of its own: its free blocks, as a list in address order. They count
    /// as out. Null: no hole is left.
    pub(crate) fn wake_hole(&self, page: &PageMeta) -> *mut Block {
        // SAFETY: [page-table] the page is in use.
        let record = unsafe { page.record() };
        let os_page = self.os_page.load(Relaxed);
        let size = page.block_bytes();
        let frontier = record.frontier.load(Relaxed) as usize;
        while let Some(hole) = record.lowest_hole() {
            record.set_hole(hole, false);
            self.asleep.fetch_sub(os_page, Relaxed);
            self.helper.woken.fetch_add(os_page, Relaxed);
            let first = (hole * os_page / size).min(frontier);
            let end = ((hole + 1) * os_page).div_ceil(size).min(frontier);
            // A block that reaches into another hole sleeps on; one that was awake before this hole cannot be: the hole
            // held no block that is out, and free blocks on it were asleep.
            let awake = (first..end).filter(|&index| !record.is_asleep(index, size, os_page));
            let list = self.deal(page, awake);
            if !list.is_null() {
                return list;
            }
        }
        no_block()
    }

    /// Links blocks, given in address order, into a list; they come into play, and out.
    fn deal(&self, page: &PageMeta, blocks: impl Iterator<Item = usize>) -> *mut Block {
        let (start, size) = (page.start(), page.block_bytes());
        let (mut head, mut tail) = (no_block(), no_block());
        let mut count = 0;
        for index in blocks {
            let block = with_exposed_provenance_mut::<Block>(start + index * size);
            if tail.is_null() {
                head = block;
            } else {
                // SAFETY: [page-carved] or a hole: a free block of the page that no list has.
                unsafe { (*tail).set_next(block) };
            }
            tail = block;
            count += 1;
        }
        if !tail.is_null() {
            // SAFETY: as above.
            unsafe { (*tail).set_next(no_block()) };
        }
        page.in_play.store(page.in_play.load(Relaxed) + count, Relaxed);
        page.counter.store(page.counter.load(Relaxed) + count as i32, Relaxed);
        head
    }

    /// Sets the books of a STALE page right from its state bytes. By the owner, in its gate; the page is not CURRENT, or
    /// its list in the heap is empty.
    pub(crate) fn renew_books(&self, page: &PageMeta) {
        if !page.is_stale() {
            return;
        }
        page.set_stale(false);
        // SAFETY: [page-table] the page is in use.
        let record = unsafe { page.record() };
        let (os_page, size) = (self.os_page.load(Relaxed), page.block_bytes());
        // What other threads free from here on stays LOOSE, and counts as out until they tell.
        // SAFETY: [page-table] the page is in use.
        unsafe { page.each_loose(u16::MAX, |_, byte| byte.store(state::FREED, Relaxed)) };
        let carved = record.frontier.load(Relaxed) as usize;
        // SAFETY: [state-index] below the capacity.
        let is_free = |index: usize| matches!(unsafe { page.state(index) }.load(Relaxed), state::NEVER | state::FREED);
        let out = carved as i32 - (0..carved).filter(|&index| is_free(index)).count() as i32;
        page.in_play.store(0, Relaxed);
        let free = (0..carved).filter(|&index| is_free(index) && !record.is_asleep(index, size, os_page));
        let list = self.deal(page, free);
        page.local.store(list, Relaxed);
        page.in_play.store(page.in_play.load(Relaxed) + out as u16, Relaxed);
        page.counter.store(out + page.bias(page.status()), Relaxed);
    }

    /// Puts a PARTIAL page on its heap's ring of its class.
    pub(crate) fn ring_push(&self, heap: &Heap, page: &PageMeta) {
        let head = &heap.ring[page.class()];
        let first = head.load(Relaxed);
        let me = page.first_slice();
        page.prev.store(0, Relaxed);
        page.next.store(first, Relaxed);
        if first != 0 {
            self.page(first).prev.store(me, Relaxed);
        }
        head.store(me, Relaxed);
    }

    /// Takes a page off its ring.
    pub(crate) fn ring_remove(&self, heap: &Heap, page: &PageMeta) {
        let (prev, next) = (page.prev.load(Relaxed), page.next.load(Relaxed));
        if prev == 0 {
            heap.ring[page.class()].store(next, Relaxed);
        } else {
            self.page(prev).next.store(next, Relaxed);
        }
        if next != 0 {
            self.page(next).prev.store(prev, Relaxed);
        }
    }

    /// Brings a page that is not CURRENT into the state that its counter says: a FULL page with a batch of free blocks
    /// goes on the ring, an empty one goes back.
    pub(crate) fn settle(&self, heap: &Heap, page: &PageMeta) {
        // Between the free that fired and this gate the page may have been released, as empty, behind our back.
        if page.owner.load(Relaxed) != heap.owner_word() {
            return;
        }
        self.renew_books(page);
        let out = page.out();
        match page.status() {
            Status::Full if page.counter.load(Relaxed) <= 0 => {
                page.set_status(Status::Partial);
                self.ring_push(heap, page);
                self.loosened.fetch_add(classes::slices(page.class()), Relaxed);
            }
            Status::Partial => {}
            // The counter of a page in use only ever falls ([page-counter]).
            Status::Current => return page.counter.store(CURRENT_BIAS, Relaxed),
            _ => return,
        }
        if out == 0 && page.remote.is_quiet() && !self.keeps_empty(heap, page) {
            self.ring_remove(heap, page);
            self.release_page(heap, page);
        }
    }

    /// Notes that a page was loosened. Many of them and no refill: the program frees a lot, and the pages in use hold a
    /// part of it, so they are used no more.
    fn note_loosened(&self, heap: &Heap) {
        heap.loosened.set(heap.loosened.get() + 1);
        if heap.loosened.get() >= LOOSENED_TO_RETIRE {
            heap.loosened.set(0);
            self.retire_all(heap);
        }
    }

    /// A heap keeps one empty page of a class with few blocks a page, or the store would be asked every few calls.
    fn keeps_empty(&self, heap: &Heap, page: &PageMeta) -> bool {
        page.capacity() <= 64
            && heap.ring[page.class()].load(Relaxed) == page.first_slice()
            && page.next.load(Relaxed) == 0
    }

    /// The owner freed the block that makes the counter of a page fire.
    #[cold]
    #[inline(never)]
    pub(crate) fn page_event(&self, page: &PageMeta) {
        let heap = self.own_heap();
        self.with_gate(heap, || {
            self.settle(heap, page);
            self.note_loosened(heap);
        });
        self.nudge();
    }

    /// Ends the use of a heap's CURRENT page of a class: its cached blocks go back to the page.
    pub(crate) fn retire_current(&self, heap: &Heap, class: usize) {
        let page = self.current_page(heap, class);
        if page.flags.load(Relaxed) & STATUS_MASK != Status::Current as u8 {
            return;
        }
        heap.set_no_current(class);
        let free = page.count_local();
        page.set_status(Status::Full);
        page.counter.store(page.counter.load(Relaxed) - free, Relaxed);
        if page.out() == page.capacity() {
            return;
        }
        page.set_status(Status::Partial);
        self.ring_push(heap, page);
        self.settle(heap, page);
    }

    /// The CURRENT page of a class, or the empty one.
    pub(crate) fn current_page(&self, heap: &Heap, class: usize) -> &PageMeta {
        // SAFETY: [current-page] never null: a page of the engine ([leaf-stays]) or EMPTY_PAGE.
        unsafe { &*heap.current[class].load(Relaxed) }
    }

    /// The state byte of a block by its address; `None` if no block of the page starts there.
    pub(crate) fn state_of<'a>(&self, page: &'a PageMeta, address: usize) -> Option<&'a AtomicU8> {
        let index = page.index_of(address - page.start())?;
        // SAFETY: [state-index] the offset lies inside the page's span, so the division yields at most its quotient.
        Some(unsafe { page.state(index) })
    }
}
