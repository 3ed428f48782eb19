//! The one table of tools. `tools/list`, the dispatch of calls and the reference are made from it.

mod reference;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use futures::future::BoxFuture;
use nocrd_authz::policy::Action;
use nocrd_cluster::{NEEDS, Permission, PermissionReport};
use rmcp::model::{CallToolResult, JsonObject};

pub use crate::tool::Effect;
pub use reference::{reference_markdown, resources_markdown};

use crate::{
    arguments,
    call::Call,
    error::Failure,
    respond, schema,
    tool::{Arguments, Thing, Tool},
    tools::{diagnostics, namespaces, pods, registry, spawn, templates, workspaces},
};

/// A tool, as clients see it.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it does, when to use it and what to call next, for a model.
    pub description: &'static str,
    /// What it does to the world.
    pub effect: Effect,
    /// Whether it reaches beyond the cluster that the server serves.
    pub open_world: bool,
    /// What the caller must be allowed to do; `None` is for everybody who is known.
    pub action: Option<Action>,
    /// What its argument `name` names.
    pub(crate) named: Option<Thing>,
    input: fn() -> JsonObject,
    output: fn() -> JsonObject,
    run: Run,
}

/// Answers a call: its arguments, and the schema to check them against.
type Run = fn(Call, Arguments, Arc<JsonObject>) -> BoxFuture<'static, Result<CallToolResult, Failure>>;

/// All tools, in the order in which `tools/list` shows them.
pub static TOOLS: &[Entry] = &[
    Entry::of::<templates::read::ListTemplates>(),
    Entry::of::<templates::read::GetTemplate>(),
    Entry::of::<templates::write::CreateTemplate>(),
    Entry::of::<templates::write::UpdateTemplate>(),
    Entry::of::<templates::write::DeleteTemplate>(),
    Entry::of::<diagnostics::CurrentNamespace>(),
    Entry::of::<diagnostics::GetCapabilities>(),
    Entry::of::<diagnostics::CheckPermissions>(),
    Entry::of::<namespaces::ListNamespaces>(),
    Entry::of::<registry::ListRegistryImages>(),
    Entry::of::<pods::read::ListPods>(),
    Entry::of::<pods::read::GetPod>(),
    Entry::of::<pods::read::GetPodLogs>(),
    Entry::of::<pods::create::CreatePod>(),
    Entry::of::<pods::from_template::CreatePodFromTemplate>(),
    Entry::of::<pods::change::PatchPod>(),
    Entry::of::<pods::change::DeletePod>(),
    Entry::of::<workspaces::ListWorkspaces>(),
    Entry::of::<workspaces::GetWorkspace>(),
    Entry::of::<workspaces::StopWorkspace>(),
    Entry::of::<spawn::SpawnWorkspace>(),
    Entry::of::<workspaces::GetWorkspaceEvents>(),
];

impl Entry {
    const fn of<T: Tool>() -> Self {
        Self {
            name: T::NAME,
            title: T::TITLE,
            description: T::DESCRIPTION,
            effect: T::EFFECT,
            open_world: T::OPEN_WORLD,
            action: T::ACTION,
            named: T::NAMED,
            input: schema::input::<T::Params>,
            output: schema::output::<T::Output>,
            run: |call, arguments, schema| {
                Box::pin(async move {
                    let params = arguments::parse::<T::Params>(&schema, arguments)?;
                    T::run(call, params).await.map(respond::success)
                })
            },
        }
    }

    /// JSON Schema of its arguments.
    #[must_use]
    pub fn input_schema(&self) -> JsonObject {
        (self.input)()
    }

    /// JSON Schema of its `structuredContent`.
    #[must_use]
    pub fn output_schema(&self) -> JsonObject {
        (self.output)()
    }

    /// The Kubernetes permissions it can't do without.
    pub fn needs(&self) -> impl Iterator<Item = &'static Permission> {
        NEEDS.iter().filter(|need| need.tools.contains(&self.name))
    }

    /// The Kubernetes permissions without which it does less.
    pub fn helped_by(&self) -> impl Iterator<Item = &'static Permission> {
        NEEDS.iter().filter(|need| need.helps.contains(&self.name))
    }

    /// The permissions it can't do without and the server lacks, as `verb resource`. As long as the API server has
    /// not answered every question nothing counts as missing: a call will then tell what is really wrong.
    #[must_use]
    pub fn missing(&self, permissions: &PermissionReport) -> Vec<String> {
        if !permissions.complete {
            return Vec::new();
        }
        self.needs()
            .filter(|need| need.applies_in(permissions.mode))
            .map(|need| (need.verb, need.full_resource()))
            .filter(|(verb, resource)| !permissions.allows(verb, resource))
            .map(|(verb, resource)| format!("{verb} {resource}"))
            .collect()
    }
}

/// A tool with its schemas, made once.
pub(crate) struct Listed {
    pub(crate) entry: &'static Entry,
    pub(crate) tool: rmcp::model::Tool,
}

impl Listed {
    pub(crate) fn run(
        &self,
        call: Call,
        arguments: Arguments,
    ) -> BoxFuture<'static, Result<CallToolResult, Failure>> {
        (self.entry.run)(call, arguments, Arc::clone(&self.tool.input_schema))
    }
}

static LISTED: LazyLock<Vec<Listed>> = LazyLock::new(|| {
    let listed = |entry: &'static Entry| {
        let tool = rmcp::model::Tool::new(entry.name, entry.description, entry.input_schema())
            .with_title(entry.title)
            .with_raw_output_schema(Arc::new(schema::brief(&entry.output_schema())))
            .with_annotations(entry.effect.annotations(entry.open_world));
        Listed { entry, tool }
    };
    TOOLS.iter().map(listed).collect()
});

/// All tools with their schemas.
pub(crate) fn listed() -> &'static [Listed] {
    &LISTED
}

/// The tool of that name.
pub(crate) fn find(name: &str) -> Option<&'static Listed> {
    listed().iter().find(|listed| listed.entry.name == name)
}

/// All tools, in the order of the permission report.
pub(crate) fn in_order() -> impl Iterator<Item = &'static Entry> {
    nocrd_cluster::permissions::TOOLS.iter().filter_map(|name| find(name)).map(|listed| listed.entry)
}

/// Those that work with these permissions.
pub(crate) fn working(permissions: &PermissionReport) -> impl Iterator<Item = &'static Entry> {
    in_order().filter(|entry| entry.missing(permissions).is_empty())
}
