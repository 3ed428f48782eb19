//! `workspace://{namespace}/{id}`

use nocrd_model::{Namespace, WorkspaceId};
use rmcp::model::{Resource, ResourceContents};

use super::{JSON, Kind, Uri, json_contents, unless_absent, uri};
use crate::{Error, reader::Reader, text, view::workspace::WorkspaceDetails};

pub(super) const KIND: Kind = Kind {
    uri: uri::WORKSPACES,
    name: "workspace",
    title: "Workspace",
    description: "A workspace of yours as get_workspace shows it: status and its reason, URL, APIs, template, annotations. \
        Subscribe to it to be told when that changes.",
};

pub(super) fn entries(reader: Reader<'_>) -> Result<Vec<(Uri, Resource)>, Error> {
    let entries = reader.workspaces()?.into_iter().map(|workspace| {
        let namespace = workspace.pod().namespace.clone();
        let uri = Uri::Workspace { namespace, id: workspace.id().clone() };
        let resource = Resource::new(uri.to_string(), text::line(workspace.name(), 80)).with_mime_type(JSON);
        (uri, resource)
    });
    Ok(entries.collect())
}

pub(super) fn contents(
    reader: Reader<'_>,
    namespace: &Namespace,
    id: &WorkspaceId,
) -> Result<Option<ResourceContents>, Error> {
    let workspace = unless_absent(reader.workspace(id, Some(namespace)))?;
    let uri = Uri::Workspace { namespace: namespace.clone(), id: id.clone() };
    Ok(workspace
        .map(|workspace| json_contents(&uri, &WorkspaceDetails::new(&workspace, &reader.options().base_url))))
}
