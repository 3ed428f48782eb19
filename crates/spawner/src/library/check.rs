//! What may be written, and by whom.

use nocrd_model::{Caller, Namespace, WorkspaceId, id::is_dns_subdomain, keys};
use nocrd_templates::{Catalogue, Template};
use serde_json::Value;

use super::TemplateChange;
use crate::{
    Error, SpawnRequest, Spawner,
    metadata::{self, Pairs},
    names,
    plan::{self, Inputs, Resolved},
};

impl TemplateChange {
    /// Refuses metadata that is not the caller's to set. Gives what they should know.
    pub(super) fn check_metadata(
        &self,
        caller: &Caller,
        config: &crate::Config,
    ) -> Result<Vec<String>, Error> {
        if let Some(key) = self.labels.keys().find(|key| keys::is_known(key)) {
            return Err(Error::ReservedKey { what: "label", key: key.clone() });
        }
        metadata::check_not_gateway(&self.labels)?;
        if let Some(key) = self.annotations.keys().find(|key| keys::is_reserved_on_template(key)) {
            return Err(Error::ReservedKey { what: "annotation", key: key.clone() });
        }
        // Controllers act on ConfigMaps, too: they copy them to other namespaces, for example.
        if caller.is_ordinary() {
            metadata::check_labels(&self.labels, caller, config)?;
            metadata::check_foreign_annotations(&self.annotations, caller, config)?;
        }
        let is_unknown = |key: &&String| key.starts_with(keys::PREFIX) && !keys::is_known(key);
        let labels = self.labels.keys().filter(is_unknown).map(|key| without_effect("label", key));
        let annotations =
            self.annotations.keys().filter(is_unknown).map(|key| without_effect("annotation", key));
        Ok(labels.chain(annotations).collect())
    }

    /// The annotations to set, description and tag among them.
    pub(super) fn all_annotations(&self) -> Pairs {
        let mut all = self.annotations.clone();
        for (key, text) in [(keys::DESCRIPTION, &self.description), (keys::TAG, &self.tag)] {
            if let Some(text) = text {
                all.insert(key.to_owned(), text.clone());
            }
        }
        all
    }
}

fn without_effect(what: &str, key: &str) -> String {
    let hint = keys::meant_by(key).map(|meant| format!(": {meant} does")).unwrap_or_default();
    format!("{what} {key:.100} has no effect{hint}")
}

/// Refuses metadata of a template that is there, where the caller could not set it: it goes with their spec.
pub(super) fn check_kept(
    labels: &Pairs,
    annotations: &Pairs,
    caller: &Caller,
    config: &crate::Config,
) -> Result<(), Error> {
    let but_ours = |pairs: &Pairs| -> Pairs {
        let pairs = pairs.iter().filter(|(key, _)| !key.starts_with(keys::PREFIX));
        pairs.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    metadata::check_labels(&but_ours(labels), caller, config)?;
    metadata::check_foreign_annotations(&but_ours(annotations), caller, config)
}

/// Refuses names that no ConfigMap has, and those of the server's own.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let shown: String = name.chars().take(80).collect();
    if !is_dns_subdomain(name) {
        return Err(Error::InvalidArgument(format!(
            "name {shown:?}: use lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
        )));
    }
    if names::is_protected_config_map(name) {
        return Err(Error::InvalidArgument(format!(
            "name {shown:?}: the server keeps something else under it"
        )));
    }
    Ok(())
}

/// Refuses a template to those who did not create it. What they may not even see, is not there.
pub(super) fn check_owner(caller: &Caller, template: &Template) -> Result<(), Error> {
    let creator = template.user_sub();
    let Some(subject) = caller.owner_filter() else { return Ok(()) };
    if creator.as_ref() == Some(subject) {
        return Ok(());
    }
    template.restriction().check(caller).map_err(|_| not_found(&template.name))?;
    Err(Error::NotTemplateOwner { name: template.name.clone(), has_creator: creator.is_some() })
}

pub(super) fn not_found(name: &str) -> Error {
    nocrd_templates::Error::NotFound { reference: name.to_owned() }.into()
}

impl Spawner {
    /// Checks a template as a whole.
    pub(super) fn vet(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        spec: &Value,
        annotations: &Pairs,
    ) -> Result<Vec<String>, Error> {
        let id = WorkspaceId::parse("template").map_err(|error| Error::InvalidArgument(error.to_string()))?;
        let request =
            SpawnRequest::builder().id(id).source(crate::Source::Inline(Value::Null)).caller(caller.clone());
        let catalogue: &Catalogue = &self.catalogue();
        plan::vet(
            &Inputs {
                request: &request.may_write(true).build().erased(),
                source: Resolved::Inline(spec),
                namespace,
                home: self.cluster().default_namespace(),
                catalogue,
                config: self.config(),
                secrets: true,
            },
            annotations,
        )
    }
}
