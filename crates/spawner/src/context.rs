use std::{collections::BTreeMap, fmt};

/// The variables a caller hands to a workspace, often secrets. `Debug` shows the names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Context(BTreeMap<String, String>);

/// Most bytes of all values together: what a Kubernetes Secret holds, less some room for its metadata.
pub(crate) const MAX_BYTES: usize = 1_000_000;

impl Context {
    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Tells whether a variable of that name was given (its value may be empty).
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Tells whether there are no variables.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values themselves, for the Secret that will hold them.
    pub(crate) fn expose(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Why the context can't be used, if so: a name that is no environment variable, or too much data.
    pub(crate) fn problem(&self) -> Option<String> {
        if let Some(name) = self.0.keys().find(|name| !is_variable_name(name)) {
            let shown: String = name.chars().take(80).collect();
            return Some(format!(
                "context variable {shown:?} is no environment variable name: use letters, digits, '_', '-' and '.', not beginning with a digit"
            ));
        }
        let bytes: usize = self.0.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > MAX_BYTES {
            return Some(format!("context holds {bytes} bytes, more than the {MAX_BYTES} a Secret can take"));
        }
        self.0.iter().find(|(_, value)| value.contains('\0')).map(|(name, _)| {
            format!("context variable {name} holds a NUL character, which no environment variable can")
        })
    }
}

/// Whether Kubernetes, of whatever version, takes it as the name of a variable and as a key of a Secret.
fn is_variable_name(name: &str) -> bool {
    name.len() <= 250
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && name != "."
        && !name.starts_with("..")
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Context {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t54_debug_shows_no_value() {
        let context: Context = [("TOKEN", "s3cret")].into_iter().collect();
        assert_eq!(format!("{context:?}"), r#"{"TOKEN"}"#);
    }

    #[test]
    fn refuses_what_no_process_can_have() {
        for name in ["", "1A", ".", "..A", "A=B", "A B", "Ä", "A\n"] {
            let context: Context = [(name, "x")].into_iter().collect();
            assert!(context.problem().is_some(), "{name:?}");
        }
        assert!([("A", "a\0b")].into_iter().collect::<Context>().problem().is_some());
        assert!([("A", "x".repeat(MAX_BYTES))].into_iter().collect::<Context>().problem().is_some());
        for name in ["_a9", "A-B", "a.b", "-x"] {
            assert_eq!([(name, "")].into_iter().collect::<Context>().problem(), None, "{name}");
        }
    }
}
