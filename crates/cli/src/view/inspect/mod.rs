//! Reports of `brkmap inspect`, as text or JSON. Pure.

pub(crate) mod json;
pub(crate) mod text;

pub(crate) use crate::model::inspection::Inspection;
