//! The present version of a workspace's template.

use std::sync::Arc;

use nocrd_cluster::WorkspacePod;
use nocrd_model::{Namespace, keys};
use nocrd_templates::{Catalogue, Error as TemplateError, Template, TemplateRef};

use super::inputs::origin_word;

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
}

/// Finds the template that `pod` was spawned from, as it is now.
pub(crate) fn template(
    pod: &WorkspacePod,
    catalogue: &Catalogue,
    default_namespace: &Namespace,
) -> Result<Arc<Template>, Unknown> {
    let recorded = pod.template_ref.as_deref().ok_or(Unknown::NoTemplate)?;
    let reference: TemplateRef = recorded.parse().map_err(Unknown::Template)?;
    let found = catalogue.resolve(&reference, default_namespace).map_err(Unknown::Template)?;
    // Pods of earlier versions don't say where theirs came from; but only ConfigMaps have a namespace.
    let recorded_origin = pod.annotations.get(keys::TEMPLATE_ORIGIN).map(String::as_str);
    let origin = recorded_origin.or_else(|| reference.namespace.as_ref().map(|_| "ConfigMap"));
    match origin {
        Some(origin) if origin != origin_word(&found.origin) => {
            Err(Unknown::Elsewhere { reference: recorded.to_owned(), origin: origin.to_owned() })
        }
        _ => Ok(found),
    }
}
