//! A real terminal emulator (tmux), typed into and read.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// A terminal with a shell on it; it ends with the test.
pub(super) struct Tmux {
    folder: tempfile::TempDir,
}

impl Tmux {
    /// Of so many columns and lines.
    pub(super) fn new(columns: u32, lines: u32) -> Tmux {
        let tmux = Tmux { folder: tempfile::tempdir().unwrap() };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let shell = "exec env -u NO_COLOR -u LD_PRELOAD LC_ALL=C.UTF-8 PS1='$ ' bash --norc --noprofile -i";
        tmux.run(&["-f", "/dev/null", "-u", "new-session", "-d", "-x", &columns, "-y", &lines, shell]);
        tmux.run(&["set-option", "-g", "window-size", "manual"]);
        // Escape alone is a key, not the beginning of one.
        tmux.run(&["set-option", "-s", "escape-time", "0"]);
        tmux.sees("$");
        tmux
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.folder.path().join("socket")).args(arguments);
        let output = command.output().expect("the tool `tmux` is needed (package tmux)");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A file of the test's own.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Types text.
    pub(super) fn types(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
    }

    /// Presses keys by their names.
    pub(super) fn keys(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    /// Gives the shell a command.
    pub(super) fn command(&self, text: &str) {
        self.types(text);
        self.keys(&["Enter"]);
    }

    pub(super) fn resize(&self, columns: u32, lines: u32) {
        self.run(&["resize-window", "-x", &columns.to_string(), "-y", &lines.to_string()]);
    }

    /// What is on the screen.
    pub(super) fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// The same, with the codes of its colours.
    pub(super) fn painted(&self) -> String {
        self.run(&["capture-pane", "-p", "-e"])
    }

    /// A fact that tmux knows of the terminal.
    pub(super) fn fact(&self, name: &str) -> String {
        self.run(&["display-message", "-p", &format!("#{{{name}}}")]).trim().to_owned()
    }

    /// Waits until the screen is as wanted, and returns it.
    pub(super) fn waits(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let screen = self.screen();
            if is_it(&screen) {
                return screen;
            }
            assert!(Instant::now() < end, "no {what} on the screen:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a text is on the screen, and returns the screen.
    pub(super) fn sees(&self, text: &str) -> String {
        self.waits(text, |screen| screen.contains(text))
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let _ = command.arg("-S").arg(self.folder.path().join("socket")).arg("kill-server").output();
    }
}
