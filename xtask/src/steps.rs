//! A task's steps: announced, timed, summed up.

use std::time::{Duration, Instant};

use crate::Result;

/// The steps done so far.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration, Outcome)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

impl Steps {
    /// Announces a step, does it and notes how long it took.
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n==> {name}");
        let start = Instant::now();
        let result = work();
        let outcome = if result.is_ok() { Outcome::Passed } else { Outcome::Failed };
        self.done.push((name.to_owned(), start.elapsed(), outcome));
        result.map_err(|error| format!("{name}: {error}").into())
    }

    /// Notes a step that is not done, and why.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        println!("\n==> {name}: skipped, {why}");
        self.done.push((format!("{name} ({why})"), Duration::ZERO, Outcome::Skipped));
    }

    /// Prints the steps with their times.
    pub(crate) fn print_summary(&self) {
        if self.done.is_empty() {
            return;
        }
        println!("\n{:-<64}", "");
        for (name, time, outcome) in &self.done {
            let word = match outcome {
                Outcome::Passed => "ok",
                Outcome::Failed => "FAILED",
                Outcome::Skipped => "skipped",
            };
            println!("{word:<8}{:>8.1} s  {name}", time.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, time, _)| *time).sum();
        println!("{:<8}{:>8.1} s  in all", "", total.as_secs_f64());
    }
}
