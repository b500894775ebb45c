//! The subject: this program once more, as a fresh process that does one thing to memory and reports figures.

use super::raw::{self, Out, Refusal};

/// A body: takes numbers, reports.
pub(super) type Body = fn(&[u64], &mut Out) -> Result<(), Refusal>;

/// Seconds after which a subject that hangs is ended by the kernel.
const LONGEST: u32 = 40;
/// Exit status of a subject that was refused something.
pub(super) const REFUSED: i32 = 3;
/// Exit status of a subject whose name nobody knows.
pub(super) const UNKNOWN: i32 = 4;

/// Runs one; returns the exit status.
pub(crate) fn run(name: &str, numbers: &[u64]) -> u8 {
    // SAFETY: [no-memory] takes a number.
    unsafe { libc::alarm(LONGEST) };
    let found = super::FAMILIES.iter().flat_map(|family| family.subjects).find(|(known, _)| *known == name);
    let Some((_, body)) = found else { return UNKNOWN as u8 };
    let mut out = match Out::new() {
        Ok(out) => out,
        Err(Refusal(why)) => {
            // Without its buffer a subject still says why.
            println!("refused\t{why}");
            return REFUSED as u8;
        }
    };
    let result = body(numbers, &mut out);
    raw::mark("end");
    if let Err(Refusal(why)) = &result {
        out.text("refused", format_args!("{why}"));
    }
    out.flush();
    if result.is_ok() { 0 } else { REFUSED as u8 }
}
