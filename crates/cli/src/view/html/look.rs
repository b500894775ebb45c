//! What both commands show of a full look at a process.

use super::card::Remedy;
use super::environment::{self, Fact};
use super::markup::{element, of_class};
use super::page::Section;
use super::table::folded;
use super::{fragmentation, space};
use crate::model::advice::Advice;
use crate::model::diagnosis::Diagnosis;
use crate::model::heat::Heat;
use crate::model::inspection::Inspection;
use crate::model::picture::Picture;
use crate::model::policy::Policy;
use crate::model::spans::spans;
use crate::view::svg;

/// What to do.
pub(super) fn remedies(diagnosis: &Diagnosis) -> Vec<Remedy> {
    let remedy = |advice: &Advice| Remedy {
        text: advice.text.clone(),
        gain: advice.gain.map(|(bytes, mark)| (bytes, mark.key())),
    };
    diagnosis.advice.iter().map(remedy).collect()
}

/// What could not be read.
pub(super) fn warnings(inspection: &Inspection) -> Vec<String> {
    let ours = inspection.look.snapshot.heap_error.as_ref();
    let theirs = inspection.look.glibc.as_ref().and_then(|glibc| glibc.problem.as_ref());
    let of = |(whose, problem): (&str, &String)| format!("{whose} heap could not be read to its end: {problem}");
    [ours.map(|problem| ("brkmap's", problem)), theirs.map(|problem| ("glibc's", problem))]
        .into_iter()
        .flatten()
        .map(of)
        .collect()
}

/// The picture that `brkmap maps --svg` draws; on narrow screens, where it would have to be pushed about, strips come first.
pub(super) fn address_space(inspection: &Inspection, picture: &Picture, when: &str) -> Section {
    let spans = spans(&inspection.look);
    let label = "picture of the address space";
    let drawn = of_class("div", "wide picture").with("tabindex", 0).with("role", "region").with("aria-label", label);
    let strips = of_class("div", "strips").children(space::figure(&spans, &inspection.look.residency));
    let inner = vec![
        strips,
        drawn.markup(&svg::address_space(picture)),
        folded(&format!("all {} ranges with their addresses", spans.len()), false, [space::ranges(&spans)]),
    ];
    let heat = if picture.heat.is_some() { ", and how full the OS pages of malloc's heaps are" } else { "" };
    let lead = format!("{when}What is mapped, which parts of it are in memory{heat}.");
    Section::new("space", "Address space", lead, inner)
}

/// What keeps free memory from going back.
pub(super) fn fragments(inspection: &Inspection, heat: Option<&Heat>) -> Section {
    let mut inner = Vec::new();
    if let Some(glibc) = &inspection.look.glibc {
        inner.extend(fragmentation::of_glibc(glibc));
    }
    inner.extend(heat.map(fragmentation::of_pages).into_iter().flatten());
    if inspection.look.snapshot.heaps.iter().any(|heap| heap.has_served()) {
        inner.extend(fragmentation::of_policy(&Policy::of(&inspection.look.snapshot)));
    }
    if inner.is_empty() {
        let text = format!("The blocks of this malloc ({}) cannot be seen from outside.", inspection.malloc);
        inner.push(element("p").text(text));
    }
    let lead = "Which blocks there are, and what keeps free memory from going back.";
    Section::new("fragmentation", "Fragmentation", lead, inner)
}

/// malloc and its settings.
pub(super) fn settings(inspection: &Inspection) -> Vec<Fact> {
    let look = &inspection.look;
    let mut of_malloc = vec![("malloc in force".to_owned(), inspection.malloc.clone())];
    if let Some(minor) = look.glibc.as_ref().and_then(|glibc| glibc.version) {
        of_malloc.push(("libc".to_owned(), format!("glibc 2.{minor}")));
    }
    let runtimes: Vec<&str> = look.runtimes.iter().map(|runtime| runtime.name()).collect();
    if !runtimes.is_empty() {
        of_malloc.push(("also in the process".to_owned(), runtimes.join(", ")));
    }
    of_malloc.extend(look.glibc.as_ref().and_then(|glibc| glibc.parameters).iter().flat_map(environment::parameters));
    of_malloc.extend(Policy::of(&look.snapshot).thresholds.iter().map(environment::threshold));
    of_malloc.extend(environment::settings(&look.settings));
    of_malloc.extend(environment::limit(look.limit.as_ref()));
    of_malloc
}
