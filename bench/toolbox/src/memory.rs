//! 10,000 blocks of 64 bytes: what they cost in memory. Each way is a process of its own.

use brkmap_toolbox::source::AnonymousMap;
use brkmap_toolbox::{Arena, BlockPool, Bump, FreeList, HandleArena, Pool, SyncPool};
use std::alloc::Layout;
use std::hint::black_box;
use std::mem::forget;
use std::process::Command;

const BLOCKS: usize = 10_000;
const BYTES: usize = 64;

type Block = [u64; BYTES / 8];

/// One row of the table.
pub struct Use {
    pub name: &'static str,
    /// KiB by which the process's resident memory grew.
    pub rss_kib: f64,
    /// The same per block, without the 64 bytes themselves.
    pub overhead: f64,
}

const WAYS: [&str; 14] = [
    "Bump",
    "Arena",
    "Pool",
    "BlockPool",
    "SyncPool",
    "HandleArena",
    "FreeList",
    "bumpalo",
    "typed-arena",
    "slab",
    "slotmap",
    "sharded-slab",
    "talc",
    "malloc",
];

fn rss() -> usize {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux has smaps_rollup");
    let line = text.lines().find(|line| line.starts_with("Rss:")).expect("a line Rss");
    line.split_whitespace().nth(1).expect("a number").parse::<usize>().expect("a number") << 10
}

/// An empty vector for all blocks whose memory is there.
fn touched<T>() -> Vec<T> {
    let mut vector: Vec<T> = Vec::with_capacity(BLOCKS);
    // SAFETY: the spare room of the vector; any bytes may be written there.
    unsafe { vector.as_mut_ptr().cast::<u8>().write_bytes(1, BLOCKS * size_of::<T>()) };
    black_box(vector)
}

/// Makes the blocks in one way and prints by how much the resident memory grew. What names the blocks (references, keys)
/// lies in memory that was touched before; nothing is freed.
pub fn one_way(way: &str) -> Result<(), String> {
    let map = AnonymousMap::new;
    let object = |number: usize| -> Block { black_box([number as u64 + 1; BYTES / 8]) };
    macro_rules! grow {
        ($allocator:expr, |$to:ident, $number:ident| $make:expr) => {{
            // The first look at the figures takes memory itself.
            rss();
            let mut kept = touched();
            let before = rss();
            #[allow(unused_mut, reason = "some ways need it")]
            let mut $to = $allocator;
            for $number in 0..BLOCKS {
                kept.push($make);
            }
            let after = rss();
            println!("{}", after.saturating_sub(before));
            forget(black_box(kept));
            let _ = std::mem::ManuallyDrop::new($to);
        }};
    }
    let block = Layout::new::<Block>();
    match way {
        "Bump" => grow!(Bump::over(map()), |bump, n| &raw mut *bump.alloc(object(n))),
        "Arena" => grow!(Arena::over(map()), |arena, n| &raw mut *arena.alloc(object(n))),
        "Pool" => {
            let pool = Pool::over(map());
            grow!(&pool, |pool, n| pool.alloc(object(n)));
        }
        "SyncPool" => {
            let pool = SyncPool::over(map());
            grow!(&pool, |pool, n| pool.alloc(object(n)));
        }
        "BlockPool" => grow!(BlockPool::over(map(), block), |pool, n| {
            let place = pool.allocate().expect("memory");
            // SAFETY: as long as an object.
            unsafe { place.cast::<Block>().write(object(n)) };
            place
        }),
        "FreeList" => grow!(FreeList::over(map()), |list, n| {
            let place = list.allocate(block).expect("memory");
            // SAFETY: as long as an object.
            unsafe { place.cast::<Block>().write(object(n)) };
            place
        }),
        "HandleArena" => grow!(HandleArena::over(map()), |arena, n| arena.insert(object(n))),
        "bumpalo" => grow!(bumpalo::Bump::new(), |bump, n| &raw mut *bump.alloc(object(n))),
        "typed-arena" => grow!(typed_arena::Arena::new(), |arena, n| &raw mut *arena.alloc(object(n))),
        "slab" => grow!(slab::Slab::new(), |slab, n| slab.insert(object(n))),
        "slotmap" => grow!(slotmap::SlotMap::<slotmap::DefaultKey, Block>::new(), |slots, n| slots.insert(object(n))),
        "sharded-slab" => grow!(sharded_slab::Slab::new(), |slab, n| slab.insert(object(n))),
        "talc" => grow!(crate::free_list::talc(), |talc, n| {
            // SAFETY: the size is not 0.
            let place = unsafe { talc.allocate(block) }.expect("memory");
            // SAFETY: as long as an object.
            unsafe { place.cast::<Block>().write(object(n)) };
            place
        }),
        "malloc" => grow!((), |_nothing, n| Box::new(object(n))),
        other => return Err(format!("no way is called {other}")),
    }
    Ok(())
}

/// All ways, each in a process of its own.
pub fn all() -> Result<Vec<Use>, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let one = |name| {
        let output = Command::new(&this).arg(format!("memory:{name}")).output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let bytes: f64 = text.parse().map_err(|_| format!("{name} printed {text:?}"))?;
        Ok(Use { name, rss_kib: bytes / 1024.0, overhead: bytes / BLOCKS as f64 - BYTES as f64 })
    };
    WAYS.into_iter().map(one).collect()
}
