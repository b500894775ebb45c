//! The Rust program on libc's malloc.

#[global_allocator]
static ALLOCATOR: std::alloc::System = std::alloc::System;

fn main() {
    rival_workload::main("glibc", rival_workload::Blocks::InLibc);
}
