//! What a subject does to memory, behind safe functions: blocks of malloc, mappings, the break, and what the kernel says.
//!
//! A subject must not disturb what it shows. So nothing here allocates: figures are collected in a buffer in the
//! program's data, tables of blocks lie in mappings of their own, files of `/proc` are read into a buffer as well.

use brkmap_toolbox::calls::{self, Advice, Mapping, Protection, Visibility};
use std::fmt::{self, Write};
use std::ptr::{self, NonNull};

/// Bytes of an OS page.
pub(super) fn os_page() -> usize {
    calls::os_page()
}

/// Why a subject could not do what it is there for: the system or a limit refused.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) String);

impl From<brkmap_toolbox::Error> for Refusal {
    fn from(error: brkmap_toolbox::Error) -> Refusal {
        Refusal(error.to_string())
    }
}

/// The last error of libc as a refusal of `what`.
pub(super) fn refused(what: &str) -> Refusal {
    Refusal(format!("{what}: {}", std::io::Error::last_os_error()))
}

/// errno of the last call.
pub(super) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Begins a phase that a trace of the calls shows: a call that fails and does nothing.
pub(super) fn mark(phase: &str) {
    // SAFETY: [valid-out-pointer] the text is alive; nothing is written to descriptor -1.
    unsafe { libc::syscall(libc::SYS_write, -1, phase.as_ptr(), phase.len()) };
}

/// A block of the malloc in force.
#[derive(Debug)]
pub(super) struct Block {
    at: NonNull<u8>,
    bytes: usize,
}

impl Block {
    /// `malloc(bytes)`.
    pub(super) fn new(bytes: usize) -> Result<Block, Refusal> {
        // SAFETY: [libc-malloc] any size may be asked for.
        let at = std::hint::black_box(unsafe { libc::malloc(bytes) }).cast::<u8>();
        match NonNull::new(at) {
            Some(at) => Ok(Block { at, bytes }),
            None => Err(Refusal(format!("malloc of {bytes} bytes: {}", std::io::Error::last_os_error()))),
        }
    }

    /// Where it is.
    pub(super) fn at(&self) -> u64 {
        self.at.addr().get() as u64
    }

    /// Writes every byte.
    pub(super) fn fill(&mut self, byte: u8) {
        // SAFETY: [libc-malloc] the block has that many bytes and is ours.
        unsafe { self.at.as_ptr().write_bytes(byte, self.bytes) };
    }

    /// Writes one byte of each OS page.
    pub(super) fn touch(&mut self) {
        touch(self.at, self.bytes);
    }

    /// Whether every byte has this value.
    pub(super) fn is(&self, byte: u8) -> bool {
        // SAFETY: [libc-malloc] the block was filled with that many bytes.
        let slice = unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.bytes) };
        slice.iter().all(|&is| is == byte)
    }

    /// Whether the first bytes have this value.
    pub(super) fn starts_with(&self, byte: u8, bytes: usize) -> bool {
        assert!(bytes <= self.bytes);
        // SAFETY: [libc-malloc] the caller filled that many bytes of the block.
        let slice = unsafe { std::slice::from_raw_parts(self.at.as_ptr(), bytes) };
        // A byte repeated is the same as itself shifted by one: one comparison at the speed of memcmp.
        slice.first() == Some(&byte) && slice[1..] == slice[..bytes - 1]
    }

    /// Copies the first bytes of another block.
    pub(super) fn copy_from(&mut self, other: &Block, bytes: usize) {
        assert!(bytes <= self.bytes && bytes <= other.bytes);
        // SAFETY: [libc-malloc] two live blocks of at least that many bytes.
        unsafe { self.at.as_ptr().copy_from_nonoverlapping(other.at.as_ptr(), bytes) };
    }

    /// Bytes that may be used.
    pub(super) fn usable(&self) -> u64 {
        // SAFETY: [libc-malloc] the block is live.
        unsafe { libc::malloc_usable_size(self.at.as_ptr().cast()) as u64 }
    }

    /// `realloc`.
    pub(super) fn resize(self, bytes: usize) -> Result<Block, Refusal> {
        // SAFETY: [libc-malloc] the block is live, and this value, its only name, ends here.
        let at = unsafe { libc::realloc(self.at.as_ptr().cast(), bytes) }.cast::<u8>();
        NonNull::new(at).map(|at| Block { at, bytes }).ok_or_else(|| refused("realloc"))
    }

    /// `free`.
    pub(super) fn free(self) {
        // SAFETY: [libc-malloc] the block is live, and this value, its only name, ends here.
        unsafe { libc::free(self.at.as_ptr().cast()) };
    }

    /// Two frees of one block: what no program may do. The malloc in force is expected to end the process.
    pub(super) fn free_twice(self) {
        let at = std::hint::black_box(self.at.as_ptr());
        // SAFETY: [misuse] the second call breaks malloc's contract on purpose; this process does nothing but show it.
        unsafe {
            libc::free(at.cast());
            libc::free(at.cast());
        }
    }
}

fn touch(at: NonNull<u8>, bytes: usize) {
    for offset in (0..bytes).step_by(os_page()) {
        // SAFETY: [own-memory] the caller's range has this byte; volatile, so that the write is made.
        unsafe { at.add(offset).write_volatile(1) };
    }
}

/// A table of blocks in a mapping of its own, so that keeping them allocates nothing. It is never given back.
pub(super) fn table(count: usize) -> Result<&'static mut [Option<Block>], Refusal> {
    let range = calls::map((count * size_of::<Option<Block>>()).max(1), &Mapping::new())?;
    let first = range.cast::<Option<Block>>();
    for index in 0..count {
        // SAFETY: [own-memory] the mapping has room for `count` entries and is aligned to an OS page.
        unsafe { first.add(index).write(None) };
    }
    // SAFETY: [own-memory] all entries were written just now; nobody else knows the mapping, which stays.
    Ok(unsafe { std::slice::from_raw_parts_mut(first.as_ptr(), count) })
}

/// Takes blocks of one size until the table is full; each OS page of them is written.
pub(super) fn fill(table: &mut [Option<Block>], bytes: usize) -> Result<(), Refusal> {
    for slot in table {
        let mut block = Block::new(bytes)?;
        block.touch();
        *slot = Some(block);
    }
    Ok(())
}

/// `malloc_trim(0)`.
pub(super) fn trim() -> bool {
    // SAFETY: [libc-malloc] may be called at any time.
    unsafe { libc::malloc_trim(0) == 1 }
}

/// `mallopt`.
pub(super) fn tune(parameter: i32, value: i32) -> Result<(), Refusal> {
    // SAFETY: [libc-malloc] may be called at any time.
    if unsafe { libc::mallopt(parameter, value) } == 1 { Ok(()) } else { Err(Refusal("mallopt refused".into())) }
}

/// What malloc says of itself: bytes in blocks, free bytes, bytes in mappings of their own.
pub(super) fn mallinfo() -> (u64, u64, u64) {
    // SAFETY: [libc-malloc] returns a structure of numbers.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks as u64, info.fordblks as u64, info.hblkhd as u64)
}

/// A mapping of our own.
#[derive(Debug)]
pub(super) struct Map {
    at: NonNull<u8>,
    bytes: usize,
}

/// How to map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Private, zero.
    Private,
    /// Shared with forked children.
    Shared,
    /// Addresses only.
    Reserve,
    /// Private, all OS pages at once.
    Populate,
}

impl Map {
    /// A fresh mapping.
    pub(super) fn new(bytes: usize, how: How) -> Result<Map, Refusal> {
        let how = match how {
            How::Private => Mapping::new(),
            How::Shared => Mapping::new().visibility(Visibility::Shared),
            How::Reserve => Mapping::new().protection(Protection::None).no_reserve(),
            How::Populate => Mapping::new().populate(),
        };
        let range = calls::map(bytes, &how)?;
        Ok(Map { at: range.cast(), bytes: range.len() })
    }

    /// A mapping at exactly this address, where nothing is.
    pub(super) fn at(address: u64, bytes: usize) -> Result<Map, i32> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let (address, rights) = (ptr::without_provenance_mut(address as usize), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: [fresh-range] without MAP_FIXED proper no mapping is replaced.
        Map::checked(unsafe { libc::mmap(address, bytes, rights, flags, -1, 0) }, bytes)
    }

    /// A mapping near a wished address.
    pub(super) fn near(address: u64, bytes: usize) -> Result<Map, i32> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let (address, rights) = (ptr::without_provenance_mut(address as usize), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: [fresh-range] a wish replaces nothing.
        Map::checked(unsafe { libc::mmap(address, bytes, rights, flags, -1, 0) }, bytes)
    }

    /// `mmap` of a descriptor with everything given, also what the kernel must refuse.
    pub(super) fn of(fd: i32, bytes: usize, offset: i64, visible: Visibility, write: bool) -> Result<Map, i32> {
        let flags = if visible == Visibility::Shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
        let rights = libc::PROT_READ | if write { libc::PROT_WRITE } else { 0 };
        // SAFETY: [fresh-range] the kernel picks the place.
        Map::checked(unsafe { libc::mmap(ptr::null_mut(), bytes, rights, flags, fd, offset) }, bytes)
    }

    fn checked(at: *mut libc::c_void, bytes: usize) -> Result<Map, i32> {
        match NonNull::new(at.cast::<u8>()) {
            Some(at) if at.as_ptr().cast() != libc::MAP_FAILED => Ok(Map { at, bytes }),
            _ => Err(errno()),
        }
    }

    /// The same mapping with the length that the kernel gave it: whole OS pages.
    pub(super) fn rounded(self, bytes: usize) -> Map {
        assert_eq!(self.bytes.next_multiple_of(os_page()), bytes);
        Map { at: self.at, bytes }
    }

    /// First address.
    pub(super) fn start(&self) -> u64 {
        self.at.addr().get() as u64
    }

    /// Address behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.start() + self.bytes as u64
    }

    /// Bytes of addresses.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes one byte of each OS page.
    pub(super) fn touch(&mut self) {
        touch(self.at, self.bytes);
    }

    /// Writes a byte.
    pub(super) fn set(&mut self, offset: usize, byte: u8) {
        assert!(offset < self.bytes);
        // SAFETY: [own-memory] inside the mapping, which may be written; if not, the fault is what is shown.
        unsafe { self.at.add(offset).write_volatile(byte) };
    }

    /// Reads a byte.
    pub(super) fn get(&self, offset: usize) -> u8 {
        assert!(offset < self.bytes);
        // SAFETY: [own-memory] inside the mapping, which may be read; if not, the fault is what is shown.
        unsafe { self.at.add(offset).read_volatile() }
    }

    /// Writes a word.
    pub(super) fn set_word(&mut self, offset: usize, word: u64) {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.bytes);
        // SAFETY: [own-memory] inside the mapping and aligned.
        unsafe { self.at.add(offset).cast::<u64>().write_volatile(word) };
    }

    /// Follows a chain of offsets, each word the offset of the next.
    pub(super) fn follow(&self, mut at: u64, steps: usize) -> u64 {
        for _ in 0..steps {
            debug_assert!(at as usize + 8 <= self.bytes);
            // SAFETY: [own-memory] the chain was written by `set_word` and stays inside.
            at = unsafe { self.at.add(at as usize).cast::<u64>().read_volatile() };
        }
        at
    }

    /// The bytes, to read.
    pub(super) fn slice(&self) -> &[u8] {
        // SAFETY: [own-memory] a readable mapping that nobody else writes.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.bytes) }
    }

    /// Takes the rights of a part away, or gives them back.
    pub(super) fn protect(&mut self, offset: usize, bytes: usize, rights: Protection) -> Result<(), Refusal> {
        assert!(offset + bytes <= self.bytes);
        // SAFETY: [own-memory] a part of our mapping; a touch afterwards is what is shown.
        unsafe { calls::protect(self.at.add(offset), bytes, rights) }.map_err(Refusal::from)
    }

    /// Advises the kernel about a part.
    pub(super) fn advise(&mut self, offset: usize, bytes: usize, advice: i32) -> Result<(), Refusal> {
        assert!(offset + bytes <= self.bytes);
        if advice == libc::MADV_DONTNEED {
            // SAFETY: [own-memory] a part of our mapping whose contents are not needed.
            return unsafe { calls::advise(self.at.add(offset), bytes, Advice::DontNeed) }.map_err(Refusal::from);
        }
        // SAFETY: [own-memory] as above; other advice throws nothing away that is needed.
        match unsafe { libc::madvise(self.at.add(offset).as_ptr().cast(), bytes, advice) } {
            0 => Ok(()),
            _ => Err(refused("madvise")),
        }
    }

    /// Cuts the mapping in two; whole OS pages.
    pub(super) fn split(self, offset: usize) -> (Map, Map) {
        assert!(offset <= self.bytes && offset.is_multiple_of(os_page()));
        // SAFETY: [own-memory] the offset lies inside.
        let behind = unsafe { self.at.add(offset) };
        (Map { at: self.at, bytes: offset }, Map { at: behind, bytes: self.bytes - offset })
    }

    /// `munmap`.
    pub(super) fn unmap(self) -> Result<(), Refusal> {
        // SAFETY: [own-memory] this value, its only name, ends here.
        unsafe { calls::unmap(self.at, self.bytes) }.map_err(Refusal::from)
    }
}

/// OS pages of a range that are in memory; -1 where nothing is mapped.
pub(super) fn resident(start: u64, bytes: usize) -> i64 {
    let mut seen = [0u8; 256];
    let (page, mut count) = (os_page(), 0);
    for offset in (0..bytes).step_by(page * seen.len()) {
        let part = (bytes - offset).min(page * seen.len());
        let at = ptr::without_provenance_mut(start as usize + offset);
        // SAFETY: [valid-out-pointer] a byte for each OS page of the part; the range itself is only asked about.
        if unsafe { libc::mincore(at, part, seen.as_mut_ptr()) } != 0 {
            return -1;
        }
        count += seen[..part.div_ceil(page)].iter().filter(|&&byte| byte & 1 == 1).count() as i64;
    }
    count
}

/// Page faults of this process that needed no disk.
pub(super) fn faults() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: [plain-data] zeroed and filled by the kernel.
    unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init().ru_minflt as u64
    }
}

/// Nanoseconds of the monotonic clock.
pub(super) fn now() -> u64 {
    crate::os::clock(libc::CLOCK_MONOTONIC).unwrap_or_default().as_nanos() as u64
}

/// The least time of `rounds` runs, in nanoseconds.
pub(super) fn least(rounds: usize, mut run: impl FnMut() -> Result<(), Refusal>) -> Result<u64, Refusal> {
    let mut least = u64::MAX;
    for _ in 0..rounds {
        let start = now();
        run()?;
        least = least.min(now() - start);
    }
    Ok(least)
}

/// Reads a byte at any address; the fault is what is shown.
pub(super) fn read_at(address: u64) -> u8 {
    let at = ptr::with_exposed_provenance::<u8>(address as usize);
    // SAFETY: [misuse] the address is no longer mapped; the process ends by it.
    unsafe { at.read_volatile() }
}

/// Bytes before the first `wanted`, at the speed of libc's `memchr`; all if there is none.
pub(super) fn until(bytes: &[u8], wanted: u8) -> u64 {
    // SAFETY: [own-memory] looks at the bytes of the slice alone.
    let found = unsafe { libc::memchr(bytes.as_ptr().cast(), i32::from(wanted), bytes.len()) };
    if found.is_null() { bytes.len() as u64 } else { (found.addr() - bytes.as_ptr().addr()) as u64 }
}

/// Whether bytes occur in others, at the speed of libc's `memmem`.
pub(super) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    // SAFETY: [own-memory] looks at the bytes of the two slices alone.
    !unsafe { libc::memmem(bytes.as_ptr().cast(), bytes.len(), wanted.as_ptr().cast(), wanted.len()) }.is_null()
}

/// Bytes of memory of the machine.
pub(super) fn ram() -> u64 {
    machine("MemTotal:")
}

/// Bytes that can be had without swapping.
pub(super) fn available() -> u64 {
    machine("MemAvailable:")
}

/// Stops this process until somebody lets it go on.
pub(super) fn stop() {
    // SAFETY: [no-memory] takes a number.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Writes malloc_stats and malloc_info to standard error, behind a line that names the stage.
pub(super) fn statistics(stage: u32) {
    unsafe extern "C" {
        fn malloc_stats();
        fn malloc_info(options: libc::c_int, file: *mut libc::FILE) -> libc::c_int;
    }
    eprintln!("== stage {stage}");
    // SAFETY: [libc-malloc] both read malloc's own records; the stream is ours and closed here with its own descriptor.
    unsafe {
        malloc_stats();
        let file = libc::fdopen(libc::dup(2), c"w".as_ptr());
        if !file.is_null() {
            malloc_info(0, file);
            libc::fclose(file);
        }
    }
}

/// Whether brkmap is the malloc of this process.
pub(super) fn is_brkmap() -> bool {
    find(|_, _, rest| rest.ends_with("/libbrkmap.so")).is_some()
}

/// How many different numbers there are.
pub(super) fn count_pages(numbers: impl Iterator<Item = u64>) -> Result<u64, Refusal> {
    const MOST: usize = 1 << 16;
    let range = calls::map(MOST * 8, &Mapping::new())?;
    // SAFETY: [own-memory] fresh, zeroed, known to nobody else; it stays.
    let seen = unsafe { std::slice::from_raw_parts_mut(range.cast::<u64>().as_ptr(), MOST) };
    let mut length = 0;
    for number in numbers.take(MOST) {
        seen[length] = number;
        length += 1;
    }
    seen[..length].sort_unstable();
    Ok(seen[..length].chunk_by(|a, b| a == b).count() as u64)
}

fn machine(key: &str) -> u64 {
    with_file(c"/proc/meminfo", |text| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
    })
}

/// A system call that does nothing.
pub(super) fn nothing_call() {
    // SAFETY: [no-memory] takes no pointer. The number, not libc's function, which may remember the answer.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

static FILE: std::sync::Mutex<[u8; 512 << 10]> = std::sync::Mutex::new([0; 512 << 10]);

/// Reads a file of `/proc` into the buffer and passes its text on.
fn with_file<T>(path: &std::ffi::CStr, read: impl FnOnce(&str) -> T) -> T {
    let mut buffer = FILE.lock().expect("no subject panics while it reads");
    let mut length = 0;
    // SAFETY: [valid-out-pointer] the path is a C string; read gets the rest of the buffer.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        while fd >= 0 && length < buffer.len() {
            let got = libc::read(fd, buffer[length..].as_mut_ptr().cast(), buffer.len() - length);
            if got <= 0 {
                break;
            }
            length += got as usize;
        }
        libc::close(fd);
    }
    read(std::str::from_utf8(&buffer[..length]).unwrap_or_default())
}

/// Bytes of a line of `/proc/self/status`, or 0.
pub(super) fn status(key: &str) -> u64 {
    with_file(c"/proc/self/status", |text| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
    })
}

/// Sum of a field of `/proc/self/smaps` over the mappings that touch a range, in bytes.
pub(super) fn smaps(range: (u64, u64), key: &str) -> u64 {
    with_file(c"/proc/self/smaps", |text| {
        let (mut inside, mut sum) = (false, 0);
        for line in text.lines() {
            if let Some((start, end, _)) = header(line) {
                inside = start < range.1 && end > range.0;
            } else if let Some(value) = line.strip_prefix(key).and_then(|rest| rest.strip_prefix(':')) {
                let kib = value.split_whitespace().next().and_then(|value| value.parse::<u64>().ok());
                sum += if inside { kib.unwrap_or(0) * 1024 } else { 0 };
            }
        }
        sum
    })
}

/// A line of `/proc/self/maps`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) start: u64,
    pub(super) end: u64,
    text: [u8; 120],
    length: usize,
}

impl Line {
    /// The line as the kernel writes it, with the gap before the name made short.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

fn header(line: &str) -> Option<(u64, u64, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?, rest))
}

/// The first line of `/proc/self/maps` that is wanted.
fn find(mut wanted: impl FnMut(u64, u64, &str) -> bool) -> Option<Line> {
    with_file(c"/proc/self/maps", |text| {
        let (start, end, line) = text.lines().find_map(|line| {
            let (start, end, rest) = header(line)?;
            wanted(start, end, rest).then_some((start, end, line))
        })?;
        let mut result = Line { start, end, text: [0; 120], length: 0 };
        let mut words = line.split_ascii_whitespace();
        while let Some(word) = words.next()
            && result.length + word.len() + 1 < result.text.len()
        {
            // The folder of a file says nothing here.
            let word = if word.starts_with("/dev/") { word } else { word.rsplit('/').next().unwrap_or(word) };
            if result.length > 0 {
                result.text[result.length] = b' ';
                result.length += 1;
            }
            result.text[result.length..result.length + word.len()].copy_from_slice(word.as_bytes());
            result.length += word.len();
        }
        Some(result)
    })
}

/// The line of an address.
pub(super) fn line_of(address: u64) -> Option<Line> {
    find(|start, end, _| start <= address && address < end)
}

/// The line with a name.
pub(super) fn line_named(name: &str) -> Option<Line> {
    find(|_, _, rest| rest.ends_with(name))
}

/// Number of mappings.
pub(super) fn mappings() -> u64 {
    with_file(c"/proc/self/maps", |text| text.lines().count() as u64)
}

/// What a subject reports: lines `name<TAB>value`, written at its end in one go.
pub(super) struct Out {
    bytes: &'static mut [u8],
    length: usize,
}

impl Out {
    /// A buffer in a mapping of its own.
    pub(super) fn new() -> Result<Out, Refusal> {
        let range = calls::map(48 << 10, &Mapping::new())?;
        // SAFETY: [own-memory] fresh, zeroed, known to nobody else; it stays.
        let bytes = unsafe { std::slice::from_raw_parts_mut(range.cast::<u8>().as_ptr(), range.len()) };
        Ok(Out { bytes, length: 0 })
    }

    /// A figure.
    pub(super) fn put(&mut self, name: &str, value: u64) {
        self.text(name, format_args!("{value}"));
    }

    /// A text without line ends.
    pub(super) fn text(&mut self, name: &str, value: fmt::Arguments<'_>) {
        // What does not fit is cut; the experiment then misses a figure and says so.
        let _ = writeln!(self, "{name}\t{value}");
    }

    /// The line of the map in which an address lies.
    pub(super) fn line(&mut self, name: &str, address: u64) {
        match line_of(address) {
            Some(line) => self.text(name, format_args!("{}", line.text())),
            None => self.text(name, format_args!("nothing is mapped there")),
        }
    }

    /// Writes everything to standard output.
    pub(super) fn flush(&mut self) {
        let mut done = 0;
        while done < self.length {
            let rest = &self.bytes[done..self.length];
            // SAFETY: [valid-out-pointer] the rest is alive.
            let wrote = unsafe { libc::write(1, rest.as_ptr().cast(), rest.len()) };
            if wrote <= 0 {
                break;
            }
            done += wrote as usize;
        }
        self.length = 0;
    }
}

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
