//! `cargo xtask tour [COMMAND]`: the pages that show what commands print are made anew by running the commands.
//!
//! A block of these pages whose first line begins with `$ ` is a script of one shell: the lines that begin so are its
//! commands, everything else in the block is what they printed.

use crate::library;
use std::path::Path;
use std::process::Command;

const PAGES: [&str; 2] = ["docs/TOUR.md", "docs/COMING_FROM_STRACE.md"];

/// Makes both pages anew, with the command that is named or a release build of it.
pub(crate) fn task(args: &[String]) -> Result<bool, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask lies in the repository")?;
    let command = match args {
        [] => library::build_command(root)?,
        [path] => std::path::absolute(path).map_err(|e| format!("no path: {path}: {e}"))?,
        _ => return Err("usage: cargo xtask tour [COMMAND]".into()),
    };
    let folder = command.parent().ok_or("the command lies in a folder")?;
    for page in PAGES {
        let path = root.join(page);
        let text = std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let made = renew(&text, |script| shell(root, folder, script))?;
        std::fs::write(&path, made).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    Ok(true)
}

/// The page with every block of commands replaced by what `run` prints for its commands.
fn renew(text: &str, mut run: impl FnMut(&[&str]) -> Result<String, String>) -> Result<String, String> {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if !line.starts_with("```") {
            continue;
        }
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let commands: Vec<&str> = block.iter().filter_map(|line| line.strip_prefix("$ ")).collect();
        if block.first().is_some_and(|line| line.starts_with("$ ")) {
            out.push_str(&run(&commands)?);
        } else {
            block.iter().for_each(|line| out.extend([line, "\n"]));
        }
        out.push_str("```\n");
    }
    Ok(out)
}

/// Runs the commands in one shell, in a folder of their own, each shown before its output.
fn shell(root: &Path, folder: &Path, commands: &[&str]) -> Result<String, String> {
    let scratch = std::env::temp_dir().join(format!("brkmap-tour-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(|e| format!("cannot create {}: {e}", scratch.display()))?;
    let mut script = String::new();
    for command in commands {
        let quoted = command.replace('\'', "'\\''");
        script += &format!("printf '%s\\n' '$ {quoted}'\n{command}\n");
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(&scratch)
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("REPOSITORY", root)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("LD_PRELOAD")
        .output()
        .map_err(|e| format!("cannot start bash: {e}"))?;
    let removed = std::fs::remove_dir_all(&scratch);
    removed.map_err(|e| format!("cannot remove {}: {e}", scratch.display()))?;
    if !output.status.success() {
        return Err(format!("`{}` failed: {}", commands.join("; "), String::from_utf8_lossy(&output.stderr)));
    }
    // No line ends in spaces: editors would change the page.
    let text = String::from_utf8_lossy(&output.stdout);
    let text: String = text.trim_end().lines().map(|line| format!("{}\n", line.trim_end())).collect();
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::renew;

    #[test]
    fn blocks_of_commands_are_replaced_and_others_stay() {
        let page = "a\n```console\n$ x\nold\n$ y\nold\n```\nb\n```c\nint x;\n```\n";
        let made = renew(page, |commands| Ok(format!("ran {}\n", commands.join(" ")))).unwrap();
        assert_eq!(made, "a\n```console\nran x y\n```\nb\n```c\nint x;\n```\n");
    }
}
