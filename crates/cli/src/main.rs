//! `brkmap`: runs any program on brkmap's malloc, or watches it on its own, and says where its memory is.
//!
//! ```text
//!   cli ──► cmd ──► trace ──► collect ──► proc, heap, elf      (facts)
//!             │       └──────────────────► model ──► view      (judgement, words)
//!             ├───► trace ──► stack, model/calls ──► view    (system calls for memory, with their stacks)
//!             └───► look ──► collect, heap                     (facts of a process that was not started by us)
//! ```
//! What is unsafe lives in `os` and `trace`. `proc`, `heap`, `model` and `view` are pure.

mod chunked;
mod cli;
mod cmd;
mod collect;
#[cfg(test)]
mod damage;
mod elf;
mod embed;
mod heap;
mod look;
mod machine;
mod model;
mod os;
mod proc;
mod stack;
mod trace;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    cmd::dispatch(cli::parse())
}
