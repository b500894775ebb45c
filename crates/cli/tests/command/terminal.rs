//! At a terminal: an interactive shell on a terminal of its own, and what its user sees.

use super::compile;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What runs on the terminal, typed into and read.
pub(super) struct Terminal {
    running: Child,
    keys: Option<ChildStdin>,
    screen: Receiver<Vec<u8>>,
    shown: String,
}

impl Terminal {
    pub(super) fn new(command: &str) -> Terminal {
        let mut script = Command::new("script");
        script.args(["-qec", command, "/dev/null"]).env("PS1", "$ ").env("TERM", "dumb").env_remove("LD_PRELOAD");
        let script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut running = script.spawn().expect("the tool `script` is needed (package bsdutils)");
        let (send, screen) = channel();
        let mut out = running.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = out.read(&mut bytes) {
                if count == 0 || send.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = running.stdin.take();
        Terminal { running, keys, screen, shown: String::new() }
    }

    /// An interactive bash, where `$RUN` is the command without its report.
    fn shell() -> Terminal {
        let mut terminal = Terminal::new("bash --norc --noprofile -i");
        let own = env!("CARGO_BIN_EXE_brkmap");
        terminal.types(&format!("set -b; RUN='{own} run -o /dev/null --force --'; echo ready$((1+1))\n"));
        terminal.sees("ready2");
        terminal
    }

    pub(super) fn types(&mut self, text: &str) {
        self.keys.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Waits until a text is on the screen, and clears the screen up to it.
    pub(super) fn sees(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(at) = self.shown.find(text) {
                self.shown.drain(..at + text.len());
                return;
            }
            match self.screen.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.shown += &String::from_utf8_lossy(&bytes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no {text:?} on the screen: {:?}", self.shown)
                }
            }
        }
    }
}

impl Drop for Terminal {
    /// Hangs up: what runs on the terminal ends with it.
    fn drop(&mut self) {
        drop(self.keys.take());
        if std::thread::panicking() {
            let _ = self.running.kill();
        }
        let _ = self.running.wait();
    }
}

#[test]
fn a_program_that_stops_gives_the_prompt_back() {
    let mut terminal = Terminal::shell();
    terminal.types("$RUN sh -c 'kill -STOP $$; echo $((40+2))x; exit 3'\n");
    terminal.sees("Stopped");
    terminal.types("fg\n");
    terminal.sees("42x");
    terminal.types("echo status=$?\n");
    terminal.sees("status=3");
    terminal.types("exit\n");
}

#[test]
fn the_keys_that_stop_and_interrupt_reach_the_program() {
    let folder = tempfile::tempdir().unwrap();
    // No shell: one that is stopped between vfork and exec never tells, with or without brkmap.
    let source = "
        #include <signal.h>
        #include <unistd.h>
        static void interrupted(int signal) { (void)signal; write(1, \"int21\\n\", 6); _exit(9); }
        static void wait_for(int front) { while ((tcgetpgrp(0) == getpgrp()) != front) usleep(10000); }
        int main(void) {
            signal(SIGINT, interrupted);
            write(1, \"go2\\n\", 4);
            wait_for(0);
            write(1, \"back2\\n\", 6);
            wait_for(1);
            write(1, \"front2\\n\", 7);
            for (;;) pause();
        }";
    let program = compile(folder.path(), source, &[]);
    let mut terminal = Terminal::shell();
    terminal.types(&format!("$RUN {program}\n"));
    terminal.sees("go2");
    terminal.types("\x1a");
    terminal.sees("Stopped");
    terminal.types("bg\n");
    terminal.sees("back2");
    terminal.types("fg\n");
    // The shell says so before it hands the terminal over, and a key goes to whoever has it.
    terminal.sees("front2");
    terminal.types("\x03");
    terminal.sees("int21");
    terminal.types("echo status=$?\n");
    terminal.sees("status=9");
    terminal.types("exit\n");
}

#[test]
fn a_background_program_that_reads_the_terminal_is_stopped() {
    let mut terminal = Terminal::shell();
    terminal.types("$RUN sh -c 'read line; echo got $line' &\n");
    terminal.sees("Stopped");
    terminal.types("fg\n");
    terminal.sees("read line");
    terminal.types("words\n");
    terminal.sees("got words");
    terminal.types("exit\n");
}

#[test]
fn a_script_may_stop_and_continue_a_program_by_its_own() {
    // No job control: nobody would continue brkmap.
    let own = env!("CARGO_BIN_EXE_brkmap");
    let script = format!(
        "'{own}' run -o /dev/null --force -- sh -c 'echo go; kill -STOP $$; echo $((40+2))x; exit 3' & run=$!;
         until child=$(cat /proc/$run/task/$run/children) && grep -q '^State:.*[tT] ' /proc/${{child% }}/status; do
             sleep 0.05
         done 2>/dev/null
         sleep 0.3
         # Again and again: the state may have been one in which brkmap alone held it.
         while kill -CONT ${{child% }} 2>/dev/null; do sleep 0.1; done &
         wait $run; echo status=$?"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    std::fs::write(&file, script).unwrap();
    let mut terminal = Terminal::new(&format!("sh {}", file.display()));
    terminal.sees("42x");
    terminal.sees("status=3");
}
