//! The Rust program on jemalloc.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    rival_workload::main("jemalloc-crate", rival_workload::Blocks::Elsewhere);
}
