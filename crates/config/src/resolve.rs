//! From flags, environment and defaults to values, collecting errors on the way.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use crate::{
    error::Error,
    lookup::Lookup,
    row::{Preset, Setting},
    value::Value,
};

/// Where the value of a setting came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// The command line; the long form of the flag, without `--`.
    Flag(&'static str),
    /// This environment variable.
    Env(&'static str),
    /// Nobody set it.
    #[default]
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(long) => write!(f, "flag --{long}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The settings somebody set, by name, and where.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources(BTreeMap<&'static str, Source>);

impl Sources {
    pub(crate) fn get(&self, name: &str) -> Source {
        self.0.get(name).copied().unwrap_or_default()
    }
}

/// Values of flags by the field of their setting, as texts.
pub(crate) type Flags = BTreeMap<&'static str, String>;

/// Takes the values of settings out of their sources.
pub(crate) struct Resolver<'a> {
    flags: &'a Flags,
    env: &'a dyn Lookup,
    sources: Sources,
    errors: Vec<Error>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(flags: &'a Flags, env: &'a dyn Lookup) -> Self {
        Self { flags, env, sources: Sources::default(), errors: Vec::new() }
    }

    /// Whether the process runs in a pod: the kubelet sets this variable in every container.
    pub(crate) fn in_cluster(&self) -> bool {
        self.env.get("KUBERNETES_SERVICE_HOST").is_some_and(|host| !host.is_empty())
    }

    /// The user's home directory.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.env.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
    }

    pub(crate) fn sources(&self) -> Sources {
        self.sources.clone()
    }

    pub(crate) fn into_errors(self) -> Vec<Error> {
        self.errors
    }

    /// The typed value of a setting; `None` when it can't be had, and then the error is noted.
    pub(crate) fn take<T: Value>(&mut self, row: &'static Setting) -> Option<T> {
        let (text, source) = self.find(row);
        if source != Source::Default {
            self.sources.0.insert(row.name(), source);
        }
        match text.filter(|text| !(text.is_empty() && row.empty_counts)) {
            None => T::absent().or_else(|| {
                self.errors.push(Error::rule(row.name(), format!("{} must be set", row.name())));
                None
            }),
            Some(text) => T::parse(&text, &row.kind)
                .map_err(|why| self.errors.push(Error::invalid(row, source, &text, why)))
                .ok(),
        }
    }

    fn find(&self, row: &'static Setting) -> (Option<String>, Source) {
        if let (Some(text), Some(flag)) = (self.flags.get(row.field), row.flag) {
            return (Some(text.clone()), Source::Flag(flag.long));
        }
        for name in row.env {
            match self.env.get(name) {
                Some(text) if !text.is_empty() || row.empty_counts => return (Some(text), Source::Env(name)),
                _ => {}
            }
        }
        match row.default {
            Preset::Text(text) => (Some(text.to_owned()), Source::Default),
            Preset::None | Preset::Computed(_) => (None, Source::Default),
        }
    }
}
