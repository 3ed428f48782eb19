//! `pod-template://{namespace}/{name}`

use nocrd_model::Namespace;
use nocrd_templates::{Template, TemplateRef};
use rmcp::model::{Resource, ResourceContents};

use super::{JSON, Kind, Uri, json_contents, unless_absent, uri};
use crate::{Error, reader::Reader, redact, text, view::IN_LIST};

pub(super) const KIND: Kind = Kind {
    uri: uri::TEMPLATES,
    name: "pod-template",
    title: "Template",
    description: "The pod spec of a template that workspaces are made from, placeholders unreplaced. The URI serves as \
        `templateRef`, too.",
};

/// The templates of all namespaces. Local ones, which are of every namespace, are listed in the default one.
pub(super) fn entries(reader: Reader<'_>) -> Vec<(Uri, Resource)> {
    let default = reader.cluster().default_namespace();
    let mut entries = Vec::new();
    for namespace in reader.template_namespaces() {
        for template in reader.templates(&namespace) {
            if namespace == *default || !template.origin.is_local() {
                entries.push(entry(&namespace, &template));
            }
        }
    }
    entries
}

fn entry(namespace: &Namespace, template: &Template) -> (Uri, Resource) {
    let uri = Uri::Template { namespace: namespace.clone(), name: template.name.clone() };
    let name = format!("{namespace}/{}", template.name);
    let mut resource = Resource::new(uri.to_string(), name).with_mime_type(JSON);
    resource.description =
        Some(text::line(template.description(), IN_LIST)).filter(|description| !description.is_empty());
    (uri, resource)
}

pub(super) fn contents(
    reader: Reader<'_>,
    namespace: &Namespace,
    name: &str,
) -> Result<Option<ResourceContents>, Error> {
    if !reader.cluster().serves(namespace) {
        return Ok(None);
    }
    let reference = TemplateRef { namespace: Some(namespace.clone()), name: name.to_owned() };
    let template = unless_absent(reader.template(&reference, namespace))?;
    let uri = Uri::Template { namespace: namespace.clone(), name: name.to_owned() };
    Ok(template.map(|template| {
        let mut spec = template.spec.clone();
        redact::spec(&mut spec);
        json_contents(&uri, &spec)
    }))
}
