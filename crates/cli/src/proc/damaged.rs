//! Damaged texts and page tables; see [`crate::damage`].

use super::residency::{OS_PAGE, Residency, Stretch};
use super::{cgroup, pagemap, smaps, stat, status};
use crate::damage::{campaign, damage, damaged_text};
use crate::heap::runtime::kind;
use crate::model::snapshot::Snapshot;
use crate::model::waterfall::{Waterfall, kind_of};

/// A process as the kernel shows it, in short.
const SMAPS: &str = "\
55d0c0a00000-55d0c0a02000 r-xp 00001000 fe:00 1234                       /usr/bin/my program (deleted)
Size:                  8 kB
Rss:                   4 kB
VmFlags: rd mr mw me
55d0c0a02000-55d0c0a04000 rw-p 00001000 fe:00 1234                       /usr/bin/my program (deleted)
Rss:                   8 kB
55d0c1a02000-55d0c1b04000 rw-p 00000000 00:00 0                          [heap]
Rss:                1024 kB
Swap:                 12 kB
LazyFree:              4 kB
AnonHugePages:         0 kB
7f1000000000-7f1000001000 ---p 00000000 00:00 0 
Rss:                   0 kB
7f1000001000-7f1000801000 rw-p 00000000 00:00 0 
Rss:                  96 kB
AnonHugePages:      2048 kB
7f2000000000-7f2000200000 rw-s 00000000 00:01 77                         /dev/shm/x
Rss:                2048 kB
ShmemPmdMapped:     2048 kB
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
Rss:                  12 kB
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";
const STATUS: &str = "Name:\tmy: prog\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t12\nPPid:\t3\nTracerPid:\t0\n\
    Uid:\t1000\t0\t0\t0\nVmPeak:\t 60 kB\nVmHWM:\t    40 kB\nVmRSS:\t  36 kB\nVmData:\t 8 kB\nVmSwap:\t 4 kB\n\
    Threads:\t5\nCapPrm:\t0000000000002000\n";
const STAT: &str = "77 (a) R 1 (b)) S 1 77 77 0 -1 4194304 310 9 2 8 15 6 0 0 20 0 1 0 12345 8192 100";
const GROUPS: &str = "12:memory:/docker/abc\n1:name=systemd:/x\n0::/user.slice/a.scope\n";
const MOUNTS: &str = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n\
    41 30 0:37 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";

#[test]
fn mappings_survive_whatever_the_text_is() {
    campaign("smaps and maps", 250_000, |random| {
        let text = damaged_text(SMAPS, random);
        let mappings = smaps::parse(&text);
        assert!(mappings.iter().all(|mapping| mapping.start <= mapping.end));
        assert!(mappings.windows(2).all(|pair| pair[0].end <= pair[1].start));
        assert!(mappings.iter().all(|mapping| mapping.rss <= mapping.size() && mapping.huge <= mapping.size()));
        for index in 0..mappings.len() {
            let _ = (kind_of(&mappings, index), mappings[index].file_name());
        }
        let _ = kind::of_files(&mappings, None);
        let rss: u64 = mappings.iter().map(|mapping| mapping.rss).sum();
        let snapshot = Snapshot { mappings, ..Snapshot::default() };
        assert_eq!(Waterfall::of(&snapshot).rss(), rss);
    });
}

#[test]
fn other_texts_of_the_kernel_survive_too() {
    campaign("status, stat, groups, mounts", 200_000, |random| match random.below(4) {
        0 => drop(status::parse(&damaged_text(STATUS, random))),
        1 => drop(stat::parse(&damaged_text(STAT, random))),
        2 => drop(cgroup::limit(&damaged_text("9223372036854771712\n", random))),
        _ => {
            let (groups, mounts) = (damaged_text(GROUPS, random), damaged_text(MOUNTS, random));
            let Some(group) = cgroup::parse(&groups) else { return };
            let Some((mounted, shown)) = cgroup::mount(&mounts, group.version) else { return };
            let folders = cgroup::folders(&group, &mounted, &shown);
            assert!(folders.iter().all(|folder| !folder.contains("/../")), "{folders:?}");
        }
    });
}

#[test]
fn page_tables_survive_whatever_they_say() {
    campaign("page tables", 200_000, |random| {
        let mut all = Residency::default();
        for _ in 0..random.below(8) {
            // The older interface, on from anywhere; then what the newer one might say.
            let mut entries: Vec<u8> = (0..random.below(12)).flat_map(|_| random.next().to_le_bytes()).collect();
            damage(&mut entries, random);
            let start = random.next() >> random.below(60) & !(OS_PAGE - 1);
            all.push_entries(start, &entries);
            assert!(pagemap::entries(&entries).count() <= entries.len() / 8);
            let (start, end) = (random.next() >> random.below(64), random.next() >> random.below(64));
            all.push(Stretch { start, end, categories: random.next() });
        }
        let (start, end) = (random.next() >> random.below(64), random.next() >> random.below(64));
        assert!(all.resident(start, end) <= end.saturating_sub(start));
        let mut last = 0;
        for stretch in all.within(0, u64::MAX) {
            assert!(stretch.start >= last && stretch.start < stretch.end);
            last = stretch.end;
        }
        let _ = all.is_resident(start);
    });
}
