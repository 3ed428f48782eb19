//! Completions of the arguments of prompts and of the parts of URIs. They hold what the caller sees, nothing else.

use std::collections::BTreeSet;

use nocrd_authz::policy::Action;
use nocrd_model::Namespace;
use nocrd_spawner::Workspace;
use rmcp::{
    ErrorData,
    model::{CompleteRequestParams, CompleteResult, CompletionInfo, Reference},
};

use crate::{
    Error, prompts,
    reader::Reader,
    resources::{TEMPLATES, WORKSPACES},
    respond, text,
};

/// What is completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// A namespace with templates.
    TemplateNamespace,
    /// A template's name, in a namespace.
    TemplateName,
    /// A template by the reference that names it from everywhere.
    TemplateRef,
    /// A namespace with workspaces.
    WorkspaceNamespace,
    /// A workspace's id, in any namespace unless one is named.
    WorkspaceId,
    /// A namespace in which a workspace may be started.
    SpawnNamespace,
    /// Anything.
    Text,
}

pub(crate) fn complete(
    reader: Reader<'_>,
    request: &CompleteRequestParams,
) -> Result<CompleteResult, ErrorData> {
    let wanted = wanted(reader, &request.r#ref, &request.argument.name)?;
    // What an argument resolved before does not name is as good as none.
    let chosen = request.context.as_ref().and_then(|context| context.get_argument("namespace"));
    let chosen = chosen.map(String::as_str).filter(|name| !name.is_empty());
    let values = values(reader, wanted, chosen).map_err(|error| respond::protocol_error(&error))?;
    let begun = request.argument.value.as_str();
    let mut matching: Vec<String> = values.into_iter().filter(|value| begins(value, begun)).collect();
    let total = matching.len();
    matching.truncate(CompletionInfo::MAX_VALUES);
    let has_more = total > matching.len();
    let info = CompletionInfo::with_pagination(matching, u32::try_from(total).ok(), has_more);
    Ok(CompleteResult::new(info.unwrap_or_default()))
}

/// Whether a value begins like this; of a reference with a namespace the name may, too.
fn begins(value: &str, begun: &str) -> bool {
    let name = value.split_once('/').map_or(value, |(_, name)| name);
    value.starts_with(begun) || name.starts_with(begun)
}

fn wanted(reader: Reader<'_>, reference: &Reference, argument: &str) -> Result<Wanted, ErrorData> {
    let unknown = || {
        let message = format!("nothing is known of an argument {:?}", text::line(argument, 100));
        ErrorData::invalid_params(message, None)
    };
    match reference {
        Reference::Prompt(prompt) => {
            let entry =
                prompts::find(reader, &prompt.name).ok_or_else(|| prompts::unknown(reader, &prompt.name))?;
            if !entry.arguments.iter().any(|known| known.name == argument) {
                return Err(unknown());
            }
            Ok(match argument {
                "templateRef" => Wanted::TemplateRef,
                "namespace" => Wanted::SpawnNamespace,
                "id" => Wanted::WorkspaceId,
                _ => Wanted::Text,
            })
        }
        Reference::Resource(resource) if reader.may(Action::Read) => {
            match (resource.uri.as_str(), argument) {
                (TEMPLATES, "namespace") => Ok(Wanted::TemplateNamespace),
                (TEMPLATES, "name") => Ok(Wanted::TemplateName),
                (WORKSPACES, "namespace") => Ok(Wanted::WorkspaceNamespace),
                (WORKSPACES, "id") => Ok(Wanted::WorkspaceId),
                (TEMPLATES | WORKSPACES, _) => Err(unknown()),
                (uri, _) => Err(unknown_resource(uri)),
            }
        }
        Reference::Resource(resource) => Err(unknown_resource(&resource.uri)),
        _ => Err(unknown()),
    }
}

fn unknown_resource(uri: &str) -> ErrorData {
    ErrorData::invalid_params(format!("unknown resource template {:?}", text::line(uri, 300)), None)
}

/// All values of a kind that the caller sees.
fn values(reader: Reader<'_>, wanted: Wanted, chosen: Option<&str>) -> Result<BTreeSet<String>, Error> {
    let names = |namespaces: BTreeSet<Namespace>| namespaces.iter().map(ToString::to_string).collect();
    Ok(match wanted {
        Wanted::TemplateNamespace => names(with_templates(reader)),
        Wanted::TemplateName => {
            // One that is not served has none.
            let Ok(namespace) = reader.cluster().resolve_namespace(chosen) else {
                return Ok(BTreeSet::new());
            };
            reader.templates(&namespace).iter().map(|template| template.name.clone()).collect()
        }
        Wanted::TemplateRef => {
            let all = with_templates(reader);
            let templates = all.iter().flat_map(|namespace| reader.templates(namespace));
            templates.map(|template| template.reference().to_string()).collect()
        }
        Wanted::WorkspaceNamespace => names(reader.workspaces()?.iter().map(namespace_of).collect()),
        Wanted::WorkspaceId => {
            let all = reader.workspaces()?.into_iter();
            let here = all.filter(|workspace| {
                chosen.is_none_or(|namespace| workspace.pod().namespace.as_str() == namespace)
            });
            here.map(|workspace| workspace.id().to_string()).collect()
        }
        Wanted::SpawnNamespace => {
            let mut namespaces = with_templates(reader);
            namespaces.extend(reader.workspaces()?.iter().map(namespace_of));
            namespaces.retain(|namespace| reader.may_spawn_in(namespace));
            names(namespaces)
        }
        Wanted::Text => BTreeSet::new(),
    })
}

fn namespace_of(workspace: &Workspace) -> Namespace {
    workspace.pod().namespace.clone()
}

/// The default namespace, and those that have templates which the caller sees.
fn with_templates(reader: Reader<'_>) -> BTreeSet<Namespace> {
    let default = reader.cluster().default_namespace();
    let mut namespaces = reader.template_namespaces();
    namespaces.retain(|namespace| {
        namespace == default || reader.templates(namespace).iter().any(|template| !template.origin.is_local())
    });
    namespaces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_by_name_too() {
        for (value, begun, expected) in [
            ("ns/gpu", "", true),
            ("ns/gpu", "ns/g", true),
            ("ns/gpu", "gp", true),
            ("gpu", "gp", true),
            ("gpu", "Gp", false),
            ("ns/gpu", "u", false),
        ] {
            assert_eq!(begins(value, begun), expected, "{value} {begun}");
        }
    }
}
