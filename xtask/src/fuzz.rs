//! Fuzzing what reads the texts of strangers. The targets are in `fuzz/`, which is a workspace of its own: it needs a
//! nightly compiler, and nothing else here does.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Result,
    process::{cargo, program, run, target_directory, works},
    root,
    steps::Steps,
};

/// The version of cargo-fuzz that is installed where none is.
const VERSION: &str = "0.13.2";
const TOOLCHAIN: &str = "nightly";
/// Largest input, in bytes: as large as a server accepts a header.
const MAX_INPUT: usize = 16 * 1024;
/// Longest time for one input, in seconds. What takes longer is a finding.
const MAX_TIME: usize = 10;

/// Runs each target, or the one of that name, for so many seconds; installs what that needs.
pub(crate) fn run_targets(steps: &mut Steps, seconds: u64, only: Option<&str>) -> Result {
    let targets: Vec<String> =
        targets()?.into_iter().filter(|target| only.is_none_or(|name| name == target)).collect();
    if targets.is_empty() {
        return Err(format!("there is no fuzz target {:?}", only.unwrap_or_default()).into());
    }
    let target_directory = target_directory()?;
    if !works(program("rustup").args(["run", TOOLCHAIN, "cargo", "--version"])) {
        steps.step("nightly compiler", || {
            run(program("rustup").args(["toolchain", "install", TOOLCHAIN, "--profile", "minimal"]))
        })?;
    }
    let fuzz = cargo_fuzz(steps, &target_directory)?;
    for target in &targets {
        let corpus = target_directory.join("fuzz/corpus").join(target);
        fs::create_dir_all(&corpus)?;
        steps.step(target, || run(&mut session(&fuzz, &target_directory, target, &corpus, seconds)))?;
    }
    Ok(())
}

/// The targets: the programs in `fuzz/fuzz_targets`.
fn targets() -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    targets.sort();
    Ok(targets)
}

/// The program cargo-fuzz: the one on the `PATH`, or else one of our own.
fn cargo_fuzz(steps: &mut Steps, target_directory: &Path) -> Result<PathBuf> {
    let on_path = PathBuf::from("cargo-fuzz");
    if works(Command::new(&on_path).arg("--version")) {
        return Ok(on_path);
    }
    let tools = target_directory.join("tools");
    let own = tools.join("bin/cargo-fuzz");
    if !works(Command::new(&own).arg("--version")) {
        steps.step("cargo-fuzz", || {
            let install = ["install", "cargo-fuzz", "--locked", "--version", VERSION, "--root"];
            run(cargo().args(install).arg(&tools))
        })?;
    }
    Ok(own)
}

/// The command that fuzzes a target. Nothing here has unsafe code, so the sanitizers that find its mistakes, and slow
/// everything down, are left out; overflows and the targets' own assertions are found.
fn session(fuzz: &Path, target_directory: &Path, target: &str, corpus: &Path, seconds: u64) -> Command {
    let mut command = program(fuzz);
    command
        .args(["run", "--fuzz-dir", "fuzz", "--sanitizer", "none", target])
        .arg(corpus)
        .arg(root().join("fuzz/seeds").join(target))
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={MAX_INPUT}"))
        .arg(format!("-timeout={MAX_TIME}"))
        .args(["-print_final_stats=1", "-print_funcs=0", "-verbosity=0"])
        .env("RUSTUP_TOOLCHAIN", TOOLCHAIN)
        .env("CARGO_TARGET_DIR", target_directory.join("fuzz"))
        // Set for the compiler of this workspace by the cargo that runs this task.
        .env_remove("CARGO")
        .env_remove("RUSTC");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What they check is compiled and run by the crates' own tests. The programs themselves need the fuzzer's library, so
    /// they are looked at only, and hold nothing that could go wrong.
    #[test]
    fn each_target_is_one_line_and_has_seeds_and_a_place_in_the_manifest() {
        let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
        let manifest = read("fuzz/Cargo.toml");
        let crates = ["authz", "config", "proxy"].map(|name| {
            let module = format!("crates/{name}/src/fuzz");
            let file = if root().join(&module).is_dir() {
                format!("{module}/mod.rs")
            } else {
                format!("{module}.rs")
            };
            (read(&format!("crates/{name}/Cargo.toml")), read(&file))
        });
        let targets = targets().unwrap();
        for target in &targets {
            let (package, _) = crates
                .iter()
                .find(|(_, module)| module.contains(&format!("(\"{target}\", {target})")))
                .unwrap_or_else(|| panic!("{target} is in no crate's table"));
            let name = package.split('"').nth(1).unwrap();
            let library = name.replace('-', "_");
            assert!(manifest.contains(&format!("{name} = {{ path = ")), "{target}");
            assert_eq!(
                read(&format!("fuzz/fuzz_targets/{target}.rs")),
                format!(
                    "#![no_main]\n\nlibfuzzer_sys::fuzz_target!(|input: &[u8]| {library}::fuzz::{target}(input));\n"
                )
            );
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
            let seeds = root().join("fuzz/seeds").join(target);
            assert!(fs::read_dir(seeds).unwrap().next().is_some(), "{target}");
        }
        let rows = |module: &String| -> usize {
            let (_, after) = module.split_once("TARGETS: [(&str, Target); ").unwrap();
            after.split(']').next().unwrap().parse().unwrap()
        };
        let rows: usize = crates.iter().map(|(_, module)| rows(module)).sum();
        assert_eq!(rows, targets.len(), "a row of a crate's table has no program, or the other way");
    }
}
