//! Where environment variables come from.

use std::collections::{BTreeMap, HashMap};

/// A set of environment variables.
pub trait Lookup {
    /// The variable's value; `None` when it is not set. A value that is not Unicode is given with replacement
    /// characters, so that it is refused where it matters instead of being overlooked.
    fn get(&self, name: &str) -> Option<String>;

    /// The names of all variables, where they are known; used to point out misspelt ones.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl Lookup for ProcessEnv {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    }
}

impl Lookup for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        Self::get(self, name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

impl Lookup for HashMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        Self::get(self, name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// Variables as pairs, for tests and examples.
impl Lookup for [(&str, &str)] {
    fn get(&self, name: &str) -> Option<String> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    fn names(&self) -> Vec<String> {
        self.iter().map(|(key, _)| (*key).to_owned()).collect()
    }
}

impl<const N: usize> Lookup for [(&str, &str); N] {
    fn get(&self, name: &str) -> Option<String> {
        Lookup::get(self.as_slice(), name)
    }

    fn names(&self) -> Vec<String> {
        self.as_slice().names()
    }
}
