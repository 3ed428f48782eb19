//! What there is to know of one setting.

use crate::kind::Kind;

/// A group of settings, a section of the help and of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The listener, logging, limits.
    Server,
    /// HTTPS.
    Tls,
    /// Browsers on other origins.
    Cors,
    /// The cluster and what may run in it.
    Kubernetes,
    /// Tokens, scopes, roles, sessions.
    Authentication,
    /// Dashboard, themes, documentation.
    Ui,
}

impl Group {
    /// All groups in the order of the reference.
    pub const ALL: [Self; 6] =
        [Self::Server, Self::Tls, Self::Cors, Self::Kubernetes, Self::Authentication, Self::Ui];

    /// Heading of the group.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Tls => "TLS",
            Self::Cors => "CORS",
            Self::Kubernetes => "Kubernetes",
            Self::Authentication => "Authentication and sessions",
            Self::Ui => "Dashboard and documentation",
        }
    }
}

/// Command line names of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Without the `-`.
    pub short: Option<char>,
    /// Without the `--`.
    pub long: &'static str,
}

impl Flag {
    /// A flag with a short form.
    #[must_use]
    pub const fn short(short: char, long: &'static str) -> Option<Self> {
        Some(Self { short: Some(short), long })
    }

    /// A flag with a long form only.
    #[must_use]
    pub const fn long(long: &'static str) -> Option<Self> {
        Some(Self { short: None, long })
    }
}

/// What holds when nobody sets a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Nothing: the setting is absent.
    None,
    /// This text, as an operator would write it.
    Text(&'static str),
    /// A value that depends on others; the text tells how.
    Computed(&'static str),
}

/// Whether a setting does something: still, not yet, or no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It works.
    Now,
    /// It is read and validated, and whoever sets it is warned. The text completes the sentence "NAME is set, but …".
    Later(&'static str),
    /// It did something up to 0.17, and is still read, validated and warned of, so that old manifests start. The text
    /// completes the same sentence.
    Gone(&'static str),
}

/// One row of the [table](crate::settings::TABLE).
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Field of [`Settings`](crate::Settings).
    pub field: &'static str,
    /// Section.
    pub group: Group,
    /// Command line names; `None` when only the environment sets it.
    pub flag: Option<Flag>,
    /// Environment variables: the first that is set and not empty counts. The first is also the setting's name.
    pub env: &'static [&'static str],
    /// What holds when it is not set.
    pub default: Preset,
    /// Type, unit and allowed values.
    pub kind: Kind,
    /// Whether an empty text is a value of its own ("switch this check off") instead of "not set".
    pub empty_counts: bool,
    /// Meaning.
    pub doc: &'static str,
    /// First version that has it; empty when it was there from the start.
    pub since: &'static str,
    /// Whether it does something in this release.
    pub effect: Effect,
}

impl Setting {
    /// What a row is when it says nothing else.
    pub(crate) const ROW: Self = Self {
        field: "",
        group: Group::Server,
        flag: None,
        env: &[],
        default: Preset::None,
        kind: Kind::Text,
        empty_counts: false,
        doc: "",
        since: "",
        effect: Effect::Now,
    };

    /// The setting's name: its first environment variable.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.env.first().copied().unwrap_or(self.field)
    }

    /// Whether its value must never be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret { .. })
    }

    /// The documentation as one paragraph.
    #[must_use]
    pub fn doc(&self) -> &'static str {
        self.doc.trim()
    }
}
