//! Which mallocs with which settings: the cells of a comparison.

use crate::model::in_force::Wanted;
use std::path::PathBuf;

/// A malloc that a Debian package brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packaged {
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    /// Names of its library, the preferred one first.
    pub(crate) sonames: &'static [&'static str],
    /// The one of these that the package has.
    pub(crate) packaged: &'static str,
    /// What brings it, by the package manager's name.
    pub(crate) package: &'static str,
}

/// The ones that are known by name.
pub(crate) const PACKAGED: [Packaged; 3] = [
    Packaged {
        name: "jemalloc",
        family: Family::Jemalloc,
        sonames: &["libjemalloc.so.2"],
        packaged: "libjemalloc.so.2",
        package: "libjemalloc2",
    },
    Packaged {
        name: "mimalloc",
        family: Family::Mimalloc,
        sonames: &["libmimalloc.so.3", "libmimalloc.so.2", "libmimalloc.so.2.0"],
        packaged: "libmimalloc.so.2",
        package: "libmimalloc2.0",
    },
    Packaged {
        name: "tcmalloc",
        family: Family::Tcmalloc,
        sonames: &["libtcmalloc_minimal.so.4", "libtcmalloc.so.4"],
        packaged: "libtcmalloc_minimal.so.4",
        package: "libtcmalloc-minimal4",
    },
];

/// Whose variables a malloc reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// No library: the program's own malloc, which is glibc's for nearly all.
    Glibc,
    Brkmap,
    Jemalloc,
    Mimalloc,
    Tcmalloc,
    /// A library given by its path: it may read anything.
    Unknown,
}

impl Family {
    /// Whether a variable may change what this malloc does. One that belongs to no malloc is the program's own, and
    /// counts for all.
    pub(crate) fn reads(self, variable: &str) -> bool {
        let readers: &[Family] = match variable {
            "MALLOC_CONF" | "_RJEM_MALLOC_CONF" => &[Family::Jemalloc],
            name if name.starts_with("MALLOC_") => &[Family::Glibc, Family::Brkmap],
            "GLIBC_TUNABLES" => &[Family::Glibc, Family::Brkmap],
            name if name.starts_with("BRKMAP_") => &[Family::Brkmap],
            name if name.starts_with("MIMALLOC_") => &[Family::Mimalloc],
            name if name.starts_with("TCMALLOC_") => &[Family::Tcmalloc],
            _ => return true,
        };
        self == Family::Unknown || readers.contains(&self)
    }
}

/// A malloc as it is used in a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malloc {
    pub(crate) name: String,
    pub(crate) family: Family,
    /// The library's file.
    pub(crate) preload: Option<PathBuf>,
    /// What has to be in force.
    pub(crate) wanted: Wanted,
    /// Name under which the loader finds it, if it lies where the loader looks.
    pub(crate) soname: Option<&'static str>,
    pub(crate) package: Option<&'static str>,
}

/// One variable and the values to try; an empty one leaves it unset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) variable: String,
    pub(crate) values: Vec<String>,
}

/// One malloc with one value for each variable that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) malloc: Malloc,
    /// Variables and values; an empty value leaves it unset.
    pub(crate) settings: Vec<(String, String)>,
}

impl Cell {
    /// What it is called in tables and sentences.
    pub(crate) fn title(&self) -> String {
        let set = self.set().map(|(variable, value)| format!(" {variable}={value}"));
        self.malloc.name.clone() + &set.collect::<String>()
    }

    /// The variables that have a value.
    pub(crate) fn set(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_set = |(_, value): &&(String, String)| !value.is_empty();
        self.settings.iter().filter(is_set).map(|(variable, value)| (variable.as_str(), value.as_str()))
    }
}

/// The cross product. A malloc that does not read a variable is not run once for each of its values.
pub(crate) fn cells(mallocs: &[Malloc], settings: &[Setting]) -> Vec<Cell> {
    let mut all = Vec::new();
    for malloc in mallocs {
        let mut combinations: Vec<Vec<(String, String)>> = vec![Vec::new()];
        for setting in settings.iter().filter(|setting| malloc.family.reads(&setting.variable)) {
            let with = |(combination, value): (&Vec<_>, &String)| {
                let mut longer = combination.clone();
                longer.push((setting.variable.clone(), value.clone()));
                longer
            };
            let pairs = combinations.iter().flat_map(|one| setting.values.iter().map(move |value| (one, value)));
            combinations = pairs.map(with).collect();
        }
        all.extend(combinations.into_iter().map(|settings| Cell { malloc: malloc.clone(), settings }));
    }
    all
}

/// Order of the cells in one round: every cell once, from another start each time.
pub(crate) fn order(cells: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..cells).map(move |index| (index + round) % cells.max(1))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn malloc(name: &str, family: Family) -> Malloc {
        let packaged = PACKAGED.iter().find(|packaged| packaged.name == name);
        let wanted = match family {
            Family::Glibc => Wanted::System,
            Family::Brkmap => Wanted::Brkmap,
            _ => Wanted::Library(format!("lib{name}.so")),
        };
        Malloc {
            name: name.to_owned(),
            family,
            preload: (family != Family::Glibc).then(|| PathBuf::from(format!("/opt/lib{name}.so"))),
            wanted,
            soname: packaged.map(|packaged| packaged.sonames[0]),
            package: packaged.map(|packaged| packaged.package),
        }
    }

    fn setting(variable: &str, values: &[&str]) -> Setting {
        Setting { variable: variable.to_owned(), values: values.iter().map(|value| (*value).to_owned()).collect() }
    }

    #[test]
    fn a_malloc_runs_once_for_each_value_that_it_reads() {
        let mallocs =
            [malloc("glibc", Family::Glibc), malloc("jemalloc", Family::Jemalloc), malloc("x", Family::Unknown)];
        let settings = [setting("MALLOC_ARENA_MAX", &["", "1"]), setting("MODE", &["a", "b"])];
        let titles: Vec<String> = cells(&mallocs, &settings).iter().map(Cell::title).collect();
        assert_eq!(titles.len(), 4 + 2 + 4);
        assert_eq!(titles[0], "glibc MODE=a", "an empty value leaves the variable unset");
        assert_eq!(titles[3], "glibc MALLOC_ARENA_MAX=1 MODE=b");
        assert_eq!(titles[4..6], ["jemalloc MODE=a", "jemalloc MODE=b"]);
        assert_eq!(cells(&mallocs, &[]).len(), 3);
    }

    #[test]
    fn every_variable_has_its_readers() {
        assert!(Family::Jemalloc.reads("MALLOC_CONF") && !Family::Glibc.reads("MALLOC_CONF"));
        assert!(Family::Brkmap.reads("GLIBC_TUNABLES") && !Family::Tcmalloc.reads("GLIBC_TUNABLES"));
        assert!(Family::Unknown.reads("MIMALLOC_PURGE_DELAY") && Family::Mimalloc.reads("PYTHONMALLOC"));
    }

    #[test]
    fn each_cell_is_first_once() {
        let firsts: Vec<usize> = (0..6).filter_map(|round| order(3, round).next()).collect();
        assert_eq!(firsts, [0, 1, 2, 0, 1, 2]);
        let mut all: Vec<usize> = order(5, 7).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
        assert_eq!(order(0, 3).count(), 0);
    }
}
