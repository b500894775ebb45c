//! The terminal while the live screen is on it, and how it gets back to what it was: at the end, in a panic, on a signal.

use crate::os;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;
use std::io::{self, Stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::model::top::ui::Key;

/// Whether the terminal has our screen.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// After a signal the main thread has so long to clean up; then it is done for it.
const GRACE: Duration = Duration::from_secs(2);

/// The screen. Dropping it gives the terminal back.
pub(super) struct Screen {
    terminal: ratatui::Terminal<CrosstermBackend<Stdout>>,
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, Hide)
}

/// Gives the terminal back; does nothing if it is.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Where the terminal is gone there is nobody to tell.
        let _ = disable_raw_mode();
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    }
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn new() -> io::Result<Screen> {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |what| {
            give_back();
            previous(what);
        }));
        take().inspect_err(|_| give_back())?;
        Ok(Screen { terminal: ratatui::Terminal::new(CrosstermBackend::new(io::stdout()))? })
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        self.terminal.size().map_or((80, 24), |size| (usize::from(size.width), usize::from(size.height)))
    }

    /// Shows lines; only what changed is written.
    pub(super) fn draw(&mut self, lines: Vec<Line<'static>>) -> io::Result<()> {
        self.terminal.draw(|frame| frame.render_widget(Paragraph::new(lines), frame.area()))?;
        Ok(())
    }

    /// Writes everything anew with the next picture.
    pub(super) fn repaint(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// Stops as a job of the shell does, with the terminal as it was; goes on when the shell says so.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        os::stop_self();
        take()?;
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Signals that somebody sends to us. From now on they are messages and no longer end the process at once.
pub(super) fn signals() -> Receiver<i32> {
    os::hold_endings();
    let (send, receive) = channel();
    std::thread::spawn(move || {
        loop {
            let signal = os::wait_for_ending();
            let is_end = signal != libc::SIGTSTP;
            if send.send(signal).is_err() || is_end {
                std::thread::sleep(GRACE);
                // A terminal that takes no more output holds the main thread.
                give_back();
                os::end_by(signal);
            }
        }
    });
    receive
}

/// A key as the screen knows it.
pub(super) fn key(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let is_control = event.modifiers.contains(KeyModifiers::CONTROL);
    Some(match event.code {
        KeyCode::Char(c) if is_control => Key::Control(c.to_ascii_lowercase()),
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::F(number) => Key::Function(number),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_panic_gives_the_terminal_back() {
        let folder = tempfile::tempdir().unwrap();
        let tmux = |arguments: &[&str]| {
            let mut command = Command::new("tmux");
            command.arg("-S").arg(folder.path().join("socket")).args(arguments);
            let output = command.output().expect("the tool `tmux` is needed (package tmux)");
            String::from_utf8(output.stdout).unwrap()
        };
        let own = std::env::current_exe().unwrap();
        let test = format!(
            "echo before; {} --exact --ignored --nocapture cmd::top::terminal::tests::panics_on_the_screen; \
             stty -a | grep -o -- '[-]*icanon'; echo after; sleep 60",
            own.display()
        );
        tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "50", &test]);
        let begin = std::time::Instant::now();
        let mut seen_live = false;
        let screen = loop {
            let screen = tmux(&["capture-pane", "-p"]);
            if !seen_live && screen.contains("the live screen") {
                seen_live = true;
                tmux(&["send-keys", "x"]);
            }
            if screen.contains("after") || begin.elapsed() > Duration::from_secs(60) {
                break screen;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let state = tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        tmux(&["kill-server"]);
        assert!(seen_live, "{screen}");
        for part in ["before", "on purpose", "\nicanon", "after"] {
            assert!(screen.contains(part), "{part}: {screen}");
        }
        assert_eq!(state.trim(), "0 1", "{screen}");
    }

    /// Run by the test above on a terminal of its own.
    #[test]
    #[ignore = "needs a terminal; another test runs it there"]
    fn panics_on_the_screen() {
        let mut screen = Screen::new().unwrap();
        screen.draw(vec![Line::from("the live screen")]).unwrap();
        // Until the other test has seen it, and pressed a key.
        io::Read::read_exact(&mut io::stdin(), &mut [0]).unwrap();
        panic!("on purpose");
    }
}
