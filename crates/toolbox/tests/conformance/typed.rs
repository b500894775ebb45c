//! Rows that hand out objects: `Pool`, `SyncPool`, `Arena`, `DropBump`, `HandleArena`.

use super::sources::Origin;
use super::support::{Random, Watched};
use super::{Report, with_seeds};
use brkmap_toolbox::{Arena, DropBump, HandleArena, Pool, SyncPool};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Counts how many of its kind live.
#[derive(Debug)]
struct Counted<'c> {
    number: u64,
    live: &'c Cell<i64>,
}

impl<'c> Counted<'c> {
    fn new(number: u64, live: &'c Cell<i64>) -> Counted<'c> {
        live.set(live.get() + 1);
        Counted { number, live }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.live.set(self.live.get() - 1);
    }
}

/// More alignment than any chunk has by itself, and a size that is no power of two.
#[repr(align(256))]
struct Wide([u64; 40]);

/// No size, with a destructor.
struct Nothing<'c>(std::marker::PhantomData<&'c ()>);

thread_local! {
    static NOTHINGS: Cell<i64> = const { Cell::new(0) };
}

impl Nothing<'_> {
    fn new() -> Self {
        NOTHINGS.set(NOTHINGS.get() + 1);
        Nothing(std::marker::PhantomData)
    }
}

impl Drop for Nothing<'_> {
    fn drop(&mut self) {
        NOTHINGS.set(NOTHINGS.get() - 1);
    }
}

fn is_aligned<T>(value: &T) -> bool {
    (value as *const T).addr().is_multiple_of(align_of::<T>())
}

/// A panic that is caught and not printed.
fn panics(body: impl FnOnce()) -> bool {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(body));
    std::panic::set_hook(hook);
    result.is_err()
}

/// All rows over one source.
pub(crate) fn run<O: Origin>(report: &mut Report, origin: &O) {
    let source = || Watched::new(origin.make());
    report.cell("Pool", O::NAME, || pool(source));
    report.cell("SyncPool", O::NAME, || sync_pool(source));
    report.cell("Arena", O::NAME, || arena(source));
    report.cell("DropBump", O::NAME, || drop_bump(source));
    report.cell("HandleArena", O::NAME, || handle_arena(source));
}

fn pool<S: brkmap_toolbox::source::Source>(source: impl Fn() -> Watched<S>) {
    let live = Cell::new(0);
    let pool = Pool::over(source()).named("counted");
    with_seeds(|seed| {
        let mut random = Random(seed);
        let mut objects = Vec::new();
        for step in 0..3000u64 {
            if random.below(5) < 3 {
                objects.push((step, pool.alloc(Counted::new(step, &live))));
            } else if !objects.is_empty() {
                let (number, object) = objects.swap_remove(random.below(objects.len()));
                assert_eq!(object.number, number);
            }
            assert_eq!(live.get(), objects.len() as i64);
        }
        assert!(objects.iter().all(|(number, object)| object.number == *number));
        assert_eq!(pool.stats().live, objects.len());
        let (number, object) = objects.pop().unwrap();
        assert_eq!(brkmap_toolbox::pool::Pooled::into_inner(object).number, number);
    });
    assert_eq!((live.get(), pool.stats().live), (0, 0));
    assert!(panics(|| drop(pool.alloc_with(|| panic!("in a constructor")))));
    assert_eq!(pool.stats().live, 0, "the slot is free again");
    drop(pool);

    let wide = Pool::over(source());
    let (a, b) = (wide.alloc(Wide([1; 40])), wide.alloc(Wide([2; 40])));
    assert!(is_aligned(&*a) && is_aligned(&*b) && a.0 == [1; 40] && b.0 == [2; 40]);
    drop((a, b));
    drop(wide);
    let nothings = Pool::over(source());
    let some: Vec<_> = (0..10).map(|_| nothings.alloc(Nothing::new())).collect();
    assert_eq!(NOTHINGS.get(), 10);
    drop(some);
    assert_eq!(NOTHINGS.get(), 0);

    let none = Pool::over(source());
    none.source().allow(0);
    assert!(none.try_alloc(1u64).is_err());
    none.source().allow(1);
    assert_eq!(*none.try_alloc(1u64).unwrap(), 1);
}

fn sync_pool<S: brkmap_toolbox::source::Source>(source: impl Fn() -> Watched<S>) {
    let live = Cell::new(0);
    let pool = SyncPool::over(source());
    with_seeds(|seed| {
        let mut random = Random(seed);
        let mut objects = Vec::new();
        for step in 0..3000u64 {
            if random.below(5) < 3 {
                objects.push((step, pool.alloc(Counted::new(step, &live))));
            } else if !objects.is_empty() {
                let (number, object) = objects.swap_remove(random.below(objects.len()));
                assert_eq!(object.number, number);
            }
        }
        assert!(objects.iter().all(|(number, object)| object.number == *number));
        assert_eq!((live.get(), pool.stats().live), (objects.len() as i64, objects.len()));
    });
    assert_eq!((live.get(), pool.stats().live), (0, 0));
    assert!(panics(|| drop(pool.alloc_with(|| panic!("in a constructor")))));
    assert_eq!(pool.stats().live, 0, "the slot is free again");
    drop(pool);
    let wide = SyncPool::over(source());
    assert!(is_aligned(&*wide.alloc(Wide([1; 40]))));
    drop(wide);
    let nothings = SyncPool::over(source());
    let some: Vec<_> = (0..10).map(|_| nothings.alloc(Nothing::new())).collect();
    assert_eq!((NOTHINGS.get(), nothings.stats().live), (10, 10));
    drop(some);
    assert_eq!((NOTHINGS.get(), nothings.stats().live), (0, 0));
}

fn arena<S: brkmap_toolbox::source::Source>(source: impl Fn() -> Watched<S>) {
    let live = Cell::new(0);
    let mut arena = Arena::over(source()).named("counted");
    for round in 0..3 {
        let refs: Vec<_> = (0..2000).map(|number| arena.alloc(Counted::new(number, &live))).collect();
        assert!(refs.iter().zip(0..).all(|(object, number)| object.number == number));
        let more = arena.alloc_extend((2000..2500).map(|number| Counted::new(number, &live)));
        assert_eq!((more.len(), more[499].number), (500, 2499));
        assert!(arena.iter_mut().zip(0..).all(|(object, number)| object.number == number), "round {round}");
        assert_eq!((arena.len(), live.get()), (2500, 2500));
        assert!(panics(|| _ = arena.alloc_with(|| panic!("in a constructor"))));
        assert_eq!(arena.len(), 2500);
        arena.reset();
        assert_eq!((arena.len(), live.get(), arena.source().chunks()), (0, 0, 1));
    }
    arena.alloc(Counted::new(1, &live));
    assert!(panics(|| _ = arena.alloc_extend((0..9).map(|n| if n < 5 { Counted::new(n, &live) } else { panic!() }))));
    assert_eq!(live.get(), 1, "what the iterator had made is dropped");
    drop(arena);
    assert_eq!(live.get(), 0);

    let wide = Arena::over(source());
    let (a, b) = (wide.alloc(Wide([1; 40])), wide.alloc(Wide([2; 40])));
    assert!(is_aligned(a) && is_aligned(b) && a.0 == [1; 40] && b.0 == [2; 40]);
    drop(wide);
    let mut nothings = Arena::over(source());
    (0..10).for_each(|_| _ = nothings.alloc(Nothing::new()));
    assert_eq!((nothings.len(), NOTHINGS.get(), nothings.iter_mut().count()), (10, 10, 10));
    drop(nothings);
    assert_eq!(NOTHINGS.get(), 0);

    let none = Arena::over(source());
    none.source().allow(0);
    assert!(none.try_alloc(1u64).is_err());
    none.source().allow(9);
    assert_eq!(*none.try_alloc(1u64).unwrap(), 1);
}

fn drop_bump<S: brkmap_toolbox::source::Source>(source: impl Fn() -> Watched<S>) {
    let live = Cell::new(0);
    let order = Cell::new(0);
    struct Ordered<'c>(u32, &'c Cell<u32>);
    impl Drop for Ordered<'_> {
        fn drop(&mut self) {
            assert_eq!(self.0 + 1, self.1.replace(self.0), "the last first");
        }
    }
    let mut values = DropBump::over(source()).named("mixed");
    for _ in 0..3 {
        for number in 0..1000 {
            assert_eq!(values.alloc(Counted::new(number, &live)).number, number);
            assert_eq!(*values.alloc(number), number);
            assert!(is_aligned(values.alloc(Wide([number; 40]))));
        }
        assert!(panics(|| _ = values.alloc_with(|| -> Counted { panic!("in a constructor") })));
        assert_eq!(live.get(), 1000);
        values.reset();
        assert_eq!(live.get(), 0);
    }
    order.set(100);
    (0..100).for_each(|number| _ = values.alloc(Ordered(number, &order)));
    values.reset_keep();
    assert_eq!(order.get(), 0);
    values.alloc(Nothing::new());
    values.alloc(Counted::new(0, &live));
    drop(values);
    assert_eq!((live.get(), NOTHINGS.get()), (0, 0));
}

fn handle_arena<S: brkmap_toolbox::source::Source>(source: impl Fn() -> Watched<S>) {
    let live = Cell::new(0);
    with_seeds(|seed| {
        let mut random = Random(seed);
        let mut arena = HandleArena::over(source()).named("keys");
        let (mut model, mut gone) = (std::collections::HashMap::new(), Vec::new());
        for step in 0..4000u64 {
            if random.below(5) < 3 {
                let key = arena.insert(Counted::new(step, &live));
                assert!(model.insert(key, step).is_none(), "a key is given once");
            } else if let Some(key) = model.keys().next().copied() {
                assert_eq!(arena.remove(key).map(|object| object.number), model.remove(&key));
                gone.push(key);
            }
            assert_eq!((arena.len(), live.get()), (model.len(), model.len() as i64));
        }
        assert!(model.iter().all(|(key, number)| arena[*key].number == *number));
        assert!(gone.iter().all(|key| arena.get(*key).is_none() && !arena.contains(*key)), "stale keys find nothing");
        assert!(gone.iter().all(|key| arena.get_mut(*key).is_none()));
        let found: std::collections::HashMap<_, _> = arena.iter().map(|(key, object)| (key, object.number)).collect();
        assert_eq!(found, model);
        assert_eq!(arena.iter_mut().count(), model.len());
        let key = *model.keys().next().unwrap();
        assert_eq!(brkmap_toolbox::Key::from_bits(key.to_bits()), Some(key));
        arena.clear();
        assert_eq!((arena.len(), live.get(), arena.contains(key)), (0, 0, false));
        arena.insert(Counted::new(0, &live));
    });
    assert_eq!(live.get(), 0, "the rest is dropped with the arena");
    let mut wide = HandleArena::over(source());
    let keys: Vec<_> = (0..100).map(|number| wide.insert(Wide([number; 40]))).collect();
    assert!(keys.iter().zip(0..).all(|(key, number)| is_aligned(&wide[*key]) && wide[*key].0 == [number; 40]));
    assert!(panics(|| _ = wide[brkmap_toolbox::Key::from_bits(7 << 32 | 3).unwrap()].0[0]));
}
