//! `ui://nogoo9/app`: a page that clients with MCP Apps show.

use rmcp::model::{Resource, ResourceContents};

use super::{Uri, uri::APP};
use crate::reader::Reader;

/// The type of a page that is an MCP App.
const HTML: &str = "text/html;profile=mcp-app";

pub(super) fn entry(reader: Reader<'_>) -> Option<(Uri, Resource)> {
    reader.options().ui_page.as_ref()?;
    let resource = Resource::new(APP, "nogoo9 Pod Manager")
        .with_description("A page about this server and its workspaces.")
        .with_mime_type(HTML);
    Some((Uri::App, resource))
}

pub(super) fn contents(reader: Reader<'_>) -> Option<ResourceContents> {
    let page = reader.options().ui_page.as_deref()?;
    Some(ResourceContents::text(page, APP).with_mime_type(HTML))
}
