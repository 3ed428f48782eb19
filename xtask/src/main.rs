//! Tasks of this workspace. `cargo xtask --help` lists them.
//!
//! | module | task |
//! |---|---|
//! | [`tidy`] | rules about the source that no compiler checks |
//! | [`docs`] | pages rendered from the tables in the code |
//! | [`test`] | everything a change must pass, from a bare machine on |
//! | [`demo`] | the main job, end to end |
//! | [`bench`] | measurements of a release build |
//! | [`fuzz`] | random texts for what reads the texts of strangers |

#![expect(clippy::print_stdout, reason = "tasks talk to whoever runs them")]
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that is read by index gives null where there is nothing"
)]

mod bench;
mod demo;
mod docs;
mod fuzz;
mod process;
mod steps;
mod test;
mod tidy;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use steps::Steps;

/// A task's outcome; the error is a sentence for whoever runs the task.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of this workspace", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check formatting, lints and the rules of `tidy`.
    Check,
    /// Check the source's rules: dependency direction, keys, environment reads, ignored tests, generated pages.
    Tidy,
    /// Render the generated pages of the documentation.
    Docs {
        /// Change nothing; fail when a page is out of date.
        #[arg(long)]
        check: bool,
    },
    /// Install what the tests need, for those who run them without this program.
    Setup,
    /// Run everything a change must pass; installs what the tests need.
    Test {
        /// Run the tests that need a real cluster, on the current kubeconfig, and only those. They create pods.
        #[arg(long)]
        cluster: bool,
        /// Only the tests whose names contain this.
        filter: Option<String>,
    },
    /// Show the main job end to end: embedded cluster, MCP client, workspace, route.
    Demo {
        /// Stop everything again instead of waiting for Ctrl-C.
        #[arg(long)]
        once: bool,
    },
    /// Measure a release build: start, memory, spawn and list, requests through the proxy beside direct ones.
    Bench(bench::Bench),
    /// Give random texts to what reads the texts of strangers; installs cargo-fuzz and a nightly compiler.
    Fuzz {
        /// How long each target is run.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Only this target of `fuzz/fuzz_targets`.
        target: Option<String>,
    },
}

fn main() -> ExitCode {
    let task = Cli::parse().task;
    let mut steps = Steps::default();
    let outcome = match task {
        Task::Check => test::check(&mut steps),
        Task::Tidy => tidy::run(),
        Task::Docs { check: true } => docs::check(),
        Task::Docs { check: false } => docs::write(),
        Task::Setup => test::setup(&mut steps),
        Task::Test { cluster: true, filter } => test::on_cluster(&mut steps, filter.as_deref()),
        Task::Test { cluster: false, filter } => test::everything(&mut steps, filter.as_deref()),
        Task::Demo { once } => demo::run(&mut steps, once),
        Task::Bench(bench) => bench::run(&mut steps, &bench),
        Task::Fuzz { seconds, target } => fuzz::run_targets(&mut steps, seconds, target.as_deref()),
    };
    steps.print_summary();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nxtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's root directory.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}
