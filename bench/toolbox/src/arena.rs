//! Arenas: objects of one type that die together, with and without destructors.

use crate::runner::{Runner, ours, rival, used};
use brkmap_toolbox::Arena;
use std::hint::black_box;

const OBJECTS: usize = 10_000;

macro_rules! fill {
    ($runner:expr, $name:literal, $type:ty, |$number:ident| $value:expr) => {{
        let mut reused = Arena::<$type>::new();
        $runner.setting(
            $name,
            OBJECTS,
            vec![
                ours("Arena", || {
                    let arena = Arena::<$type>::new();
                    for $number in 0..OBJECTS {
                        used(arena.alloc($value));
                    }
                }),
                ours("Arena, reset", || {
                    for $number in 0..OBJECTS {
                        used(reused.alloc($value));
                    }
                    reused.reset();
                }),
                rival("typed-arena", || {
                    let arena = typed_arena::Arena::<$type>::new();
                    for $number in 0..OBJECTS {
                        used(arena.alloc($value));
                    }
                }),
                rival("malloc", || {
                    let mut all = Vec::with_capacity(OBJECTS);
                    for $number in 0..OBJECTS {
                        let mut object = Box::<$type>::new($value);
                        used(&mut *object);
                        all.push(object);
                    }
                }),
            ],
        );
    }};
}

pub fn run(runner: &mut Runner) {
    fill!(runner, "arena: 10,000 of 8 bytes", u64, |number| number as u64);
    fill!(runner, "arena: 10,000 of 64 bytes", [u64; 8], |number| [number as u64; 8]);
    fill!(runner, "arena: 10,000 with destructors", Option<Box<u64>>, |number| (number == OBJECTS)
        .then(|| Box::new(1)));
    visit(runner);
}

/// All objects visited, in order.
fn visit(runner: &mut Runner) {
    let (mut mine, mut theirs) = (Arena::<u64>::new(), typed_arena::Arena::<u64>::new());
    let mut boxes = Vec::new();
    for number in 0..OBJECTS as u64 {
        mine.alloc(number);
        theirs.alloc(number);
        boxes.push(Box::new(number));
    }
    runner.setting(
        "arena: visit 10,000 of 8 bytes",
        OBJECTS,
        vec![
            ours("Arena", || _ = black_box(mine.iter_mut().map(|number| *number).sum::<u64>())),
            rival("typed-arena", || _ = black_box(theirs.iter_mut().map(|number| *number).sum::<u64>())),
            rival("malloc", || _ = black_box(boxes.iter_mut().map(|number| **number).sum::<u64>())),
        ],
    );
}
