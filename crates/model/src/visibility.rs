//! Who may reach an additional port of a workspace: the value of `nogoo9/api.<name>.visibility`.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use crate::Subject;

/// Who may reach an API of a workspace, beside its owner, who always may. Nobody else is let in for a reason that does
/// not stand here: an administrator, too, reaches a private API of their own workspaces only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum Visibility {
    /// Nobody else.
    Private,
    /// Anybody who is signed in and has any right at all ([`Role::Viewer`](crate::Role::Viewer) or above).
    Internal,
    /// Administrators.
    Admin,
    /// Anybody in whose token this scope stands. A scope that implies others does not imply this one, and a token
    /// without scopes has none.
    Scope(String),
    /// Anybody in whose token this role stands: implied and default roles don't count.
    Role(String),
    /// These subjects.
    Subjects(Vec<Subject>),
}

impl Visibility {
    /// What an API of this name has when its template says nothing: the dashboard's own two are for administrators
    /// too, all others are private.
    #[must_use]
    pub fn default_for(api_name: &str) -> Self {
        match api_name.to_ascii_lowercase().as_str() {
            "stats" | "last_activity" | "last-activity" => Self::Admin,
            _ => Self::Private,
        }
    }

    /// Reads the annotation's value. Every text has a meaning: what is no keyword is a list of subjects, and an empty
    /// list (or an empty scope or role) is [`Visibility::Private`], never wider.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        match text {
            "" | "private" => return Self::Private,
            "internal" => return Self::Internal,
            "admin" => return Self::Admin,
            _ => {}
        }
        let named = |prefix: &str| text.strip_prefix(prefix).map(str::trim);
        if let Some(scope) = named("scope:") {
            return if scope.is_empty() { Self::Private } else { Self::Scope(scope.to_owned()) };
        }
        if let Some(role) = named("role:") {
            return if role.is_empty() { Self::Private } else { Self::Role(role.to_owned()) };
        }
        let subjects: Vec<Subject> =
            text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(Subject::from).collect();
        if subjects.is_empty() { Self::Private } else { Self::Subjects(subjects) }
    }
}

impl From<String> for Visibility {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl std::str::FromStr for Visibility {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::parse(text))
    }
}

impl From<Visibility> for String {
    fn from(visibility: Visibility) -> Self {
        match visibility {
            Visibility::Private => "private".into(),
            Visibility::Internal => "internal".into(),
            Visibility::Admin => "admin".into(),
            Visibility::Scope(scope) => format!("scope:{scope}"),
            Visibility::Role(role) => format!("role:{role}"),
            Visibility::Subjects(subjects) => {
                let list = subjects.iter().map(Subject::as_str).collect::<Vec<_>>().join(",");
                // Somebody may be called like a keyword. A comma before makes it a list.
                let reads_as_list = matches!(Visibility::parse(&list), Visibility::Subjects(_));
                if reads_as_list { list } else { format!(",{list}") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn grammar() {
        assert_eq!(Visibility::parse(" internal "), Visibility::Internal);
        assert_eq!(Visibility::parse("scope:a:b"), Visibility::Scope("a:b".into()));
        assert_eq!(Visibility::parse("role: ops "), Visibility::Role("ops".into()));
        assert_eq!(Visibility::parse("a, b,,"), Visibility::Subjects(vec!["a".into(), "b".into()]));
        for narrow in ["", " ", ",", " , ", "scope:", "role: "] {
            assert_eq!(Visibility::parse(narrow), Visibility::Private, "{narrow:?}");
        }
        assert_eq!(Visibility::parse("Internal"), Visibility::Subjects(vec!["Internal".into()]));
        for name in ["internal", "admin", "scope:a", "role:"] {
            let people = Visibility::Subjects(vec![name.into()]);
            let printed = String::from(people.clone());
            assert_eq!((&*printed, Visibility::parse(&printed)), (&*format!(",{name}"), people));
        }
        assert_eq!(Visibility::default_for("Last-Activity"), Visibility::Admin);
        assert_eq!(Visibility::default_for("terminal"), Visibility::Private);
    }

    proptest! {
        #[test]
        fn text_form_round_trips(text in "\\PC{0,60}") {
            let parsed = Visibility::parse(&text);
            prop_assert_eq!(Visibility::parse(&String::from(parsed.clone())), parsed);
        }
    }
}
