//! Label selectors, by the grammar that all of the product shares.

use nocrd_model::selector;
use serde_json::Value;

use crate::object;

/// A conjunction of requirements; without any it selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(selector::LabelSelector);

impl LabelSelector {
    /// Parses a selector.
    ///
    /// # Errors
    /// What is wrong with it, in the words of a real server.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        selector::LabelSelector::parse(text).map(Self).map_err(|error| error.message().to_owned())
    }

    /// Whether it selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it selects this object.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.matches_by(|key| object::label(object, key))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_of_an_object() {
        let pod = json!({ "metadata": { "labels": { "app": "web" } } });
        let selects = |text: &str, object: &Value| LabelSelector::parse(text).unwrap().matches(object);
        assert!(selects("app in (web,db),!none", &pod) && !selects("app!=web", &pod));
        assert!(selects("!app", &json!({})) && LabelSelector::parse("").unwrap().is_empty());
        assert_eq!(LabelSelector::parse("a,").unwrap_err(), "found '', expected: identifier after ','");
    }
}
