//! The Rust program on snmalloc.

#[global_allocator]
static ALLOCATOR: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;

fn main() {
    rival_workload::main("snmalloc", rival_workload::Blocks::Elsewhere);
}
