//! The order of the sources, what is said, and that no input does harm.

use super::*;

fn read_all(entries: &[&str], compiled: Option<&str>) -> (Settings, String) {
    let mut said = String::new();
    let settings = read(entries.iter().map(|e| e.as_bytes()), compiled.map(str::as_bytes), &mut |complaint| {
        said.push_str(core::str::from_utf8(complaint.line().bytes()).unwrap());
    });
    (settings, said)
}

fn quiet(entries: &[&str]) -> Settings {
    let (settings, said) = read_all(entries, None);
    assert_eq!(said, "");
    settings
}

fn said(entries: &[&str]) -> String {
    read_all(entries, None).1
}

#[test]
fn nothing_is_set_by_an_ordinary_environment() {
    assert_eq!(
        quiet(&["HOME=/", "MALLOC=1", "MALLOC_X=2", "GLIBC_TUNABLES=", "BRKMAP=1", "B", "=", ""]),
        Settings::NONE
    );
}

#[test]
fn every_source_overrides_the_one_before_it() {
    let sources =
        ["MALLOC_TOP_PAD_=2", "GLIBC_TUNABLES=glibc.malloc.top_pad=3", "BRKMAP_CONF=top_pad:4", "BRKMAP_TOP_PAD=5"];
    assert_eq!(read_all(&[], Some("top_pad:1")).0.get(Key::TopPad), Some(1));
    for count in 1..=sources.len() {
        for turn in 0..count {
            let mut entries = sources[..count].to_vec();
            entries.rotate_left(turn);
            let (settings, said) = read_all(&entries, Some("top_pad:1,use:brk"));
            assert_eq!(said, "");
            assert_eq!(settings.get(Key::TopPad), Some(count + 1), "{entries:?}");
            assert_eq!(settings.mechanisms(), Some(Mechanisms::Break));
        }
    }
}

#[test]
fn of_equal_variables_the_first_counts_and_of_tunables_the_last() {
    let settings = quiet(&["MALLOC_TOP_PAD_=1", "MALLOC_TOP_PAD_=2", "BRKMAP_LIMIT=3", "BRKMAP_LIMIT=4"]);
    assert_eq!((settings.get(Key::TopPad), settings.get(Key::Limit)), (Some(1), Some(3)));
    let settings = quiet(&["GLIBC_TUNABLES=glibc.malloc.top_pad=1:glibc.malloc.top_pad=2"]);
    assert_eq!(settings.get(Key::TopPad), Some(2));
}

#[test]
fn glibcs_variables_and_tunables() {
    let settings = quiet(&[
        "MALLOC_MMAP_THRESHOLD_=65536",
        "MALLOC_TRIM_THRESHOLD_=-1",
        "MALLOC_TOP_PAD_=0x1000",
        "MALLOC_MMAP_MAX_=7",
        "MALLOC_ARENA_MAX=2",
        "MALLOC_ARENA_TEST=8",
        "MALLOC_PERTURB_=42",
        "MALLOC_CHECK_=3",
        "GLIBC_TUNABLES=glibc.malloc.mxfast=0:glibc.malloc.tcache_count=0:glibc.malloc.tcache_max=64:\
         glibc.malloc.tcache_unsorted_limit=9:glibc.malloc.hugetlb=2:glibc.pthread.rseq=0",
    ]);
    let expected = [
        (Key::MmapThreshold, 65536),
        (Key::TrimThreshold, usize::MAX),
        (Key::TopPad, 4096),
        (Key::MmapMax, 7),
        (Key::ArenaMax, 2),
        (Key::ArenaTest, 8),
        (Key::Perturb, 42),
        (Key::Check, 3),
        (Key::Mxfast, 0),
        (Key::TcacheCount, 0),
        (Key::TcacheMax, 64),
        (Key::Thp, 1),
    ];
    for (key, value) in expected {
        assert_eq!(settings.get(key), Some(value), "{key:?}");
    }
    assert_eq!(settings.present.count_ones() as usize, expected.len());
}

#[test]
fn glibcs_names_are_ignored_where_they_make_no_sense() {
    let entries = [
        "MALLOC_ARENA_MAX=0",
        "MALLOC_ARENA_TEST=x",
        "MALLOC_MMAP_MAX_=-1",
        "MALLOC_MMAP_THRESHOLD_=64k",
        "MALLOC_TOP_PAD_=",
        "MALLOC_PERTURB_=256",
        "MALLOC_CHECK_=4",
        "MALLOC_TCACHE_COUNT=3",
        "GLIBC_TUNABLES=glibc.malloc.mxfast=161:glibc.malloc.tcache_count=65536:glibc.malloc.tcache_max=1033:=:::\
         glibc.malloc:glibc.malloc.=1:glibc.malloc.nonsense=3:glibc.malloc.perturb=",
    ];
    assert_eq!(quiet(&entries), Settings::NONE);
}

#[test]
fn our_list_and_our_variables() {
    let settings = quiet(&[
        "BRKMAP_CONF= mmap_threshold : 64k , use:mmap,background:off,limit:1.5G,,show_stats:on,",
        "BRKMAP_PURGE_DELAY_MS=250",
        "BRKMAP_STATS_PRINT=0",
        "BRKMAP_ABORT_CONF=true",
        "BRKMAP_THP=yes",
    ]);
    assert_eq!(settings.get(Key::MmapThreshold), Some(65536));
    assert_eq!(settings.mechanisms(), Some(Mechanisms::Mappings));
    assert_eq!(settings.background(), Some(Background::Off));
    assert_eq!(settings.get(Key::Limit), Some(3 << 29));
    assert_eq!(settings.get(Key::PurgeDelayMs), Some(250));
    assert!(!settings.is_on(Key::ShowStats) && settings.is_on(Key::AbortConf) && settings.is_on(Key::Thp));
    let line = Line::of_settings(&settings);
    assert_eq!(
        core::str::from_utf8(line.bytes()).unwrap(),
        "brkmap: settings: mmap_threshold=65536 thp=1 use=mmap background=off limit=1610612736 show_stats=0 \
         purge_delay_ms=250 abort_conf=1\n"
    );
    assert_eq!(Line::of_settings(&quiet(&["BRKMAP_VERBOSE=1"])).bytes(), b"brkmap: settings: none\n");
}

#[test]
fn what_makes_no_sense_is_named_with_its_remedy() {
    assert_eq!(said(&["BRKMAP_CONF=thp_:1"]), "brkmap: unknown option \"thp_\": did you mean \"thp\"?\n");
    assert_eq!(said(&["BRKMAP_TRP=1"]), "brkmap: unknown variable \"BRKMAP_TRP\": did you mean \"BRKMAP_THP\"?\n");
    assert_eq!(said(&["BRKMAP_thp=1"]), "brkmap: unknown variable \"BRKMAP_thp\": did you mean \"BRKMAP_THP\"?\n");
    assert_eq!(said(&["BRKMAP_CONV=x:1"]), "brkmap: unknown variable \"BRKMAP_CONV\": did you mean \"BRKMAP_CONF\"?\n");
    assert_eq!(
        said(&["BRKMAP_CONF=mmap_threshold:abc"]),
        "brkmap: option mmap_threshold: \"abc\" is no size; accepted: bytes, with k, M, G or T (powers of 1024), 0x for \
         hexadecimal, -1 for no bound\n"
    );
    assert_eq!(said(&["BRKMAP_PERTURB=300"]), "brkmap: option perturb: \"300\" is out of range; accepted: 0 to 255\n");
    assert_eq!(
        said(&["BRKMAP_USE=sbrk"]),
        "brkmap: option use: \"sbrk\" is no such word; accepted: brk+mmap, brk, mmap\n"
    );
    assert_eq!(said(&["BRKMAP_CONF=thp"]), "brkmap: option \"thp\" has no value; write it as key:value\n");
    assert!(said(&["BRKMAP_WALRUS=1"]).starts_with("brkmap: unknown variable \"BRKMAP_WALRUS\"; known: BRKMAP_CONF "));
    assert!(said(&["BRKMAP_CONF=walrus:1"]).ends_with(", abort_conf, verbose\n"));
    assert_eq!(said(&["BRKMAP_CONF=\u{1b}[31m:1"]).matches('\u{1b}').count(), 0);
    let many = "walrus:1,".repeat(100);
    assert_eq!(said(&[&format!("BRKMAP_CONF={many}")]).lines().count(), 8);
}

#[test]
fn variables_of_other_parts_of_the_project_are_left_alone() {
    assert_eq!(
        quiet(&["BRKMAP_MODEL_OPS=1", "BRKMAP_OUTPUT=x", "BRKMAP_LOG=", "BRKMAP_LIBRARY=libc.so.6"]),
        Settings::NONE
    );
    assert!(said(&["BRKMAP_LOGS=1"]).contains("BRKMAP_LOGS"));
}

/// A generator of bytes: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

const VALID: [&str; 7] = [
    "MALLOC_MMAP_THRESHOLD_=0x20000",
    "MALLOC_ARENA_MAX=2",
    "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072:glibc.malloc.tcache_count=0:glibc.malloc.check=3",
    "BRKMAP_CONF=mmap_threshold:64k,use:brk+mmap,limit:1.5G,background:auto,perturb:7",
    "BRKMAP_TRIM_THRESHOLD=10MiB",
    "BRKMAP_PURGE_DELAY_MS=50",
    "BRKMAP_CONF=pressure:off,limit:1G",
];

/// A valid entry with some bits flipped, bytes dropped and bytes put in; or, now and then, noise behind a prefix of ours.
fn hostile(random: &mut Random) -> Vec<u8> {
    if random.below(8) == 0 {
        let prefix = ["MALLOC_", "GLIBC_TUNABLES=", "BRKMAP_CONF=", "BRKMAP_"][random.below(4)];
        let mut entry = prefix.as_bytes().to_vec();
        entry.extend((0..random.below(60)).map(|_| random.next() as u8));
        return entry;
    }
    let mut entry = VALID[random.below(VALID.len())].as_bytes().to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(entry.len().max(1));
        match random.below(4) {
            0 if at < entry.len() => entry[at] ^= 1 << random.below(8),
            1 if at < entry.len() => drop(entry.remove(at)),
            2 => entry.insert(at.min(entry.len()), b":=,.-0k x"[random.below(9)]),
            _ => entry.truncate(at),
        }
    }
    entry
}

#[test]
fn a_million_hostile_inputs_do_no_harm() {
    let mut random = Random(0x6272_6b6d_6170);
    let (mut set, mut lines) = (0usize, 0usize);
    for round in 0..1_000_000 {
        let entry = hostile(&mut random);
        let compiled = (round % 16 == 0).then_some(&entry[..]);
        let settings = read(core::iter::once(&entry[..]), compiled, &mut |complaint| {
            lines += 1;
            // Making the line costs the most, without optimisation.
            if lines % 16 != 0 {
                return;
            }
            let line = complaint.line();
            let (last, rest) = line.bytes().split_last().unwrap();
            assert!(*last == b'\n' && rest.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' '), "{entry:?}");
        });
        // Whatever is set keeps to its option's range.
        for row in &options::OPTIONS {
            let value = settings.get(row.key);
            assert!(value.is_none_or(|v| row.least <= v && v <= row.most), "{}: {value:?} of {entry:?}", row.name);
        }
        set += (settings != Settings::NONE) as usize;
    }
    // The inputs are near enough to valid ones to reach the inside of the parser.
    assert!(set > 100_000 && lines > 100_000, "{set} set something, {lines} complaints");
}

#[test]
fn the_time_is_linear_in_the_length() {
    // The longest string that the kernel lets into an environment, of many kinds of entries; quadratic work would take
    // minutes.
    for unit in ["walrus:1,", ",", "thp:", "glibc.malloc.top_pad=1:", "=", ":", "mmap_threshold:1.5.5.5G,"] {
        let text = unit.repeat((128 << 10) / unit.len());
        for prefix in ["BRKMAP_CONF=", "GLIBC_TUNABLES=", "BRKMAP_", "MALLOC_"] {
            let start = std::time::Instant::now();
            let entry = format!("{prefix}{text}");
            read(core::iter::once(entry.as_bytes()), None, &mut |complaint| {
                let _ = complaint.line();
            });
            assert!(start.elapsed().as_secs() < 5, "{prefix}{unit}…");
        }
    }
}
