//! A list that is there at the next start: an arena in a file, linked by handles.
//!
//! Each run appends a line and prints all of them. Run it twice, or kill it in between:
//! `cargo run -p brkmap-toolbox --example file_arena -- /tmp/visits`

use brkmap_toolbox::shared::{Arena, Handle};
use brkmap_toolbox::source::FileOptions;
use brkmap_toolbox::{ErrorKind, plain};
use std::path::PathBuf;
use std::time::SystemTime;

plain! {
    /// One visit, linked to the one before.
    pub struct Visit {
        /// Seconds since 1970.
        pub at: u64,
        /// Which process.
        pub process: u64,
        /// The visit before, or the null handle.
        pub before: Handle<Visit>,
    }
}

/// Opens the file, or makes it.
fn visits(path: &PathBuf) -> Result<Arena<Visit, brkmap_toolbox::source::FileMap>, brkmap_toolbox::Error> {
    // SAFETY: nobody cuts the file while we have it; other users of this crate are kept out by its lock.
    match unsafe { FileOptions::new().open(path) } {
        Ok(file) => Arena::open(file),
        Err(error) if error.kind() == ErrorKind::Refused(2) => {
            // SAFETY: as above.
            Arena::create(unsafe { FileOptions::new().create(path, 4096)? })
        }
        Err(error) => Err(error),
    }
}

fn visit(path: &PathBuf) -> Result<usize, brkmap_toolbox::Error> {
    let visits = visits(path)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let before = Handle::from_bits(visits.root());
    let this = visits.push(Visit { at: now, process: std::process::id().into(), before })?;
    visits.set_root(this.to_bits())?;
    let (mut at, mut count) = (this, 0);
    while !at.is_null() {
        let Visit { at: seconds, process, before } = visits.get(at)?;
        println!("  process {process} at {seconds}");
        (at, count) = (before, count + 1);
    }
    visits.memory().flush()?;
    Ok(count)
}

fn main() -> Result<(), brkmap_toolbox::Error> {
    if let Some(path) = std::env::args().nth(1) {
        println!("visits in {path}, the newest first:");
        visit(&path.into())?;
        return Ok(());
    }
    // Without a path: three visits to a file that goes away, each by opening it anew.
    let path = std::env::temp_dir().join(format!("file-arena-{}", std::process::id()));
    for expected in 1..=3 {
        println!("visit {expected}:");
        assert_eq!(visit(&path)?, expected);
    }
    // A file that holds something else is refused with a reason.
    std::fs::write(&path, [7; 4096]).expect("the file can be written");
    println!("refused: {}", visit(&path).expect_err("this is no arena"));
    std::fs::remove_file(&path).expect("the file can be removed");
    Ok(())
}
