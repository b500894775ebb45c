//! `brkmap`: runs any program on brkmap's malloc, or watches it on its own, and says where its memory is.
//!
//! ```text
//!   cli ──► cmd ──► trace ──► collect ──► proc, heap, elf      (facts)
//!             │       └──────────────────► model ──► view      (judgement, words)
//!             ├───► trace ──► stack, model/calls ──► view    (system calls for memory, with their stacks)
//!             ├───► look ──► collect, heap                     (facts of a process that was not started by us)
//!             └───► probe, demo ──► children of our own        (what is allowed here; programs that are ill)
//! ```
//! What is unsafe lives in `os`, `trace` and, for what its subjects do to their own memory, `lab`. `proc`, `heap`, `model` and `view` are pure.

mod chunked;
mod cli;
mod cmd;
mod collect;
#[cfg(test)]
mod damage;
mod demo;
mod elf;
mod embed;
mod heap;
mod lab;
mod look;
mod machine;
mod model;
mod os;
mod probe;
mod proc;
mod stack;
mod trace;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    cmd::dispatch(cli::parse())
}
