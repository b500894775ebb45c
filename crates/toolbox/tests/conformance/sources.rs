//! The columns for private allocators.

use super::support::Folder;
use super::{Report, blocks, typed};
use brkmap_toolbox::calls;
use brkmap_toolbox::source::{
    AnonymousMap, Exclusive, FileMap, FileOptions, Global, HugePages, OrElse, ProgramBreak, SharedMap, Slice, Source,
};
use std::mem::MaybeUninit;

/// A source in its first state, as often as wanted.
pub(crate) trait Origin {
    type Source: Source;
    const NAME: &'static str;
    /// Bytes that can be had, if that is a fixed number.
    const ROOM: Option<usize> = None;
    fn make(&self) -> Self::Source;
}

macro_rules! origin {
    ($name:ident, $source:ty, $text:literal, $room:expr, $make:expr) => {
        struct $name;
        impl Origin for $name {
            type Source = $source;
            const NAME: &'static str = $text;
            const ROOM: Option<usize> = $room;
            fn make(&self) -> $source {
                $make
            }
        }
    };
}

const ROOM: usize = 4 << 20;

origin!(Break, ProgramBreak, "ProgramBreak", None, {
    // SAFETY: this test has one thread.
    unsafe { ProgramBreak::new() }.step(4096)
});
origin!(Map, AnonymousMap, "AnonymousMap", None, AnonymousMap::new());
origin!(Reserved, AnonymousMap, "AnonymousMap, reserved", None, AnonymousMap::new().reserve(64 << 20));
origin!(Guarded, AnonymousMap, "AnonymousMap, guarded", None, AnonymousMap::new().guard_pages());
origin!(Huge, AnonymousMap, "AnonymousMap, huge", None, AnonymousMap::new().huge_pages(HugePages::Transparent));
origin!(Malloc, Global, "Global", None, Global::new());
origin!(System, Global<std::alloc::System>, "Global over System", None, Global::over(std::alloc::System));
origin!(Shared, Exclusive<SharedMap>, "SharedMap, exclusive", Some(ROOM), {
    let map = SharedMap::create("conformance", ROOM).unwrap();
    // SAFETY: nobody was given the descriptor.
    unsafe { map.exclusive() }
});
origin!(Both, OrElse<ProgramBreak, AnonymousMap>, "OrElse", None, {
    // SAFETY: this test has one thread.
    OrElse::new(unsafe { ProgramBreak::new() }, AnonymousMap::new())
});

struct Lent(*mut [MaybeUninit<u8>]);

impl Origin for Lent {
    type Source = Slice<'static>;
    const NAME: &'static str = "Slice";
    const ROOM: Option<usize> = Some(ROOM);
    fn make(&self) -> Slice<'static> {
        // SAFETY: each test is done with its slice before the next one makes another.
        Slice::new(unsafe { &mut *self.0 })
    }
}

struct File(Folder);

impl Origin for File {
    type Source = Exclusive<FileMap>;
    const NAME: &'static str = "FileMap, exclusive";
    fn make(&self) -> Exclusive<FileMap> {
        let path = self.0.file("memory");
        let _ = std::fs::remove_file(&path);
        // SAFETY: the file is this process's alone.
        unsafe { FileOptions::new().create(path, 4096).unwrap().exclusive() }
    }
}

struct PrivateView(Folder);

impl Origin for PrivateView {
    type Source = Exclusive<FileMap>;
    const NAME: &'static str = "FileMap, private view";
    const ROOM: Option<usize> = Some(ROOM);
    fn make(&self) -> Exclusive<FileMap> {
        let path = self.0.file("view");
        std::fs::write(&path, vec![0xa5; ROOM]).unwrap();
        // SAFETY: the file is this process's alone.
        unsafe { FileOptions::new().private().open(path).unwrap().exclusive() }
    }
}

/// All private allocators over all sources.
pub(crate) fn private(report: &mut Report) {
    let room = Box::leak(vec![MaybeUninit::uninit(); ROOM].into_boxed_slice());
    let before = calls::program_break();
    all(report, &Break);
    all(report, &Map);
    all(report, &Reserved);
    all(report, &Guarded);
    all(report, &Huge);
    all(report, &Malloc);
    all(report, &System);
    all(report, &Shared);
    all(report, &Both);
    all(report, &Lent(room));
    all(report, &File(Folder::new("conformance")));
    all(report, &PrivateView(Folder::new("conformance-view")));
    report.cell("break", "itself", || break_rules(before));
}

fn all<O: Origin>(report: &mut Report, origin: &O) {
    blocks::run(report, origin);
    typed::run(report, origin);
}

/// What is special about the break: it was moved and went back, and a foreign move is respected.
fn break_rules(before: *mut u8) {
    use brkmap_toolbox::{Bump, ErrorKind};
    assert!(calls::program_break() >= before);
    // SAFETY: this test has one thread.
    let bump = Bump::over(unsafe { ProgramBreak::new() }.step(4096));
    bump.alloc([1u8; 5000]);
    let foreign = calls::program_break();
    // SAFETY: one thread; what is added here is ours until it goes back below.
    let theirs = unsafe { calls::sbrk(64) }.unwrap();
    assert_eq!(theirs.as_ptr(), foreign);
    // SAFETY: fresh.
    unsafe { theirs.write_bytes(0x77, 64) };
    let far = bump.alloc([2u8; 200_000]);
    assert!((far as *const _ as usize) > theirs.addr().get(), "behind what somebody else put there");
    drop(bump);
    // SAFETY: ours.
    assert!((0..64).all(|at| unsafe { theirs.add(at).read() } == 0x77), "nobody touched it");
    assert!(calls::program_break() >= foreign.wrapping_add(64), "nor trimmed it");

    // A bare brk behind libc's back: noticed, refused, and nothing handed out.
    let top = calls::program_break();
    // SAFETY: one thread, and the break is put back before libc can use it.
    unsafe { calls::raw_brk(top.wrapping_add(1 << 16)) };
    // SAFETY: as above.
    let source = unsafe { ProgramBreak::new() };
    let refused = source.acquire(std::alloc::Layout::new::<u64>()).unwrap_err();
    // SAFETY: as above. libc believes in `top + step` now; it is brought there first.
    unsafe { calls::raw_brk(top.wrapping_add(64 << 10)) };
    assert_eq!(refused.kind(), ErrorKind::BreakNotOurs);
    assert!(refused.to_string().contains("OrElse"), "{refused}");
}
