//! Which file lies where in one address space, and stacks unwound by what the files say.

use super::file::Files;
use super::repeats::Word;
use super::{Frame, Sample};
use crate::proc::smaps::Mapping;
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Module, Unwinder};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Rules that were looked up, shared by all address spaces.
pub(super) struct Cache(CacheX86_64);

impl Default for Cache {
    fn default() -> Cache {
        Cache(CacheX86_64::new())
    }
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    end: u64,
    file: u32,
    /// Address in memory less address in the file.
    bias: u64,
}

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Modules {
    unwinder: UnwinderX86_64<Arc<[u8]>>,
    /// Code, by its start.
    placed: BTreeMap<u64, Placed>,
    /// Another number whenever something changes; copies have the same.
    state: u64,
}

/// The last number that a state of modules got.
static STATES: AtomicU64 = AtomicU64::new(0);

impl Modules {
    /// All code of a process as it is mapped now.
    pub(crate) fn of(pid: i32, mappings: &[Mapping], files: &mut Files) -> Modules {
        let mut modules = Modules::default();
        for mapping in mappings.iter().filter(|mapping| mapping.executable && mapping.inode != 0) {
            let paths = [
                PathBuf::from(format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end)),
                PathBuf::from(format!("/proc/{pid}/root{}", mapping.name)),
                PathBuf::from(&mapping.name),
            ];
            if let Some(file) = files.open(&paths, &mapping.name) {
                modules.place(files, file, mapping.start, mapping.size(), mapping.offset);
            }
        }
        modules
    }

    /// Code was mapped from an open file of a process.
    pub(crate) fn map(&mut self, files: &mut Files, pid: i32, descriptor: i32, start: u64, length: u64, offset: u64) {
        let path = PathBuf::from(format!("/proc/{pid}/fd/{descriptor}"));
        let name = std::fs::read_link(&path).unwrap_or_default().to_string_lossy().into_owned();
        if let Some(file) = files.open(&[path], &name) {
            self.place(files, file, start, length, offset);
        }
    }

    fn place(&mut self, files: &Files, file: u32, start: u64, length: u64, offset: u64) {
        self.state = STATES.fetch_add(1, Ordering::Relaxed) + 1;
        let end = start.saturating_add(length);
        let covered: Vec<u64> =
            self.placed.range(..end).filter(|(_, old)| old.end > start).map(|(&at, _)| at).collect();
        for at in covered {
            self.placed.remove(&at);
            self.unwinder.remove_module(at);
        }
        let Some(segment) = files.segment(file, offset) else { return };
        let bias = start.wrapping_sub(segment.address.wrapping_add(offset).wrapping_sub(segment.offset));
        self.placed.insert(start, Placed { end, file, bias });
        let sections = files.sections(file);
        let range = |section: &super::file::Section| section.as_ref().map(|(range, _)| range.clone());
        let bytes = |section: &super::file::Section| section.as_ref().map(|(_, bytes)| bytes.clone());
        let info = ExplicitModuleSectionInfo {
            base_svma: 0,
            text_svma: sections.text.clone(),
            got_svma: sections.got.clone(),
            eh_frame_svma: range(&sections.eh_frame),
            eh_frame: bytes(&sections.eh_frame),
            eh_frame_hdr_svma: range(&sections.eh_frame_hdr),
            eh_frame_hdr: bytes(&sections.eh_frame_hdr),
            ..ExplicitModuleSectionInfo::default()
        };
        self.unwinder.add_module(Module::new(String::new(), start..end, bias, info));
    }

    /// Tells states apart: where it is the same, a stack with the same words has the same frames.
    pub(super) fn state(&self) -> u64 {
        self.state
    }

    /// The addresses of a stack, for callers one byte before where they go on, the innermost first. Returns the words that
    /// were read.
    pub(super) fn unwind(
        &self,
        sample: &Sample,
        cache: &mut Cache,
        depth: usize,
        addresses: &mut Vec<u64>,
    ) -> Vec<Word> {
        self.unwind_by(sample, cache, depth, addresses, |_, word| word)
    }

    /// The same, as if there were other words: `change` is given the address and the word of each.
    pub(super) fn unwind_by(
        &self,
        sample: &Sample,
        cache: &mut Cache,
        depth: usize,
        addresses: &mut Vec<u64>,
        mut change: impl FnMut(u64, Result<u64, ()>) -> Result<u64, ()>,
    ) -> Vec<Word> {
        addresses.clear();
        let mut words = Vec::new();
        let registers = UnwindRegsX86_64::new(sample.instruction, sample.stack, sample.frame);
        let mut read = |address| {
            let word = change(address, sample.word(address));
            words.push((address, word));
            word
        };
        let mut frames = self.unwinder.iter_frames(sample.instruction, registers, &mut cache.0, &mut read);
        while let Ok(Some(frame)) = frames.next() {
            let address = match frame {
                FrameAddress::InstructionPointer(address) => address,
                FrameAddress::ReturnAddress(address) => address.get() - 1,
            };
            addresses.push(address);
            if addresses.len() >= depth {
                break;
            }
        }
        words
    }

    /// The place of an address.
    pub(super) fn frame(&self, address: u64) -> Frame {
        match self.placed.range(..=address).next_back() {
            Some((_, placed)) if address < placed.end => {
                Frame { file: Some(placed.file), address: address.wrapping_sub(placed.bias) }
            }
            _ => Frame { file: None, address: 0 },
        }
    }

    /// Whether an address is in code that is known.
    pub(crate) fn knows(&self, address: u64) -> bool {
        self.placed.range(..=address).next_back().is_some_and(|(_, placed)| address < placed.end)
    }

    /// Whether libc's own malloc is the one that programs call: it is there, and no library that brings another.
    pub(crate) fn is_on_glibc(&self, files: &Files) -> bool {
        let names = || self.placed.values().map(|placed| files.file_name(placed.file));
        let is_libc = |name: &str| name == "libc.so.6" || name.starts_with("libc-2.");
        let is_other = |name: &str| name.contains("libbrkmap") || crate::model::in_force::known_library(name).is_some();
        names().any(is_libc) && !names().any(is_other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enters a file as if a process had mapped it, and unwinds through it.
    fn use_file(bytes: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bent");
        std::fs::write(&path, bytes).unwrap();
        let mut files = Files::default();
        let file = files.open(&[path], "/bin/bent")?;
        let mut modules = Modules::default();
        for offset in [0, 0x2000, 0x5000] {
            modules.place(&files, file, (1 << 40) + offset, 0x2000, offset);
        }
        let words: Vec<u8> = (0..64u64).flat_map(|word| ((1 << 40) + word * 0x111).to_le_bytes()).collect();
        let (mut cache, mut addresses) = (Cache::default(), Vec::new());
        for instruction in (0..20).map(|step| (1 << 40) + step * 0x777) {
            let sample = Sample { instruction, stack: 0x7000, frame: 0x7010, bytes: words[..].into() };
            modules.unwind(&sample, &mut cache, 16, &mut addresses);
        }
        let frame = modules.frame(1 << 40);
        let _ = files.line(frame);
        Some(files.name(frame).file)
    }

    #[test]
    fn damaged_files_are_no_error() {
        let whole = std::fs::read("/bin/true").unwrap();
        assert_eq!(use_file(&whole).as_deref(), Some("bent"));
        for length in [0, 3, 64, 1000, whole.len() / 2, whole.len() - 1] {
            use_file(&whole[..length]);
        }
        // Headers, segments, sections, unwinding information.
        let places = (0..900).step_by(7).chain((0..whole.len()).step_by(401));
        for at in places {
            let mut bent = whole.clone();
            bent[at] ^= 1 << (at % 8);
            bent[(at + at % 5) % whole.len()] ^= 0xff;
            use_file(&bent);
        }
    }

    #[test]
    fn what_is_mapped_over_code_takes_its_place() {
        let mut files = Files::default();
        let file = files.open(&[PathBuf::from("/bin/true")], "/bin/true").unwrap();
        let mut modules = Modules::default();
        modules.place(&files, file, 0x10000, 0x4000, 0);
        assert!(modules.knows(0x10000) && modules.knows(0x13fff) && !modules.knows(0x14000));
        modules.place(&files, file, 0x12000, 0x4000, 0);
        assert!(!modules.knows(0x10000) && modules.knows(0x15fff), "the old range is gone as a whole");
    }
}
