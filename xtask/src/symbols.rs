//! What the library's ELF headers promise: exactly the symbols of malloc and of `brkmap.h`, bound at start, never unloaded, a word of TLS.

use crate::context::Context;
use crate::report::Outcome;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The public functions. `__libc_NAME` is added for each one that the running libc exports under that name.
const PUBLIC: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "free",
    "cfree",
    "free_sized",
    "free_aligned_sized",
    "memalign",
    "posix_memalign",
    "aligned_alloc",
    "valloc",
    "pvalloc",
    "malloc_usable_size",
    "mallopt",
    "malloc_trim",
    "malloc_stats",
    "malloc_info",
    "mallinfo",
    "mallinfo2",
    "brkmap_stats_get",
    "brkmap_stats_print",
    "brkmap_ctl",
];

/// The most thread-local bytes: a library loaded late lives off the loader's small reserve.
const TLS_BYTES: u64 = 64;

type Check = fn(&Path) -> Outcome;

/// Checks the library's symbols and headers.
pub(crate) fn run(context: &mut Context) {
    let checks: [(&str, Check); 5] = [
        ("exports", exports),
        ("imports", imports),
        ("dynamic", dynamic_flags),
        ("tls", thread_local_bytes),
        ("stack", no_executable_stack),
    ];
    for (name, check) in checks {
        if context.selects("symbols", name) {
            let library = context.library();
            context.report.check("symbols", name, || check(&library?));
        }
    }
}

fn readelf(flags: &[&str], file: &Path) -> Result<String, String> {
    let output =
        Command::new("readelf").args(flags).arg(file).output().map_err(|e| format!("cannot start readelf: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("readelf {}: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim()))
}

/// Dynamic symbols as `(name without version, is it defined here)`.
fn dynamic_symbols(file: &Path) -> Result<Vec<(String, bool)>, String> {
    let text = readelf(&["-W", "--dyn-syms"], file)?;
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    Ok(rows
        .filter(|row| row.len() >= 8 && row[0].ends_with(':') && row[0] != "Num:" && row[4] != "LOCAL")
        .map(|row| (row[7].split('@').next().unwrap_or_default().to_owned(), row[6] != "UND"))
        .collect())
}

fn exports(library: &Path) -> Outcome {
    let of_libc: BTreeSet<String> = dynamic_symbols(&libc()?)?.into_iter().filter(|s| s.1).map(|s| s.0).collect();
    let mut wanted: BTreeSet<String> = PUBLIC.iter().map(|name| (*name).to_owned()).collect();
    wanted.extend(PUBLIC.iter().map(|name| format!("__libc_{name}")).filter(|alias| of_libc.contains(alias)));
    let exported: BTreeSet<String> = dynamic_symbols(library)?.into_iter().filter(|s| s.1).map(|s| s.0).collect();
    let list = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(" ");
    let (missing, extra) = (list(wanted.difference(&exported).collect()), list(exported.difference(&wanted).collect()));
    if missing.is_empty() && extra.is_empty() { Ok(()) } else { Err(format!("missing: {missing}\ntoo many: {extra}")) }
}

/// The libc that this process runs on.
fn libc() -> Result<PathBuf, String> {
    crate::tools::find("libc.so.6").ok_or_else(|| "libc.so.6 was not found; is this glibc?".into())
}

/// Nothing that it asks of libc may come back to malloc by way of another library.
fn imports(library: &Path) -> Outcome {
    let text = readelf(&["-W", "-d"], library)?;
    let needed: Vec<&str> =
        text.lines().filter(|l| l.contains("(NEEDED)")).filter_map(|l| l.split('[').nth(1)).collect();
    if let Some(other) = needed.iter().find(|name| !name.starts_with("libc.so.6") && !name.starts_with("ld-linux")) {
        return Err(format!("it needs {} besides libc", other.trim_end_matches(']')));
    }
    let symbols = dynamic_symbols(library)?;
    match symbols.iter().find(|(name, defined)| !defined && PUBLIC.contains(&name.as_str())) {
        Some((name, _)) => Err(format!("it imports {name}, which it has to provide")),
        None => Ok(()),
    }
}

fn dynamic_flags(library: &Path) -> Outcome {
    let text = readelf(&["-W", "-d"], library)?;
    let has = |tag: &str, flag: &str| text.lines().any(|line| line.contains(tag) && line.contains(flag));
    if !has("(FLAGS)", "BIND_NOW") && !has("(FLAGS_1)", "NOW") {
        return Err("it is not bound at start (-z now): lazy binding would run inside malloc".into());
    }
    if !has("(FLAGS_1)", "NODELETE") {
        return Err("it can be unloaded (no -z nodelete) while its blocks live".into());
    }
    if has("(TEXTREL)", "") {
        return Err("it has text relocations".into());
    }
    Ok(())
}

fn thread_local_bytes(library: &Path) -> Outcome {
    let text = readelf(&["-W", "-l"], library)?;
    let row = text.lines().find(|line| line.trim_start().starts_with("TLS "));
    let Some(size) = row.and_then(|line| line.split_whitespace().nth(5)) else { return Ok(()) };
    let bytes = u64::from_str_radix(size.trim_start_matches("0x"), 16).map_err(|e| format!("TLS size {size}: {e}"))?;
    if bytes <= TLS_BYTES { Ok(()) } else { Err(format!("{bytes} thread-local bytes, more than {TLS_BYTES}")) }
}

fn no_executable_stack(library: &Path) -> Outcome {
    let text = readelf(&["-W", "-l"], library)?;
    let row = text.lines().find(|line| line.contains("GNU_STACK")).ok_or("it has no GNU_STACK header")?;
    if row.contains("RWE") { Err("it asks for an executable stack".into()) } else { Ok(()) }
}
