//! Pictures as SVG: self-contained, without script, for dark and light, each fit to stand alone or inside of a page.

mod draw;
mod heat;
mod space;

pub(crate) use space::address_space;
