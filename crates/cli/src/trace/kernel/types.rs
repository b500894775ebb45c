//! Where the fields lie that the programs need, from the kernel's own description of its types (BTF).
//!
//! Whatever the bytes are, the answer is what was found or `None`: another kernel may have other structures.

/// Offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// `task_struct.mm`
    pub(super) memory: i32,
    /// `task_struct.ptrace`: not 0 while the thread has a tracer.
    pub(super) traced: i32,
    /// `mm_struct.start_brk` and `mm_struct.brk`
    pub(super) bottom: i32,
    pub(super) top: i32,
    /// `mm_struct.start_stack`: above it lie the program's words and variables, and no frames.
    pub(super) stack: i32,
    /// `mm_struct.rss_stat`: an array of four `percpu_counter`
    pub(super) counts: i32,
    /// Size of a `percpu_counter`, and its fields `count` and `counters`.
    pub(super) counter_size: i32,
    pub(super) count: i32,
    pub(super) locals: i32,
    /// `bpf_array.pptrs`: where a map with a value for each processor keeps the address that all of them share.
    pub(super) shared: i32,
}

const HEADER: usize = 24;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;

#[derive(Clone, Copy)]
struct Type {
    kind: u32,
    name: usize,
    size: u32,
    members: usize,
    has_bit_fields: bool,
    /// Where its members begin.
    at: usize,
}

struct Types<'a> {
    bytes: &'a [u8],
    names: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

impl<'a> Types<'a> {
    fn new(bytes: &'a [u8]) -> Option<Types<'a>> {
        const MAGIC: u32 = 0xeb9f;
        if word(bytes, 0)? & 0xffff != MAGIC || word(bytes, 4)? as usize != HEADER {
            return None;
        }
        let part = |at: usize| {
            let (start, length) = (word(bytes, at)? as usize + HEADER, word(bytes, at + 4)? as usize);
            bytes.get(start..start.checked_add(length)?)
        };
        Some(Types { bytes: part(8)?, names: part(16)? })
    }

    /// The type that begins at `at`, and where the next one does.
    fn read(&self, at: usize) -> Option<(Type, usize)> {
        let (name, info, size) = (word(self.bytes, at)?, word(self.bytes, at + 4)?, word(self.bytes, at + 8)?);
        let (kind, count) = (info >> 24 & 31, (info & 0xffff) as usize);
        // Bytes behind the head, by kind: integers, arrays, structures, unions, enumerations, functions, variables …
        let behind = match kind {
            1 | 14 | 17 => 4,
            ARRAY => 12,
            STRUCT | UNION | 15 | 19 => 12 * count,
            6 | 13 => 8 * count,
            2 | 7..=12 | 16 | 18 => 0,
            _ => return None,
        };
        let has_bit_fields = info >> 31 != 0;
        let found = Type { kind, name: name as usize, size, members: count, has_bit_fields, at: at + 12 };
        Some((found, at + 12 + behind))
    }

    fn is_named(&self, at: usize, name: &str) -> bool {
        let rest = self.names.get(at..).unwrap_or_default();
        rest.starts_with(name.as_bytes()) && rest.get(name.len()) == Some(&0)
    }

    /// Offset and type of a member, also of one in a nameless structure within. `starts` are the places of all types read.
    fn member(&self, of: Type, name: &str, starts: &[usize], depth: u32) -> Option<(i32, u32)> {
        for index in 0..of.members {
            let at = of.at + 12 * index;
            let (called, kind, bits) = (word(self.bytes, at)?, word(self.bytes, at + 4)?, word(self.bytes, at + 8)?);
            let offset = (if of.has_bit_fields { bits & 0xff_ffff } else { bits } / 8) as i32;
            if called != 0 {
                if self.is_named(called as usize, name) {
                    return Some((offset, kind));
                }
            } else if depth > 0
                && let Some(&start) = starts.get(kind as usize)
                && let Some((inner, _)) = self.read(start)
                && matches!(inner.kind, STRUCT | UNION)
                && let Some((within, kind)) = self.member(inner, name, starts, depth - 1)
            {
                return Some((offset + within, kind));
            }
        }
        None
    }
}

/// Finds the places in the bytes of `/sys/kernel/btf/vmlinux`.
pub(super) fn places(bytes: &[u8]) -> Option<Places> {
    let types = Types::new(bytes)?;
    // By number; 0 is `void`.
    let mut starts = vec![usize::MAX];
    let (mut task, mut memory, mut counter, mut map) = (None, None, None, None);
    let mut at = 0;
    while at < types.bytes.len() && (task.is_none() || memory.is_none() || counter.is_none() || map.is_none()) {
        let (found, next) = types.read(at)?;
        let number = starts.len();
        match found.kind {
            STRUCT if task.is_none() && types.is_named(found.name, "task_struct") => task = Some(found),
            STRUCT if memory.is_none() && types.is_named(found.name, "mm_struct") => memory = Some(found),
            STRUCT if counter.is_none() && types.is_named(found.name, "percpu_counter") => {
                counter = Some((found, number as u32));
            }
            STRUCT if map.is_none() && types.is_named(found.name, "bpf_array") => map = Some(found),
            _ => {}
        }
        starts.push(at);
        at = next;
    }
    let (counter, counter_number) = counter?;
    let (counts, array) = types.member(memory?, "rss_stat", &starts, 2)?;
    let (array, _) = types.read(*starts.get(array as usize)?)?;
    // Element's type and number of elements: files, anonymous, swap, shared memory.
    let is_known =
        array.kind == ARRAY && word(types.bytes, array.at)? == counter_number && word(types.bytes, array.at + 8)? == 4;
    is_known.then_some(())?;
    Some(Places {
        memory: types.member(task?, "mm", &starts, 2)?.0,
        traced: types.member(task?, "ptrace", &starts, 2)?.0,
        bottom: types.member(memory?, "start_brk", &starts, 2)?.0,
        top: types.member(memory?, "brk", &starts, 2)?.0,
        stack: types.member(memory?, "start_stack", &starts, 2)?.0,
        counts,
        counter_size: counter.size as i32,
        count: types.member(counter, "count", &starts, 0)?.0,
        locals: types.member(counter, "counters", &starts, 0)?.0,
        shared: types.member(map?, "pptrs", &starts, 2)?.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, then types: one after the other, as the kernel has them.
    struct Made {
        types: Vec<u32>,
        names: Vec<u8>,
    }

    impl Made {
        fn name(&mut self, name: &str) -> u32 {
            let at = self.names.len() as u32;
            self.names.extend(name.bytes().chain([0]));
            at
        }

        fn structure(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) {
            let name = if name.is_empty() { 0 } else { self.name(name) };
            self.types.extend([name, STRUCT << 24 | members.len() as u32, size]);
            for &(called, kind, bytes) in members {
                let called = if called.is_empty() { 0 } else { self.name(called) };
                self.types.extend([called, kind, bytes * 8]);
            }
        }

        fn bytes(&self) -> Vec<u8> {
            let types: Vec<u8> = self.types.iter().flat_map(|word| word.to_le_bytes()).collect();
            let sizes = [0, types.len(), types.len(), self.names.len()].map(|word| word as u32);
            let head = [0x1_eb9f, HEADER as u32].into_iter().chain(sizes);
            head.flat_map(u32::to_le_bytes).chain(types).chain(self.names.iter().copied()).collect()
        }
    }

    fn kernel() -> Made {
        let mut made = Made { types: Vec::new(), names: vec![0] };
        // 1: an integer. 2: the counter. 3: four of it. 4: a nameless structure. 5: mm_struct. 6: task_struct. 7: bpf_array.
        made.types.extend([0, 1 << 24, 8, 64]);
        made.structure("percpu_counter", 40, &[("lock", 1, 0), ("count", 1, 8), ("counters", 1, 32)]);
        made.types.extend([0, ARRAY << 24, 0, 2, 1, 4]);
        made.structure(
            "",
            900,
            &[("start_brk", 1, 456), ("brk", 1, 464), ("start_stack", 1, 472), ("rss_stat", 3, 640)],
        );
        made.structure("mm_struct", 1000, &[("", 4, 64)]);
        made.structure("task_struct", 3000, &[("state", 1, 0), ("ptrace", 1, 48), ("mm", 1, 1136)]);
        made.structure("bpf_array", 320, &[("map", 1, 0), ("pptrs", 1, 264)]);
        made
    }

    #[test]
    fn fields_are_found_also_within_nameless_structures() {
        let expected = Places {
            memory: 1136,
            traced: 48,
            bottom: 520,
            top: 528,
            stack: 536,
            counts: 704,
            counter_size: 40,
            count: 8,
            locals: 32,
            shared: 264,
        };
        assert_eq!(places(&kernel().bytes()), Some(expected));
    }

    #[test]
    fn other_structures_and_broken_bytes_are_none() {
        let whole = kernel().bytes();
        for end in 0..whole.len() {
            let _ = places(&whole[..end]);
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bent = whole.clone();
                bent[at] ^= 1 << bit;
                let _ = places(&bent);
            }
        }
        let mut made = kernel();
        // Five counters are none that we know.
        let at = made.types.windows(3).position(|words| words == [2, 1, 4]).unwrap();
        made.types[at + 2] = 5;
        assert_eq!(places(&made.bytes()), None);
        assert_eq!(places(b""), None);
    }
}
