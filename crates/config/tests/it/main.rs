//! The settings as an operator meets them: names, precedence, values, rules, reports.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod authentication;
mod command_line;
mod compatibility;
mod properties;
mod rules;
mod secrets;
mod snapshots;
mod values;

use nocrd_config::{Binary, Command, Errors, Settings, load};

type Env<'a> = [(&'a str, &'a str)];

/// Reads a server's settings from flags and environment.
fn read(args: &[&str], env: &Env<'_>) -> Result<Settings, Errors> {
    let map: std::collections::BTreeMap<_, _> =
        env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    match load(Binary::All, args, &map)? {
        Command::Serve(settings) => Ok(*settings),
        other => panic!("no server: {other:?}"),
    }
}

fn settings(args: &[&str], env: &Env<'_>) -> Settings {
    read(args, env).unwrap()
}

/// The report on settings that must be refused.
fn report(args: &[&str], env: &Env<'_>) -> String {
    read(args, env).unwrap_err().to_string()
}
