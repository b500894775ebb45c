//! `brkmap top`, live on a terminal and plainly through pipes.

use super::targets::{Target, build, program};
use super::tmux::Tmux;
use super::{brkmap, copy_program, output, stderr};
use serde_json::Value;
use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

const BRKMAP: &str = env!("CARGO_BIN_EXE_brkmap");

fn pins() -> Target {
    Target::start(Command::new(build("pins", "pins-top", &[])))
}

/// Numbers, with their units, become N; runs of blanks and of signs of a picture become one.
fn masked(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut words = Vec::new();
        for word in line.split_whitespace() {
            let is_number = |word: &str| {
                let digits = word.trim_start_matches(['+', '-']).trim_end_matches(['K', 'M', 'G', '%', ',']);
                digits.starts_with(|c: char| c.is_ascii_digit())
                    && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ':'))
            };
            words.push(match word {
                word if is_number(word) => "N".to_owned(),
                word if word.strip_suffix("/min").is_some_and(is_number) => "N/min".to_owned(),
                word => word.to_owned(),
            });
        }
        out += &words.join(" ");
        out.push('\n');
    }
    out.trim_end().to_owned()
}

/// Starts it on a terminal, and waits until it has judged `count` processes.
fn start(tmux: &Tmux, arguments: &str, word: &str) -> String {
    tmux.command(&format!("clear; {BRKMAP} top {arguments}"));
    tmux.sees(word)
}

#[test]
fn the_list_is_what_it_should_be_at_80_by_24() {
    let (target, small) = (pins(), Target::sick("small"));
    let tmux = Tmux::new(80, 24);
    let pids = format!("{} {} 999999999", target.pid(), small.pid());
    start(&tmux, &format!("-d 0.5 {pids}"), "fragmented");
    let screen =
        tmux.waits("a second verdict, and a growth", |screen| screen.contains(" fine ") && !screen.contains("- glibc"));
    let expected = "\
brkmap top N N processes: N looked at, N gone
RSS N live N returnable N pinned N growth N/min
PID RSS▼ LIVE RETURN PINNED GROWTH/m MALLOC VERDICT COMMAND
> N N N N N N glibc N fragmented pins-top
N N N N N N glibc N fine sick small
N N - - - - - gone";
    let shown: Vec<String> = masked(&screen).lines().take(6).map(str::to_owned).collect();
    assert_eq!(shown.join("\n"), expected, "{screen}");
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines.len(), 24);
    assert_eq!(lines[23].trim_end(), "F1Help  F3Search  F4Filter  F5Tree  F6Sort  Enter Page  F10Quit  +- 0.5 s");
    assert!(lines[6..23].iter().all(|line| line.trim().is_empty()), "{screen}");
}

#[test]
fn a_page_shows_waterfall_and_occupancy() {
    let target = pins();
    let tmux = Tmux::new(80, 24);
    start(&tmux, &format!("-d 0.5 {}", target.pid()), "fragmented");
    tmux.keys(&["Enter"]);
    let page = tmux.sees("sum = resident");
    assert!(page.starts_with(&format!(" pid {} ", target.pid())), "{page}");
    for part in ["RSS   ", "live  ", "fragmented: ", "free, on OS pages that stay", "confidence "] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // The look that fills the map may come a little later; the end of the page moves with it.
    let seen = RefCell::new(String::new());
    tmux.waits("a heat map", |_| {
        tmux.keys(&["End"]);
        std::thread::sleep(Duration::from_millis(200));
        *seen.borrow_mut() = tmux.screen();
        seen.borrow().contains("pinned by size")
    });
    let page = seen.into_inner();
    assert!(page.contains("64 B") && page.contains("would come back"), "{page}");
    tmux.keys(&["PageUp"]);
    tmux.sees("░░░░");
    tmux.keys(&["Home"]);
    tmux.sees("confidence ");
    tmux.keys(&["Escape"]);
    tmux.sees("PINNED");
}

#[test]
fn keys_do_what_the_help_says() {
    let targets = [pins(), Target::sick("small"), Target::sick("mapped")];
    let tmux = Tmux::new(132, 24);
    let pids: Vec<String> = targets.iter().map(Target::pid).collect();
    start(&tmux, &format!("-d 0.5 {}", pids.join(" ")), "F10Quit");
    // RSS falls: the mapped blocks are the largest, "small" the smallest.
    let selected = |pid: &str, screen: &str| {
        screen.lines().any(|line| line.starts_with('>') && line[1..].trim_start().starts_with(&format!("{pid} ")))
    };
    tmux.waits("selection", |screen| selected(&pids[2], screen));
    tmux.keys(&["Down"]);
    tmux.waits("the next one", |screen| selected(&pids[0], screen));
    tmux.keys(&["I"]);
    tmux.waits("the same one, the order inverted", |screen| screen.contains("RSS▲") && selected(&pids[0], screen));
    tmux.keys(&["F6"]);
    tmux.sees("Sort by");
    tmux.keys(&["Home", "Enter"]);
    tmux.sees("PID▼");
    tmux.types("/");
    tmux.sees("Search: _");
    tmux.types("mapped");
    tmux.waits("what was searched", |screen| screen.contains("Search: mapped_") && selected(&pids[2], screen));
    tmux.keys(&["Enter", "F4"]);
    tmux.types("small");
    tmux.waits("only what fits", |screen| {
        screen.contains("Filter: small_") && selected(&pids[1], screen) && !screen.contains(" mapped")
    });
    tmux.keys(&["Enter", "Escape"]);
    tmux.waits("all again", |screen| screen.contains(" mapped") && screen.contains("F1Help"));
    tmux.keys(&["Home", "Space"]);
    tmux.sees("1 tagged: RSS");
    tmux.types("U");
    tmux.waits("no tag", |screen| !screen.contains("tagged"));
    tmux.types("+");
    tmux.sees("+- 1 s");
    tmux.types("Z");
    tmux.sees("standing still");
    tmux.types("Z");
    tmux.keys(&["F5"]);
    tmux.types("h");
    tmux.sees("malloc_trim(0)");
    tmux.types("q");
    tmux.sees("PID▼");
    tmux.types("q");
    tmux.waits("the shell", |screen| screen.trim_end().ends_with('$'));
}

#[test]
fn processes_that_end_are_shown_as_such_and_stop_nothing() {
    let (mut target, other) = (pins(), Target::sick("small"));
    let tmux = Tmux::new(80, 24);
    start(&tmux, &format!("-d 0.25 {} {}", target.pid(), other.pid()), "fragmented");
    tmux.keys(&["Enter"]);
    tmux.sees("sum = resident");
    target.kill();
    tmux.sees("It has ended");
    tmux.keys(&["Escape"]);
    // Its parent, this test, has not asked for its end yet.
    tmux.waits("its end", |screen| screen.contains("zombie") || screen.contains("gone"));
    drop(target);
    let screen = tmux.sees("gone");
    assert!(screen.contains(", 1 gone"), "{screen}");
    tmux.sees(" fine ");
}

#[test]
fn without_colour_nothing_is_lost_and_with_it_words_stay() {
    let (target, small) = (pins(), Target::sick("small"));
    let is_colour = |painted: &str| painted.contains("[38;5;");
    for (variable, colour) in [("NO_COLOR=1", false), ("NO_COLOR=", true)] {
        let tmux = Tmux::new(80, 24);
        // The fragmented one must not be the one that is selected, which has its colours exchanged: the small one comes last.
        let pids = format!("{} {}", target.pid(), small.pid());
        tmux.command(&format!("clear; {variable} {BRKMAP} top -d 0.5 --ascii {pids}"));
        let screen =
            tmux.waits("two verdicts", |screen| screen.contains("fragmented") && !screen.contains(" -      -"));
        tmux.keys(&["End"]);
        let is_last = |screen: &str| {
            screen.lines().nth(3).is_some_and(|line| line.contains("fragmented"))
                && screen.lines().nth(4).is_some_and(|line| line.starts_with('>'))
        };
        tmux.waits("the last one", is_last);
        assert!(screen.is_ascii(), "{screen}");
        let painted = tmux.painted();
        assert!(painted.contains("7m"), "what is selected stands out: {painted}");
        assert_eq!(is_colour(&painted), colour, "{variable}: {painted}");
        tmux.keys(&["F10"]);
        tmux.waits("the shell", |screen| screen.trim_end().ends_with('$'));
    }
}

#[test]
fn another_size_is_another_picture() {
    let target = pins();
    let tmux = Tmux::new(80, 24);
    start(&tmux, &format!("-d 0.5 {}", target.pid()), "fragmented");
    for (columns, lines) in [(132, 40), (40, 10), (20, 6), (5, 3), (80, 24)] {
        tmux.resize(columns, lines);
        let is_there = |screen: &str| {
            let last = screen.lines().nth(lines as usize - 1).unwrap_or_default();
            let keys = "F1Help  F3Search  F4Filter  F5Tree  F6Sort  Enter Page  F10Quit";
            let shown: String = keys.chars().take(columns as usize).collect();
            screen.lines().count() == lines as usize && last.starts_with(shown.trim_end())
        };
        let screen = tmux.waits("the keys on the last line", is_there);
        assert!(screen.lines().all(|line| line.chars().count() <= columns as usize), "{screen}");
    }
}

/// Whether the terminal is the shell's as it was before.
fn is_restored(tmux: &Tmux) {
    tmux.command("stty -a | grep -o -- '[-]*icanon\\|[-]*echo\\b' | tr '\\n' ' '; echo $((40+2))x");
    let screen = tmux.sees("42x");
    assert!(screen.contains("\nicanon echo 42x"), "{screen}");
    assert_eq!((tmux.fact("alternate_on"), tmux.fact("cursor_flag")), ("0".to_owned(), "1".to_owned()));
}

#[test]
fn however_it_ends_the_terminal_is_as_before() {
    let target = Target::sick("small");
    for (keys, status) in [("F10", "0"), ("q", "0"), ("C-c", "0"), ("TERM", "143"), ("HUP", "129"), ("INT", "130")] {
        let tmux = Tmux::new(80, 24);
        let file = tmux.file("pid");
        let inner = format!("echo $$ > {}; exec {BRKMAP} top -d 0.5 {}", file.display(), target.pid());
        tmux.command(&format!("echo before; sh -c '{inner}'"));
        tmux.sees("F10Quit");
        assert_eq!((tmux.fact("alternate_on"), tmux.fact("cursor_flag")), ("1".to_owned(), "0".to_owned()));
        if status.len() > 1 {
            let pid = std::fs::read_to_string(&file).unwrap();
            let sent = Command::new("kill").args([&format!("-{keys}"), pid.trim()]).status().unwrap();
            assert!(sent.success());
        } else {
            tmux.keys(&[keys]);
        }
        tmux.waits("the screen of before", |screen| screen.contains("before") && !screen.contains("VERDICT"));
        tmux.command("echo status=$?");
        tmux.sees(&format!("status={status}"));
        is_restored(&tmux);
    }
}

#[test]
fn it_can_be_stopped_and_gone_on_with() {
    let target = Target::sick("small");
    let tmux = Tmux::new(80, 24);
    start(&tmux, &format!("-d 0.5 {}", target.pid()), " fine ");
    tmux.keys(&["C-z"]);
    let screen = tmux.sees("Stopped");
    assert!(!screen.contains("VERDICT"), "{screen}");
    tmux.command("fg");
    tmux.sees("VERDICT");
    tmux.keys(&["F10"]);
    tmux.waits("the shell", |screen| screen.trim_end().ends_with('$') && !screen.contains("VERDICT"));
}

#[test]
fn a_refresh_costs_a_bounded_share_of_a_processor() {
    let targets: Vec<Target> = (0..3).map(|_| pins()).collect();
    let pids: Vec<String> = targets.iter().map(Target::pid).collect();
    let tmux = Tmux::new(80, 24);
    let file = tmux.file("pid");
    let inner = format!("echo $$ > {}; exec {BRKMAP} top -d 0.1 {}", file.display(), pids.join(" "));
    tmux.command(&format!("sh -c '{inner}'"));
    tmux.waits("three verdicts", |screen| screen.matches("fragmented").count() == 3);
    let pid = std::fs::read_to_string(&file).unwrap();
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap();
        let fields: Vec<u64> =
            stat.rsplit(')').next().unwrap().split_whitespace().filter_map(|f| f.parse().ok()).collect();
        // The state is no number, so that the fourteenth field, time in user mode, is at 10.
        fields[10] + fields[11]
    };
    // Beside others all of it takes longer: one quiet moment is enough.
    let mut shares = Vec::new();
    while shares.iter().all(|&share| share >= 0.3) {
        assert!(shares.len() < 10, "{shares:?}: looks a tenth, refreshes and drawing the rest");
        let (before, start) = (ticks(), Instant::now());
        std::thread::sleep(Duration::from_secs(2));
        shares.push((ticks() - before) as f64 / 100.0 / start.elapsed().as_secs_f64());
    }
    assert!(shares.iter().all(|&share| share > 0.0), "{shares:?}");
}

fn once(arguments: &[&str]) -> Value {
    let output = output(&[&["top", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema_version"], 1);
    document
}

#[test]
fn through_a_pipe_it_is_one_table_or_document() {
    let (target, small) = (pins(), Target::sick("small"));
    let (first, second) = (target.pid(), small.pid());
    for flags in
        [&["top", &first, &second][..], &["top", "--once", &first, &second], &["top", "--batch", &first, &second]]
    {
        let table = output(flags);
        assert!(table.status.success());
        let text = String::from_utf8(table.stdout).unwrap();
        assert!(!text.contains('\x1b') && text.contains(" fragmented ") && text.contains(" fine "), "{text}");
        assert_eq!(text.lines().count(), 6, "{text}");
        assert!(text.lines().nth(4).unwrap().contains("pins-top"), "nothing is cut: {text}");
    }
    let document = once(&[&first, &second, "999999999", "--sort", "pid"]);
    let processes = document["processes"].as_array().unwrap();
    let states: Vec<&str> = processes.iter().map(|process| process["state"].as_str().unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == "looked_at").count(), 2, "{document:#}");
    assert_eq!(states.iter().filter(|state| **state == "gone").count(), 1);
    let one = processes.iter().find(|process| process["pid"].as_u64() == first.parse().ok()).unwrap();
    assert_eq!(one["verdict"]["class"], "fragmented");
    // The same as inspect says of a process that stands still.
    let inspected = target.inspect(&[]);
    let row = |key| super::targets::bytes(&inspected, key);
    assert_eq!(one["pinned_bytes"], row("pinned_free"));
    assert_eq!(one["returnable_bytes"], row("returnable"));
    assert_eq!(one["live_bytes"], row("live") + row("headers") + row("rounding") + row("live_mapped"));
    assert!(one["rss_growth_bytes_per_minute"].is_number() && one["live_growth_bytes_per_minute"].is_number());
    assert_eq!(one["malloc"], inspected["malloc"]);
}

#[test]
fn a_leak_is_seen_to_grow() {
    let target = Target::sick("leak");
    let document = once(&[&target.pid()]);
    let one = &document["processes"][0];
    assert!(one["live_growth_bytes_per_minute"].as_f64().unwrap() > 1e6, "{one}");
    assert_eq!(one["verdict"]["class"], "growing", "{one}");
}

#[test]
fn all_processes_are_there_without_being_named() {
    let target = pins();
    let document = once(&[]);
    let processes = document["processes"].as_array().unwrap();
    assert!(processes.iter().any(|process| process["pid"].as_u64() == target.pid().parse().ok()));
    assert!(processes.iter().all(|process| process["rss_bytes"].as_u64().unwrap() > 0));
    assert_eq!(document["sums"]["processes"], processes.len());
}

#[test]
fn a_control_group_is_all_processes_in_it_and_below() {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = groups.lines().find(|line| line.contains("memory") || line.starts_with("0::")).unwrap();
    let target = Target::sick("small");
    let document = once(&["--cgroup", own.rsplit(':').next().unwrap()]);
    let pids: Vec<String> =
        document["processes"].as_array().unwrap().iter().map(|process| process["pid"].to_string()).collect();
    assert!(pids.contains(&target.pid()), "{pids:?}");
    assert!(document["cgroup"]["folder"].is_string());
    // A folder made up: what counts is its list.
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("below")).unwrap();
    std::fs::write(folder.path().join("cgroup.procs"), "").unwrap();
    std::fs::write(folder.path().join("below/cgroup.procs"), target.pid()).unwrap();
    std::fs::write(folder.path().join("memory.max"), "1073741824\n").unwrap();
    std::fs::write(folder.path().join("memory.current"), "1048576\n").unwrap();
    let document = once(&["--cgroup", folder.path().to_str().unwrap()]);
    assert_eq!(document["processes"].as_array().unwrap().len(), 1);
    assert_eq!(document["cgroup"]["head_room_bytes"], (1u64 << 30) - (1 << 20));
    let missing = output(&["top", "--once", "--cgroup", "/no/such/group"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(stderr(&missing).contains("cgroup.procs"), "{}", stderr(&missing));
}

#[test]
fn what_may_not_be_read_is_shown_with_the_remedy() {
    let target = Target::sick("small");
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    let pid = if own == 0 { target.pid() } else { "1".to_owned() };
    // Root becomes nobody; the file has to be in a place that nobody may enter.
    let place = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let place = place.path().join("brkmap");
    copy_program(BRKMAP, &place);
    let mut command = Command::new(place);
    command.args(["top", "--once", &pid]).current_dir("/");
    if own == 0 {
        command.uid(65534).gid(65534);
    }
    let table = command.output().unwrap();
    let text = String::from_utf8(table.stdout.clone()).unwrap();
    assert!(table.status.success() && text.contains(" denied "), "{text}");
    assert!(text.contains("1 processes: 0 looked at, 1 denied"), "{text}");
    assert!(stderr(&table).contains("run brkmap as that user or as root"), "{}", stderr(&table));
}

#[test]
fn names_stand_for_all_processes_that_have_them() {
    let (first, second) = (Target::sick("small"), Target::sick("small"));
    let name = program().file_name().unwrap().to_str().unwrap();
    let document = once(&[name]);
    let pids: Vec<String> =
        document["processes"].as_array().unwrap().iter().map(|process| process["pid"].to_string()).collect();
    assert!(pids.contains(&first.pid()) && pids.contains(&second.pid()), "{pids:?}");
    let nobody = output(&["top", "no-process-has-this-name"]);
    assert_eq!(nobody.status.code(), Some(3));
    assert!(stderr(&nobody).contains("no-process-has-this-name"), "{}", stderr(&nobody));
}

#[test]
fn a_terminal_that_cannot_show_it_is_named() {
    let tmux = Tmux::new(100, 24);
    tmux.command(&format!("TERM=dumb {BRKMAP} top; echo status=$?"));
    let screen = tmux.sees("status=125");
    assert!(screen.contains("brkmap top --once"), "{screen}");
    assert!(brkmap(&["top", "-d", "0"]).output().unwrap().status.code() == Some(125));
}
