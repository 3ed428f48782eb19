//! What must hold of any text that a stranger writes: the body of the target in `fuzz/`. Compiled for the fuzzer, and for the
//! tests, which run it on its seeds.

use std::collections::BTreeMap;

use crate::{Binary, load, settings::TABLE};

/// What is run on a text; it panics when something does not hold.
pub type Target = fn(&[u8]);

/// All of them.
pub const TARGETS: [(&str, Target); 1] = [("settings", settings)];

/// What every secret holds, so that it is found where it should not be.
const MARK: &str = "S3cr3t-M4rk";

/// Any environment and any command line: settings, or errors that show no secret. A line is a variable (its first byte
/// chooses which, the rest is the value), or an argument, when it begins with `-`.
pub fn settings(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
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
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_holds_on_its_seeds() {
        for (name, target) in super::TARGETS {
            let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
            let mut count = 0;
            for seed in std::fs::read_dir(&seeds).unwrap() {
                target(&std::fs::read(seed.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no seeds");
        }
    }
}
