//! What a workspace was spawned from, kept on its pod so that its successor can be made from it.

use std::collections::BTreeMap;

use nocrd_model::{Caller, Restriction, Role, Subject, keys};
use nocrd_templates::{Template, overrides::ContainerOverride};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{old::Carried, origin};
use crate::{Context, Product, Source, SpawnRequest, metadata::Pairs};

/// Longest text of [`SpawnInputs`] in bytes: all annotations of a pod together have 256 KiB, and a successor may have to
/// carry its predecessor's as well.
const MAX_BYTES: usize = 64 * 1024;

/// What a caller gave for a workspace, but for the values of its context.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SpawnInputs {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: Pairs,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: Pairs,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) container_overrides: Vec<ContainerOverride>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) top_level_overrides: Map<String, Value>,
    /// Names of the context's variables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) context: Vec<String>,
    /// Whether they came from a user like any other: then what they brought is checked as theirs again.
    pub(crate) ordinary: bool,
    pub(crate) may_write: bool,
    /// Who may start pods from its template, in the annotations' words. Pods that were spawned before this was kept say the
    /// same as those from a template for everybody.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) restriction: Pairs,
    /// What an earlier version's pod had besides.
    #[serde(skip_serializing_if = "Carried::is_empty")]
    pub(crate) carried: Carried,
}

impl SpawnInputs {
    fn of(request: &SpawnRequest<Product>, template: &Template) -> Self {
        Self {
            name: request.name.clone(),
            labels: request.labels.clone(),
            annotations: request.annotations.clone(),
            container_overrides: request.container_overrides.clone(),
            top_level_overrides: request.top_level_overrides.clone(),
            context: request.context.names().map(str::to_owned).collect(),
            ordinary: request.caller.is_ordinary(),
            may_write: request.may_write,
            restriction: restriction(template),
            carried: Carried::default(),
        }
    }

    /// Notes on a pod what its successor will need: what its request gave, and where its template comes from.
    pub(crate) fn note(
        request: &SpawnRequest<Product>,
        template: &Template,
        annotations: &mut Pairs,
        warnings: &mut Vec<String>,
    ) {
        let Product::Workspace(_) = &request.id else { return };
        annotations.insert(keys::TEMPLATE_ORIGIN.into(), origin::note(template));
        if !Self::of(request, template).write(annotations) {
            warnings.push(
                "the overrides, labels and annotations are too long to be kept, so the workspace can't be upgraded"
                    .into(),
            );
        }
    }

    /// Writes it on a pod; not when it is too long.
    pub(crate) fn write(&self, annotations: &mut Pairs) -> bool {
        let text = super::record::text(self);
        let fits = text.len() <= MAX_BYTES;
        if fits {
            annotations.insert(keys::SPAWN_INPUTS.into(), text);
        }
        fits
    }

    /// Reads it from a pod; `None` when there is none.
    pub(crate) fn read(annotations: &Pairs) -> Option<Result<Self, serde_json::Error>> {
        annotations.get(keys::SPAWN_INPUTS).map(|text| serde_json::from_str(text))
    }

    /// Whether everybody who might have the template that these were given beside may have this one as well.
    pub(crate) fn is_for_the_same(&self, template: &Template) -> bool {
        let now = template.restriction();
        now == Restriction::default() || now == Restriction::of(&self.restriction)
    }

    /// The same request once more, for another version of its template.
    pub(crate) fn request(
        &self,
        id: Product,
        owner: &Subject,
        source: Source,
        context: Context,
    ) -> SpawnRequest<Product> {
        SpawnRequest {
            replaces_finished: false,
            id,
            source,
            namespace: None,
            caller: if self.ordinary { Caller::verified(owner.clone(), Role::User) } else { Caller::local() },
            owner: owner.clone(),
            may_write: self.may_write,
            name: self.name.clone(),
            context,
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            container_overrides: self.container_overrides.clone(),
            top_level_overrides: self.top_level_overrides.clone(),
        }
    }
}

/// The annotations that restrict a template.
pub(crate) fn restriction(template: &Template) -> Pairs {
    let restricting = |key: &str| [keys::ALLOWED_ROLES, keys::ALLOWED_SCOPES].contains(&key);
    let all = template.annotations.iter().filter(|(key, _)| restricting(key));
    all.map(|(key, value)| (key.clone(), value.clone())).collect()
}
