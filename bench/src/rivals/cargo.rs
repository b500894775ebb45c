//! Building one member of `bench/rivals` with cargo, and finding what came of it: from cargo's own messages, not by guessing
//! at names below `target`.

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The workspace of the rivals.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rivals")
}

/// Where all that is built of rivals lies; absolute, since cargo runs elsewhere.
pub(crate) fn directory() -> PathBuf {
    let directory = crate::allocator::target_directory().join("rivals");
    std::path::absolute(&directory).unwrap_or(directory)
}

/// What a build made, in cargo's messages.
pub(crate) struct Artifacts(Vec<Value>);

impl Artifacts {
    fn parse(text: &str) -> Artifacts {
        Artifacts(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The messages of a kind about a package. A package's id ends in `#NAME@VERSION`, or in `/NAME#VERSION` for a path.
    fn of<'a>(&'a self, reason: &'a str, package: &'a str) -> impl Iterator<Item = &'a Value> {
        let is_about = move |id: &str| {
            let (place, fragment) = id.rsplit_once('#').unwrap_or((id, ""));
            let name = fragment.split_once('@').map(|(name, _)| name);
            name.unwrap_or_else(|| place.rsplit('/').next().unwrap_or_default()) == package
        };
        self.0
            .iter()
            .filter(move |message| message["reason"] == reason && message["package_id"].as_str().is_some_and(is_about))
    }

    /// The output directory of a package's build script.
    pub(crate) fn output_of_script(&self, package: &str) -> Result<PathBuf> {
        let found = self.of("build-script-executed", package).find_map(|message| message["out_dir"].as_str());
        found.map(PathBuf::from).ok_or_else(|| anyhow!("cargo reported no build script of {package}"))
    }

    /// The directory of a package's source.
    pub(crate) fn source_of(&self, package: &str) -> Result<PathBuf> {
        let found = self.of("compiler-artifact", package).find_map(|message| message["manifest_path"].as_str());
        let manifest = found.ok_or_else(|| anyhow!("cargo reported no build of {package}"))?;
        Ok(Path::new(manifest).parent().unwrap_or(Path::new(".")).to_owned())
    }

    /// The shared library of a member.
    pub(crate) fn shared_library(&self, package: &str) -> Result<PathBuf> {
        let files =
            self.of("compiler-artifact", package).filter_map(|message| message["filenames"].as_array()).flatten();
        let found = files.filter_map(Value::as_str).find(|file| file.ends_with(".so"));
        found.map(PathBuf::from).ok_or_else(|| anyhow!("cargo reported no shared library of {package}"))
    }

    /// The program of a member.
    pub(crate) fn executable(&self, package: &str) -> Result<PathBuf> {
        let found = self.of("compiler-artifact", package).find_map(|message| message["executable"].as_str());
        found.map(PathBuf::from).ok_or_else(|| anyhow!("cargo reported no program of {package}"))
    }
}

/// Builds a part of the workspace, with progress; all that cargo said is kept in a file beside the results.
pub(crate) fn build(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Artifacts> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace()).args(["build", "--release", "--locked", "--target-dir"]).arg(directory());
    command.args(arguments).arg("--message-format=json-render-diagnostics");
    command.envs(environment.iter().copied());
    // What is not there yet is downloaded.
    if std::env::var_os("CARGO_NET_RETRY").is_none() {
        command.env("CARGO_NET_RETRY", "10");
    }
    Ok(Artifacts::parse(&followed(name, &mut command)?))
}

/// Builds a target of a CMake project; the path of `libTARGET.so`.
pub(crate) fn cmake(name: &str, source: &Path, target: &str) -> Result<PathBuf> {
    let build = directory().join(format!("{name}-cmake"));
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(source).arg("-B").arg(&build);
    configure.args(["-DCMAKE_BUILD_TYPE=Release", "-DSNMALLOC_BUILD_TESTING=OFF"]);
    followed(name, &mut configure)?;
    followed(name, Command::new("cmake").arg("--build").arg(&build).args(["--target", target]))?;
    Ok(build.join(format!("lib{target}.so")))
}

/// Runs a build step and shows its newest line; its standard output where it succeeds, else an error with the first line that
/// says why.
fn followed(name: &str, command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    fs::create_dir_all(directory()).with_context(|| format!("{} cannot be created", directory().display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} could not be run; install it"))?;
    let (mut stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Both ends are read at once, or the one that is not would fill up and stop the build.
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        stdout.as_mut().map_or(Ok(0), |stdout| stdout.read_to_end(&mut text)).map(|_| text)
    });
    let mut log = String::new();
    let mut progress = Progress::start(name);
    for line in stderr.map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
        progress.show(&line);
        log.push_str(&line);
        log.push('\n');
    }
    let status = child.wait()?;
    let output = reader.join().map_err(|_| anyhow!("the reader of {program} failed"))??;
    let output = String::from_utf8_lossy(&output).into_owned();
    progress.end();
    if status.success() {
        return Ok(output);
    }
    let kept = directory().join(format!("{name}.log"));
    fs::write(&kept, format!("{log}{output}")).with_context(|| format!("{} cannot be written", kept.display()))?;
    ensure!(!log.is_empty(), "{program} failed ({status})");
    bail!("{program} failed ({status}): {}; all that it said is in {}", reason(&log), kept.display())
}

/// The line of a log that says why: the first error of the compiler, else cargo's.
fn reason(log: &str) -> String {
    let lines = || log.lines().map(str::trim);
    let first =
        lines().find(|line| line.starts_with("error[") || line.contains(": error: ") || line.contains("rror occurred"));
    first
        .or_else(|| lines().find(|line| line.starts_with("error")))
        .or_else(|| lines().next_back())
        .unwrap_or_default()
        .into()
}

/// The newest line of a build on a terminal; elsewhere one line when it takes long.
struct Progress<'a> {
    name: &'a str,
    began: Instant,
    on_terminal: bool,
    told: bool,
}

impl Progress<'_> {
    fn start(name: &str) -> Progress<'_> {
        Progress { name, began: Instant::now(), on_terminal: std::io::stderr().is_terminal(), told: false }
    }

    fn show(&mut self, line: &str) {
        let line: String = line.trim().chars().take(90).collect();
        if self.on_terminal {
            _ = write!(
                std::io::stderr(),
                "\r\x1b[K[building {}, {} s] {line}",
                self.name,
                self.began.elapsed().as_secs()
            );
        } else if line.starts_with("Compiling") && !self.told {
            self.told = true;
            eprintln!("building {}", self.name);
        }
    }

    fn end(&self) {
        if self.on_terminal {
            _ = write!(std::io::stderr(), "\r\x1b[K");
        } else if self.told {
            eprintln!("building {} took {} s", self.name, self.began.elapsed().as_secs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_by_package() {
        let text = "{\"reason\":\"build-script-executed\",\"package_id\":\"registry+https://x#ab@1.0\",\"out_dir\":\"/wrong\"}\n\
                    not json\n\
                    {\"reason\":\"build-script-executed\",\"package_id\":\"registry+https://x#b@1.0\",\"out_dir\":\"/o\"}\n\
                    {\"reason\":\"compiler-artifact\",\"package_id\":\"path+file:///w/rival-b#0.0.0\",\"executable\":\"/e\",\
                    \"filenames\":[\"/f.rlib\",\"/f.so\"],\"manifest_path\":\"/w/rival-b/Cargo.toml\"}\n\
                    {\"reason\":\"compiler-artifact\",\"package_id\":\"path+file:///w/b#rival-c@0.0.0\",\"executable\":\"/c\"}";
        let artifacts = Artifacts::parse(text);
        assert_eq!(artifacts.output_of_script("b").unwrap(), Path::new("/o"));
        assert_eq!(artifacts.executable("rival-b").unwrap(), Path::new("/e"));
        assert_eq!(artifacts.executable("rival-c").unwrap(), Path::new("/c"));
        assert_eq!(artifacts.shared_library("rival-b").unwrap(), Path::new("/f.so"));
        assert_eq!(artifacts.source_of("rival-b").unwrap(), Path::new("/w/rival-b"));
        assert!(artifacts.output_of_script("rival-b").is_err());
    }

    #[test]
    fn the_reason_is_the_compilers_not_the_builds() {
        let log =
            "   Compiling x\nerror: failed to run custom build command for `x`\n  x.c:1:2: error: no such thing\n";
        assert_eq!(reason(log), "x.c:1:2: error: no such thing");
        assert_eq!(reason("Compiling x\nerror: no package\nnote"), "error: no package");
    }
}
