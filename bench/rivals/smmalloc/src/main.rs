//! The Rust program on smalloc.

#[global_allocator]
static ALLOCATOR: smmalloc::Smalloc = smmalloc::Smalloc::new();

fn main() {
    rival_workload::main("smmalloc", rival_workload::Blocks::Elsewhere);
}
