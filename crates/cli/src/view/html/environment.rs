//! What decides how memory behaves in this process: kernel, libc, malloc and its settings, limits.

use super::markup::Element;
use super::table::{facts, mib, size};
use crate::heap::glibc::Parameters;
use crate::model::machine::Machine;
use crate::model::policy::Threshold;
use crate::proc::cgroup::Limit;

/// A name and its value.
pub(super) type Fact = (String, String);

fn fact(name: &str, value: impl Into<String>) -> Fact {
    (name.to_owned(), value.into())
}

/// The machine.
pub(super) fn machine(machine: &Machine) -> Element {
    let mut all = Vec::new();
    let kernel = machine.kernel.as_deref().unwrap_or("unknown");
    all.push(fact("kernel", format!("Linux {kernel}, {}", machine.architecture)));
    all.push(fact("processors", machine.processors.to_string()));
    if let Some(memory) = machine.memory {
        let available = machine.available.map_or(String::new(), |bytes| format!(", {} available", mib(bytes)));
        all.push(fact("memory", format!("{}{available}", mib(memory))));
    }
    all.extend(machine.swap.map(|bytes| fact("swap", if bytes == 0 { "none".to_owned() } else { mib(bytes) })));
    all.extend(machine.huge_pages.as_ref().map(|word| fact("transparent huge pages", word.clone())));
    all.extend(machine.overcommit.as_deref().map(|word| fact("overcommit", overcommit(word))));
    all.extend(machine.most_mappings.as_ref().map(|word| fact("most mappings of a process", word.clone())));
    all.extend(machine.limits.iter().map(|(name, value)| fact(&name.replacen("Max", "limit:", 1), value.clone())));
    facts("the machine and the limits of the process", all)
}

fn overcommit(word: &str) -> String {
    let meaning = match word {
        "0" => "by rule of thumb",
        "1" => "always granted",
        "2" => "never beyond the commit limit",
        _ => return word.to_owned(),
    };
    format!("{word} ({meaning})")
}

/// glibc's parameters in force.
pub(super) fn parameters(parameters: &Parameters) -> Vec<Fact> {
    let never = |bytes: u64| if bytes > 1 << 50 { "never".to_owned() } else { size(bytes) };
    let moving =
        if parameters.is_dynamic { "yes: freeing a mapped block raises them" } else { "no: one of them was set" };
    let arenas = match parameters.arena_max {
        0 => "by the number of processors".to_owned(),
        most => most.to_string(),
    };
    let mut all = vec![
        fact("mmap threshold", never(parameters.mmap_threshold)),
        fact("trim threshold", never(parameters.trim_threshold)),
        fact("thresholds still move", moving),
        fact("top pad", size(parameters.top_pad)),
        fact("most arenas", arenas),
    ];
    if parameters.huge_page > 0 {
        all.push(fact("huge pages asked for", size(parameters.huge_page)));
    }
    all
}

/// Where an engine of brkmap's has its mmap threshold.
pub(super) fn threshold(threshold: &Threshold) -> Fact {
    fact("mmap threshold of brkmap", format!("{}, moved {} times", size(threshold.bytes), threshold.moved))
}

/// The control group.
pub(super) fn limit(limit: Option<&Limit>) -> Vec<Fact> {
    match limit {
        Some(limit) => vec![
            fact("control group", limit.folder.clone()),
            fact("its limit", mib(limit.limit)),
            fact("all of it use", mib(limit.used)),
            fact("head-room", mib(limit.head_room())),
        ],
        None => vec![fact("limit of a control group", "none")],
    }
}

/// Variables that a malloc listens to.
pub(super) fn settings(settings: &[String]) -> Vec<Fact> {
    if settings.is_empty() {
        return vec![fact("variables that a malloc reads", "none is set")];
    }
    let one = |setting: &String| {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        fact(name, value)
    };
    settings.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_kernel_get_their_meaning() {
        assert_eq!(overcommit("2"), "2 (never beyond the commit limit)");
        assert_eq!(overcommit("9"), "9");
        let text = machine(&Machine { overcommit: Some("1".to_owned()), swap: Some(0), ..Machine::default() });
        let text = text.to_string();
        assert!(text.contains("always granted") && text.contains("<td>none</td>"), "{text}");
    }

    #[test]
    fn settings_are_split_at_their_first_sign() {
        let all = settings(&["GLIBC_TUNABLES=glibc.malloc.arena_max=2".to_owned(), "odd".to_owned()]);
        assert_eq!(all[0], fact("GLIBC_TUNABLES", "glibc.malloc.arena_max=2"));
        assert_eq!(all[1], fact("odd", ""));
        assert_eq!(settings(&[]).len(), 1);
    }
}
