//! Async tasks on an executor of a hundred lines: a task is a boxed future in an `Arc`, waiting tasks lie in a queue, and a
//! task waits for a message of the one that it started.

use crate::Outcome;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// How many requests are served, and how many of them at once.
const REQUESTS: u64 = 400_000;
const AT_ONCE: u64 = 256;

/// One worker: every block is freed by the thread that made it.
pub(crate) fn one_worker() -> Outcome {
    Outcome::Sum(serve(1))
}

/// Two workers: a task goes on wherever the queue takes it, and so do its blocks.
pub(crate) fn two_workers() -> Outcome {
    Outcome::Sum(serve(2))
}

type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Executor {
    ready: Mutex<VecDeque<Arc<Task>>>,
    came: Condvar,
    /// Tasks that have not ended.
    left: AtomicU64,
}

struct Task {
    body: Mutex<Option<Body>>,
    executor: Arc<Executor>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wake for Task {
    fn wake(self: Arc<Task>) {
        let executor = self.executor.clone();
        lock(&executor.ready).push_back(self);
        executor.came.notify_one();
    }
}

impl Executor {
    fn spawn(self: &Arc<Executor>, body: impl Future<Output = ()> + Send + 'static) {
        self.left.fetch_add(1, Ordering::Relaxed);
        Arc::new(Task { body: Mutex::new(Some(Box::pin(body))), executor: self.clone() }).wake();
    }

    /// The next task that can go on; none once all have ended.
    fn next(&self) -> Option<Arc<Task>> {
        let mut ready = lock(&self.ready);
        loop {
            if let Some(task) = ready.pop_front() {
                return Some(task);
            }
            if self.left.load(Ordering::Acquire) == 0 {
                return None;
            }
            ready = self.came.wait(ready).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self) {
        while let Some(task) = self.next() {
            let waker = Waker::from(task.clone());
            let mut body = lock(&task.body);
            let Some(future) = body.as_mut() else { continue };
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                *body = None;
                if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    // Under the lock, so that no worker is between its look and its sleep.
                    let _ready = lock(&self.ready);
                    self.came.notify_all();
                }
            }
        }
    }
}

/// One value from one task to another.
struct Mailbox<T> {
    state: Mutex<(Option<T>, Option<Waker>)>,
}

impl<T> Mailbox<T> {
    fn new() -> Arc<Mailbox<T>> {
        Arc::new(Mailbox { state: Mutex::new((None, None)) })
    }

    fn send(&self, value: T) {
        let mut state = lock(&self.state);
        state.0 = Some(value);
        let waker = state.1.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn receive(&self) -> T {
        poll_fn(|context| {
            let mut state = lock(&self.state);
            match state.0.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    state.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Serves all requests on some workers: each is a task that starts two more, waits for their answers and joins them.
fn serve(workers: usize) -> u64 {
    let executor =
        Arc::new(Executor { ready: Mutex::new(VecDeque::new()), came: Condvar::new(), left: AtomicU64::new(0) });
    let sum = Arc::new(AtomicU64::new(0));
    for chain in 0..AT_ONCE {
        let (own, sum) = (executor.clone(), sum.clone());
        executor.spawn(async move {
            let mut request = chain;
            while request < REQUESTS {
                sum.fetch_add(answer(&own, request).await, Ordering::Relaxed);
                request += AT_ONCE;
            }
        });
    }
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| executor.work());
        }
    });
    sum.load(Ordering::Relaxed)
}

async fn answer(executor: &Arc<Executor>, request: u64) -> u64 {
    let (header, body) = (Mailbox::new(), Mailbox::new());
    let (to_header, to_body) = (header.clone(), body.clone());
    executor.spawn(async move { to_header.send(format!("request {request}: {}", request % 7)) });
    executor.spawn(async move {
        let parts: Vec<String> = (0..request % 12).map(|part| format!("part {part} of {request}")).collect();
        to_body.send(parts.join("\n").into_bytes());
    });
    let text = header.receive().await;
    let bytes: Vec<u8> = body.receive().await;
    text.len() as u64 + bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>()
}
