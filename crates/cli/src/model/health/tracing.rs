//! Whether system calls can be followed here.

use super::{Check, Facts, Test};

pub(super) fn judge(facts: &Facts) -> Vec<Check> {
    vec![trace(facts), filter(facts), tracepoints(facts), kernel_programs(facts)]
}

fn trace(facts: &Facts) -> Check {
    match facts.refusal(Test::Trace) {
        None => Check::ok("ptrace", "a child was seized and let go"),
        Some(why) => Check::no(
            "ptrace",
            why,
            "run: samples only, without children or the last moment; syscalls: nothing",
            "docker: --cap-add=SYS_PTRACE; do not run brkmap under another tracer",
        ),
    }
}

fn filter(facts: &Facts) -> Check {
    match facts.refusal(Test::Filter) {
        None => Check::ok("seccomp", "filters can be installed"),
        Some(why) => Check::limited(
            "seccomp",
            why,
            "run --syscalls: the program stops at every call, not at those for memory alone",
            "a kernel with CONFIG_SECCOMP_FILTER, or a container profile that allows seccomp",
        ),
    }
}

fn tracepoints(facts: &Facts) -> Check {
    const COST: &str = "syscalls PID: the process is stopped at each call";
    let Some(why) = facts.refusal(Test::Tracepoint) else {
        return Check::ok("tracepoints", "perf counts system calls of a process without stopping it");
    };
    let level = facts.paranoid.map_or(String::new(), |level| format!(" (kernel.perf_event_paranoid {level})"));
    let remedy = match () {
        () if why.contains("not mounted") => "mount -t tracefs tracefs /sys/kernel/tracing (as root)",
        () if facts.paranoid.is_none() => "a kernel with CONFIG_PERF_EVENTS and CONFIG_FTRACE_SYSCALLS",
        () if facts.is_root() => "docker: --cap-add=PERFMON and a seccomp profile that allows perf_event_open",
        () => "run brkmap as root, or sysctl kernel.perf_event_paranoid=-1 and mount tracefs readable",
    };
    Check::limited("tracepoints", format!("{why}{level}"), COST, remedy)
}

fn kernel_programs(facts: &Facts) -> Check {
    let Some(why) = facts.refusal(Test::KernelProgram) else {
        return Check::ok("BPF", "programs in the kernel tell of calls for memory");
    };
    let remedy = if facts.is_root() {
        "a kernel with CONFIG_DEBUG_INFO_BTF; docker: --cap-add=BPF --cap-add=PERFMON --pid=host"
    } else {
        "run brkmap as root"
    };
    Check::limited("BPF", why, "run --syscalls: the program is stopped at each call for memory", remedy)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{found, healthy};
    use super::super::{Outcome, State};
    use super::*;

    #[test]
    fn who_may_not_load_programs_is_told_how() {
        let with = |user| {
            let mut facts = Facts { user, ..healthy() };
            facts.tests.insert(Test::KernelProgram, Outcome::Refused("bpf: Operation not permitted".to_owned()));
            found(&facts, "BPF")
        };
        assert!(with(1000).state == State::Limited && with(1000).remedy.contains("as root"));
        assert!(with(0).remedy.contains("--cap-add=BPF"));
        assert!(found(&healthy(), "BPF").state == State::Ok);
    }

    #[test]
    fn tracepoints_have_several_obstacles() {
        let with = |why: &str, user, paranoid| {
            let mut facts = Facts { user, paranoid, ..healthy() };
            facts.tests.insert(Test::Tracepoint, Outcome::Refused(why.to_owned()));
            found(&facts, "tracepoints")
        };
        let unmounted = with("tracefs is not mounted", 0, Some(2));
        assert!(unmounted.state == State::Limited && unmounted.remedy.starts_with("mount -t tracefs"));
        assert!(unmounted.finding.contains("paranoid 2"));
        assert!(with("Permission denied", 1000, Some(2)).remedy.contains("as root"));
        assert!(with("Operation not permitted", 0, Some(2)).remedy.contains("PERFMON"));
        assert!(with("tracefs has no such event", 0, None).remedy.contains("CONFIG_PERF_EVENTS"));
    }
}
