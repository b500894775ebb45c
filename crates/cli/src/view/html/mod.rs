//! Reports as one HTML file: it needs no network, no other file and no script. Pure.
//!
//! ```text
//!  markup     the only place where foreign text becomes part of a page
//!  table      numbers and tables
//!  card, waterfall, timeline, space, fragmentation, calls, environment, method      one section each
//!  look       sections of a full look, which both commands have
//!  page       head, contents, sections, raw data
//!  inspect, run                                                                     which sections a command has
//! ```

mod calls;
mod card;
mod environment;
mod fragmentation;
mod inspect;
mod look;
mod markup;
mod method;
mod page;
mod run;
mod space;
mod table;
mod timeline;
mod waterfall;

pub(crate) use inspect::render as inspection;
pub(crate) use run::render as run;

use page::Section;

/// The section of memory over time.
fn over_time(timeline: &timeline::Timeline<'_>, how_to_get_one: &str) -> Section {
    let lead = "Resident is what the kernel counts, live what the program holds of malloc, mapped what it could touch.";
    Section::new("timeline", "Over time", lead, timeline::figure(timeline, how_to_get_one))
}
