//! Calls that `brkmap doctor` and `brkmap demo` try out on the process itself, behind safe functions.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;

fn check(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A private anonymous mapping that ends with its owner.
pub(crate) struct Map {
    start: *mut u8,
    bytes: usize,
}

impl Map {
    /// Maps so many bytes, readable and writable, or only reserved.
    pub(crate) fn new(bytes: usize) -> io::Result<Map> {
        Map::with(bytes, libc::PROT_READ | libc::PROT_WRITE, 0)
    }

    /// Asks for addresses that nothing is meant to fill.
    pub(crate) fn reserve(bytes: usize) -> io::Result<Map> {
        Map::with(bytes, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_NORESERVE)
    }

    fn with(bytes: usize, protection: i32, flags: i32) -> io::Result<Map> {
        let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: [no-memory] a mapping without MAP_FIXED lies where nothing was.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Map { start: start.cast(), bytes }) }
    }

    /// Its first address.
    pub(crate) fn address(&self) -> u64 {
        self.start as u64
    }

    /// Writes one byte.
    pub(crate) fn write(&mut self, at: usize, byte: u8) {
        assert!(at < self.bytes);
        // SAFETY: [own-map] inside of the mapping; callers write only where they left it writable.
        unsafe { self.start.add(at).write_volatile(byte) };
    }

    /// Reads one byte.
    pub(crate) fn read(&self, at: usize) -> u8 {
        assert!(at < self.bytes);
        // SAFETY: [own-map] inside of the mapping; callers read only where they left it readable.
        unsafe { self.start.add(at).read_volatile() }
    }

    /// The first address in it that is a multiple of `align`, as an offset.
    pub(crate) fn aligned(&self, align: usize) -> usize {
        (self.start as usize).next_multiple_of(align) - self.start as usize
    }

    fn part(&self, from: usize, bytes: usize) -> *mut libc::c_void {
        assert!(from.checked_add(bytes).is_some_and(|end| end <= self.bytes));
        self.start.wrapping_add(from).cast()
    }

    /// `madvise` on a part of it.
    pub(crate) fn advise(&self, from: usize, bytes: usize, advice: i32) -> io::Result<()> {
        // SAFETY: [own-map] the part is ours alone, and no reference to it exists.
        check(i64::from(unsafe { libc::madvise(self.part(from, bytes), bytes, advice) })).map(drop)
    }

    /// `process_madvise` on a part of it, with the calling process named by `PIDFD_SELF`.
    pub(crate) fn advise_as_process(&self, from: usize, bytes: usize, advice: i32) -> io::Result<()> {
        const PIDFD_SELF: i32 = -10000;
        let part = libc::iovec { iov_base: self.part(from, bytes), iov_len: bytes };
        // SAFETY: [own-map] the part is ours alone; the vector lives on this frame.
        check(unsafe { libc::syscall(libc::SYS_process_madvise, PIDFD_SELF, &raw const part, 1, advice, 0) }).map(drop)
    }

    /// Forbids all access to a part of it. It must not be touched afterwards.
    pub(crate) fn forbid(&self, from: usize, bytes: usize) -> io::Result<()> {
        // SAFETY: [own-map] the part is ours alone, and no reference to it exists.
        check(i64::from(unsafe { libc::mprotect(self.part(from, bytes), bytes, libc::PROT_NONE) })).map(drop)
    }

    /// Gives it a name that `/proc/PID/maps` shows.
    pub(crate) fn name(&self, name: &std::ffi::CStr) -> io::Result<()> {
        let (option, set) = (libc::PR_SET_VMA, libc::PR_SET_VMA_ANON_NAME as libc::c_ulong);
        // SAFETY: [own-map] changes the name alone, which the kernel copies.
        check(i64::from(unsafe { libc::prctl(option, set, self.start, self.bytes, name.as_ptr()) })).map(drop)
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: [own-map] nobody else knows it.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}

/// Moves the program break up by an OS page and down again; whether both worked.
pub(crate) fn move_break() -> io::Result<()> {
    // SAFETY: [no-memory] the process has one thread, which does not allocate in between, and nothing lies there.
    let (up, down) = unsafe { (libc::sbrk(4096), libc::sbrk(-4096)) };
    let failed = usize::MAX as *mut libc::c_void;
    if up == failed || down == failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets a process, although no ancestor, read this one's memory.
pub(crate) fn allow_reader(pid: i32) -> io::Result<()> {
    // SAFETY: [no-memory] integers only.
    check(i64::from(unsafe { libc::prctl(libc::PR_SET_PTRACER, pid as libc::c_ulong, 0, 0, 0) })).map(drop)
}

/// The name of the process that `ps` and `/proc/PID/comm` show: 15 bytes of it.
pub(crate) fn set_name(name: &std::ffi::CStr) {
    // SAFETY: [valid-out-pointer] the kernel reads at most 16 bytes of a string that ends with a zero.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// Installs a seccomp filter that allows everything: what a tracer of single calls needs.
pub(crate) fn install_filter() -> io::Result<()> {
    // SAFETY: [no-memory] integers only.
    check(i64::from(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }))?;
    let mut allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
    let program = libc::sock_fprog { len: 1, filter: &raw mut allow };
    // SAFETY: [valid-out-pointer] program and instruction live on this frame; the kernel copies them.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    check(i64::from(result)).map(drop)
}

/// Opens a counter of a tracepoint for one process.
pub(crate) fn open_tracepoint(id: u64, pid: i32) -> io::Result<File> {
    const TYPE_TRACEPOINT: u32 = 2;
    const FLAG_CLOEXEC: libc::c_ulong = 8;
    // struct perf_event_attr, version 0: type, size, config, then what may be zero.
    let mut attributes = [0u32; 16];
    (attributes[0], attributes[1]) = (TYPE_TRACEPOINT, size_of_val(&attributes) as u32);
    (attributes[2], attributes[3]) = (id as u32, (id >> 32) as u32);
    // SAFETY: [valid-out-pointer] the structure has the size that its second word names.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), pid, -1, -1, FLAG_CLOEXEC) };
    // SAFETY: [owned-fd] perf_event_open gave us this descriptor just now.
    check(fd).map(|fd| unsafe { File::from_raw_fd(fd as i32) })
}

/// Version of the C library that this process runs on; `None` if it is not glibc.
pub(crate) fn glibc_version() -> Option<String> {
    // SAFETY: [libc-string] a constant of libc.
    #[cfg(target_env = "gnu")]
    let version =
        Some(unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) }.to_string_lossy().into_owned());
    #[cfg(not(target_env = "gnu"))]
    let version = None;
    version
}

/// Kernel release and processor kind.
pub(crate) fn kernel() -> (String, String) {
    let mut names = std::mem::MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: [valid-out-pointer] uname fills one utsname.
    unsafe { libc::uname(names.as_mut_ptr()) };
    // SAFETY: [plain-data] zeroed above and filled by the kernel.
    let names = unsafe { names.assume_init() };
    let text = |field: &[libc::c_char]| {
        let bytes: Vec<u8> = field.iter().map(|&c| c as u8).take_while(|&byte| byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    (text(&names.release), text(&names.machine))
}

/// A limit of the process; `None` for no limit.
pub(crate) fn limit(resource: libc::__rlimit_resource_t) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: [valid-out-pointer] getrlimit fills one rlimit.
    let ok = unsafe { libc::getrlimit(resource, &mut limit) } == 0;
    (ok && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}
