//! `brkmap explain`.

use super::{brkmap, output, stderr};
use serde_json::Value;

fn stdout(arguments: &[&str]) -> String {
    let output = output(arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_term_is_explained_and_a_near_one_is_taken_for_it() {
    let text = stdout(&["explain", "mmap", "threshold"]);
    assert!(text.starts_with("mmap threshold\n") && text.lines().count() <= 15, "{text}");
    for subject in ["\n  see ", "\n  classic ", "\n  do ", "\n  source "] {
        assert!(text.contains(subject), "{text}");
    }
    let near = output(&["explain", "pined-page"]);
    assert!(near.status.success());
    assert_eq!(stderr(&near), "brkmap: no term is called 'pined-page'; this is 'pinned page'\n");
    let unknown = output(&["explain", "\u{1b}[2Jgrapefruit"]);
    assert_eq!(unknown.status.code(), Some(125));
    let text = stderr(&unknown);
    assert!(text.contains("nearest: ") && text.contains("`brkmap explain` lists all") && !text.contains('\u{1b}'));
    assert!(unknown.stdout.is_empty());
}

#[test]
fn the_list_and_the_documents_agree() {
    let all: Value = serde_json::from_str(&stdout(&["explain", "--json"])).unwrap();
    let terms = all["terms"].as_array().unwrap();
    let list = stdout(&["explain"]);
    assert!(list.starts_with(&format!("{} terms", terms.len())), "{list}");
    for term in terms {
        assert!(list.contains(term["name"].as_str().unwrap()), "{term}");
    }
    let one: Value = serde_json::from_str(&stdout(&["explain", "RSS", "--json"])).unwrap();
    assert_eq!((one["schema_version"].as_u64(), one["terms"][0]["name"].as_str()), (Some(1), Some("RSS")));
}

#[test]
fn colour_comes_when_it_is_asked_for() {
    assert!(!stdout(&["explain", "trim"]).contains('\u{1b}'));
    let forced = brkmap(&["explain", "trim", "--color", "always"]).output().unwrap();
    assert!(String::from_utf8(forced.stdout).unwrap().contains("\u{1b}[1mtrim\u{1b}[0m"));
}
