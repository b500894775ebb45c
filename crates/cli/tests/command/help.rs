//! Help, manual pages and completions: what the command says of itself, checked by the programs that read it.

use super::{brkmap, output, stderr};
use std::path::Path;
use std::process::{Command, Output};

/// A tool that has to be there.
fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("LC_ALL", "C.UTF-8");
    command
}

fn run(command: &mut Command) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    command.output().unwrap_or_else(|error| panic!("{name} is needed: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The verbs that the help shows.
fn verbs() -> Vec<String> {
    let help = text(&output(&["--help"]).stdout);
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

#[test]
fn every_verb_explains_itself_with_examples() {
    let verbs = verbs();
    assert!(verbs.len() > 8 && !verbs.iter().any(|verb| verb.starts_with("__")), "{verbs:?}");
    for verb in &verbs {
        let help = output(&[verb, "--help"]);
        assert!(help.status.success());
        let help = text(&help.stdout);
        assert!(help.contains("\nExamples:\n  ") && help.contains(&format!("brkmap {verb}")), "{help}");
        let short = text(&output(&[verb, "-h"]).stdout);
        assert!(short.lines().count() <= 50, "{short}");
    }
}

#[test]
fn manual_pages_pass_the_checkers() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("deep/man1");
    assert!(output(&["man", place.to_str().unwrap()]).status.success());
    let mut pages: Vec<_> = std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    assert_eq!(pages.len(), verbs().len() + 1);
    for page in &pages {
        let page = page.to_str().unwrap();
        let mandoc = run(tool("mandoc").args(["-Tlint", "-Wwarning", page]));
        assert_eq!((text(&mandoc.stdout), text(&mandoc.stderr)), Default::default(), "{page}");
        let groff = run(tool("groff").args(["-man", "-ww", "-z", "-Tutf8", "-Kutf8", page]));
        assert_eq!(text(&groff.stderr), "", "{page}");
        let man = run(tool("man").env("MANWIDTH", "80").args(["--warnings", "-P", "cat", "-l", page]));
        assert_eq!(text(&man.stderr), "", "{page}");
        let shown = text(&man.stdout);
        assert!(shown.contains("SYNOPSIS") && shown.contains("SEE ALSO"), "{shown}");
    }
    // Without a folder: the command's own page.
    let own = output(&["man"]);
    assert_eq!(own.stdout, std::fs::read(place.join("brkmap.1")).unwrap());
    let refused = output(&["man", "/proc/no/such/folder"]);
    assert_eq!(refused.status.code(), Some(125));
    assert!(stderr(&refused).contains("cannot create the folder /proc/no/such/folder"), "{}", stderr(&refused));
}

fn script(shell: &str, folder: &Path) -> String {
    let script = output(&["completions", shell]);
    assert!(script.status.success());
    let file = folder.join(shell);
    std::fs::write(&file, script.stdout).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn shells_take_the_scripts_and_complete_verbs_terms_and_demonstrations() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let file = script(shell, folder.path());
        assert!(!std::fs::read_to_string(&file).unwrap().contains("__probe"), "hidden verbs stay hidden");
        let checked = run(tool(shell).env("HOME", folder.path()).args([check, &file]));
        assert!(checked.status.success() && checked.stderr.is_empty(), "{shell}: {}", text(&checked.stderr));
    }
    // What a shell offers after some words.
    let bash = |words: &str| {
        let file = folder.path().join("bash");
        let line = format!(
            "source '{}'; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _brkmap brkmap \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[@]}}\"",
            file.display()
        );
        text(&run(tool("bash").args(["--norc", "-c", &line])).stdout)
    };
    assert!(bash("brkmap ins").contains("inspect"));
    assert!(bash("brkmap explain mm").contains("mmap-threshold"));
    assert!(bash("brkmap demo top").contains("top-pinned"));
    let fish = |line: &str| {
        let file = folder.path().join("fish");
        let command = format!("source '{}'; complete -C '{line}'", file.display());
        text(&run(tool("fish").env("HOME", folder.path()).args(["--no-config", "-c", &command])).stdout)
    };
    assert!(fish("brkmap doc").starts_with("doctor\t"));
    assert!(fish("brkmap explain over").contains("overcommit"));
    assert!(fish("brkmap demo ").contains("random-survivors"));
    // Elvish completes in a terminal only: its editor is stood in for.
    let editor = "var edit: = (ns [&completion:=(ns [&arg-completer=[&]]) \
                  &complex-candidate~={|text &display=''| put $text }])\n";
    let own = std::fs::read_to_string(script("elvish", folder.path())).unwrap();
    let ask = format!("{editor}{own}\n$edit:completion:arg-completer[brkmap] brkmap ''\n");
    let offered = run(tool("elvish").env("HOME", folder.path()).args(["-c", &ask]));
    assert!(text(&offered.stdout).contains("doctor"), "{}", text(&offered.stderr));
    let zsh = std::fs::read_to_string(folder.path().join("zsh")).unwrap();
    let powershell = std::fs::read_to_string(script("powershell", folder.path())).unwrap();
    assert!(zsh.contains("arena-spread") && zsh.starts_with("#compdef brkmap"));
    assert!(powershell.contains("'brkmap;doctor'"), "PowerShell is not packaged; its script names the verbs at least");
}

#[test]
fn closed_pipes_are_no_failure() {
    for words in [&["completions", "bash"][..], &["man"], &["explain"], &["demo"], &["doctor"]] {
        let mut command = brkmap(words);
        let mut child =
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.code().is_some_and(|code| code < 2), "{words:?}: {:?}", ended.status);
        assert_eq!(stderr(&ended), "", "{words:?}");
    }
}
