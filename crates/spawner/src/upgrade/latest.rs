//! The present version of a workspace's template.

use std::sync::Arc;

use nocrd_cluster::WorkspacePod;
use nocrd_model::{Namespace, keys};
use nocrd_templates::{Catalogue, Error as TemplateError, Template, TemplateRef};

use super::origin::Recorded;

/// Why it is not known. Unknown is not outdated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unknown {
    #[error("it was not spawned from a template")]
    NoTemplate,
    #[error(transparent)]
    Template(TemplateError),
    /// There is a template of that name, but another one: its ConfigMap is gone or can't be read.
    #[error("its template {reference} came from another source ({origin}) than the one there is now")]
    Elsewhere { reference: String, origin: String },
    /// Likewise of the same source.
    #[error("the template {reference} that there is now is somebody else's than the one it was spawned from")]
    Author { reference: String },
}

impl Unknown {
    /// The same for somebody who may not know which templates are broken.
    pub(crate) fn without_broken(self) -> Self {
        match self {
            Self::Template(error) => Self::Template(error.without_broken()),
            other => other,
        }
    }
}

/// Finds the template that `pod` was spawned from, as it is now.
pub(crate) fn template(
    pod: &WorkspacePod,
    catalogue: &Catalogue,
    default_namespace: &Namespace,
) -> Result<Arc<Template>, Unknown> {
    let reference = pod.template_ref.clone().ok_or(Unknown::NoTemplate)?;
    let parsed: TemplateRef = reference.parse().map_err(Unknown::Template)?;
    let found = catalogue.resolve(&parsed, default_namespace).map_err(Unknown::Template)?;
    // Pods of earlier versions don't say where theirs came from; but only ConfigMaps have a namespace.
    let note = pod.annotations.get(keys::TEMPLATE_ORIGIN).map(String::as_str);
    let recorded = Recorded::read(note.or_else(|| parsed.namespace.as_ref().map(|_| "ConfigMap")));
    if !recorded.is_source_of(&found) {
        let origin = recorded.source.unwrap_or_default().to_owned();
        return Err(Unknown::Elsewhere { reference, origin });
    }
    if !recorded.is_author_of(&found) {
        return Err(Unknown::Author { reference });
    }
    Ok(found)
}
