//! The templates that tools write: ConfigMaps, each with an owner.

mod check;
mod write;

use std::collections::BTreeMap;

use nocrd_model::Namespace;
use serde_json::{Map, Value};

use crate::metadata::Pairs;

/// What is to be stored of a template. What is absent stays as it is.
#[derive(Debug, Clone, Default)]
pub struct TemplateChange {
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// What groups it with others.
    pub tag: Option<String>,
    /// Labels, which reach its pods too.
    pub labels: BTreeMap<String, String>,
    /// Annotations: its version, whom it is for, what its workspaces are like.
    pub annotations: BTreeMap<String, String>,
    /// The pod spec; a new template needs one.
    pub spec: Option<Map<String, Value>>,
}

impl TemplateChange {
    /// The change without what is so already: whoever sends back what they have read, changes nothing by that.
    fn beside(&self, labels: &Pairs, annotations: &Pairs) -> Self {
        let new = |pairs: &Pairs, there: &Pairs| -> Pairs {
            let new = pairs.iter().filter(|(key, value)| there.get(*key) != Some(*value));
            new.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        Self {
            labels: new(&self.labels, labels),
            annotations: new(&self.annotations, annotations),
            ..self.clone()
        }
    }
}

/// A template that was stored or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTemplate {
    /// Its name.
    pub name: String,
    /// The namespace of its ConfigMap.
    pub namespace: Namespace,
    /// What the caller should know.
    pub warnings: Vec<String>,
}
