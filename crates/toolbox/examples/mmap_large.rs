//! A large block as a mapping of its own: map, write, read back, grow without a copy, unmap.

use brkmap_toolbox::calls::{self, Mapping};
use std::time::Instant;

const MIB: usize = 1 << 20;

fn main() {
    let start = Instant::now();
    let range = calls::map(64 * MIB, &Mapping::new()).expect("64 MiB of addresses are to be had");
    println!("mapped {} MiB at {:?} in {:?}: no memory yet", range.len() / MIB, range.cast::<u8>(), start.elapsed());

    // SAFETY: the range is fresh, zeroed and ours alone until it is unmapped.
    unsafe {
        let bytes = std::slice::from_raw_parts_mut(range.cast::<u8>().as_ptr(), range.len());
        assert!(bytes.iter().step_by(4096).all(|byte| *byte == 0));
        for (page, byte) in bytes.iter_mut().step_by(4096).enumerate() {
            *byte = page as u8;
        }
        assert!(bytes.iter().step_by(4096).enumerate().all(|(page, byte)| *byte == page as u8));
    }
    println!("wrote and read back a byte of each OS page");

    let start = Instant::now();
    // SAFETY: the whole mapping, ours; the old range is not used again.
    let longer = unsafe { calls::remap(range.cast(), range.len(), 128 * MIB, true) }.expect("128 MiB are to be had");
    println!("grew to {} MiB in {:?}: the pages moved, nothing was copied", longer.len() / MIB, start.elapsed());
    // SAFETY: the range is ours; both bytes are inside.
    let (kept, fresh) =
        unsafe { (longer.cast::<u8>().add(7 * 4096).read(), longer.cast::<u8>().add(100 * MIB).read()) };
    assert_eq!((kept, fresh), (7, 0));

    // SAFETY: nobody uses the range any more.
    unsafe { calls::unmap(longer.cast(), longer.len()) }.expect("a whole mapping can be unmapped");
    println!("unmapped: the memory is the kernel's again");
}
