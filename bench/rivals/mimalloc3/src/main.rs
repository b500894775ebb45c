//! The Rust program on mimalloc.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    rival_workload::main("mimalloc3", rival_workload::Blocks::Elsewhere);
}
