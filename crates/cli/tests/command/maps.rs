//! `brkmap maps`: occupancy against what malloc and the kernel say, and the SVG in a real browser.

use super::targets::{Target, build, bytes, program};
use super::{output, stderr};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn document(target: &Target) -> Value {
    let drawn = output(&["maps", &target.pid(), "--occupancy", "--json"]);
    assert!(drawn.status.success(), "{}", stderr(&drawn));
    let document: Value = serde_json::from_slice(&drawn.stdout).unwrap();
    checked(&document["occupancy"]);
    document
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn sum(values: &Value) -> u64 {
    values.as_array().unwrap().iter().map(number).sum()
}

/// What must hold of every heat map: cells, parts and levels sum to the same.
fn checked(heat: &Value) {
    let of = |values: &Value, key: &str| values.as_array().unwrap().iter().map(|one| number(&one[key])).sum::<u64>();
    assert_eq!(of(&heat["levels"], "os_pages") * 4096, number(&heat["resident_bytes"]));
    assert_eq!(of(&heat["levels"], "live_bytes"), number(&heat["live_bytes"]));
    for part in heat["ranges"].as_array().unwrap() {
        assert_eq!(sum(&part["cell_resident_bytes"]), number(&part["resident_bytes"]), "{part}");
        assert_eq!(sum(&part["cell_live_bytes"]), number(&part["live_bytes"]), "{part}");
        assert!(number(&part["live_bytes"]) <= number(&part["resident_bytes"]));
    }
    for holder in heat["pinned_by"].as_array().unwrap() {
        let (alone, pages) = (number(&holder["os_pages_alone"]), number(&holder["os_pages"]));
        assert!(alone <= pages && number(&holder["live_blocks"]) > 0, "{holder}");
        assert_eq!(number(&holder["would_return_bytes"]), alone * 4096);
    }
    assert_eq!(heat["cut"], false);
}

fn pins() -> Target {
    Target::start(Command::new(build("pins", "pins", &[])))
}

#[test]
fn live_bytes_by_os_page_sum_to_what_the_walk_counts() {
    for state in ["mapped", "small"] {
        let target = Target::sick(state);
        let (heat, walk) = (document(&target)["occupancy"].clone(), target.inspect(&["--over", "0"]));
        let glibc = &walk["glibc"];
        let total: u64 = ["live_bytes", "header_bytes"].iter().map(|key| number(&glibc["total"][*key])).sum();
        assert_eq!(number(&heat["live_bytes"]), total + number(&glibc["mapped"]["resident_bytes"]), "{state}");
    }
}

#[test]
fn live_bytes_of_brkmaps_own_heap_sum_up_too() {
    let library = String::from_utf8(output(&["lib-path"]).stdout).unwrap();
    let mut command = Command::new(build("pins", "pins-brkmap", &[]));
    command.env("LD_PRELOAD", library.trim_end()).env("BRKMAP_BACKGROUND", "off");
    let target = Target::start(command);
    let (heat, walk) = (document(&target)["occupancy"].clone(), target.inspect(&["--over", "0"]));
    assert_eq!(number(&heat["live_bytes"]), bytes(&walk, "live") + bytes(&walk, "rounding"), "{walk:#}");
    let holders = heat["pinned_by"].as_array().unwrap();
    let of = |size: u64| holders.iter().find(|holder| number(&holder["block_bytes_from"]) == size);
    // They lie side by side; only those at an edge share their OS page with free ones.
    assert!((1..=1500).contains(&number(&of(48).expect("the small ones")["live_blocks"])));
    let foreign = bytes(&walk, "other_anonymous");
    assert!(foreign > 1 << 20 && number(&heat["resident_bytes"]) < 1 << 20, "{foreign}: not malloc's");
    assert!(number(&heat["own_table_bytes"]) > 0);
}

#[test]
fn what_would_come_back_comes_back() {
    let mut target = pins();
    let heat = document(&target)["occupancy"].clone();
    let holders = heat["pinned_by"].as_array().unwrap();
    // 48 bytes are a chunk of 64, 500 bytes one of 512.
    let of = |size: u64| holders.iter().find(|holder| number(&holder["block_bytes_from"]) == size);
    let (small, medium) = (of(64).expect("the small ones"), of(512).expect("the medium ones"));
    assert_eq!((number(&small["live_blocks"]), number(&medium["live_blocks"])), (1500, 60));
    assert_eq!(holders[0], *small, "the one that holds most is first");
    let predicted = number(&small["would_return_bytes"]) / 1024;
    let [before, after] = target.ask("free")[..] else { panic!("no answer") };
    let measured = before.saturating_sub(after);
    assert!(measured > 3000, "{measured} KiB");
    assert!(predicted.abs_diff(measured) * 20 <= measured, "{predicted} and {measured} KiB");
    let less = document(&target)["occupancy"].clone();
    let left = less["pinned_by"].as_array().unwrap().iter().find(|h| number(&h["block_bytes_from"]) == 512);
    assert_eq!(number(&left.unwrap()["live_blocks"]), 60);
}

#[test]
fn the_heat_map_is_drawn_in_any_terminal() {
    let target = pins();
    let drawn = output(&["maps", &target.pid(), "--occupancy", "--ascii", "--color", "never"]);
    let text = String::from_utf8(drawn.stdout).unwrap();
    assert!(text.is_ascii(), "{text}");
    for part in ["occupancy: ", "OS pages", "pinned by size", "64 B", "one sign is ", "up to 1/8 live"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    let colored = output(&["maps", &target.pid(), "--occupancy", "--color", "always"]);
    assert!(String::from_utf8(colored.stdout).unwrap().contains("\x1b[33m"));
    let plain = output(&["maps", &target.pid()]);
    assert!(!String::from_utf8(plain.stdout).unwrap().contains("occupancy"));
}

#[test]
fn a_malloc_that_cannot_be_read_has_no_occupancy_and_says_so() {
    let mut command = Command::new(program());
    command.arg("small").env("LD_PRELOAD", "libjemalloc.so.2");
    let target = Target::start(command);
    let drawn = output(&["maps", &target.pid(), "--occupancy"]);
    assert!(drawn.status.success());
    assert!(stderr(&drawn).contains("no occupancy: "), "{}", stderr(&drawn));
    let json = output(&["maps", &target.pid(), "--occupancy", "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json["occupancy"].is_null() && number(&json["rss_bytes"]) > 0);
}

#[test]
fn an_svg_that_cannot_be_written_is_named() {
    let target = Target::sick("small");
    let refused = output(&["maps", &target.pid(), "--svg", "/nowhere/at/all.svg"]);
    assert_eq!(refused.status.code(), Some(125));
    assert!(stderr(&refused).contains("/nowhere/at/all.svg"), "{}", stderr(&refused));
    let shown = output(&["maps", &target.pid(), "--svg", "-"]);
    assert!(String::from_utf8(shown.stdout).unwrap().starts_with("<svg xmlns="));
}

/// What chromium makes of a page.
fn chromium(arguments: &[&str], page: &Path) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new("chromium");
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]);
    command.arg(format!("--user-data-dir={}", profile.path().display())).args(arguments).arg("--dump-dom");
    let output = command.arg(format!("file://{}", page.display())).output().expect("the tool `chromium` is needed");
    String::from_utf8(output.stdout).unwrap()
}

/// Tells of each text that leaves the picture, and of each two that meet.
const MEASURE: &str = r#"<script>
addEventListener('load', () => {
  const svg = document.querySelector('svg'), whole = svg.getBoundingClientRect(), faults = [];
  const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
  for (const [text, box] of texts)
    if (box.left < whole.left || box.right > whole.right || box.top < whole.top || box.bottom > whole.bottom)
      faults.push('outside: ' + text);
  for (let i = 0; i < texts.length; i++)
    for (let j = 0; j < i; j++) {
      const [a, b] = [texts[i][1], texts[j][1]];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1 && high > 4) faults.push('meet: ' + texts[i][0] + ' and ' + texts[j][0]);
    }
  const paper = getComputedStyle(svg.querySelector('.bm-paper')).fill;
  const ink = getComputedStyle(svg.querySelector('text')).fill;
  const drawn = [...svg.querySelectorAll('rect,path')].filter(e => e.getBoundingClientRect().width > 0).length;
  document.title = 'RESULT ' + JSON.stringify({ count: texts.length, drawn, faults, paper, ink }) + ' END';
});</script>"#;

fn measured(svg: &str, scheme: &str, folder: &Path) -> Value {
    let page = folder.join(format!("page{}.html", scheme.len()));
    std::fs::write(&page, format!("<!doctype html><meta charset=utf-8><body>{svg}{MEASURE}")).unwrap();
    let dom = chromium(&[scheme], &page);
    let result = dom.split_once("RESULT ").and_then(|(_, rest)| rest.split_once(" END"));
    let result = result.unwrap_or_else(|| panic!("the page was not measured: {dom}")).0.replace("&amp;", "&");
    serde_json::from_str(&result).unwrap()
}

#[test]
fn the_svg_is_well_formed_and_legible_in_light_and_dark() {
    let folder = tempfile::tempdir().unwrap();
    // A name that would leave its element if it were not escaped.
    let hostile = folder.path().join("a<b>&'\"x");
    std::fs::copy(build("pins", "pins-svg", &[]), &hostile).unwrap();
    let target = Target::start(Command::new(hostile));
    let file = folder.path().join("space.svg");
    let drawn = output(&["maps", &target.pid(), "--occupancy", "--svg", file.to_str().unwrap()]);
    assert!(drawn.status.success() && drawn.stdout.is_empty(), "{}", stderr(&drawn));
    let svg = std::fs::read_to_string(&file).unwrap();
    for part in ["<title id=", "<desc id=", "role=\"img\"", "a&lt;b&gt;&amp;&#39;&quot;x", "break heap", "Live bytes"] {
        assert!(svg.contains(part), "{part}");
    }
    assert!(!svg.contains("<script") && svg.len() < 1 << 20);
    // As a document of its own it goes through the parser of XML, which is strict.
    let dom = chromium(&[], &file);
    assert!(dom.contains("<svg") && !dom.contains("parsererror"), "{dom}");
    let light = measured(&svg, "--blink-settings=preferredColorScheme=1", folder.path());
    let dark = measured(&svg, "--blink-settings=preferredColorScheme=0,forceDarkModeEnabled=false", folder.path());
    for seen in [&light, &dark] {
        assert_eq!(seen["faults"], serde_json::json!([]), "{seen:#}");
        assert!(number(&seen["count"]) > 20 && number(&seen["drawn"]) > 10, "{seen:#}");
    }
    assert_ne!(light["paper"], dark["paper"], "{dark:#}");
    assert_ne!(light["ink"], dark["ink"], "{dark:#}");
}
