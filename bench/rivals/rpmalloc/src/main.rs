//! The Rust program on rpmalloc.

#[global_allocator]
static ALLOCATOR: rpmalloc::RpMalloc = rpmalloc::RpMalloc;

fn main() {
    rival_workload::main("rpmalloc", rival_workload::Blocks::Elsewhere);
}
