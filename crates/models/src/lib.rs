//! Exhaustive models of the protocols between threads.
//!
//! The protocol files of `brkmap-core` and of the toolbox are compiled here a second time, with the model checker's atomics behind
//! `crate::sync`: what is checked is their own source, not a copy. Each model runs under every interleaving (with at
//! most [`PREEMPTIONS`] preemptions) and every value that the memory model lets a load return.
//!
//! | model | protocol | proves |
//! |---|---|---|
//! | `remote` | blocks freed by other threads | none lost, none twice; a page on at most one queue |
//! | `lifecycle` | a heap is left, tended, adopted | one owner at a time; frees meanwhile are not lost |
//! | `handover` | a page changes its heap while others free into it | its blocks reach the new owner |
//! | `idle` | memory goes back behind the owner's back | each block is there once, nothing live goes back |
//! | `once` | first initialisation | exactly one runs it; all see it complete |
//! | `lock` | the lock that knows its holder | mutual exclusion; nobody sleeps for ever |
//! | `tagged` | the toolbox's stack of free slots | one owner at a time, also when a head comes back; none lost |
//!
//! For each there are mutants (see `build.rs`): the same source with one mistake, which the model must find.
#![cfg(test)]
#![allow(dead_code, unreachable_pub, missing_docs)]

/// What the protocol files call `crate::sync`.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

    /// Once is enough to go through the code; more shows the checker nothing new.
    pub(crate) const SPINS: u32 = 1;

    pub(crate) fn pause() {}
}

#[path = "../../core/src/lifecycle.rs"]
mod lifecycle;
#[path = "../../core/src/lock.rs"]
mod lock;
#[path = "../../core/src/once.rs"]
mod once;
#[path = "../../core/src/remote.rs"]
mod remote;
#[path = "../../toolbox/src/tagged.rs"]
mod tagged;

mod handover_model;
mod idle_model;
mod lifecycle_model;
mod lock_model;
mod once_model;
mod parking;
mod remote_model;
mod tagged_model;

/// Preemptions per execution; the mutants show that this is enough for the mistakes of this kind.
const PREEMPTIONS: usize = 3;

/// Runs the model under all executions.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    let executions = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = executions.clone();
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    println!("{} executions", executions.load(std::sync::atomic::Ordering::Relaxed));
}

/// Memory that is no atomic: the checker fails the model if two threads could touch it at once.
struct Watched<T>(loom::cell::UnsafeCell<T>);

impl<T: Copy> Watched<T> {
    fn new(value: T) -> Self {
        Watched(loom::cell::UnsafeCell::new(value))
    }

    fn get(&self) -> T {
        // SAFETY: [watched] the checker stops the model before a read that races with a write
        self.0.with(|value| unsafe { *value })
    }

    fn set(&self, value: T) {
        // SAFETY: [watched] the checker stops the model before a write that races with any access
        self.0.with_mut(|place| unsafe { *place = value })
    }
}

/// What a thread of a model does with the value that they share.
type Role<T, R> = Box<dyn FnOnce(&T) -> R>;

/// Runs the roles at the same time, each in a thread of its own; their results. The thread that runs the model takes no
/// part: the checker does not try all orders of what it does before it joins.
fn together<T: 'static, R: 'static, const N: usize>(shared: &loom::sync::Arc<T>, roles: [Role<T, R>; N]) -> [R; N] {
    let threads = roles.map(|role| {
        let shared = shared.clone();
        loom::thread::spawn(move || role(&shared))
    });
    threads.map(|thread| thread.join().unwrap())
}

/// The model must fail; what it said.
fn must_fail(mutant: &str, model: impl Fn() + Sync + Send + 'static) {
    let run = std::panic::AssertUnwindSafe(|| explore(PREEMPTIONS, model));
    let payload = std::panic::catch_unwind(run).expect_err(&format!("the model does not see the mistake {mutant}"));
    let said = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    println!("{mutant}: {}", said.unwrap_or("(no message)").lines().next().unwrap_or_default());
}

/// A mutant of a protocol file as a module, and the test that a model finds it.
macro_rules! mutants {
    ($($model:ident::$function:ident finds $mutant:ident;)*) => {
        $(
            mod $mutant {
                #[allow(clippy::all, unused)]
                mod mutant {
                    include!(concat!(env!("OUT_DIR"), "/", stringify!($mutant), ".rs"));
                }
                super::$model!(mutant);

                #[test]
                fn is_found() {
                    crate::must_fail(stringify!($mutant), $function);
                }
            }
        )*
    };
}
pub(crate) use mutants;
