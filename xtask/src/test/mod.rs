//! Everything a change must pass.

mod prepare;

use std::process::Command;

use crate::{
    Result, docs,
    process::{cargo, output, program, run, works},
    steps::Steps,
    tidy::{
        self,
        ignored::{self, Reason},
    },
};

/// Formatting, lints, source rules.
pub(crate) fn check(steps: &mut Steps) -> Result {
    steps.step("formatting", || run(cargo().args(["fmt", "--all", "--check"])))?;
    steps.step("lints", || {
        run(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
    })?;
    steps.step("tidy", tidy::run)
}

/// What the tests need, and nothing else.
pub(crate) fn setup(steps: &mut Steps) -> Result {
    prepare::all(steps).map(drop)
}

/// What the tests need, then all checks and all tests that need no real cluster.
pub(crate) fn everything(steps: &mut Steps, filter: Option<&str>) -> Result {
    let prepared = prepare::all(steps)?;
    check(steps)?;
    steps.step("generated pages", docs::check)?;
    steps.step("tests", || run(prepared.tell(&mut tests(filter))))?;
    ignored_tests(steps, "tests that run alone", Reason::RunsAlone, filter)?;
    steps.step("doctests", || run(cargo().args(["test", "--workspace", "--doc", "--locked"]).args(filter)))
}

/// The tests that need a real cluster, and only those.
pub(crate) fn on_cluster(steps: &mut Steps, filter: Option<&str>) -> Result {
    if works(program("kubectl").args(["version", "--client"])) {
        let context = output(program("kubectl").args(["config", "current-context"]))?;
        println!("context: {}", context.trim());
    }
    ignored_tests(steps, "tests on a real cluster", Reason::NeedsCluster, filter)
}

/// Runs, one at a time, the tests that are ignored for this reason.
fn ignored_tests(steps: &mut Steps, step: &str, reason: Reason, filter: Option<&str>) -> Result {
    let mut names = ignored::names(reason)?;
    names.retain(|name| filter.is_none_or(|filter| name.contains(filter)));
    if names.is_empty() {
        steps.skip(step, "there is none");
        return Ok(());
    }
    steps.step(step, || run(&mut only_ignored(&names)))
}

fn has_nextest() -> bool {
    works(cargo().args(["nextest", "--version"]))
}

/// nextest where it is installed, for its speed and its one process a test; else what cargo brings.
fn tests(filter: Option<&str>) -> Command {
    let mut command = cargo();
    if has_nextest() {
        command.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
    } else {
        command.args(["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"]);
    }
    command.args(filter);
    // Snapshots are compared, never written.
    command.env("INSTA_UPDATE", "no");
    command
}

fn only_ignored(names: &[String]) -> Command {
    let mut command = cargo();
    if has_nextest() {
        let names: Vec<_> = names.iter().map(|name| format!("test(/(^|::){name}$/)")).collect();
        command.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--run-ignored=only"]);
        command.args(["--test-threads=1", "--success-output=final", "--filterset", &names.join(" | ")]);
    } else {
        command.args(["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast", "--"]);
        command.args(["--ignored", "--test-threads=1", "--nocapture"]).args(names);
    }
    command
}
