//! `${{user}}`, `${{workspace_id}}` and `${{workspace}}` in templates.
//!
//! They are replaced in the parsed tree, in texts only, so that no value can change the shape of a document, and the
//! replacement is not searched again.

use serde_json::Value;

use crate::Subject;

/// The values the placeholders stand for.
#[derive(Debug, Clone, Copy)]
pub struct Placeholders<'a> {
    /// `${{user}}`: the owner's exact subject.
    pub user: &'a Subject,
    /// `${{workspace_id}}` and `${{workspace}}`: the workspace's id, or the name of a pod that is no workspace.
    pub workspace: &'a str,
}

impl Placeholders<'_> {
    /// The names, as documentation lists them.
    pub const NAMES: [&'static str; 3] = ["${{user}}", "${{workspace_id}}", "${{workspace}}"];

    /// Replaces every placeholder in `text` in one pass.
    #[must_use]
    pub fn replace_text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${{") {
            let (before, from) = rest.split_at(start);
            out.push_str(before);
            let value = [self.user.as_str(), self.workspace, self.workspace];
            match Self::NAMES.iter().zip(value).find(|(name, _)| from.starts_with(**name)) {
                Some((name, value)) => {
                    out.push_str(value);
                    rest = from.get(name.len()..).unwrap_or_default();
                }
                None => {
                    out.push_str("${{");
                    rest = from.get(3..).unwrap_or_default();
                }
            }
        }
        out.push_str(rest);
        out
    }

    /// Replaces every placeholder in every text of `tree`; keys of objects stay as they are.
    pub fn replace_in(&self, tree: &mut Value) {
        match tree {
            Value::String(text) if text.contains("${{") => *text = self.replace_text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.replace_in(item)),
            Value::Object(map) => map.values_mut().for_each(|value| self.replace_in(value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replaces_once_and_only_in_values() {
        let user = Subject::new("a\"b$&${{workspace}}");
        let with = Placeholders { user: &user, workspace: "w1" };
        let mut tree =
            json!({"${{user}}": ["${{user}}", 1, {"x": "/${{workspace_id}}/${{workspace}}/${{other}}"}]});
        with.replace_in(&mut tree);
        assert_eq!(tree, json!({"${{user}}": ["a\"b$&${{workspace}}", 1, {"x": "/w1/w1/${{other}}"}]}));
        assert_eq!(with.replace_text("${{${{user}}"), "${{a\"b$&${{workspace}}");
    }
}
