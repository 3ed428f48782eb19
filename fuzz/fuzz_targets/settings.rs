//! Any environment and any command line: settings, or errors that show no secret. A line is a variable (its first byte
//! chooses which, the rest is the value), or an argument, when it begins with `-`.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use nocrd_config::{Binary, load, settings::TABLE};

/// What every secret holds, so that it is found where it should not be.
const MARK: &str = "S3cr3t-M4rk";

fuzz_target!(|input: &str| {
    let names: Vec<&str> = TABLE.iter().flat_map(|row| row.env.iter().copied()).collect();
    let secrets: Vec<&str> =
        TABLE.iter().filter(|row| row.is_secret()).flat_map(|row| row.env.iter().copied()).collect();
    let mut environment = BTreeMap::new();
    let mut arguments = Vec::new();
    for line in input.lines() {
        if line.starts_with('-') {
            arguments.push(line.to_owned());
            continue;
        }
        let Some(first) = line.chars().next() else { continue };
        let Some(name) = names.get(first as usize % names.len()) else { continue };
        let value = line.get(first.len_utf8()..).unwrap_or_default();
        let value = if secrets.contains(name) { format!("{MARK}{value}") } else { value.to_owned() };
        environment.insert((*name).to_owned(), value);
    }
    // Asking for help ends the process by the caller, not in here; both outcomes are fine.
    match load(Binary::All, &arguments, &environment) {
        Ok(command) => assert!(!format!("{command:?}").contains(MARK), "a secret is shown"),
        Err(errors) => assert!(!errors.to_string().contains(MARK), "a secret is shown"),
    }
});
