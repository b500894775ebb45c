//! Names of memory: in `/proc/PID/maps`, where the kernel can.

use core::ptr::NonNull;

/// What an allocator was named.
pub(crate) struct Name {
    text: &'static str,
}

impl Name {
    pub(crate) fn new(text: &'static str) -> Name {
        Name { text }
    }

    pub(crate) fn text(&self) -> &'static str {
        self.text
    }

    /// A range of memory gets this name.
    pub(crate) fn add(&self, range: NonNull<[u8]>) {
        let _ = range;
    }

    /// The range that starts there is gone.
    pub(crate) fn remove(&self, start: usize) {
        let _ = start;
    }
}

/// Names a mapping (`prctl(PR_SET_VMA_ANON_NAME)`): `[anon:brkmap NAME]`. Kernels without names refuse; nothing depends on it.
#[cfg(feature = "os")]
pub(crate) fn name_mapping(range: NonNull<[u8]>, name: &str) {
    /// What the kernel takes, with the 0 at the end.
    const LONGEST: usize = 80;
    const PREFIX: &[u8] = b"brkmap ";
    let mut text = [0u8; LONGEST];
    text[..PREFIX.len()].copy_from_slice(PREFIX);
    for (to, from) in text[PREFIX.len()..LONGEST - 1].iter_mut().zip(name.bytes()) {
        // The kernel refuses these, and everything that does not print.
        *to = if from.is_ascii_graphic() && !br"\`$[]".contains(&from) || from == b' ' { from } else { b'?' };
    }
    let start = range.cast::<u8>().as_ptr();
    // SAFETY: [no-effect] the kernel copies the text; no memory changes.
    unsafe { libc::prctl(libc::PR_SET_VMA, libc::PR_SET_VMA_ANON_NAME, start, range.len(), text.as_ptr()) };
}
