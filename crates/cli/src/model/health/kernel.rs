//! What the kernel gives to a malloc here.

use super::{Check, Facts, Outcome, Test};
use crate::model::verdict::mib;
use crate::proc::cgroup::{Limit, Version};

/// Mappings that Linux allows a process by default.
const USUAL_MAPPINGS: u64 = 65530;

pub(super) fn judge(facts: &Facts) -> Vec<Check> {
    vec![
        cgroup(facts),
        limits(facts),
        program_break(facts),
        mappings(facts),
        purge(facts),
        huge(facts),
        overcommit(facts),
        names(facts),
        aslr(facts),
    ]
}

fn cgroup(facts: &Facts) -> Check {
    let version = match facts.cgroup {
        Some(Version::Two) => "version 2",
        Some(Version::One) => "version 1",
        None => {
            return Check::limited(
                "cgroup",
                "no controller of memory is seen",
                "inspect: no limit and no head-room; the library notices no shortage of its container",
                "mount /sys/fs/cgroup; containers: do not hide it",
            );
        }
    };
    match &facts.limit {
        None => Check::ok("cgroup", format!("{version}, no limit of memory")),
        Some(limit) if is_short(limit) => Check::limited(
            "cgroup",
            format!("{version}, {} of {} used", mib(limit.used), mib(limit.limit)),
            "less than an eighth is left: the library keeps nothing free, and the kernel may end a process",
            "a higher limit, or fewer processes in the group",
        ),
        Some(limit) => Check::ok("cgroup", format!("{version}, {} of {} used", mib(limit.used), mib(limit.limit))),
    }
}

fn is_short(limit: &Limit) -> bool {
    limit.head_room() < limit.limit / 8
}

fn limits(facts: &Facts) -> Check {
    let name = |limit: Option<u64>, name: &str| limit.map(|bytes| format!("{name} {}", mib(bytes)));
    let parts: Vec<String> =
        [name(facts.address_limit, "RLIMIT_AS"), name(facts.data_limit, "RLIMIT_DATA")].into_iter().flatten().collect();
    if parts.is_empty() {
        return Check::ok("limits", "neither RLIMIT_AS nor RLIMIT_DATA");
    }
    Check::limited(
        "limits",
        parts.join(", "),
        "programs get ENOMEM there; demo and lab may not reach their states",
        "ulimit -v unlimited; ulimit -d unlimited",
    )
}

fn program_break(facts: &Facts) -> Check {
    match facts.refusal(Test::Break) {
        None => Check::ok("program break", "moves up and down"),
        Some(why) => Check::limited(
            "program break",
            why,
            "the library lives on mappings alone; nothing else is lost",
            "raise RLIMIT_DATA; allow brk in the seccomp profile",
        ),
    }
}

fn mappings(facts: &Facts) -> Check {
    let most = facts.max_map_count.unwrap_or(0);
    let finding = format!("at most {most} (vm.max_map_count)");
    match facts.refusal(Test::Mappings) {
        None if most >= USUAL_MAPPINGS => Check::ok("mappings", finding),
        why => Check::limited(
            "mappings",
            why.map_or(finding.clone(), |why| format!("{finding}; a thousand: {why}")),
            "programs with many large blocks get ENOMEM early",
            format!("sysctl vm.max_map_count={USUAL_MAPPINGS} or more"),
        ),
    }
}

fn purge(facts: &Facts) -> Check {
    match (facts.refusal(Test::Purge), facts.refusal(Test::PurgeMany)) {
        (None, None) => Check::ok("give back", "madvise gives back, process_madvise many pieces at once"),
        (None, Some(why)) => Check::limited(
            "give back",
            format!("madvise works; process_madvise: {why}"),
            "the library makes one call for each piece: more time, the same memory",
            "Linux 6.14 or later; a seccomp profile that allows process_madvise",
        ),
        (Some(why), _) => Check::no(
            "give back",
            why,
            "the library cannot give memory back from the middle of the heap",
            "a kernel whose madvise(MADV_DONTNEED) works (emulators and some sandboxes do not)",
        ),
    }
}

fn huge(facts: &Facts) -> Check {
    let mode = facts.huge_mode.as_deref().unwrap_or("unknown");
    let given = matches!(facts.test(Test::Huge), Outcome::Works(bytes) if bytes > 0);
    match mode {
        "always" => Check::limited(
            "huge pages",
            "always: the kernel makes 2 MiB of every first touch",
            "RSS of sparse programs grows, and memory given back may be filled again",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (as root)",
        ),
        "unknown" => Check::ok("huge pages", "none in this kernel"),
        "never" => Check::ok("huge pages", "never; demo huge-pages has nothing to show"),
        _ if given => Check::ok("huge pages", format!("{mode}; one was given on request")),
        _ => Check::ok("huge pages", format!("{mode}; none was free just now")),
    }
}

fn overcommit(facts: &Facts) -> Check {
    let mode = facts.overcommit.map_or("unknown".to_owned(), |mode| mode.to_string());
    let finding = format!("vm.overcommit_memory is {mode}");
    match facts.refusal(Test::Reserve) {
        None => Check::ok("overcommit", format!("{finding}; reserving costs nothing")),
        Some(_) if facts.address_limit.is_some() => Check::ok("overcommit", format!("{finding}; limited by RLIMIT_AS")),
        Some(why) => Check::limited(
            "overcommit",
            format!("{finding}; 1 TiB: {why}"),
            "reservations count: arenas, stacks and fork of large programs may fail",
            "sysctl vm.overcommit_memory=0 (as root)",
        ),
    }
}

fn names(facts: &Facts) -> Check {
    match facts.refusal(Test::Name) {
        None => Check::ok("names", "mappings can have names"),
        Some(why) => Check::limited(
            "names",
            format!("PR_SET_VMA_ANON_NAME: {why}"),
            "maps: mappings show no names; reports know brkmap's own all the same",
            "a kernel with CONFIG_ANON_VMA_NAME (5.17 or later)",
        ),
    }
}

fn aslr(facts: &Facts) -> Check {
    let finding = if facts.random { "on: the break was elsewhere in two runs" } else { "off: the same break twice" };
    // Nothing that brkmap does depends on it.
    Check::ok("aslr", finding)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::tests::{found, healthy};
    use super::*;

    fn with_limit(limit: u64, used: u64) -> Check {
        found(&Facts { limit: Some(Limit { folder: String::new(), limit, used }), ..healthy() }, "cgroup")
    }

    #[test]
    fn head_room_is_judged() {
        assert_eq!(with_limit(800, 100).state, State::Ok);
        assert_eq!(with_limit(800, 701).state, State::Limited);
        assert_eq!(with_limit(800, 900).state, State::Limited);
    }

    #[test]
    fn settings_of_the_kernel_are_told_apart() {
        let refused = |test| {
            let mut facts = healthy();
            facts.tests.insert(test, Outcome::Refused("Cannot allocate memory".to_owned()));
            facts
        };
        assert_eq!(found(&refused(Test::Reserve), "overcommit").state, State::Limited);
        let bounded = Facts { address_limit: Some(1 << 30), ..refused(Test::Reserve) };
        assert_eq!(found(&bounded, "overcommit").state, State::Ok);
        assert_eq!(found(&bounded, "limits").state, State::Limited);
        assert_eq!(found(&refused(Test::PurgeMany), "give back").state, State::Limited);
        assert_eq!(found(&refused(Test::Purge), "give back").state, State::No);
        for (mode, state) in [("always", State::Limited), ("never", State::Ok), ("madvise", State::Ok)] {
            assert_eq!(found(&Facts { huge_mode: Some(mode.to_owned()), ..healthy() }, "huge pages").state, state);
        }
        assert_eq!(found(&Facts { max_map_count: Some(100), ..healthy() }, "mappings").state, State::Limited);
    }
}
