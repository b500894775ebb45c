use super::image::{ARENA, DIRECT, Image, LEAF, MOVES, OS_PAGE, REGION, ROOT, SLICE, STATES};
use super::{Contents, Damage, read};
use crate::damage::campaign;
use crate::heap::{Heap, Pin};
use crate::model::policy::Policy;
use crate::model::snapshot::Snapshot;
use crate::model::waterfall::Waterfall;
use brkmap_wire::{Counter, Move, Root, Rule};

fn walk(image: &Image) -> (Vec<Heap>, Option<Damage>) {
    let contents = contents(image);
    (contents.heaps, contents.damage)
}

fn contents(image: &Image) -> Contents {
    read(image, &image.mappings, &mut |offset, out| image.table(offset, out))
}

fn the_heap(image: &Image) -> Heap {
    let (heaps, damage) = walk(image);
    assert_eq!(damage, None);
    assert_eq!(heaps.len(), 1);
    heaps.into_iter().next().unwrap()
}

/// A page with 3 live of 64 blocks, 8 of them handed out so far, a free slice, a run and a direct mapping.
fn populated() -> Image {
    let mut image = Image::new();
    let root = image.present_root();
    for slice in 0..4 {
        image.set_bit(root.leaf_owned, REGION + slice * SLICE);
    }
    let owner = 0x10_0100u64.to_le_bytes();
    image.set_meta(
        REGION,
        &[(0, &owner), (16, &REGION.to_le_bytes()), (28, &5u16.to_le_bytes()), (31, &[1]), (32, &STATES.to_le_bytes())],
    );
    image.put(STATES, &[1, 2, 0, 1, 0, 0, 0, 1]);
    image.set_resident(REGION, 3 * OS_PAGE);
    image.set_bit(root.leaf_free, REGION + SLICE);
    image.set_resident(REGION + SLICE, 2 * OS_PAGE);
    let run = REGION + 2 * SLICE;
    let bytes = |value: u64| value.to_le_bytes();
    image.set_meta(run, &[(0, &bytes(2)), (8, &bytes(2 * SLICE)), (32, &bytes(70_000))]);
    image.set_resident(run, 2 * SLICE);
    image.set_bit(root.leaf_direct, DIRECT);
    image.set_meta(DIRECT, &[(0, &bytes(3)), (8, &bytes(2 * SLICE)), (16, &bytes(DIRECT)), (32, &bytes(2 * SLICE))]);
    image.set_resident(DIRECT, 4 * OS_PAGE);
    image.set_resident(ARENA, 2 * OS_PAGE);
    image.set_resident(LEAF, OS_PAGE);
    image
}

#[test]
fn every_resident_byte_gets_its_reason() {
    let image = populated();
    let heap = the_heap(&image);
    assert!(heap.in_use);
    assert_eq!(heap.version, (1, 2, 3));
    assert_eq!((heap.heaps, heap.mmap_threshold), ((1, 0), 128 << 10));
    assert_eq!(heap.counter(Counter::BreakGrow), 5);
    // Requests of 768 bytes in blocks of 1024: a quarter of the small live bytes.
    let (small, run_rounding) = (3 * 1024, 2 * SLICE - 70_000);
    assert_eq!(heap.rounding, small / 4 + run_rounding);
    assert_eq!(heap.live, small * 3 / 4 + 70_000 + 4 * OS_PAGE);
    assert_eq!(heap.live_blocks, 5);
    // Five blocks are out, three live: two are in a list. They come off the free bytes of the live OS pages first.
    assert_eq!(heap.caches, 2048);
    assert_eq!(heap.pinned, 2 * OS_PAGE - small - 2048);
    assert_eq!(heap.returnable, OS_PAGE + 2 * OS_PAGE);
    assert_eq!(heap.metadata, OS_PAGE + 2 * OS_PAGE + OS_PAGE, "library data, arena, leaf");
    let rss: Vec<u64> = image.mappings.iter().map(|mapping| mapping.rss).collect();
    assert_eq!(heap.explained, rss, "nothing is left over");
}

#[test]
fn the_policy_is_read() {
    let mut image = populated();
    let heap = the_heap(&image);
    assert_eq!(heap.rules[Rule::Holes as usize], (7, 7 * OS_PAGE));
    assert_eq!(heap.rules[Rule::Trim as usize], (1, SLICE));
    let first =
        Move { number: 1, freed: 128 << 10, from: 128 << 10, to: 132 << 10, when_ms: 40, address: DIRECT, thread: 5 };
    assert_eq!(heap.moves[0], first);
    assert_eq!((heap.moves.len(), heap.moves[1].number, heap.moves[1].to), (2, 2, 2 << 20));
    // Blocks 0, 3 and 7 of 1024 bytes are live: two OS pages, of which the two listed blocks are not free.
    let pin = Pin { block_bytes: 1024, live_blocks: 3, os_pages: 2, free_bytes: heap.pinned };
    assert_eq!(heap.pins, [pin]);
    // The records are a ring: a later move may stand before an earlier one, and one that is being written is none.
    image.put_move(0, Move { number: 9, from: 132 << 10, to: 1 << 20, ..first });
    image.put_move(1, Move { number: 0, ..first });
    image.put_move(2, Move { number: 8, ..first });
    image.put_move(3, Move { from: 5, to: 5, number: 7, ..first });
    let numbers: Vec<u64> = the_heap(&image).moves.iter().map(|made| made.number).collect();
    assert_eq!(numbers, [8, 9]);
}

#[test]
fn the_sizes_that_pin_sum_to_what_is_pinned() {
    let mut image = populated();
    // A second page, of 3000 bytes, in the place of the free slice: its meta names the size, its class another.
    let root = image.present_root();
    image.put(LEAF + root.leaf_free, &[0; 8]);
    let bytes = |value: u64| value.to_le_bytes();
    let (owner, states) = (bytes(0x10_0100), bytes(STATES + 0x200));
    let fields: &[(u64, &[u8])] =
        &[(0, &owner), (16, &[1, 0, 0, 0]), (20, &[0xb8, 0x0b, 0, 0]), (30, &[1]), (31, &[2]), (32, &states)];
    image.set_meta(REGION + SLICE, fields);
    image.put(STATES + 0x200, &[0, 1]);
    let heap = the_heap(&image);
    assert_eq!(heap.pins.iter().map(|pin| pin.free_bytes).sum::<u64>(), heap.pinned);
    let large = Pin { block_bytes: 3000, live_blocks: 1, os_pages: 2, free_bytes: 2 * OS_PAGE - 3000 };
    assert_eq!(heap.pins[1], large);
}

#[test]
fn a_library_without_a_ledger_is_read_as_before() {
    let new = populated();
    let mut image = populated();
    let root = image.present_root();
    // An older root ends before these fields; what lies there is something else.
    image.set_root(&Root { version: root.version & !(0xffff << 48), rules: 77, moves: 78, ..root });
    let heap = the_heap(&image);
    assert_eq!((heap.rules.len(), heap.moves.len()), (0, 0));
    assert_eq!(Heap { rules: the_heap(&new).rules, moves: the_heap(&new).moves, ..heap }, the_heap(&new));
}

#[test]
fn a_damaged_ledger_costs_nothing_else() {
    let root = populated().present_root();
    let cases = [
        (Root { rules: 0xdead_0000, ..root }, "the table of rules at 0xdead0000"),
        (Root { rule_count: 1 << 40, ..root }, "the root claims 1099511627776 rules"),
        (Root { moves: 0xdead_0000, ..root }, "the threshold moves at 0xdead0000"),
        (Root { move_slots: u64::MAX, ..root }, "the root claims 18446744073709551615 threshold moves"),
        (Root { move_stride: 0, ..root }, "the root claims 4 threshold moves of 0 bytes"),
    ];
    let whole = the_heap(&populated());
    for (root, message) in cases {
        let mut image = populated();
        image.set_root(&root);
        let (heaps, damage) = walk(&image);
        assert!(damage.unwrap().to_string().starts_with(message), "{message}");
        assert_eq!((heaps[0].live, heaps[0].pinned, &heaps[0].explained), (whole.live, whole.pinned, &whole.explained));
    }
}

#[test]
fn a_freed_mapping_that_is_kept_can_be_returned() {
    let mut image = populated();
    let before = the_heap(&image);
    image.set_meta(DIRECT, &[(0, &4u64.to_le_bytes())]);
    let heap = the_heap(&image);
    assert_eq!(heap.live, before.live - 4 * OS_PAGE);
    assert_eq!(heap.returnable, before.returnable + 4 * OS_PAGE);
    assert_eq!(heap.live_blocks, before.live_blocks - 1);
    assert_eq!(heap.explained, before.explained);
}

#[test]
fn of_a_page_that_is_not_in_use_only_what_is_on_its_way_is_cached() {
    let mut image = populated();
    assert_eq!(the_heap(&image).caches, 2 * 1024, "5 in play, 3 of them live");
    for status in [2, 3] {
        image.set_meta(REGION, &[(31, &[status])]);
        assert_eq!(the_heap(&image).caches, 0);
    }
    image.put(STATES, &[1, 3]);
    assert_eq!(the_heap(&image).caches, 1024);
}

#[test]
fn a_page_between_two_states_is_unclear() {
    let mut image = populated();
    image.set_meta(REGION, &[(31, &[0])]);
    assert_eq!(the_heap(&image).unclear, 3 * OS_PAGE);
}

#[test]
fn a_library_that_was_never_called_is_seen() {
    let mut image = Image::new();
    image.set_root(&brkmap_wire::Root::EMPTY);
    let heap = the_heap(&image);
    assert!(!heap.in_use);
    assert_eq!(heap.explained.iter().sum::<u64>(), 0);
}

#[test]
fn copies_and_strangers_are_told_apart() {
    let mut image = populated();
    let mut root = image.present_root();
    root.self_address = ROOT + 64;
    image.set_root(&root);
    assert_eq!(walk(&image), (vec![], None), "a copy of a root is not one");
    root.abi = 99;
    image.set_root(&root);
    let (heaps, damage) = walk(&image);
    assert!(heaps.is_empty());
    assert!(damage.unwrap().to_string().contains("layout 99"));
    let mut untouched = populated();
    untouched.resident.retain(|page| *page != ROOT / OS_PAGE);
    assert_eq!(walk(&untouched), (vec![], None), "OS pages without contents are not read");
}

#[test]
fn lists_without_end_are_noticed() {
    let root = populated().present_root();
    let cases =
        [("leaves", LEAF + root.leaf_next, LEAF), ("heaps", ARENA + 0x100, ARENA + 0x100), ("arenas", ARENA, ARENA)];
    for (name, address, value) in cases {
        let mut image = populated();
        image.put(address, &value.to_le_bytes());
        let (heaps, damage) = walk(&image);
        assert_eq!(heaps.len(), 1, "{name}: what was collected is kept");
        assert_eq!(damage.unwrap().to_string(), format!("the list of {name} has no end"));
    }
}

#[test]
fn what_is_not_mapped_is_named() {
    let mut image = populated();
    image.set_meta(REGION, &[(32, &0xdead_0000u64.to_le_bytes())]);
    let text = walk(&image).1.unwrap().to_string();
    assert_eq!(text, "a page's state bytes at 0xdead0000 (64 bytes) is not mapped");
    let mut image = populated();
    image.set_meta(DIRECT, &[(8, &u64::MAX.to_le_bytes())]);
    assert!(walk(&image).1.unwrap().to_string().starts_with("a direct mapping at 0x2000000"));
}

#[test]
fn flipped_bits_never_panic_and_never_share_out_too_much() {
    let mut image = populated();
    let resident = image.resident.len() as u64 * OS_PAGE;
    let header = (ROOT..ROOT + brkmap_wire::Root::BYTES as u64).chain(0x1_0800..0x1_0820);
    let tables =
        (MOVES..MOVES + 128).chain(ARENA..ARENA + 16).chain(LEAF..LEAF + 320).chain(LEAF + 0x1_0000..LEAF + 0x1_0200);
    let mut damaged = 0;
    for address in header.chain(tables) {
        for bit in [0, 6] {
            image.flip_at(address, bit);
            let (heaps, damage) = walk(&image);
            image.flip_at(address, bit);
            damaged += u32::from(damage.is_some());
            for heap in heaps {
                let explained: u64 = heap.explained.iter().sum();
                let rows = heap.live
                    + heap.rounding
                    + heap.caches
                    + heap.pinned
                    + heap.returnable
                    + heap.metadata
                    + heap.unclear;
                // A range that is claimed twice is counted twice; the waterfall cuts it at the mapping's RSS.
                assert!(rows <= explained && explained <= 64 * resident, "{address:#x} bit {bit}");
            }
        }
    }
    assert!(damaged > 100, "{damaged} images were noticed as damaged");
}

/// Damaged images, with a table of names; see [`crate::damage`].
#[test]
fn nothing_that_is_read_is_believed() {
    use brkmap_wire::names::{ABI, BYTES, MAGIC, UNIT};
    const TABLE: u64 = 0x300_0000;
    let mut image = populated();
    image.map(TABLE, TABLE + 0x2000, 8, "/bin/program");
    image.set_resident(TABLE, 0x2000);
    image.put(TABLE, &MAGIC);
    image.put(TABLE + 16, &[ABI.to_le_bytes(), TABLE.to_le_bytes()].concat());
    image.put(TABLE + UNIT as u64, &[REGION.to_le_bytes(), OS_PAGE.to_le_bytes()].concat());
    image.put(TABLE + UNIT as u64 + 16, b"parser");
    let leaf = image.present_root().leaf_next;
    let structures = [
        (ROOT, ROOT + brkmap_wire::Root::BYTES as u64),
        (0x1_0800, 0x1_1000),
        (MOVES, MOVES + 256),
        (ARENA, ARENA + 0x180),
        (STATES, STATES + 64),
        (LEAF, LEAF + 64 * 5),
        (LEAF + leaf, LEAF + leaf + 0x300),
        (TABLE, TABLE + BYTES as u64),
    ];
    campaign("heaps of brkmap", 150_000, |random| {
        image.note();
        for _ in 0..1 + random.below(6) {
            image.damage(random, &structures);
        }
        let Contents { heaps, named, damage } = contents(&image);
        let rss: u64 = image.mappings.iter().map(|mapping| mapping.rss).sum();
        let mappings = image.mappings.clone();
        let heap_error = damage.map(|damage| damage.to_string());
        let snapshot = Snapshot { mappings, heaps, named, heap_error, ..Snapshot::default() };
        assert_eq!(Waterfall::of(&snapshot).rss(), rss, "{snapshot:?}");
        let _ = Policy::of(&snapshot);
        image.undo();
    });
}

#[test]
fn named_memory_is_summed_by_name_and_never_believed() {
    use brkmap_wire::names::{ABI, BYTES, MAGIC, UNIT};
    const TABLE: u64 = 0x300_0000;
    let mut image = populated();
    image.map(TABLE, TABLE + 0x2000, 8, "/bin/program");
    image.set_resident(TABLE, 0x2000);
    image.put(TABLE, &MAGIC);
    image.put(TABLE + 16, &[ABI.to_le_bytes(), TABLE.to_le_bytes()].concat());
    let mut entry = |number: u64, start: u64, bytes: u64, name: &str| {
        let at = TABLE + number * UNIT as u64;
        image.put(at, &[start.to_le_bytes(), bytes.to_le_bytes()].concat());
        image.put(at + 16, name.as_bytes());
    };
    entry(1, REGION + 100, 2 * OS_PAGE, "parser");
    entry(2, DIRECT, OS_PAGE, "parser");
    entry(3, DIRECT, OS_PAGE, "a name of forty-eight bytes, which is the longest");
    entry(4, 0xdead_0000, OS_PAGE, "gone");
    entry(5, REGION, u64::MAX, "endless");
    entry(64, LEAF, 10, "last");
    image.resident.retain(|page| ![REGION / OS_PAGE, REGION / OS_PAGE + 1, DIRECT / OS_PAGE].contains(page));
    image.set_resident(REGION, OS_PAGE);
    let named = contents(&image).named;
    let find = |name: &str| named.iter().find(|memory| memory.name == name);
    let parser = find("parser").unwrap();
    assert_eq!((parser.ranges, parser.bytes), (2, 3 * OS_PAGE));
    assert!((OS_PAGE - 100..2 * OS_PAGE).contains(&parser.resident), "{}", parser.resident);
    assert!(find("last").is_some() && named.iter().any(|memory| memory.name.len() == 48));
    assert!(find("gone").is_none() && find("endless").is_none());
    for address in TABLE..TABLE + BYTES as u64 {
        image.flip_at(address, 5);
        let _ = contents(&image);
        image.flip_at(address, 5);
    }
}
