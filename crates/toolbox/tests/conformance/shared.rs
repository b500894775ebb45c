//! Rows that hand out handles, over every kind of memory.

use super::support::{Folder, Random};
use super::{Report, with_seeds};
use brkmap_toolbox::free_list::{BestFit, FirstFit, FitKind, NextFit, Segregated};
use brkmap_toolbox::shared::{Arena, Block, Bump, FreeList, Handle, Memory, Pool};
use brkmap_toolbox::source::{AnonymousMap, FileOptions, Global, ProgramBreak, SharedMap, Slice};
use brkmap_toolbox::{Error, ErrorKind, plain};
use std::collections::HashMap;
use std::mem::MaybeUninit;

plain! {
    /// What the typed rows hold; 24 bytes.
    #[derive(Debug, PartialEq)]
    struct Item { number: u64, twice: u64, small: [u32; 2] }
}

impl Item {
    fn new(number: u64) -> Item {
        Item { number, twice: 2 * number, small: [number as u32, !number as u32] }
    }
}

plain! {
    /// Of the same size, with another meaning.
    struct Other { a: u64, b: u64, c: u64 }
}

/// A kind of memory.
trait Kind {
    type Memory: Memory;
    const NAME: &'static str;
    fn make(&self, bytes: usize) -> Self::Memory;
    /// The same memory, seen again: by another mapping, or after the first one was closed.
    fn again(&self, first: Self::Memory) -> Option<Self::Memory>;
}

macro_rules! kind {
    ($name:ident, $memory:ty, $text:literal, |$bytes:ident| $make:expr, |$first:ident| $again:expr) => {
        struct $name;
        impl Kind for $name {
            type Memory = $memory;
            const NAME: &'static str = $text;
            fn make(&self, $bytes: usize) -> $memory {
                $make
            }
            fn again(&self, $first: $memory) -> Option<$memory> {
                $again
            }
        }
    };
}

kind!(Forked, SharedMap, "SharedMap, anonymous", |bytes| SharedMap::anonymous(bytes).unwrap(), |first| Some(first));
kind!(Sealed, SharedMap, "SharedMap, memfd", |bytes| SharedMap::create("conformance", bytes).unwrap(), |first| {
    Some(SharedMap::from_fd(first.descriptor().unwrap().try_clone_to_owned().unwrap()).unwrap())
});
kind!(Malloc, Block<Global>, "Global", |bytes| Block::new(Global::new(), bytes).unwrap(), |first| Some(first));
kind!(Map, Block<AnonymousMap>, "AnonymousMap", |bytes| Block::new(AnonymousMap::new(), bytes).unwrap(), |first| Some(
    first
));
kind!(
    Break,
    Block<ProgramBreak>,
    "ProgramBreak",
    // SAFETY: this test has one thread.
    |bytes| Block::new(unsafe { ProgramBreak::new() }, bytes).unwrap(),
    |first| Some(first)
);
kind!(
    Lent,
    Block<Slice<'static>>,
    "Slice",
    |bytes| {
        let room = Box::leak(vec![MaybeUninit::uninit(); bytes + 64].into_boxed_slice());
        Block::new(Slice::new(room), bytes).unwrap()
    },
    |first| Some(first)
);

struct File {
    folder: Folder,
    options: FileOptions,
}

macro_rules! file {
    ($name:ident, $text:literal, $options:expr, $again:expr) => {
        struct $name(File);
        impl $name {
            fn new() -> $name {
                $name(File { folder: Folder::new(stringify!($name)), options: $options })
            }
        }
        impl Kind for $name {
            type Memory = brkmap_toolbox::source::FileMap;
            const NAME: &'static str = $text;
            fn make(&self, bytes: usize) -> Self::Memory {
                let path = self.0.folder.file("memory");
                let _ = std::fs::remove_file(&path);
                // SAFETY: the file is this process's alone.
                unsafe {
                    drop(FileOptions::new().create(&path, bytes).unwrap());
                    self.0.options.open(&path).unwrap()
                }
            }
            fn again(&self, first: Self::Memory) -> Option<Self::Memory> {
                let keeps: bool = $again;
                drop(first);
                // SAFETY: the file is this process's alone.
                keeps.then(|| unsafe { self.0.options.open(self.0.folder.file("memory")).unwrap() })
            }
        }
    };
}

file!(Alone, "FileMap", FileOptions::new().reserve(64 << 20), true);
file!(Several, "FileMap, shared", FileOptions::new().shared(), true);
file!(View, "FileMap, private view", FileOptions::new().private(), false);

pub(crate) fn run(report: &mut Report) {
    all(report, &Forked);
    all(report, &Sealed);
    all(report, &Malloc);
    all(report, &Map);
    all(report, &Break);
    all(report, &Lent);
    all(report, &Alone::new());
    all(report, &Several::new());
    all(report, &View::new());
    report.cell("headers", "FileMap", wrong_files);
    report.cell("locks and seals", "FileMap, SharedMap", locks_and_seals);
}

fn all<K: Kind>(report: &mut Report, kind: &K) {
    report.cell("shared::Bump", K::NAME, || bump(kind));
    report.cell("shared::Pool", K::NAME, || pool(kind));
    report.cell("shared::Arena", K::NAME, || arena(kind));
    report.cell("shared::FreeList, first fit", K::NAME, || free_list(kind, FirstFit));
    report.cell("shared::FreeList, best fit", K::NAME, || free_list(kind, BestFit));
    report.cell("shared::FreeList, next fit", K::NAME, || free_list(kind, NextFit));
    report.cell("shared::FreeList, segregated", K::NAME, || free_list(kind, Segregated));
}

fn is_stale<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::Stale)
}

/// Puts until there is no more room; the number of puts. Files that grow are stopped early.
fn fill(most: usize, mut put: impl FnMut(usize) -> Result<(), Error>) -> usize {
    for at in 0..most {
        if let Err(error) = put(at) {
            assert!(matches!(error.kind(), ErrorKind::Exhausted | ErrorKind::Unsupported), "{error}");
            return at;
        }
    }
    most
}

fn bump<K: Kind>(kind: &K) {
    let log = Bump::create(kind.make(64 << 10)).unwrap();
    with_seeds(|seed| {
        let mut random = Random(seed);
        let mut model: Vec<(Handle<[u8]>, Vec<u8>)> = Vec::new();
        for _ in 0..200 {
            let bytes: Vec<u8> = (0..random.below(200)).map(|_| random.next() as u8).collect();
            model.push((log.put(&bytes).unwrap(), bytes));
        }
        for (handle, bytes) in &model {
            assert_eq!(&log.get_vec(*handle).unwrap(), bytes);
        }
        assert_eq!(log.records().collect::<Vec<_>>(), model.iter().map(|(handle, _)| *handle).collect::<Vec<_>>());
        log.reset().unwrap();
        assert!(model.iter().all(|(handle, _)| is_stale(log.get_vec(*handle))));
        assert_eq!((log.records().count(), log.used()), (0, 0));
    });
    let item = log.put_value(Item::new(4)).unwrap();
    log.set(item, Item::new(5)).unwrap();
    assert_eq!(log.value(item), Ok(Item::new(5)));
    assert!(is_stale(log.value(Handle::<u8>::from_bits(item.to_bits()))), "another length");
    assert!(log.value(Handle::<Item>::from_bits(item.to_bits() + (9 << 32))).is_err(), "a place that was not given");
    log.set_root(item.to_bits()).unwrap();
    let count = fill(3000, |at| log.put(&[at as u8; 100]).map(drop));
    assert!(count >= 500);
    let mut last = [0; 100];
    let newest = log.records().last().unwrap();
    assert_eq!(log.get(newest, &mut last), Ok(100));
    assert_eq!(last, [(count - 1) as u8; 100]);
    if let Some(memory) = kind.again(log.into_memory()) {
        let log = Bump::open(memory).unwrap();
        assert_eq!(log.value(Handle::<Item>::from_bits(log.root())), Ok(Item::new(5)));
        assert_eq!(log.records().count(), count + 1);
    }
}

fn pool<K: Kind>(kind: &K) {
    let pool = Pool::<Item, _>::create(kind.make(64 << 10)).unwrap();
    with_seeds(|seed| {
        let mut random = Random(seed);
        let (mut model, mut gone) = (HashMap::new(), Vec::new());
        for step in 0..3000u64 {
            if random.below(5) < 3 && model.len() < 1000 {
                let handle = pool.insert(Item::new(step)).unwrap();
                assert!(model.insert(handle, step).is_none(), "a handle is given once");
            } else if let Some(handle) = model.keys().next().copied() {
                assert_eq!(pool.remove(handle), Ok(Item::new(model.remove(&handle).unwrap())));
                gone.push(handle);
            }
        }
        for (handle, number) in &model {
            assert_eq!(pool.get(*handle), Ok(Item::new(*number)));
            pool.set(*handle, Item::new(number + 1)).unwrap();
            assert_eq!(pool.get(*handle), Ok(Item::new(number + 1)));
        }
        for handle in gone {
            assert!(
                is_stale(pool.get(handle)) && is_stale(pool.remove(handle)) && is_stale(pool.set(handle, Item::new(0)))
            );
        }
        assert_eq!((pool.len(), pool.handles().count()), (model.len(), model.len()));
        model.into_keys().for_each(|handle| assert!(pool.remove(handle).is_ok()));
        assert!(pool.is_empty());
    });
    assert!(is_stale(pool.get(Handle::from_bits(u64::MAX))) && is_stale(pool.get(Handle::NULL)));
    let count = fill(4000, |at| pool.insert(Item::new(at as u64)).map(drop));
    assert!(count >= 1500 && pool.len() == count);
    let kept = pool.handles().nth(7).unwrap();
    pool.set_root(kept.to_bits()).unwrap();
    if let Some(memory) = kind.again(pool.into_memory()) {
        let pool = Pool::<Item, _>::open(memory).unwrap();
        assert_eq!(pool.len(), count);
        assert!(pool.remove(Handle::from_bits(pool.root())).is_ok());
        pool.recover().unwrap();
        assert!(pool.insert(Item::new(1)).is_ok(), "the slot that was freed");
    }
}

fn arena<K: Kind>(kind: &K) {
    let arena = Arena::<Item, _>::create(kind.make(64 << 10)).unwrap();
    for round in 0..3 {
        let handles: Vec<_> = (0..1000).map(|number| arena.push(Item::new(number)).unwrap()).collect();
        assert!(handles.iter().zip(0..).all(|(handle, number)| arena.get(*handle) == Ok(Item::new(number))));
        arena.set(handles[5], Item::new(77)).unwrap();
        assert_eq!(arena.get(handles[5]), Ok(Item::new(77)));
        assert_eq!(arena.handles().collect::<Vec<_>>(), handles, "round {round}");
        arena.reset().unwrap();
        assert!(handles.iter().all(|handle| is_stale(arena.get(*handle))) && arena.is_empty());
    }
    let count = fill(4000, |at| arena.push(Item::new(at as u64)).map(drop));
    assert!(count >= 2000 && arena.len() == count);
    let last = arena.handles().last().unwrap();
    arena.set_root(last.to_bits()).unwrap();
    if let Some(memory) = kind.again(arena.into_memory()) {
        let arena = Arena::<Item, _>::open(memory).unwrap();
        assert_eq!(arena.get(Handle::from_bits(arena.root())), Ok(Item::new(count as u64 - 1)));
        assert_eq!(arena.len(), count);
    }
}

/// What a block of the model holds.
fn contents(number: u64, length: usize) -> Vec<u8> {
    (0..length).map(|at| (number as usize * 31 + at) as u8).collect()
}

fn free_list<K: Kind, F: FitKind + Copy>(kind: &K, fit: F) {
    let list = FreeList::create_with(fit, kind.make(256 << 10)).unwrap();
    with_seeds(|seed| {
        let mut random = Random(seed);
        let (mut model, mut gone) = (Vec::<(Handle<[u8]>, u64, usize)>::new(), Vec::new());
        for step in 0..1500u64 {
            let chosen = random.below(10);
            if chosen < 5 && model.len() < 100 || model.is_empty() {
                let length = random.size(1024);
                let block = list.allocate(length).unwrap();
                assert!(list.usable(block).unwrap() >= length);
                list.write(block, 0, &contents(step, length)).unwrap();
                model.push((block, step, length));
            } else if chosen < 6 {
                let at = random.below(model.len());
                let (block, number, length) = model[at];
                let longer = length + random.below(300);
                let block = list.resize(block, longer).unwrap();
                list.write(block, length, &contents(number, longer)[length..]).unwrap();
                model[at] = (block, number, longer);
            } else {
                let (block, number, length) = model.swap_remove(random.below(model.len()));
                let mut copy = vec![0; length];
                list.read(block, 0, &mut copy).unwrap();
                assert_eq!(copy, contents(number, length));
                list.free(block).unwrap();
                assert!(is_stale(list.free(block)) && is_stale(list.read(block, 0, &mut copy)), "a second time");
                gone.push(block);
            }
            if step % 128 == 0 {
                list.check().unwrap();
            }
        }
        let live: Vec<_> = model.iter().map(|(block, ..)| *block).collect();
        assert!(gone.iter().filter(|block| !live.contains(block)).all(|block| is_stale(list.usable(*block))));
        let mut found = list.handles();
        assert_eq!((found.len(), list.census().unwrap().0), (live.len(), live.len()));
        found.retain(|block| !live.contains(block));
        assert!(found.is_empty());
        for (block, number, length) in model {
            let (mut part, from) = (vec![0; length / 2], length / 3);
            list.read(block, from, &mut part).unwrap();
            assert_eq!(part, contents(number, length)[from..from + length / 2]);
            list.free(block).unwrap();
        }
        list.check().unwrap();
        assert_eq!(list.census().unwrap(), (0, 0));
    });
    let item = list.insert(Item::new(3)).unwrap();
    assert_eq!(list.get(item), Ok(Item::new(3)));
    list.set(item, Item::new(4)).unwrap();
    list.set_root(item.to_bits()).unwrap();
    assert!(list.write(Handle::from_bits(item.to_bits()), 20, &[0; 100]).is_err(), "past the end");
    let count = fill(5000, |_| list.allocate(100).map(drop));
    assert!(count > 1500 && count < 5000, "{count}");
    list.check().unwrap();
    if let Some(memory) = kind.again(list.into_memory()) {
        let list = FreeList::open_with(fit, memory).unwrap();
        list.check().unwrap();
        assert_eq!(list.get(Handle::from_bits(list.root())), Ok(Item::new(4)));
        assert_eq!(list.handles().len(), count + 1);
        list.handles().into_iter().for_each(|block| list.free(block).unwrap());
        assert!(list.allocate(200 << 10).is_ok(), "all joined again");
    }
}

/// Files that hold something else, or were cut: refused, with words that say so.
fn wrong_files() {
    let folder = Folder::new("wrong");
    let path = folder.file("memory");
    // SAFETY: here and below, the file is this process's alone and not mapped when it is cut.
    let open = || unsafe { FileOptions::new().open(&path) };
    // SAFETY: as above.
    let pool = Pool::<Item, _>::create(unsafe { FileOptions::new().create(&path, 64 << 10) }.unwrap()).unwrap();
    assert_eq!(open().unwrap_err().kind(), ErrorKind::Locked);
    drop(pool);
    let kind = |error: Error| {
        assert!(error.to_string().contains("; "), "{error}");
        error.kind()
    };
    assert!(Pool::<Item, _>::open(open().unwrap()).is_ok());
    assert_eq!(kind(Pool::<Other, _>::open(open().unwrap()).unwrap_err()), ErrorKind::WrongLayout);
    assert_eq!(kind(Pool::<u64, _>::open(open().unwrap()).unwrap_err()), ErrorKind::WrongLayout);
    assert_eq!(kind(Bump::open(open().unwrap()).unwrap_err()), ErrorKind::WrongLayout);
    assert_eq!(kind(FreeList::open(open().unwrap()).unwrap_err()), ErrorKind::WrongLayout);
    let cut = |bytes| std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(bytes).unwrap();
    cut(32 << 10);
    assert_eq!(kind(Pool::<Item, _>::open(open().unwrap()).unwrap_err()), ErrorKind::Truncated);
    cut(20);
    assert_eq!(kind(Pool::<Item, _>::open(open().unwrap()).unwrap_err()), ErrorKind::Truncated);
    cut(0);
    assert_eq!(kind(open().unwrap_err()), ErrorKind::Truncated);
    cut(4096);
    assert_eq!(kind(Pool::<Item, _>::open(open().unwrap()).unwrap_err()), ErrorKind::WrongLayout);
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(kind(open().unwrap_err()), ErrorKind::Refused(2)));

    // Every single byte of the header and the tags overwritten: an error or what was there, never a fault.
    let memory = || Block::new(Global::new(), 12 << 10).unwrap();
    for at in 0..(12 << 10) / 8 {
        let list = FreeList::create_with(FirstFit, memory()).unwrap();
        let blocks: Vec<_> = (0..20).map(|_| list.allocate(40).unwrap()).collect();
        list.free(blocks[7]).unwrap();
        let words = list.memory().range().cast::<u64>();
        // The lock's word would make it wait for a process that does not exist; that is tried by the crash test.
        if at != 6 {
            // SAFETY: inside the memory; one thread.
            unsafe {
                (*words.as_ptr().add(at).cast::<std::sync::atomic::AtomicU64>()).store(0x4141_4141_4141_4141, SEQ)
            };
        }
        let _ = (list.check(), list.free(blocks[3]), list.allocate(100), list.free(blocks[8]), list.handles());
        let _ = (list.free(blocks[6]), list.allocate(3000), list.resize(blocks[1], 500));
    }
}

const SEQ: std::sync::atomic::Ordering = std::sync::atomic::Ordering::SeqCst;

fn locks_and_seals() {
    let folder = Folder::new("locks");
    let path = folder.file("memory");
    // SAFETY: the file is this process's alone.
    unsafe {
        drop(FileOptions::new().create(&path, 4096).unwrap());
        assert!(matches!(FileOptions::new().create(&path, 4096).unwrap_err().kind(), ErrorKind::Refused(17)));
        let first = FileOptions::new().shared().open(&path).unwrap();
        let second = FileOptions::new().shared().open(&path).unwrap();
        assert_eq!(FileOptions::new().open(&path).unwrap_err().kind(), ErrorKind::Locked);
        assert_eq!(first.grow(1 << 20).unwrap_err().kind(), ErrorKind::Unsupported);
        drop((first, second));
        let alone = FileOptions::new().reserve(64 << 10).open(&path).unwrap();
        alone.grow(32 << 10).unwrap();
        assert_eq!((alone.bytes(), std::fs::metadata(&path).unwrap().len()), (32 << 10, 32 << 10));
        assert_eq!(alone.grow(1 << 20).unwrap_err().kind(), ErrorKind::Exhausted);
        alone.flush().unwrap();
    }
    // A private view: its writes stay here, and what the file holds is seen.
    // SAFETY: as above.
    let open = |options: FileOptions| unsafe { options.open(&path) }.unwrap();
    Arena::<u64, _>::create(open(FileOptions::new())).unwrap().push(1).unwrap();
    let before = std::fs::read(&path).unwrap();
    let view = Arena::<u64, _>::open(open(FileOptions::new().private())).unwrap();
    view.push(2).unwrap();
    assert_eq!((view.len(), std::fs::read(&path).unwrap() == before), (2, true));
    drop(view);
    assert_eq!(Arena::<u64, _>::open(open(FileOptions::new())).unwrap().len(), 1);
    let huge = AnonymousMap::new().huge_pages(brkmap_toolbox::source::HugePages::Pool);
    if let Err(error) = Block::new(huge, 4 << 20) {
        assert!(error.remedy().contains("vm.nr_hugepages"), "{error}");
    }
    let plain = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    assert_eq!(SharedMap::from_fd(plain.into()).unwrap_err().kind(), ErrorKind::NotSealed);
    let sealed = SharedMap::create("sealed", 8192).unwrap();
    let file = std::fs::File::from(sealed.descriptor().unwrap().try_clone_to_owned().unwrap());
    assert!(file.set_len(0).is_err() && file.set_len(1 << 20).is_err(), "nobody can cut it");
    assert!(SharedMap::create("bad\0name", 10).is_err() && SharedMap::anonymous(0).is_err());
}
