//! What a machine lets `brkmap` see and do: from facts to one judgement a line. Pure; `probe` gathers the facts.

mod kernel;
mod library;
mod reading;
mod tracing;

use crate::proc::cgroup::{Limit, Version};
use std::collections::BTreeMap;

/// Something that is tried out in a process of its own, because a kernel may end whoever tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Test {
    /// Read memory of a child by `process_vm_readv`.
    ReadChild,
    /// The same through `/proc/PID/mem`.
    ReadChildFile,
    /// Read memory of a process of the same user that is no child.
    ReadOther,
    /// The same after that process allowed it by `PR_SET_PTRACER`.
    ReadAllowed,
    /// Read the list of mappings with their sizes.
    Smaps,
    /// Read entries of the page table.
    Pagemap,
    /// Ask the page table by `PAGEMAP_SCAN`.
    PagemapScan,
    /// Trace a child.
    Trace,
    /// Install a seccomp filter.
    Filter,
    /// Open a tracepoint of a system call.
    Tracepoint,
    /// Have programs in the kernel that tell of calls for memory.
    KernelProgram,
    /// Move the program break; the value is where it is.
    Break,
    /// Give memory back and find zeros.
    Purge,
    /// Give several pieces back by one call.
    PurgeMany,
    /// Have a thousand mappings.
    Mappings,
    /// Get a huge page on request; the value is its size.
    Huge,
    /// Reserve a TiB of addresses.
    Reserve,
    /// Name a mapping.
    Name,
}

impl Test {
    /// All of them.
    pub(crate) const ALL: [Test; 18] = [
        Test::ReadChild,
        Test::ReadChildFile,
        Test::ReadOther,
        Test::ReadAllowed,
        Test::Smaps,
        Test::Pagemap,
        Test::PagemapScan,
        Test::Trace,
        Test::Filter,
        Test::Tracepoint,
        Test::KernelProgram,
        Test::Break,
        Test::Purge,
        Test::PurgeMany,
        Test::Mappings,
        Test::Huge,
        Test::Reserve,
        Test::Name,
    ];

    /// Name on the command line of the process that tries.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Test::ReadChild => "read-child",
            Test::ReadChildFile => "read-child-file",
            Test::ReadOther => "read-other",
            Test::ReadAllowed => "read-allowed",
            Test::Smaps => "smaps",
            Test::Pagemap => "pagemap",
            Test::PagemapScan => "pagemap-scan",
            Test::Trace => "trace",
            Test::Filter => "filter",
            Test::Tracepoint => "tracepoint",
            Test::KernelProgram => "kernel-program",
            Test::Break => "break",
            Test::Purge => "purge",
            Test::PurgeMany => "purge-many",
            Test::Mappings => "mappings",
            Test::Huge => "huge",
            Test::Reserve => "reserve",
            Test::Name => "name",
        }
    }
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It worked, with a value.
    Works(u64),
    /// It was refused; the reason in words.
    Refused(String),
}

/// Where the library was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    File(String),
    Memory,
    Nowhere(String),
}

/// What was found out.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) tests: BTreeMap<Test, Outcome>,
    pub(crate) release: String,
    pub(crate) processor: String,
    pub(crate) user: u32,
    /// Version of glibc; `None` on another C library.
    pub(crate) glibc: Option<String>,
    /// Whether `inspect` has a table for its heap.
    pub(crate) glibc_known: bool,
    pub(crate) place: Place,
    /// Whether a preloaded child had the library; else why not.
    pub(crate) preload: Result<(), String>,
    /// `kernel.yama.ptrace_scope`.
    pub(crate) ptrace_scope: Option<u64>,
    /// `kernel.perf_event_paranoid`.
    pub(crate) paranoid: Option<i64>,
    /// Whether `/proc` is there at all.
    pub(crate) has_proc: bool,
    /// Whether processes of other users are visible in it.
    pub(crate) sees_others: bool,
    pub(crate) cgroup: Option<Version>,
    pub(crate) limit: Option<Limit>,
    pub(crate) address_limit: Option<u64>,
    pub(crate) data_limit: Option<u64>,
    pub(crate) max_map_count: Option<u64>,
    /// The word in brackets of `transparent_hugepage/enabled`.
    pub(crate) huge_mode: Option<String>,
    pub(crate) overcommit: Option<u64>,
    /// Whether two runs had their breaks at different addresses.
    pub(crate) random: bool,
    /// The kind of container that this is, if one.
    pub(crate) container: Option<String>,
}

impl Facts {
    /// What came of a test. One that was not made was refused.
    fn test(&self, test: Test) -> Outcome {
        self.tests.get(&test).cloned().unwrap_or_else(|| Outcome::Refused("not tried".to_owned()))
    }

    /// Why a test was refused; `None` if it worked.
    fn refusal(&self, test: Test) -> Option<String> {
        match self.test(test) {
            Outcome::Works(_) => None,
            Outcome::Refused(why) => Some(why),
        }
    }

    fn works(&self, test: Test) -> bool {
        self.refusal(test).is_none()
    }

    fn is_root(&self) -> bool {
        self.user == 0
    }
}

/// How well something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Ok,
    Limited,
    No,
}

impl State {
    /// Word in the report and in JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Limited => "limited",
            State::No => "no",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) subject: &'static str,
    pub(crate) state: State,
    /// What was found.
    pub(crate) finding: String,
    /// What it costs: which verb loses what. Empty if all is well.
    pub(crate) cost: &'static str,
    pub(crate) remedy: String,
}

impl Check {
    fn ok(subject: &'static str, finding: impl Into<String>) -> Check {
        Check { subject, state: State::Ok, finding: finding.into(), cost: "", remedy: String::new() }
    }

    fn limited(
        subject: &'static str,
        finding: impl Into<String>,
        cost: &'static str,
        remedy: impl Into<String>,
    ) -> Check {
        Check { subject, state: State::Limited, finding: finding.into(), cost, remedy: remedy.into() }
    }

    fn no(subject: &'static str, finding: impl Into<String>, cost: &'static str, remedy: impl Into<String>) -> Check {
        Check { state: State::No, ..Check::limited(subject, finding, cost, remedy) }
    }
}

/// Judges all of it, in the order of the report.
pub(crate) fn judge(facts: &Facts) -> Vec<Check> {
    let mut all = library::judge(facts);
    all.extend(reading::judge(facts));
    all.extend(tracing::judge(facts));
    all.extend(kernel::judge(facts));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that lets everything be done.
    pub(super) fn healthy() -> Facts {
        Facts {
            tests: Test::ALL.into_iter().map(|test| (test, Outcome::Works(0))).collect(),
            release: "6.18.1".to_owned(),
            processor: "x86_64".to_owned(),
            user: 1000,
            glibc: Some("2.36".to_owned()),
            glibc_known: true,
            place: Place::File("/home/me/.cache/brkmap/1/libbrkmap.so".to_owned()),
            preload: Ok(()),
            ptrace_scope: None,
            paranoid: Some(2),
            has_proc: true,
            sees_others: true,
            cgroup: Some(Version::Two),
            limit: None,
            address_limit: None,
            data_limit: None,
            max_map_count: Some(65530),
            huge_mode: Some("madvise".to_owned()),
            overcommit: Some(0),
            random: true,
            container: None,
        }
    }

    pub(super) fn found(facts: &Facts, subject: &str) -> Check {
        judge(facts).into_iter().find(|check| check.subject == subject).unwrap_or_else(|| panic!("no {subject}"))
    }

    #[test]
    fn a_healthy_machine_has_no_complaint() {
        let bad: Vec<Check> = judge(&healthy()).into_iter().filter(|check| check.state != State::Ok).collect();
        assert!(bad.is_empty(), "{bad:#?}");
    }

    #[test]
    fn every_complaint_says_what_it_costs_and_what_to_do() {
        let refused = Outcome::Refused("Operation not permitted".to_owned());
        let nothing = Facts {
            tests: Test::ALL.into_iter().map(|test| (test, refused.clone())).collect(),
            glibc: None,
            glibc_known: false,
            place: Place::Nowhere("no place".to_owned()),
            preload: Err("it did not appear".to_owned()),
            ptrace_scope: Some(3),
            paranoid: Some(4),
            sees_others: false,
            cgroup: None,
            address_limit: Some(1 << 30),
            data_limit: Some(1 << 20),
            max_map_count: Some(1000),
            huge_mode: Some("always".to_owned()),
            overcommit: Some(2),
            random: false,
            container: Some("gVisor".to_owned()),
            ..healthy()
        };
        let all = judge(&nothing);
        assert!(all.iter().filter(|check| check.state == State::No).count() >= 8, "{all:#?}");
        for check in &all {
            assert_eq!(check.state == State::Ok, check.cost.is_empty(), "{check:?}");
            assert_eq!(check.state == State::Ok, check.remedy.is_empty(), "{check:?}");
        }
        let subjects: std::collections::BTreeSet<_> = all.iter().map(|check| check.subject).collect();
        assert_eq!(subjects.len(), all.len(), "each subject has one line");
        assert_eq!(all.len(), judge(&healthy()).len());
    }
}
