//! The walker on images of all known layouts, whole and damaged.

use super::image::{BLOCK, BLOCK_BYTES, DATA, HEAP, HEAP_BYTES, Image, Piece, THREAD_HEAP};
use super::layout::{ALL, Layout};
use super::*;
use crate::damage::campaign;

const PAGE: u64 = 4096;

fn read_image(image: &Image, version: Option<u16>) -> Option<Glibc> {
    read(image, &image.mappings, &image.residency, version)
}

fn pieces() -> Vec<Piece> {
    use Piece::*;
    vec![
        Used(0x500),
        Cached(0x40),
        Used(0x40),
        Free(3 * PAGE + 0x20),
        Used(0x80),
        Fast(0x50),
        Free(2 * PAGE),
        Used(0x90),
        Cached(0x40),
    ]
}

fn image(layout: &Layout) -> Image {
    Image::new(layout, &pieces(), &pieces())
}

#[test]
fn every_layout_is_read_exactly() {
    for layout in &ALL {
        for version in [Some(layout.versions.0), Some(layout.versions.1)] {
            let glibc = read_image(&image(layout), version).unwrap();
            assert_eq!((glibc.torn, &glibc.problem), (0, &None), "{layout:?}");
            assert_eq!(glibc.arenas.len(), 2);
            let fast = if layout.fast.is_some() { 0 } else { 0x50 };
            for arena in &glibc.arenas {
                let figures = &arena.figures;
                let live = layout.cache_chunk() + 0x500 + 0x40 + 0x80 + 0x90 + fast;
                let blocks = 5 + u64::from(fast > 0);
                assert_eq!(figures.live + figures.headers, live, "2.{version:?}");
                assert_eq!((figures.live_blocks, figures.headers), (blocks, 8 * blocks));
                assert_eq!((figures.caches, figures.cached_blocks), (2 * 0x40, 2));
                assert_eq!(figures.unclear, 0);
            }
            assert_eq!(glibc.caches, 2);
            assert_eq!(glibc.mapped, Mapped { blocks: 1, bytes: BLOCK_BYTES, resident: BLOCK_BYTES });
            let parameters = glibc.parameters.unwrap();
            assert_eq!((parameters.trim_threshold, parameters.top_pad), (0x30000, 0x20000));
            assert_eq!((parameters.mmap_threshold, parameters.arena_max), (0x18000, 3));
            assert_eq!((parameters.break_start, parameters.mapped_blocks), (HEAP, 1));
        }
    }
}

/// Chunks that are known beforehand, all of them or the first few, change nothing.
#[test]
fn what_is_known_of_chunks_agrees_with_what_is_read() {
    for layout in &ALL {
        let plain = read_image(&image(layout), Some(layout.versions.0)).unwrap();
        for count in 0..16 {
            let mut image = image(layout);
            let mut at = HEAP;
            for _ in 0..count {
                let mut word = [0; 8];
                image.read(at + 8, &mut word).unwrap();
                image.chain.add(at, [u64::from_le_bytes(word)]);
                at += u64::from_le_bytes(word) & !7;
                if at >= HEAP + HEAP_BYTES {
                    break;
                }
            }
            assert_eq!(read_image(&image, Some(layout.versions.0)).unwrap(), plain, "{count} of {layout:?}");
        }
    }
}

/// A chain that is not the heap's is found out, or the walk ends: nothing else may happen.
#[test]
fn a_forged_chain_only_makes_other_figures() {
    let words = [0x20, 0x21, 0x31, 0x1001, 0x10_0001, 0x7fff_ffff_ffff_fff1, 0x25, 0x23];
    for first in words {
        for second in words {
            let mut image = image(&ALL[2]);
            image.chain.add(HEAP, [first, second, 0x41, first, second]);
            let _ = read_image(&image, Some(36));
        }
    }
}

#[test]
fn rows_sum_to_what_is_resident() {
    for layout in &ALL {
        let glibc = read_image(&image(layout), Some(layout.versions.0)).unwrap();
        for arena in &glibc.arenas {
            let f = arena.figures;
            let sum = f.live + f.headers + f.caches + f.pinned + f.returnable + f.kept_top + f.metadata + f.unclear;
            assert_eq!(sum, if arena.is_main { HEAP_BYTES } else { 0x21000 });
        }
        assert_eq!(glibc.explained, [HEAP_BYTES, 0x21000, 0, BLOCK_BYTES]);
    }
}

#[test]
fn what_a_trim_returns_is_what_mtrim_and_systrim_would_take() {
    let layout = &ALL[2];
    // Chunks at known places: the cache's chunk ends at 0x290; the gap begins at 0x1000 - 0x20 and is 3 OS pages.
    let main = [Piece::Used(0xd50), Piece::Free(3 * PAGE), Piece::Used(0x40)];
    let glibc = read_image(&Image::new(layout, &main, &[]), Some(36)).unwrap();
    // From 0xfe0 + 48 up: 0x2000 to 0x3000 (the chunk ends at 0x3fe0). Of the top, from 0x4020 on, all but 33 bytes in
    // whole OS pages, measured from its end.
    let top = HEAP_BYTES - 0x4020;
    assert_eq!(glibc.arenas[0].figures.returnable, PAGE + (top - 33) / PAGE * PAGE);
    // A thread's top stays.
    assert_eq!(glibc.arenas[1].figures.returnable, 0);
    assert!(glibc.arenas[1].figures.kept_top >= 0x1f000);
    // Without the block above it, the gap would be part of the top.
    assert_eq!(glibc.arenas[0].figures.largest_free, 3 * PAGE);
    assert_eq!(glibc.gaps.classes(), [(8192, 16383, 1, 3 * PAGE)]);
}

#[test]
fn small_free_chunks_are_merged_first() {
    let layout = &ALL[2];
    let with = |piece| {
        let main = [Piece::Used(0xd40), Piece::Free(PAGE), piece, Piece::Free(PAGE), Piece::Used(0x40)];
        read_image(&Image::new(layout, &main, &[]), Some(36)).unwrap().arenas[0].figures.returnable
    };
    let top = |glibc: u64| glibc / PAGE;
    assert!(top(with(Piece::Fast(0x50))) > top(with(Piece::Used(0x50))));
}

#[test]
fn layouts_are_told_apart_without_a_version_where_they_can_be() {
    for layout in [&ALL[0], &ALL[2], &ALL[3]] {
        let glibc = read_image(&image(layout), None).unwrap();
        let expected: &[(u16, u16)] = if layout.versions.1 < 35 { &[(30, 31), (32, 34)] } else { &[layout.versions] };
        assert!(expected.contains(&glibc.layout.unwrap()), "{:?}", glibc.layout);
    }
    // An unknown version whose heap is as in 2.41.
    assert_eq!(read_image(&image(&ALL[2]), Some(77)).unwrap().layout, Some((35, 41)));
}

#[test]
fn an_unknown_heap_is_refused_with_a_reason() {
    let mut image = image(&ALL[2]);
    image.put(DATA, &[0x5a; 0x2000]);
    let refused = read_image(&image, Some(77)).unwrap();
    assert!(refused.arenas.is_empty() && refused.layout.is_none());
    assert!(refused.problem.unwrap().contains("glibc 2.77"));
    assert_eq!(read_image(&image, Some(36)), None, "a known version without an arena was never used");
}

#[test]
fn a_foreign_break_in_the_middle_is_skipped_without_damage() {
    let layout = &ALL[2];
    let mut image = Image::new(layout, &[Piece::Used(0x400); 40], &[]);
    // Behind the 10th chunk: an end of the heap, 0x600 bytes of the program's own, and the rest of the chunks.
    let at = HEAP + 0x290 + 10 * 0x400;
    image.words(at, &[0, 0x11, 0, 0x11]);
    image.words(at + 0x20, &[0x1111_1111_1111_1111; (0x800 - 0x20) / 8]);
    let glibc = read_image(&image, Some(36)).unwrap();
    assert_eq!((glibc.torn, glibc.problem), (0, None));
    assert_eq!(glibc.arenas[0].figures.foreign, 0x800);
}

#[test]
fn a_damaged_place_is_torn_and_the_rest_is_read() {
    let layout = &ALL[2];
    let mut image = Image::new(layout, &[Piece::Used(0x400); 40], &[]);
    image.words(HEAP + 0x290 + 10 * 0x400 + 8, &[0xffff_ffff_ffff_0001]);
    let glibc = read_image(&image, Some(36)).unwrap();
    assert_eq!(glibc.torn, 1);
    assert!(glibc.problem.unwrap().contains("no chunk at"));
    assert_eq!(glibc.arenas[0].figures.unclear, 0x400);
    assert_eq!(glibc.arenas[0].figures.live_blocks, 40);
}

/// Damaged images of every layout; see [`crate::damage`].
#[test]
fn nothing_that_is_read_is_believed() {
    let mut images: Vec<(Image, &Layout)> = ALL.iter().map(|layout| (small_image(layout), layout)).collect();
    let structures = [
        (HEAP, HEAP + 0x1000),
        (THREAD_HEAP, THREAD_HEAP + 0x1000),
        (DATA + 0x700, DATA + 0x900),
        (DATA + 0x1000, DATA + 0x1900),
        (BLOCK, BLOCK + 16),
    ];
    campaign("heaps of glibc", 100_000, |random| {
        let (image, layout) = &mut images[random.below(ALL.len() as u64) as usize];
        image.note();
        for _ in 0..1 + random.below(8) {
            image.damage(random, &structures);
        }
        let version = if random.below(3) == 0 { None } else { Some(layout.versions.0) };
        if let Some(glibc) = read_image(image, version) {
            let all: u64 = image.mappings.iter().map(|mapping| mapping.rss).sum();
            assert!(glibc.explained.iter().sum::<u64>() <= all, "{glibc:?}");
            let f = glibc.total();
            let rows = f.live + f.headers + f.caches + f.pinned + f.returnable + f.kept_top + f.metadata + f.unclear;
            assert!(rows + f.foreign + glibc.mapped.resident <= all, "{glibc:?}");
        }
        image.undo();
    });
}

fn small_image(layout: &Layout) -> Image {
    Image::small(layout, &pieces(), &pieces())
}

#[test]
fn lists_in_rings_and_wild_links_end() {
    let layout = &ALL[2];
    let mut image = image(layout);
    let arena = THREAD_HEAP + layout.heap_info;
    let main = DATA + 0x1000;
    // A list of small chunks that leads to itself, an arena that is its own next, a heap that links to itself.
    let chunk = image.word(main + layout.fast.unwrap() + 3 * 8);
    image.words(chunk + 16, &[chunk ^ ((chunk + 16) >> 12)]);
    image.words(THREAD_HEAP + 8, &[THREAD_HEAP]);
    let glibc = read_image(&image, Some(36)).unwrap();
    assert!(glibc.torn >= 2, "{glibc:?}");
    image.words(arena + layout.next, &[arena]);
    assert_eq!(read_image(&image, Some(36)), None, "a ring that does not come back to the main arena is none");
}

#[test]
fn the_version_is_read_from_the_banner() {
    assert_eq!(version(b"..GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\nCopyright"), Some(36));
    assert_eq!(version(b"GNU C Library (X) development release version 2.143.\n"), Some(143));
    assert_eq!(version(b"GNU C Library (X) release version 2.999999."), None);
    assert_eq!(version(b"GNU C Library ("), None);
    assert_eq!(version(b""), None);
}

#[test]
fn a_heap_full_of_damage_is_given_up_in_time() {
    let layout = &ALL[2];
    let mut image = Image::new(layout, &[Piece::Used(0x80); 1900], &[]);
    let mut at = HEAP + 0x290;
    // Twenty chunks that follow each other, then one that does not, over and over.
    while at + 0x80 * 21 < HEAP + HEAP_BYTES - 0x3000 {
        image.words(at + 0x80 * 20 + 8, &[0xffff_ffff_ffff_0001]);
        at += 0x80 * 21;
    }
    let glibc = read_image(&image, Some(36)).unwrap();
    assert!(glibc.torn > 50 && glibc.torn <= 257, "{}", glibc.torn);
    let figures = glibc.arenas[0].figures;
    assert!(figures.unclear >= 0x80 * 50 && figures.live > 0x80 * 1000);
}
