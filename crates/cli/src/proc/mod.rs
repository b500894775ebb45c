//! What the kernel tells about a process: text (or words) in, values out. Nothing here opens a file.

pub(crate) mod cgroup;
pub(crate) mod glance;
pub(crate) mod pagemap;
pub(crate) mod residency;
pub(crate) mod smaps;
pub(crate) mod stat;
pub(crate) mod status;

#[cfg(test)]
mod damaged;
