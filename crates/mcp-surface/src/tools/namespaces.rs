//! The tool about namespaces.

use nocrd_authz::policy::Action;
use nocrd_model::Namespace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::page;
use crate::{
    Error,
    call::Call,
    cursor,
    error::Failure,
    text,
    tool::{Effect, Reply, Tool},
};

/// Which list a cursor belongs to.
const LIST: &str = "namespaces";

pub(crate) struct ListNamespaces;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct ListNamespacesParams {
    /// Default 50, at most 200.
    #[schemars(range(min = 1))]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NamespaceList {
    namespaces: Vec<String>,
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Tool for ListNamespaces {
    type Params = ListNamespacesParams;
    type Output = NamespaceList;

    const NAME: &'static str = "list_namespaces";
    const TITLE: &'static str = "List namespaces";
    const DESCRIPTION: &'static str = "List the Kubernetes namespaces in which you can start workspaces here. Any of them can be passed as \
        `namespace` to the other tools; without it they use the server's default.";
    const EFFECT: Effect = Effect::Read;
    const ACTION: Option<Action> = Some(Action::Read);

    async fn run(call: Call, params: ListNamespacesParams) -> Result<Reply<NamespaceList>, Failure> {
        let after = params.cursor.as_deref().map(|text| cursor::decode(LIST, text)).transpose()?;
        let mut all = call.unless_cancelled(call.cluster().namespaces()).await?.map_err(Error::from)?;
        all.retain(|namespace| call.reader().may_spawn_in(namespace));
        let total = all.len();
        let is_next = |namespace: &Namespace| after.as_deref().is_none_or(|after| namespace.as_str() > after);
        let rest: Vec<String> =
            all.iter().filter(|namespace| is_next(namespace)).map(ToString::to_string).collect();
        let entries = rest.iter().take(page::limit(params.limit)).cloned();
        let namespaces = page::fit(entries, |name| name.len() + 1);
        let last = namespaces.last().filter(|_| namespaces.len() < rest.len());
        let next_cursor = last.map(|name| cursor::encode(LIST, name));
        let mut text = text::table(Some(["NAME"]), namespaces.iter().map(|name| [name.clone()]));
        if namespaces.is_empty() {
            "(no accessible namespaces)".clone_into(&mut text);
        }
        if let Some(cursor) = &next_cursor {
            text += &page::more(namespaces.len(), total, cursor);
        }
        Ok(Reply::new(text, NamespaceList { namespaces, total, next_cursor }))
    }
}
