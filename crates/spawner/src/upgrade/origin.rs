//! Where a workspace's template came from, noted on its pod: names alone don't tell templates apart, since whoever may
//! store one may take any name that is free.

use nocrd_model::Subject;
use nocrd_templates::{Origin, Template};

/// In the annotation, between the source and who created a template that nobody answers for.
const BY: char = ':';

/// What stands on the pods of a template.
pub(crate) fn note(template: &Template) -> String {
    let source = source(&template.origin);
    match template.user_sub().filter(|_| !template.is_curated()) {
        Some(creator) => format!("{source}{BY}{}", creator.as_str()),
        None => source.to_owned(),
    }
}

/// What a pod says of its template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recorded<'a> {
    /// Nothing on pods of earlier versions.
    pub(crate) source: Option<&'a str>,
    /// Nobody when it was curated, and on pods of earlier versions.
    creator: Option<&'a str>,
}

impl<'a> Recorded<'a> {
    pub(crate) fn read(note: Option<&'a str>) -> Self {
        match note.map(|note| note.split_once(BY).unwrap_or((note, ""))) {
            Some((source, creator)) => {
                Self { source: Some(source), creator: Some(creator).filter(|creator| !creator.is_empty()) }
            }
            None => Self { source: None, creator: None },
        }
    }

    /// Whether it is the source of a template.
    pub(crate) fn is_source_of(&self, template: &Template) -> bool {
        self.source.is_none_or(|recorded| recorded == source(&template.origin))
    }

    /// Whether those who answered for the recorded template answer for this one, too: operators and administrators for each
    /// other's, users for their own alone. What is not known to be a user's can only become a curated one.
    pub(crate) fn is_author_of(&self, template: &Template) -> bool {
        match self.creator {
            Some(creator) => template.user_sub().as_ref().map(Subject::as_str) == Some(creator),
            None => template.is_curated(),
        }
    }
}

/// A source of templates, in the word that stands on pods.
fn source(origin: &Origin) -> &'static str {
    match origin {
        Origin::ConfigMap { .. } => "ConfigMap",
        Origin::Directory => "Directory",
        Origin::BuiltIn => "BuiltIn",
    }
}

#[cfg(test)]
mod tests {
    use nocrd_model::keys;

    use super::*;

    fn template(origin: Origin, creator: &str, author: &str) -> Template {
        let mut template = nocrd_templates::built_in(&nocrd_templates::BuiltInOptions::default()).remove(0);
        template.origin = origin;
        template.annotations.insert(keys::USER_SUB.into(), creator.into());
        template.annotations.insert(keys::TEMPLATE_AUTHOR.into(), author.into());
        template
    }

    fn stored(creator: &str, author: &str) -> Template {
        template(Origin::ConfigMap { namespace: "n".parse().unwrap() }, creator, author)
    }

    #[test]
    fn t53_every_creator_is_told_from_every_other() {
        for creator in ["bob", "a:b", ":", "ConfigMap", "auth0|1", "\u{1}guest"] {
            let template = stored(creator, "");
            let note = note(&template);
            let recorded = Recorded::read(Some(&note));
            assert!(recorded.is_source_of(&template) && recorded.is_author_of(&template), "{note}");
            // Who stores a template as an administrator is still who they were.
            assert!(recorded.is_author_of(&stored(creator, "admin")), "{note}");
            for other in ["mallory", "a", "b", "bo", ""] {
                assert!(!recorded.is_author_of(&stored(other, "")), "{note}: {other}");
            }
        }
    }

    #[test]
    fn t53_curated_templates_stay_so() {
        for note in [None, Some("ConfigMap"), Some("ConfigMap:")] {
            let recorded = Recorded::read(note);
            for (template, expected) in [
                (stored("", ""), true),
                (stored("root", "admin"), true),
                (stored("root", ""), false),
                (stored("mallory", "Admin"), false),
            ] {
                assert_eq!(recorded.is_author_of(&template), expected, "{note:?}: {template:?}");
            }
        }
        for origin in [Origin::Directory, Origin::BuiltIn] {
            let template = template(origin, "mallory", "");
            assert!(!note(&template).contains(BY));
            assert!(!Recorded::read(Some("ConfigMap")).is_source_of(&template));
            assert!(Recorded::read(Some(&note(&template))).is_source_of(&template));
        }
    }
}
