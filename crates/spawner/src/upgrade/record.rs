//! What an upgrade writes on the pods of a workspace. There is no other memory of it: any replica goes on from there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use nocrd_model::{Caller, Subject, keys};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// How a new pod takes over from the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// Both run until the new one is ready.
    Beside,
    /// The old one is gone before the new one starts: they can't have the same volume, or the same port of a node, at once.
    Recreate,
}

/// On the old pod: that it is to be replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Version of the template the new pod is of.
    pub(crate) to: String,
    pub(crate) style: Style,
    /// When the upgrade was begun. It tells one upgrade of a pod from another.
    pub(crate) since: Timestamp,
    #[serde(flatten)]
    pub(crate) by: Asker,
}

/// Who began an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Asker {
    /// A user like any other: what such users have written into a template is then worth no more than they are.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) ordinary: bool,
    /// The workspace's owner. Nobody else can say which users' templates they trust with their context.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) owner: bool,
}

impl Asker {
    /// Of an upgrade of what is `owner`'s.
    pub(crate) fn new(caller: &Caller, owner: &Subject) -> Self {
        Self { ordinary: caller.is_ordinary(), owner: caller.subject == *owner }
    }
}

/// How a pod came to replace another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// As [`Style::Beside`].
    Beside,
    /// As [`Style::Recreate`].
    Recreate,
    /// It is the old pod once more, since the new one did not start.
    Back,
}

/// On the new pod: which one it replaces, until it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    /// Uid of the pod it replaces.
    pub(crate) uid: String,
    /// Of the upgrade: see [`Mark::since`].
    pub(crate) since: Timestamp,
    pub(crate) role: Role,
    /// Versions of the template, before and after.
    pub(crate) from: String,
    pub(crate) to: String,
    /// Whether it is settled that it takes over: only then may the other pod go. A pod that it replaces and that goes
    /// before that was stopped by somebody.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) cut: bool,
    /// When it must be ready; nothing while it has not been let go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
    /// ServiceAccount of the pod it replaces, which it would need back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Mark {
    pub(crate) fn of(annotations: &BTreeMap<String, String>) -> Option<Self> {
        read(annotations, keys::UPGRADE)
    }
}

impl Link {
    pub(crate) fn of(annotations: &BTreeMap<String, String>) -> Option<Self> {
        read(annotations, keys::UPGRADE_FROM)
    }
}

/// What can't be read counts as absent: no server writes such a thing.
fn read<T: DeserializeOwned>(annotations: &BTreeMap<String, String>, key: &str) -> Option<T> {
    serde_json::from_str(annotations.get(key)?).ok()
}

/// The text of an annotation.
pub(crate) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Whether the pod with these annotations takes part in an upgrade.
pub(crate) fn is_involved(annotations: &BTreeMap<String, String>) -> bool {
    Mark::of(annotations).is_some() || Link::of(annotations).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_read_is_no_upgrade() {
        for text in ["", "{}", "1.2", r#"{"to":"2","style":"sideways","since":"2026-01-01T00:00:00Z"}"#] {
            for key in [keys::UPGRADE, keys::UPGRADE_FROM] {
                assert!(!is_involved(&[(key.to_owned(), text.to_owned())].into()), "{key}: {text}");
            }
        }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let since: Timestamp = "2026-01-01T00:00:00.123456789Z".parse().unwrap();
        let mark = Mark { to: "2".into(), style: Style::Recreate, since, by: Asker::default() };
        let written = text(&mark);
        assert_eq!(written, r#"{"to":"2","style":"recreate","since":"2026-01-01T00:00:00.123456789Z"}"#);
        assert_eq!(Mark::of(&[(keys::UPGRADE.to_owned(), written)].into()), Some(mark.clone()));
        let mark = Mark { by: Asker { ordinary: true, owner: true }, ..mark };
        assert_eq!(Mark::of(&[(keys::UPGRADE.to_owned(), text(&mark))].into()), Some(mark));
        let link = Link {
            uid: "u".into(),
            since,
            role: Role::Back,
            from: "1".into(),
            to: "2".into(),
            cut: true,
            until: Some(since),
            account: Some("a".into()),
        };
        for link in [Link { cut: false, until: None, account: None, ..link.clone() }, link] {
            assert_eq!(Link::of(&[(keys::UPGRADE_FROM.to_owned(), text(&link))].into()), Some(link));
        }
    }
}
