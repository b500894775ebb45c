//! Bump allocators: objects that die together.

use crate::runner::{Random, Runner, ours, rival, used};
use allocator_api2::vec::Vec as VecIn;
use brkmap_toolbox::Bump;
use std::hint::black_box;
use std::mem::MaybeUninit;

/// Objects between two resets: they fit the first cache, so that the allocator is measured and not memory.
const OBJECTS: usize = 500;
/// Resets of a batch.
const RESETS: usize = 20;

#[derive(Clone, Copy)]
struct Node {
    _links: [usize; 3],
    _value: u64,
    _flag: u8,
}

fn node(number: usize) -> Node {
    Node { _links: [number; 3], _value: number as u64, _flag: 1 }
}

macro_rules! objects {
    ($runner:expr, $name:literal, |$number:ident| $value:expr) => {{
        let (mut mine, mut bumpalo, mut scope, mut blink) =
            (Bump::new(), bumpalo::Bump::new(), <bump_scope::Bump>::new(), blink_alloc::Blink::new());
        $runner.setting(
            $name,
            RESETS * OBJECTS,
            vec![
                ours("Bump", || {
                    for _ in 0..RESETS {
                        for $number in 0..OBJECTS {
                            used(mine.alloc($value));
                        }
                        mine.reset();
                    }
                }),
                rival("bumpalo", || {
                    for _ in 0..RESETS {
                        for $number in 0..OBJECTS {
                            used(bumpalo.alloc($value));
                        }
                        bumpalo.reset();
                    }
                }),
                rival("bump-scope", || {
                    for _ in 0..RESETS {
                        for $number in 0..OBJECTS {
                            used(scope.alloc($value).into_mut());
                        }
                        scope.reset();
                    }
                }),
                rival("blink-alloc", || {
                    for _ in 0..RESETS {
                        for $number in 0..OBJECTS {
                            used(blink.put_no_drop($value));
                        }
                        blink.reset();
                    }
                }),
                rival("malloc", || {
                    for _ in 0..RESETS {
                        let mut all = Vec::with_capacity(OBJECTS);
                        for $number in 0..OBJECTS {
                            let mut object = Box::new($value);
                            used(&mut *object);
                            all.push(object);
                        }
                    }
                }),
            ],
        );
    }};
}

pub fn run(runner: &mut Runner) {
    objects!(runner, "bump: 8 bytes", |number| number as u64);
    objects!(runner, "bump: a node of 40 bytes", |number| node(number));
    objects!(runner, "bump: 1 byte", |number| number as u8);
    rooms(runner);
    texts(runner);
    vectors(runner);
}

/// Room that is not written: what is left is the allocator itself. The other settings wait for the stores of their objects.
fn rooms(runner: &mut Runner) {
    let (mut mine, mut bumpalo, mut scope, mut blink) =
        (Bump::new(), bumpalo::Bump::new(), <bump_scope::Bump>::new(), blink_alloc::Blink::new());
    macro_rules! batch {
        ($bump:ident, $room:expr) => {
            || {
                for _ in 0..RESETS {
                    for _ in 0..OBJECTS {
                        used($room);
                    }
                    $bump.reset();
                }
            }
        };
    }
    runner.setting(
        "bump: room for a node, not written",
        RESETS * OBJECTS,
        vec![
            ours("Bump", batch!(mine, mine.alloc_uninit::<Node>())),
            rival("bumpalo", batch!(bumpalo, bumpalo.alloc(MaybeUninit::<Node>::uninit()))),
            rival("bump-scope", batch!(scope, scope.alloc_uninit::<Node>().into_mut())),
            rival("blink-alloc", batch!(blink, blink.uninit::<Node>())),
            rival("malloc", || {
                for _ in 0..RESETS {
                    let mut all = Vec::with_capacity(OBJECTS);
                    for _ in 0..OBJECTS {
                        let mut object = Box::<Node>::new_uninit();
                        used(&mut *object);
                        all.push(object);
                    }
                }
            }),
        ],
    );
}

fn texts(runner: &mut Runner) {
    let mut random = Random(1);
    let texts: Vec<String> = (0..OBJECTS).map(|_| "x".repeat(1 + random.below(40))).collect();
    let (mut mine, mut bumpalo, mut scope) = (Bump::new(), bumpalo::Bump::new(), <bump_scope::Bump>::new());
    runner.setting(
        "bump: texts of 1 to 40 bytes",
        RESETS * OBJECTS,
        vec![
            ours("Bump", || {
                for _ in 0..RESETS {
                    texts.iter().for_each(|text| used(mine.alloc_str(text)));
                    mine.reset();
                }
            }),
            rival("bumpalo", || {
                for _ in 0..RESETS {
                    texts.iter().for_each(|text| used(bumpalo.alloc_str(text)));
                    bumpalo.reset();
                }
            }),
            rival("bump-scope", || {
                for _ in 0..RESETS {
                    texts.iter().for_each(|text| used(scope.alloc_str(text).into_mut()));
                    scope.reset();
                }
            }),
            rival("malloc", || {
                for _ in 0..RESETS {
                    let all: Vec<Box<str>> = texts.iter().map(|text| text.as_str().into()).collect();
                    drop(black_box(all));
                }
            }),
        ],
    );
}

/// Vectors that grow by pushing, one after the other.
fn vectors(runner: &mut Runner) {
    let (mut mine, mut bumpalo, mut scope) = (Bump::new(), bumpalo::Bump::new(), <bump_scope::Bump>::new());
    const VECTORS: usize = 20;
    const LENGTH: usize = 1000;
    runner.setting(
        "bump: pushes to vectors",
        VECTORS * LENGTH,
        vec![
            ours("Bump", || {
                for _ in 0..VECTORS {
                    let mut vector = VecIn::new_in(&mine);
                    (0..LENGTH).for_each(|number| vector.push(number));
                    std::mem::forget(black_box(vector));
                }
                mine.reset();
            }),
            rival("bumpalo", || {
                for _ in 0..VECTORS {
                    let mut vector = bumpalo::collections::Vec::new_in(&bumpalo);
                    (0..LENGTH).for_each(|number| vector.push(number));
                    std::mem::forget(black_box(vector));
                }
                bumpalo.reset();
            }),
            rival("bump-scope", || {
                for _ in 0..VECTORS {
                    let mut vector = bump_scope::BumpVec::new_in(&scope);
                    (0..LENGTH).for_each(|number| vector.push(number));
                    std::mem::forget(black_box(vector));
                }
                scope.reset();
            }),
            rival("malloc", || {
                let mut all = Vec::with_capacity(VECTORS);
                for _ in 0..VECTORS {
                    let mut vector = Vec::new();
                    (0..LENGTH).for_each(|number| vector.push(number));
                    all.push(black_box(vector));
                }
            }),
        ],
    );
}
