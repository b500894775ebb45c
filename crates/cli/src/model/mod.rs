//! Facts in, judgement out. Everything here is pure: the same for a live process, a recording or a test.
//!
//! ```text
//!   Snapshot (facts of one process) ──► Waterfall (bytes per reason) ──► Verdict (one sentence)
//!                                 └──► InForce   (which malloc, or why not ours)
//!   Look (a process that was not started by us) ──► Xray (bytes per reason) ──► Growth, Diagnosis (verdict, advice)
//! ```

pub(crate) mod advice;
pub(crate) mod calls;
pub(crate) mod compare;
pub(crate) mod depth;
pub(crate) mod diagnosis;
pub(crate) mod growth;
pub(crate) mod health;
pub(crate) mod heat;
pub(crate) mod in_force;
pub(crate) mod inspection;
pub(crate) mod kernel_calls;
pub(crate) mod machine;
pub(crate) mod pace;
pub(crate) mod picture;
pub(crate) mod policy;
pub(crate) mod process;
pub(crate) mod rows;
pub(crate) mod snapshot;
pub(crate) mod spans;
pub(crate) mod terms;
pub(crate) mod timeline;
pub(crate) mod top;
pub(crate) mod verdict;
pub(crate) mod waterfall;
pub(crate) mod xray;
