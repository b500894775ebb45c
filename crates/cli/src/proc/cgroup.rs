//! Control groups: which one a process is in, and how much memory it and its parents allow. Text in, values out.

/// Where the controller of memory keeps its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// One tree for all controllers: `memory.max`, `memory.high`, `memory.current`.
    Two,
    /// A tree of its own: `memory.limit_in_bytes`, `memory.usage_in_bytes`.
    One,
}

impl Version {
    /// Names of the files with a limit, of which the lowest counts, and of the one with the use.
    pub(crate) fn files(self) -> (&'static [&'static str], &'static str) {
        match self {
            Version::Two => (&["memory.max", "memory.high"], "memory.current"),
            Version::One => (&["memory.limit_in_bytes"], "memory.usage_in_bytes"),
        }
    }
}

/// The group of a process and the tree it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) version: Version,
    pub(crate) path: String,
}

/// Reads `/proc/PID/cgroup`. The older tree wins where it has the controller of memory.
pub(crate) fn parse(text: &str) -> Option<Group> {
    let fields = |line: &str| -> Option<(String, String)> {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        Some((controllers.to_owned(), path.to_owned()))
    };
    let all: Vec<_> = text.lines().filter_map(fields).collect();
    let one = all.iter().find(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
    let two = || all.iter().find(|(controllers, _)| controllers.is_empty());
    let group = |version, path: &str| Group { version, path: path.to_owned() };
    one.map(|(_, path)| group(Version::One, path)).or_else(|| two().map(|(_, path)| group(Version::Two, path)))
}

/// Reads `/proc/self/mountinfo`: the folder where a tree is mounted, and the group that this folder shows.
pub(crate) fn mount(mountinfo: &str, version: Version) -> Option<(String, String)> {
    mountinfo.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut back = back.split(' ');
        let (kind, _, options) = (back.next()?, back.next()?, back.next().unwrap_or_default());
        let is_it = match version {
            Version::Two => kind == "cgroup2",
            Version::One => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
        };
        let front: Vec<&str> = front.split(' ').collect();
        is_it.then(|| Some((front.get(4)?.to_string(), front.get(3)?.to_string())))?
    })
}

/// Folders from a group up to the top of what is mounted, the group's own first.
pub(crate) fn folders(group: &Group, mounted: &str, shown: &str) -> Vec<String> {
    // Seen from inside of a container, the tree begins at the container's own group.
    let path = if shown == "/" { &group.path } else { group.path.strip_prefix(shown).unwrap_or("") };
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != "..").collect();
    let mut all = Vec::new();
    loop {
        let below = parts.iter().map(|part| format!("/{part}")).collect::<String>();
        all.push(format!("{}{below}", mounted.trim_end_matches('/')));
        if parts.pop().is_none() {
            return all;
        }
    }
}

/// The lowest of the limits in these texts.
pub(crate) fn lowest(texts: impl Iterator<Item = String>) -> Option<u64> {
    texts.filter_map(|text| limit(&text)).min()
}

/// Bytes of a limit; `None` for no limit, which the older tree writes as a huge number.
pub(crate) fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|&bytes: &u64| bytes < 1 << 60)
}

/// The tightest limit above a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) folder: String,
    pub(crate) limit: u64,
    /// What the group uses of it, all its processes together.
    pub(crate) used: u64,
}

impl Limit {
    /// Bytes that are left.
    pub(crate) fn head_room(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_trees_are_understood() {
        assert_eq!(parse("0::/a/b\n"), Some(Group { version: Version::Two, path: "/a/b".to_owned() }));
        let both = parse("5:cpu,memory:/old\n0::/new\n").unwrap();
        assert_eq!((both.version, both.path.as_str()), (Version::One, "/old"));
        assert_eq!(parse(""), None);
        assert_eq!(parse("nonsense\n1:cpu:/x\n"), None);
    }

    #[test]
    fn mounts_and_folders_are_found() {
        let text = "24 1 0:22 / /sys rw - sysfs sysfs rw\n30 24 0:26 /pod /sys/fs/cgroup rw - cgroup2 none rw\n\
                    31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup none rw,memory\nshort - cgroup2 none\n";
        let (folder, shown) = mount(text, Version::Two).unwrap();
        assert_eq!((folder.as_str(), shown.as_str()), ("/sys/fs/cgroup", "/pod"));
        assert_eq!(mount(text, Version::One).unwrap().0, "/sys/fs/cgroup/memory");
        let group = parse("0::/pod/a/b").unwrap();
        let all = folders(&group, &folder, &shown);
        assert_eq!(all, ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]);
        assert_eq!(folders(&group, "/c", "/"), ["/c/pod/a/b", "/c/pod/a", "/c/pod", "/c"]);
        assert_eq!(folders(&parse("0::/../..").unwrap(), "/c", "/"), ["/c"]);
    }

    #[test]
    fn no_limit_has_two_spellings() {
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("9223372036854771712\n"), None);
        assert_eq!(limit("1048576\n"), Some(1 << 20));
        let of = |texts: &[&str]| lowest(texts.iter().map(|text| (*text).to_owned()));
        assert_eq!(of(&["max\n", "4096\n"]), Some(4096));
        assert_eq!(of(&["8192\n", "4096\n"]), Some(4096));
        assert_eq!(of(&["max\n", "max\n"]), None);
        let tight = Limit { folder: String::new(), limit: 5, used: 7 };
        assert_eq!(tight.head_room(), 0);
    }
}
