//! Resources: templates and workspaces by URI, and the page of an MCP App. What of them a caller sees is what the tools
//! show them, and like there what is not theirs is not there.

mod templates;
mod ui;
mod uri;
mod workspaces;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    ops::Bound::{Excluded, Unbounded},
};

use nocrd_authz::policy::Action;
use rmcp::{
    ErrorData,
    model::{
        CacheScope, ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult, Resource,
        ResourceContents, ResourceTemplate,
    },
};
use serde_json::json;

pub(crate) use uri::{APP, TEMPLATES, Uri, WORKSPACES};

use crate::{
    Error, cursor,
    reader::Reader,
    respond, text,
    tools::page::{self, MAX_LIMIT},
};

/// Which list a cursor belongs to.
const LIST: &str = "resources";
/// What templates and workspaces are written in.
const JSON: &str = "application/json";

/// A kind of resources, by the template of its URIs.
pub(crate) struct Kind {
    pub(crate) uri: &'static str,
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
}

/// All kinds there are many of.
pub(crate) static KINDS: &[Kind] = &[templates::KIND, workspaces::KIND];

/// A page of what the caller sees.
pub(crate) fn list(reader: Reader<'_>, cursor: Option<&str>) -> Result<ListResourcesResult, Error> {
    let after = cursor.map(parse_cursor).transpose()?;
    let all = all(reader)?;
    let rest = match &after {
        Some(after) => all.range((Excluded(after), Unbounded)),
        None => all.range(..),
    };
    let page = rest.take(MAX_LIMIT as usize).map(|(_, resource)| resource.clone());
    let page = page::fit(page, |_| 0);
    let last = page.last().and_then(|resource| Uri::parse(&resource.uri));
    let next = last.filter(|last| all.range((Excluded(last), Unbounded)).next().is_some());
    let mut result = ListResourcesResult::with_all_items(page).with_cache_scope(CacheScope::Private);
    result.next_cursor = next.map(|uri| cursor::encode(LIST, &uri.to_string()));
    Ok(result)
}

fn parse_cursor(text: &str) -> Result<Uri, Error> {
    let key = cursor::decode(LIST, text)?;
    Uri::parse(&key).ok_or_else(|| Error::argument("\"cursor\" is none of this list"))
}

/// Everything the caller sees.
fn all(reader: Reader<'_>) -> Result<BTreeMap<Uri, Resource>, Error> {
    let mut all = BTreeMap::new();
    if reader.may(Action::Read) {
        all.extend(ui::entry(reader));
        all.extend(templates::entries(reader));
        all.extend(workspaces::entries(reader)?);
    }
    Ok(all)
}

/// The kinds of which the caller may see some.
pub(crate) fn kinds(reader: Reader<'_>) -> ListResourceTemplatesResult {
    let kinds = KINDS.iter().filter(|_| reader.may(Action::Read)).map(|kind| {
        ResourceTemplate::new(kind.uri, kind.name)
            .with_title(kind.title)
            .with_description(kind.description)
            .with_mime_type(JSON)
    });
    ListResourceTemplatesResult::with_all_items(kinds.collect()).with_cache_scope(CacheScope::Private)
}

/// Reads the resource with that URI.
pub(crate) fn read(reader: Reader<'_>, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let contents = match Uri::parse(uri) {
        Some(uri) => contents(reader, &uri).map_err(|error| respond::protocol_error(&error))?,
        None => None,
    };
    let contents = contents.ok_or_else(|| not_found(uri))?;
    Ok(ReadResourceResult::new(vec![contents]).with_cache_scope(CacheScope::Private))
}

/// The error that stands for what is not there and for what the caller may not see.
pub(crate) fn not_found(uri: &str) -> ErrorData {
    let uri = text::line(uri, 300);
    ErrorData::resource_not_found(format!("resource {uri:?} not found"), Some(json!({"uri": uri})))
}

/// What a resource holds; `None` when the caller sees none of that URI.
pub(crate) fn contents(reader: Reader<'_>, uri: &Uri) -> Result<Option<ResourceContents>, Error> {
    if !reader.may(Action::Read) {
        return Ok(None);
    }
    match uri {
        Uri::App => Ok(ui::contents(reader)),
        Uri::Template { namespace, name } => templates::contents(reader, namespace, name),
        Uri::Workspace { namespace, id } => workspaces::contents(reader, namespace, id),
    }
}

/// A resource's contents as JSON.
fn json_contents(uri: &Uri, value: &impl serde::Serialize) -> ResourceContents {
    ResourceContents::text(text::json(value), uri.to_string()).with_mime_type(JSON)
}

/// Of what is not there: nothing. Other errors stay.
fn unless_absent<T>(found: Result<T, Error>) -> Result<Option<T>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == nocrd_model::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A number that changes with what the caller reads at a URI; `None` while that is nothing.
pub(crate) fn fingerprint(reader: Reader<'_>, uri: &Uri) -> Option<u64> {
    let contents = contents(reader, uri).ok().flatten()?;
    let mut hasher = DefaultHasher::new();
    if let ResourceContents::TextResourceContents { text, .. } = &contents {
        text.hash(&mut hasher);
    }
    Some(hasher.finish())
}

/// A number that changes with the list the caller sees; `None` while there is none.
pub(crate) fn list_fingerprint(reader: Reader<'_>) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    for (uri, resource) in all(reader).ok()? {
        uri.to_string().hash(&mut hasher);
        resource.name.hash(&mut hasher);
        resource.description.hash(&mut hasher);
    }
    Some(hasher.finish())
}
