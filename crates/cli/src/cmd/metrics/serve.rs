//! `brkmap metrics serve`.

use super::http::{self, Answer, Question};
use super::rounds::{Mood, Rounds};
use crate::cli::metrics::Serve;
use crate::cmd::{Failure, complain};
use crate::view::metrics::{Format, Scrape, content_type, render};
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Several scrapers within this time get the same round.
const FRESH: Duration = Duration::from_millis(500);

/// The last round and when it ended.
struct State {
    rounds: Rounds,
    last: Option<(Instant, Scrape)>,
}

/// Serves until it is stopped.
pub(crate) fn run(arguments: &Serve) -> Result<u8, Failure> {
    let address = arguments.listen;
    let cannot = |error| Failure::tool(format!("cannot listen on {address}: {error}; choose another with --listen"));
    let listener = TcpListener::bind(address).map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let is_loopback = address.ip().is_loopback();
    complain(&format!("serving http://{address}/metrics"));
    if !is_loopback {
        complain("everybody who can reach this address can read the names and figures of processes");
    }
    let state = Mutex::new(State { rounds: Rounds::new(arguments.targets.clone()), last: None });
    let error = http::serve(&listener, is_loopback, move |question| answer(question, &state));
    Err(Failure::tool(format!("cannot go on listening on {address}: {error}")))
}

fn answer(question: &Question, state: &Mutex<State>) -> Answer {
    match question.path.as_str() {
        "/metrics" => metrics(question.format, state),
        "/" => Answer::plain("200 OK", "brkmap: figures of running processes are at /metrics"),
        _ => Answer::plain("404 Not Found", "the figures are at /metrics"),
    }
}

fn metrics(format: Format, state: &Mutex<State>) -> Answer {
    // A thread that panicked left a round that is replaced by the next.
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if state.last.as_ref().is_none_or(|(when, _)| when.elapsed() > FRESH) {
        match state.rounds.look(Mood::Lenient) {
            Ok(scrape) => state.last = Some((Instant::now(), scrape)),
            Err(failure) => return Answer::plain("500 Internal Server Error", &failure.message),
        }
    }
    let text = state.last.as_ref().map(|(_, scrape)| render(scrape, format)).unwrap_or_default();
    Answer { status: "200 OK", content_type: content_type(format), text }
}
