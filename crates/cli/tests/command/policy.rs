//! What the report says of the policy, for programs whose moves, purges and pins are known.

use super::{brkmap, compile, output, report, row, stderr};
use serde_json::Value;

const MIB: u64 = 1 << 20;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Bytes that a process gave back by a rule.
fn returned(process: &Value, rule: &str) -> u64 {
    let rules = process["policy"]["given_back"].as_array().unwrap();
    number(&rules.iter().find(|entry| entry["rule"] == rule).unwrap()["bytes"])
}

/// Bytes that went back in all, by what the kernel was asked for.
fn told(process: &Value) -> u64 {
    let asked = &process["asked_of_kernel"];
    number(&asked["give_backs"]["bytes"]) + number(&asked["break"]["down"]["bytes"])
}

fn sum_of_rules(process: &Value) -> u64 {
    let rules = process["policy"]["given_back"].as_array().unwrap();
    rules.iter().map(|entry| number(&entry["bytes"])).sum()
}

#[test]
fn each_move_of_the_threshold_names_its_free() {
    let folder = tempfile::tempdir().unwrap();
    let source = "
        #include <stdio.h>
        #include <stdlib.h>
        #include <sys/wait.h>
        #include <unistd.h>
        int main(void) {
            char *volatile first = malloc(1000000), *volatile second = malloc(5000000);
            usleep(200000);
            free(first);
            usleep(200000);
            free(second);
            free(malloc(40 << 20));
            usleep(100000);
            if (fork() == 0) {
                char *volatile third = malloc(9000000);
                free(third);
                _exit(0);
            }
            wait(0);
            printf(\"%p\\n\", second);
            return 0;
        }";
    let program = compile(folder.path(), source, &[]);
    let (_, document) = report("brkmap", &[&program]);
    let main = &document["processes"][0];
    let threshold = &main["policy"]["mmap_thresholds"][0];
    // The request, 16 bytes of a chunk's header, in whole OS pages: glibc's rule.
    assert_eq!((number(&threshold["bytes"]), number(&threshold["moves"])), (5_001_216, 2));
    let kept = threshold["kept"].as_array().unwrap();
    let told = |moved: &Value| ["freed_bytes", "from_bytes", "to_bytes"].map(|key| number(&moved[key]));
    assert_eq!(told(&kept[0]), [1_000_000, 131_072, 1_003_520]);
    assert_eq!(told(&kept[1]), [5_000_000, 1_003_520, 5_001_216]);
    assert_eq!(kept.len(), 2, "a block above 32 MiB moves nothing");
    let times = [&kept[0], &kept[1]].map(|moved| number(&moved["after_us"]));
    assert!(times[0] >= 150_000 && times[1] >= times[0] + 190_000 && times[1] < 60_000_000, "{times:?}");
    assert!(kept.iter().all(|moved| moved["thread"] == main["pid"] && moved["before_fork"] == false));
    let child = &document["processes"][1]["policy"]["mmap_thresholds"][0];
    assert_eq!((number(&child["bytes"]), number(&child["moves"])), (9_003_008, 3));
    let inherited = child["kept"].as_array().unwrap().iter().map(|moved| moved["before_fork"] == true);
    assert_eq!(inherited.collect::<Vec<_>>(), [true, true, false]);

    let ran = output(&["run", "--ascii", "--", &program]);
    let text = stderr(&ran);
    let line = "threshold   mmap 128 KiB -> 980 KiB (free of 977 KiB) -> 4.8 MiB (free of 4.8 MiB)";
    assert!(text.lines().any(|shown| shown == line), "{text}");
    let address = String::from_utf8(ran.stdout).unwrap();
    assert!(address.starts_with("0x"));
}

#[test]
fn a_threshold_that_was_set_does_not_move() {
    let folder = tempfile::tempdir().unwrap();
    let source = "
        #include <malloc.h>
        #include <stdlib.h>
        int main(int argc, char **argv) {
            if (argc > 1) mallopt(M_MMAP_THRESHOLD, 200000);
            for (int step = 0; step < 40; step++) {
                char *volatile block = malloc((1 << 20) + (step << 16));
                free(block);
            }
            return 0;
        }";
    let program = compile(folder.path(), source, &[]);
    let threshold =
        |arguments: &[&str]| report("brkmap", arguments).1["processes"][0]["policy"]["mmap_thresholds"][0].clone();
    let fixed = threshold(&[&program, "fixed"]);
    assert_eq!((number(&fixed["bytes"]), number(&fixed["moves"])), (200_000, 0));
    assert_eq!(fixed["kept"].as_array().unwrap().len(), 0);
    let moved = threshold(&[&program]);
    let numbers: Vec<u64> = moved["kept"].as_array().unwrap().iter().map(|one| number(&one["number"])).collect();
    assert_eq!((number(&moved["moves"]), numbers), (40, vec![1, 34, 35, 36, 37, 38, 39, 40]));
    let text = stderr(&output(&["run", "--ascii", "--", &program]));
    let line = "threshold   mmap 128 KiB -> 1.0 MiB (free of 1.0 MiB), 39 more moves -> 3.4 MiB (free of 3.4 MiB)";
    assert!(text.lines().any(|shown| shown == line), "{text}");
}

/// 64 MiB in blocks of 1024 bytes, of which one in 64 is kept; then what `end` does.
fn sparse(end: &str) -> String {
    format!(
        "#include <malloc.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        int main(void) {{
            static void *p[65536];
            for (int i = 0; i < 65536; i++) memset(p[i] = malloc(1024), 1, 1024);
            for (int i = 0; i < 65536; i++) if (i % 64) free(p[i]);
            {end}
            _exit(0);
        }}"
    )
}

#[test]
fn what_went_back_has_its_rule() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), &sparse("malloc_trim(0);"), &[]);
    let (_, document) = report("brkmap", &["env", "BRKMAP_CONF=background:off,purge_delay_ms:60000,thp:off", &program]);
    let main = &document["processes"][0];
    // 64 blocks take 16 OS pages, of which one stays: 60 MiB of 64 go; and no rest of a huge page.
    let purged = number(&main["asked_of_kernel"]["give_backs"]["bytes"]);
    assert!((59 * MIB..=60 * MIB).contains(&purged), "{main:#}");
    assert_eq!((sum_of_rules(main), told(main)), (told(main), returned(main, "trim")));

    let program = compile(folder.path(), &sparse("usleep(4000000);"), &[]);
    let file = folder.path().join("report.json");
    let ran = brkmap(&["run", "--json", "-o", file.to_str().unwrap(), "--", &program]).output().unwrap();
    assert!(ran.status.success());
    let document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let main = &document["processes"][0];
    let holes = returned(main, "holes");
    assert!((58 * MIB..=60 * MIB).contains(&holes), "{main:#}");
    assert_eq!((returned(main, "trim"), sum_of_rules(main)), (0, told(main)));
    let text = stderr(&output(&["run", "--", &program]));
    assert!(text.lines().any(|line| line.starts_with("by rule     holes in pages ")), "{text}");
}

#[test]
fn a_limit_and_a_refusal_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let source = "
        #include <stdlib.h>
        #include <string.h>
        #include <sys/resource.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            static void *p[30000];
            for (int i = 0; i < 30000; i++) memset(p[i] = malloc(1000), 1, 1000);
            for (int i = 0; i < 30000; i++) free(p[i]);
            struct rlimit room = {64 << 20, 64 << 20};
            if (argc > 1) setrlimit(RLIMIT_AS, &room);
            char *volatile block = malloc(40 << 20);
            _exit(argc > 1 ? block != 0 : block == 0);
        }";
    let program = compile(folder.path(), source, &[]);
    let quiet = "background:off,purge_delay_ms:60000";
    let limited = format!("BRKMAP_CONF=limit:64M,{quiet}");
    let (status, document) = report("brkmap", &["env", &limited, &program]);
    assert_eq!(status, 0);
    let main = &document["processes"][0];
    assert!(returned(main, "limit") > 20 * MIB, "{main:#}");
    assert_eq!(sum_of_rules(main), told(main));
    let (status, document) = report("brkmap", &["env", &format!("BRKMAP_CONF={quiet}"), &program, "refused"]);
    assert_eq!(status, 0, "the kernel refused the block");
    let main = &document["processes"][0];
    assert!(returned(main, "refusal") > 20 * MIB, "{main:#}");
}

#[test]
fn what_stayed_is_told_by_its_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let source = "
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        int main(void) {
            static void *small[40000], *large[4000];
            for (int i = 0; i < 40000; i++) memset(small[i] = malloc(512), 1, 512);
            for (int i = 0; i < 4000; i++) memset(large[i] = malloc(2048), 1, 2048);
            for (int i = 0; i < 40000; i++) if (i % 8) free(small[i]);
            for (int i = 0; i < 4000; i++) if (i % 2) free(large[i]);
            _exit(0);
        }";
    let program = compile(folder.path(), source, &[]);
    let (_, document) = report("brkmap", &["env", "BRKMAP_CONF=background:off,purge_delay_ms:60000,thp:off", &program]);
    let main = &document["processes"][0];
    let pins = main["policy"]["pinned"].as_array().unwrap();
    let field = |index: usize, key: &str| number(&pins[index][key]);
    // Each OS page of the first kind holds one block in eight, each of the second one of two.
    assert_eq!((field(0, "block_bytes"), field(1, "block_bytes")), (512, 2048));
    assert!(field(0, "live_blocks").abs_diff(5000) < 20, "{pins:#?}");
    assert!(field(0, "os_pages").abs_diff(5000) < 20, "{pins:#?}");
    assert!(field(0, "free_bytes").abs_diff(5000 * (4096 - 512)) < 200_000, "{pins:#?}");
    assert!(field(1, "live_blocks").abs_diff(2000) < 40, "{pins:#?}");
    assert!(field(1, "free_bytes").abs_diff(2000 * 2048) < 400_000, "{pins:#?}");
    let sum: u64 = (0..pins.len()).map(|index| field(index, "free_bytes")).sum();
    assert!(sum.abs_diff(row(main, "pinned_free")) <= 4096 * 8, "{sum} of {}", row(main, "pinned_free"));
    let text = stderr(&output(&["run", "--", &program]));
    let (stayed, more) = ("stayed      17", " live blocks of 512 B keep ");
    assert!(text.lines().any(|line| line.starts_with(stayed) && line.contains(more)), "{text}");
    assert!(text.lines().count() <= 30, "{text}");
}

#[test]
fn programs_without_news_get_no_lines() {
    let text = stderr(&output(&["run", "--", "true"]));
    for subject in ["threshold ", "by rule ", "stayed "] {
        assert!(!text.lines().any(|line| line.starts_with(subject)), "{text}");
    }
    let (_, system) = report("system", &["true"]);
    assert_eq!(system["processes"][0]["policy"], Value::Null, "of a foreign malloc nothing is known");
}

#[test]
fn moves_of_several_threads_form_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let source = "
        #include <pthread.h>
        #include <stdlib.h>
        static pthread_barrier_t barrier;
        static void *work(void *number) {
            pthread_barrier_wait(&barrier);
            for (long step = 0; step < 500; step++) {
                char *volatile block = malloc((256 << 10) + (4 * step + (long)number) * 8192);
                free(block);
            }
            return 0;
        }
        int main(void) {
            pthread_t threads[4];
            pthread_barrier_init(&barrier, 0, 4);
            for (long i = 0; i < 4; i++) pthread_create(&threads[i], 0, work, (void *)i);
            for (long i = 0; i < 4; i++) pthread_join(threads[i], 0);
            return 0;
        }";
    let program = compile(folder.path(), source, &["-pthread"]);
    let (_, document) = report("brkmap", &[&program]);
    let threshold = &document["processes"][0]["policy"]["mmap_thresholds"][0];
    let kept = threshold["kept"].as_array().unwrap();
    assert_eq!(kept.len(), 8, "{threshold:#}");
    // The largest block counts in any case, and no move leads down.
    let last = kept.last().unwrap();
    let largest = (256 << 10) + 1999 * 8192 + 4096;
    assert_eq!((number(&threshold["bytes"]), number(&last["to_bytes"])), (largest, largest), "{threshold:#}");
    for moved in kept {
        let (freed, from, to) =
            (number(&moved["freed_bytes"]), number(&moved["from_bytes"]), number(&moved["to_bytes"]));
        assert!(from < to && to == (freed + 16).next_multiple_of(4096), "{moved:#}");
    }
    assert!(kept.windows(2).all(|pair| number(&pair[0]["to_bytes"]) <= number(&pair[1]["from_bytes"])), "{kept:#?}");
}
