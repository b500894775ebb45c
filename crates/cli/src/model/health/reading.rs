//! Whether processes can be read here.

use super::{Check, Facts, Test};

pub(super) fn judge(facts: &Facts) -> Vec<Check> {
    vec![children(facts), others(facts), allowed(facts), visible(facts), smaps(facts), pagemap(facts), scan(facts)]
}

fn children(facts: &Facts) -> Check {
    match (facts.refusal(Test::ReadChildFile), facts.refusal(Test::ReadChild)) {
        (None, None) => Check::ok("read children", "/proc/PID/mem and process_vm_readv work"),
        (None, Some(why)) => Check::limited(
            "read children",
            format!("process_vm_readv: {why}; /proc/PID/mem works"),
            "syscalls: no stacks of calls at which a program is stopped",
            "docker: --cap-add=SYS_PTRACE, or a seccomp profile that allows process_vm_readv",
        ),
        (Some(why), None) => Check::limited(
            "read children",
            format!("/proc/PID/mem: {why}; process_vm_readv works"),
            "a look at a program that has forked copies the memory that it shares with its children",
            "docker: --cap-add=SYS_PTRACE; else run brkmap as root",
        ),
        (Some(_), Some(why)) => Check::no(
            "read children",
            format!("process_vm_readv: {why}; /proc/PID/mem neither"),
            "run: no rows inside malloc; inspect, maps: nothing",
            "docker: --cap-add=SYS_PTRACE; else run brkmap as root",
        ),
    }
}

fn others(facts: &Facts) -> Check {
    const COST: &str = "inspect, maps: only processes that brkmap started";
    match (facts.refusal(Test::ReadOther), facts.ptrace_scope) {
        (None, _) if facts.is_root() => Check::ok("read others", "as root: every process"),
        (None, _) => Check::ok("read others", "your own processes; those of other users need root"),
        (Some(_), Some(scope @ (1 | 2))) => Check::limited(
            "read others",
            format!("kernel.yama.ptrace_scope is {scope}"),
            COST,
            "sudo brkmap inspect PID, or sysctl kernel.yama.ptrace_scope=0, or start it by brkmap run",
        ),
        (Some(_), Some(3)) => Check::no(
            "read others",
            "kernel.yama.ptrace_scope is 3, until the next boot",
            COST,
            "start the program by brkmap run",
        ),
        (Some(why), _) => Check::no("read others", why, COST, "docker: --cap-add=SYS_PTRACE; else run brkmap as root"),
    }
}

/// Whether a program may open itself to `inspect`.
fn allowed(facts: &Facts) -> Check {
    let can_read = facts.works(Test::ReadOther);
    match facts.refusal(Test::ReadAllowed) {
        None if can_read => Check::ok("PR_SET_PTRACER", "not needed"),
        None => Check::ok("PR_SET_PTRACER", "works: a program may open itself to brkmap by it"),
        Some(why) => Check::limited(
            "PR_SET_PTRACER",
            why,
            "inspect: a program cannot open itself to its readers",
            "as for \"read others\"",
        ),
    }
}

fn visible(facts: &Facts) -> Check {
    if !facts.has_proc {
        return Check::no(
            "processes",
            "/proc is not mounted",
            "every verb but use, explain, man and completions",
            "mount -t proc proc /proc (as root), then ask again: most other complaints follow from this",
        );
    }
    if facts.sees_others {
        return Check::ok("processes", "those of other users are visible");
    }
    Check::limited(
        "processes",
        "/proc hides those of other users (hidepid)",
        "inspect NAME: finds your own processes only",
        "run brkmap as root, or as a member of the group of /proc's gid= option",
    )
}

fn smaps(facts: &Facts) -> Check {
    match facts.refusal(Test::Smaps) {
        None => Check::ok("smaps", "mappings with their resident sizes"),
        Some(why) => Check::no(
            "smaps",
            why,
            "inspect, maps, run: no rows at all",
            "a kernel with CONFIG_PROC_PAGE_MONITOR and /proc mounted",
        ),
    }
}

fn pagemap(facts: &Facts) -> Check {
    match facts.refusal(Test::Pagemap) {
        None => Check::ok("pagemap", "the page table, OS page by OS page"),
        Some(why) => Check::no(
            "pagemap",
            why,
            "inspect, maps: refused; run: free memory counts as resident",
            "a kernel with CONFIG_PROC_PAGE_MONITOR and /proc mounted",
        ),
    }
}

fn scan(facts: &Facts) -> Check {
    match facts.refusal(Test::PagemapScan) {
        None => Check::ok("PAGEMAP_SCAN", "the page table, stretch by stretch"),
        Some(why) => Check::limited(
            "PAGEMAP_SCAN",
            why,
            "inspect: huge pages of zeros are not looked for; large processes take longer",
            "Linux 6.7 or later",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{found, healthy};
    use super::super::{Outcome, State};
    use super::*;

    fn without(tests: &[Test], scope: Option<u64>) -> Facts {
        let mut facts = Facts { ptrace_scope: scope, ..healthy() };
        for &test in tests {
            facts.tests.insert(test, Outcome::Refused("Operation not permitted".to_owned()));
        }
        facts
    }

    #[test]
    fn the_second_way_of_reading_counts() {
        for one in [Test::ReadChild, Test::ReadChildFile] {
            assert_eq!(found(&without(&[one], None), "read children").state, State::Limited);
        }
        let neither = without(&[Test::ReadChild, Test::ReadChildFile], None);
        assert_eq!(found(&neither, "read children").state, State::No);
    }

    #[test]
    fn what_of_proc_is_missing_is_told() {
        assert_eq!(found(&Facts { sees_others: false, ..healthy() }, "processes").state, State::Limited);
        let nothing = Facts { has_proc: false, sees_others: false, ..healthy() };
        assert!(found(&nothing, "processes").remedy.starts_with("mount -t proc"));
    }

    #[test]
    fn the_remedy_follows_the_reason() {
        let yama = found(&without(&[Test::ReadOther], Some(1)), "read others");
        assert_eq!(yama.state, State::Limited);
        assert!(yama.remedy.contains("sudo brkmap inspect"), "{}", yama.remedy);
        let container = found(&without(&[Test::ReadOther], None), "read others");
        assert!(container.remedy.contains("SYS_PTRACE"), "{}", container.remedy);
        assert_eq!(found(&without(&[Test::ReadOther], Some(3)), "read others").state, State::No);
        let root = Facts { user: 0, ..healthy() };
        assert!(found(&root, "read others").finding.contains("every process"));
    }
}
