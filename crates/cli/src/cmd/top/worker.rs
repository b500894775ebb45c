//! Looks at one process after another, beside the screen: a look at a large heap takes longer than a key may wait.

use crate::collect::Collector;
use crate::heap::occupancy::Detail;
use crate::look::{self, Look, Refusal};
use crate::model::heat::Heat;
use crate::model::spans::spans;
use crate::model::top::board::Identity;
use crate::model::xray::Xray;
use crate::os;
use std::sync::mpsc::{Receiver, SendError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

/// Cells of the heat map on a process' page.
const HEAT_CELLS: u64 = 64 * 16;

/// What came of a look.
pub(super) struct Looked {
    pub(super) id: Identity,
    /// When it ended, in seconds.
    pub(super) at: f64,
    pub(super) took: Duration,
    /// Of that, the time that it had a processor.
    pub(super) cost: Duration,
    pub(super) outcome: Outcome,
}

/// See above.
pub(super) enum Outcome {
    Seen(Box<Seen>),
    Gone,
    Denied(String),
    Unreadable(String),
}

/// The facts.
pub(super) struct Seen {
    pub(super) look: Look,
    pub(super) xray: Xray,
    pub(super) heat: Option<Heat>,
}

/// Takes a look; `begin` is when time began.
pub(super) fn take(id: Identity, detail: Detail, collector: &mut Collector, begin: Instant) -> Looked {
    let start = Instant::now();
    let cost = || os::clock(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or_default();
    let before = cost();
    collector.detail = detail;
    let outcome = match look::look(id.pid, collector) {
        // The number may have been given to another process meanwhile.
        Ok(look) if look.snapshot.stat.start_ticks != id.start => Outcome::Gone,
        Ok(look) => {
            let heat = if detail == Detail::OsPages { Heat::of(&look, &spans(&look), HEAT_CELLS) } else { None };
            Outcome::Seen(Box::new(Seen { xray: Xray::of(&look), heat, look }))
        }
        Err(Refusal::Gone(_)) => Outcome::Gone,
        Err(Refusal::Denied(why)) => Outcome::Denied(why),
        Err(Refusal::Unreadable(why)) => Outcome::Unreadable(why),
    };
    let cost = cost().saturating_sub(before);
    Looked { id, at: begin.elapsed().as_secs_f64(), took: start.elapsed(), cost, outcome }
}

/// The thread that looks.
pub(super) struct Worker {
    orders: Sender<(Identity, Detail)>,
    results: Receiver<Looked>,
}

impl Worker {
    pub(super) fn start(begin: Instant) -> Worker {
        let (orders, inbox) = channel::<(Identity, Detail)>();
        let (outbox, results) = channel();
        std::thread::spawn(move || {
            let mut collector = Collector::default();
            for (id, detail) in inbox {
                if outbox.send(take(id, detail, &mut collector, begin)).is_err() {
                    return;
                }
            }
        });
        Worker { orders, results }
    }

    /// Asks for a look.
    pub(super) fn order(&self, id: Identity, detail: Detail) -> Result<(), SendError<(Identity, Detail)>> {
        self.orders.send((id, detail))
    }

    /// What came, if something did.
    pub(super) fn result(&self) -> Result<Looked, TryRecvError> {
        self.results.try_recv()
    }
}
