//! Jobs in a pool that two processes share: one puts them there, the other one does them.
//!
//! The memory is a memfd. The second process gets its descriptor by inheritance; it could also come through a Unix socket.
//! What travels between the two is a handle: 8 bytes that mean the same in both, though the memory has another address.

use brkmap_toolbox::plain;
use brkmap_toolbox::shared::{Handle, Pool};
use brkmap_toolbox::source::SharedMap;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

plain! {
    /// A number whose square is wanted.
    #[derive(Debug)]
    pub struct Job {
        /// The number.
        pub number: u64,
        /// Its square, when `is_done` is 1.
        pub square: u64,
        /// Whether it is done.
        pub is_done: u64,
    }
}

/// The second process: reads handles, does the jobs, says that they are done.
fn worker(descriptor: i32) {
    // SAFETY: the first process left this descriptor open for us.
    let memory = SharedMap::from_fd(unsafe { OwnedFd::from_raw_fd(descriptor) }).expect("a sealed memfd");
    let pool = Pool::<Job, _>::open(memory).expect("the pool of the first process");
    for line in std::io::stdin().lines() {
        let bits = line.expect("a line").parse().expect("the bits of a handle");
        let job = Handle::<Job>::from_bits(bits);
        let Job { number, .. } = pool.get(job).expect("a job that is not done");
        pool.set(job, Job { number, square: number * number, is_done: 1 }).expect("a job that is not done");
        println!("{bits}");
    }
}

fn main() {
    if let Some(descriptor) = std::env::args().nth(1) {
        return worker(descriptor.parse().expect("the number of a descriptor"));
    }
    let memory = SharedMap::create("jobs", 64 << 10).expect("a memfd of 64 KiB");
    // SAFETY: the descriptor is open; its copy is not closed on exec and belongs to us.
    let inherited = unsafe { OwnedFd::from_raw_fd(libc::dup(memory.descriptor().expect("a memfd").as_raw_fd())) };
    let pool = Pool::<Job, _>::create(memory).expect("64 KiB are enough for a pool");

    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .arg(inherited.as_raw_fd().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can start itself");
    let mut to = child.stdin.take().expect("a pipe");
    let mut from = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut sum = 0;
    for number in 1..=100 {
        let job = pool.insert(Job { number, square: 0, is_done: 0 }).expect("room for a job");
        writeln!(to, "{}", job.to_bits()).expect("the worker listens");
        let done = from.next().expect("an answer").expect("a line");
        assert_eq!(done, job.to_bits().to_string());
        let job = pool.remove(job).expect("our job");
        assert!(job.is_done == 1 && job.number == number);
        sum += job.square;
    }
    drop(to);
    assert!(child.wait().expect("the worker ends").success());
    println!("the sum of the squares up to 100, computed by another process: {sum}");
    assert!(sum == 338_350 && pool.is_empty());
}
