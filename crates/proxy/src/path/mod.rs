//! What a request's path names, and whether everybody who reads it reads the same.
//!
//! A path is matched here and then read again by a program in a pod, which may decode it twice, merge its slashes, or
//! cut off what follows a `;`. If such a reader could end up elsewhere than where the path was matched, one could be
//! let in at one door and served at another. Therefore a path is refused when any [`reading`](`lenient`) of it, at any
//! depth of decoding, holds a dot segment, a backslash or a control character, or is not UTF-8; and when its most
//! lenient reading belongs to another API of the workspace than the path as written (see
//! [`Target`](crate::Target)). What passes is forwarded byte for byte.
//!
//! So `//`, `;`, `%2f` and `%25` pass where they only mean something to the program behind.

use http::uri::{InvalidUri, PathAndQuery};
use nocrd_model::WorkspaceId;

use crate::{BasePath, Error};

mod reading;
#[cfg(test)]
mod tests;

pub use reading::{Problem, lenient};

/// First segment of every proxied path.
pub const ROUTE: &str = "/route";

/// A path under `<base>/route/`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route<'a> {
    /// The workspace.
    pub id: WorkspaceId,
    /// What follows the id, as written: empty, or beginning with a slash.
    pub rest: &'a str,
    /// The most lenient reading of `rest`, where it differs.
    pub alias: Option<String>,
}

/// Takes the part of `path` that follows `<base>/route`, when it is such a path.
fn strip<'a>(base: &BasePath, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(base.as_str())?.strip_prefix(ROUTE)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Tells whether `path` belongs to the proxy: `<base>/route`, and everything below. Other spellings of the same
/// (escapes, double slashes) don't.
#[must_use]
pub fn is_route(base: &BasePath, path: &str) -> bool {
    strip(base, path).is_some()
}

/// Reads the path of a request, without its query.
///
/// # Errors
/// [`Error::RouteNotFound`] for a path that names no workspace, [`Error::InvalidWorkspaceId`] for one whose id is no
/// DNS label (the id is never decoded), [`Error::InvalidPath`] for one that could be read in more than one way.
pub fn parse<'a>(base: &BasePath, path: &'a str) -> Result<Route<'a>, Error> {
    let tail = strip(base, path).and_then(|rest| rest.strip_prefix('/')).ok_or(Error::RouteNotFound)?;
    let end = tail.find('/').unwrap_or(tail.len());
    let (id, rest) = tail.split_at(end);
    if id.is_empty() {
        return Err(Error::RouteNotFound);
    }
    let alias = lenient(rest).map_err(Error::InvalidPath)?;
    let id = WorkspaceId::parse(id).map_err(|invalid| match lenient(id) {
        Err(problem) => Error::InvalidPath(problem),
        Ok(_) => Error::InvalidWorkspaceId(invalid),
    })?;
    Ok(Route { id, rest, alias })
}

/// The target of the request to a pod, made from the whole target of the client's: without its first `cut` bytes, and
/// with `front` before what is left, which gets a slash when nothing but a query is.
pub(crate) fn forwarded(whole: &str, cut: usize, front: &str) -> Result<PathAndQuery, InvalidUri> {
    let tail = whole.get(cut..).unwrap_or_default();
    let slash = if tail.starts_with('/') { "" } else { "/" };
    if front.is_empty() && slash.is_empty() {
        PathAndQuery::try_from(tail)
    } else {
        PathAndQuery::try_from([front, slash, tail].concat())
    }
}
