//! `brkmap metrics` against promtool and a real Prometheus.

use super::targets::{Target, bytes, program};
use super::{brkmap, output, stderr};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Samples by name and labels as they are written.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

fn metrics(arguments: &[&str]) -> String {
    let output = output(&[&["metrics"][..], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_figures_are_those_of_inspect() {
    for (state, verdict) in [("cached", "cached"), ("fragmented", "fragmented")] {
        let target = Target::sick(state);
        let document = target.inspect(&["--over", "0"]);
        let pid = target.pid();
        let text = metrics(&[&pid]);
        let samples = samples(&text);
        let value =
            |name: &str, more: &str| samples[&format!("brkmap_process_{name}{{pid=\"{pid}\",name=\"sick\"{more}}}")];
        assert_eq!(value("resident_bytes", ""), document["rss_bytes"].as_f64().unwrap());
        assert_eq!(value("returnable_bytes", ""), document["trim"]["returns_bytes"].as_f64().unwrap());
        assert_eq!(value("pinned_bytes", ""), bytes(&document, "pinned_free") as f64);
        assert_eq!(value("floor_bytes", ""), document["floor_bytes"].as_f64().unwrap());
        assert_eq!(value("verdict_info", &format!(",verdict=\"{verdict}\",confidence=\"high\"")), 1.0);
        let rows = samples.iter().filter(|(name, _)| name.starts_with("brkmap_process_row_bytes"));
        assert_eq!(rows.map(|(_, bytes)| bytes).sum::<f64>(), value("resident_bytes", ""));
        assert!(!text.contains("break_moves"), "glibc does not count them");
        assert!(text.ends_with("# EOF\n"));
    }
}

#[test]
fn counters_are_those_of_a_program_on_brkmap() {
    let mut command = brkmap(&["use", "--"]);
    command.arg(program()).arg("fragmented");
    let target = Target::start(command);
    let pid = target.pid();
    let samples = samples(&metrics(&[&pid]));
    let value =
        |name: &str, more: &str| samples[&format!("brkmap_process_{name}{{pid=\"{pid}\",name=\"sick\"{more}}}")];
    assert!(value("break_moves_total", ",direction=\"up\"") >= 1.0);
    assert!(value("break_moved_bytes_total", ",direction=\"up\"") >= 65536.0);
    assert!(value("live_bytes", "") > 0.0 && value("mappings", "") > 10.0);
    assert!(samples.keys().any(|name| name.starts_with("brkmap_process_info{") && name.contains("malloc=\"brkmap ")));
}

#[test]
fn the_page_lists_every_metric() {
    let mut command = brkmap(&["use", "--"]);
    command.arg(program()).arg("small");
    let target = Target::start(command);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/METRICS.md")).unwrap();
    let names: Vec<&str> = page.split(['`', '{', ' ', '|']).collect();
    let text = metrics(&["--format", "prometheus", &target.pid()]);
    let families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(families.len() > 25, "{families:?}");
    for family in families {
        // `brkmap_process_x`, then `_y` for others that begin the same.
        let short = family.strip_prefix("brkmap_process").unwrap_or(family);
        assert!(names.contains(&family) || names.contains(&short), "docs/METRICS.md does not have {family}");
    }
}

#[test]
fn promtool_has_nothing_to_say() {
    let target = Target::sick("cached");
    let text = metrics(&["--format", "prometheus", &target.pid()]);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed (package prometheus)");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.trim().is_empty(), "{words}");
}

#[test]
fn a_file_is_whole_whenever_it_is_read() {
    let target = Target::sick("small");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("brkmap.prom");
    let path = file.to_str().unwrap();
    metrics(&["-o", path, &target.pid()]);
    let reader = std::thread::spawn({
        let file = file.clone();
        move || {
            // The first file that is seen replaced none.
            let (mut reads, mut replaced, mut last) = (0, -1, 0);
            let end = Instant::now() + Duration::from_secs(60);
            while reads < 100 || replaced < 5 {
                assert!(Instant::now() < end, "{reads} reads, {replaced} replacements");
                let mut opened = std::fs::File::open(&file).unwrap();
                let mut text = String::new();
                opened.read_to_string(&mut text).unwrap();
                assert!(text.ends_with("# EOF\n"));
                reads += 1;
                // A new file is written beside the old one, so that their numbers differ.
                let number = opened.metadata().unwrap().ino();
                replaced += i32::from(number != last);
                last = number;
            }
        }
    });
    while !reader.is_finished() {
        metrics(&["-o", path, &target.pid()]);
    }
    reader.join().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_is_not_there_is_an_error_with_its_own_status() {
    let gone = output(&["metrics", "no-such-process-here"]);
    assert_eq!(gone.status.code(), Some(3), "{}", stderr(&gone));
    let unwritable = output(&["metrics", "-o", "/nowhere/x.prom", &std::process::id().to_string()]);
    assert_eq!(unwritable.status.code(), Some(125));
    assert!(stderr(&unwritable).contains("cannot write /nowhere/x.prom"), "{}", stderr(&unwritable));
}

/// The server and its address.
fn serve(target: &str) -> (Running, SocketAddr) {
    let mut command = brkmap(&["metrics", "serve", "--listen", "127.0.0.1:0", target]);
    let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("brkmap: serving http://").and_then(|rest| rest.strip_suffix("/metrics"));
    (Running(server), address.unwrap_or_else(|| panic!("{line}")).parse().unwrap())
}

fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // The other side may close before it has read everything; what it said before counts.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_server_answers_what_it_knows_and_refuses_the_rest() {
    let target = Target::sick("small");
    let (server, address) = serve(&target.pid());
    let status = |request: &str| ask(address, request.as_bytes()).lines().next().unwrap_or_default().to_owned();
    let old = ask(address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(old.starts_with("HTTP/1.1 200 OK\r\n") && old.contains("text/plain; version=0.0.4"), "{old}");
    let new = ask(address, b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n");
    assert!(new.contains("openmetrics-text; version=1.0.0") && new.ends_with("# EOF\n"), "{new}");
    let head = ask(address, b"HEAD /metrics HTTP/1.0\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n") && !head.contains("# HELP"), "{head}");
    assert_eq!(status("GET /other HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
    assert_eq!(status("POST /metrics HTTP/1.1\r\n\r\n"), "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(status("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"), "HTTP/1.1 403 Forbidden");
    assert_eq!(status("nonsense\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9000));
    assert_eq!(status(&long), "HTTP/1.1 431 Request Header Fields Too Large");
    // One that never finishes its request is sent away, and does not keep others waiting.
    let mut slow = TcpStream::connect(address).unwrap();
    slow.write_all(b"GET /metrics HT").unwrap();
    assert_eq!(status("GET /metrics HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 OK");
    let begin = Instant::now();
    let mut answer = String::new();
    slow.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && begin.elapsed() < Duration::from_secs(60), "{answer}");
    // A process that ended is left out; the server goes on.
    drop(target);
    let without = ask(address, b"GET /metrics HTTP/1.1\r\n\r\n");
    assert!(without.contains("200 OK"), "{without}");
    let again = output(&["metrics", "serve", "--listen", &address.to_string()]);
    assert_eq!(again.status.code(), Some(125));
    assert!(stderr(&again).contains("choose another with --listen"), "{}", stderr(&again));
    drop(server);
}

#[test]
fn more_connections_than_it_serves_do_not_block_it_for_long() {
    let target = Target::sick("small");
    let (_server, address) = serve(&target.pid());
    let idle: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    let end = Instant::now() + Duration::from_secs(15);
    loop {
        let answer = ask(address, b"GET / HTTP/1.1\r\n\r\n");
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(Instant::now() < end, "{answer}");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(idle);
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn query(prometheus: SocketAddr, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(prometheus).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// A Prometheus with the configuration of a folder, and where it answers.
fn prometheus(folder: &Path) -> (Running, SocketAddr) {
    let address = free_port();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let prometheus = Command::new("prometheus")
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    (Running(prometheus.expect("prometheus is needed (package prometheus)")), address)
}

#[test]
fn a_real_prometheus_scrapes_it() {
    let mut command = brkmap(&["use", "--"]);
    command.arg(program()).arg("fragmented");
    let target = Target::start(command);
    let (_server, address) = serve(&target.pid());
    let folder = tempfile::tempdir().unwrap();
    let job = format!("scrape_configs:\n- job_name: brkmap\n  static_configs:\n  - targets: ['{address}']\n");
    let times = "global:\n  scrape_interval: 3s\n  scrape_timeout: 3s\n";
    std::fs::write(folder.path().join("prometheus.yml"), format!("{times}{job}")).unwrap();
    let (mut running, mut port) = prometheus(folder.path());
    let end = Instant::now() + Duration::from_secs(60);
    // One scrape may fail on a busy machine, and then all of these; the next one mends it.
    let (found, metadata, health) = loop {
        let ask = |path: &str| query(port, path).unwrap_or_default();
        let found = ask("/api/v1/query?query=brkmap_process_break_moves_total")["data"]["result"].clone();
        let metadata = ask("/api/v1/targets/metadata?metric=brkmap_process_purged_bytes");
        let health = ask("/api/v1/targets");
        let is_up = health["data"]["activeTargets"][0]["health"] == "up";
        if found.as_array().is_some_and(|all| !all.is_empty()) && metadata["data"][0].is_object() && is_up {
            break (found, metadata, health);
        }
        let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(Instant::now() < end, "nothing was scraped: {health}\n{}", log());
        std::thread::sleep(Duration::from_millis(200));
        if running.0.try_wait().unwrap().is_some() {
            // Somebody else took the port before it.
            (running, port) = prometheus(folder.path());
        }
    };
    let up = found.as_array().unwrap().iter().find(|one| one["metric"]["direction"] == "up").unwrap();
    assert_eq!(up["metric"]["pid"], target.pid());
    assert!(up["value"][1].as_str().unwrap().parse::<f64>().unwrap() >= 1.0, "{up}");
    // It asked for OpenMetrics: only there a counter has a unit, and its description no `_total`.
    let described = &metadata["data"][0];
    assert_eq!((&described["type"], &described["unit"]), (&"counter".into(), &"bytes".into()), "{metadata}");
    assert_eq!(health["data"]["activeTargets"][0]["health"], "up", "{health}");
}
