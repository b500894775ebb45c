//! The Rust program on brkmap.

#[global_allocator]
static ALLOCATOR: brkmap::BrkMap = brkmap::BrkMap::new();

fn main() {
    rival_workload::main("brkmap", rival_workload::Blocks::Elsewhere);
}
