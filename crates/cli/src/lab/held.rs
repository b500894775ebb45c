//! A program that holds ten times what it uses, seen through every window there is.

use super::Family;
use super::launch::{Bench, Malloc, Ran};
use super::note::{Judged, Notes, Trouble, Verdict};
use super::raw::{self, Block, Out, Refusal};
use crate::collect::Collector;
use crate::look;
use crate::model::xray::{Row, Xray};

pub(super) const FAMILY: Family = Family {
    name: "back",
    experiments: &[("back-500", five_hundred)],
    subjects: &[("back-500", five_hundred_subject)],
};

const BYTES: usize = 4000;
/// A build without optimisation walks the heap too slowly for all of it: a fifth there.
const BLOCKS: usize = if cfg!(debug_assertions) { 25_000 } else { 125_000 };
/// Megabytes of all blocks.
const ALL: u64 = (BLOCKS * BYTES / 1_000_000) as u64;
/// Blocks that are kept or freed together: some 64 KB.
const RUN: usize = 16;

/// What is seen from outside at one moment.
struct Seen {
    rss: u64,
    rows: Option<Xray>,
}

fn see(pid: i32) -> Seen {
    let rss = crate::collect::status(pid).map_or(0, |status| status.rss);
    let rows = look::look(pid, &mut Collector::default()).ok().map(|look| Xray::of(&look));
    Seen { rss, rows }
}

fn mb(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / 1e6)
}

/// Live bytes and free bytes that malloc keeps, by our waterfall.
fn waterfall(seen: &Seen) -> Option<(u64, u64)> {
    let rows = seen.rows.as_ref().filter(|rows| rows.malloc_seen)?;
    Some((rows.live(), Row::ALL.into_iter().filter(|row| row.is_kept()).map(|row| rows.get(row)).sum()))
}

/// The last figure of a kind in malloc_stats: the totals.
fn stats(ran: &Ran, stage: usize, key: &str) -> Option<u64> {
    let part = ran.errors.split("== stage ").nth(stage)?;
    let line = part.lines().rfind(|line| line.trim_start().starts_with(key))?;
    line.rsplit(['=', ' ']).find_map(|word| word.trim().parse().ok())
}

/// The size that malloc_info gives for the whole process.
fn info(ran: &Ran, stage: usize) -> Option<u64> {
    let part = ran.errors.split("== stage ").nth(stage)?;
    let (_, rest) = part.rsplit_once("<system type=\"current\" size=\"")?;
    rest.split('"').next()?.parse().ok()
}

fn line(name: &str, ran: &Ran, stage: usize, seen: &Seen) -> Result<String, Trouble> {
    let known = |figure: Option<u64>| figure.map_or("?".to_owned(), mb);
    let rows = waterfall(seen).map_or("?".to_owned(), |(live, kept)| format!("{} live, {} free", mb(live), mb(kept)));
    Ok(format!(
        "{name:<21} {:<6} {:<7} {:<15} {:<12} {rows}",
        mb(seen.rss),
        mb(ran.get(["data-1", "data-2"][stage - 1])?),
        format!("{} of {}", known(stats(ran, stage, "in use bytes")), known(stats(ran, stage, "system bytes"))),
        known(info(ran, stage)),
    ))
}

fn five_hundred(bench: &Bench, notes: &mut Notes) -> Judged {
    let thousands = BLOCKS / 1000;
    notes.did(format!(
        "{thousands},000 blocks of 4,000 bytes, filled; nine of ten runs of 16 freed; looked from both sides"
    ));
    notes.saw("MB                    VmRSS  VmData  malloc_stats    malloc_info  our waterfall");
    let look_at = |malloc: Malloc| {
        let mut seen = Vec::new();
        let ran = bench.subject("back-500").on(malloc).staged(|pid| seen.push(see(pid)))?;
        ran.text("live")?;
        if seen.len() < if malloc == Malloc::System { 2 } else { 1 } {
            return Err(Trouble::Broken("the process did not stop to be looked at".into()));
        }
        Ok((ran, seen))
    };
    let (glibc, glibc_seen) = look_at(Malloc::System)?;
    let (brkmap, brkmap_seen) = look_at(Malloc::Brkmap)?;
    notes.saw(line("glibc, after frees", &glibc, 1, &glibc_seen[0])?);
    notes.saw(line("glibc, malloc_trim", &glibc, 2, &glibc_seen[1])?);
    notes.saw(line("brkmap, after frees", &brkmap, 1, &brkmap_seen[0])?);
    let live = glibc.get("live")? / 1_000_000;
    notes.within("MB live", live, ALL * 8 / 100..=ALL * 12 / 100);
    notes.within("glibc: MB resident", glibc_seen[0].rss / 1_000_000, ALL * 98 / 100..=ALL + 50);
    notes.within("glibc: MB resident after malloc_trim", glibc_seen[1].rss / 1_000_000, 8..=ALL / 10 + 40);
    notes.within("brkmap: MB resident", brkmap_seen[0].rss / 1_000_000, 8..=ALL / 10 + 40);
    notes.within(
        "glibc: MB in use by malloc_stats",
        stats(&glibc, 1, "in use bytes").unwrap_or(0) / 1_000_000,
        live..=live + 2,
    );
    match waterfall(&glibc_seen[0]) {
        Some((seen_live, kept)) => {
            notes.within("glibc: MB live in our waterfall", seen_live / 1_000_000, live..=live + 2);
            notes.within("glibc: MB free and kept in our waterfall", kept / 1_000_000, ALL * 85 / 100..=ALL * 92 / 100);
        }
        None => notes.saw("our waterfall does not know this malloc's insides, or the process may not be read"),
    }
    Ok(Verdict::AsTold)
}

fn five_hundred_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    // The blocks, and what malloc and the looks take beside them.
    const NEEDED: u64 = (BLOCKS * BYTES) as u64 * 5 / 2;
    if raw::available() < NEEDED {
        return Err(Refusal(format!("less than {} MB of memory is available", NEEDED / 1_000_000)));
    }
    let blocks = raw::table(BLOCKS)?;
    for slot in blocks.iter_mut() {
        let mut block = Block::new(BYTES)?;
        block.fill(1);
        *slot = Some(block);
    }
    let mut random = 4711u64;
    let mut live = 0;
    for run in blocks.chunks_mut(RUN) {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if (random >> 33).is_multiple_of(10) {
            live += (run.len() * BYTES) as u64;
        } else {
            run.iter_mut().filter_map(Option::take).for_each(Block::free);
        }
    }
    out.put("live", live);
    raw::settle();
    // What malloc_trim changes is of interest where nothing goes back by itself.
    let stages = if raw::is_brkmap() { 1 } else { 2 };
    for (stage, name) in [(1, "data-1"), (2, "data-2")].into_iter().take(stages) {
        out.put(name, raw::status("VmData"));
        raw::statistics(stage);
        raw::stop();
        raw::trim();
    }
    Ok(())
}
