//! Creating, changing and deleting the ConfigMaps of templates.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use nocrd_cluster::{Error as ClusterError, Version};
use nocrd_model::{Caller, Namespace, caller::Trust, keys};
use nocrd_templates::{SPEC_KEY, Template, parse_config_map};
use serde_json::{Map, Value};
use tracing::{info, instrument};

use super::{
    StoredTemplate, TemplateChange,
    check::{check_kept, check_name, check_owner, not_found},
};
use crate::{Error, Spawner, metadata::Pairs};

impl Spawner {
    /// Stores a new template. It is checked as a whole; what an ordinary caller stores may do no more than a spec that
    /// they spawn from.
    ///
    /// # Errors
    /// [`Error::TemplateExists`], [`Error::TemplateImmutable`] when the server brings one of that name, and everything
    /// that would keep it from being used.
    #[instrument(skip_all, fields(template = name))]
    pub async fn create_template(
        &self,
        caller: &Caller,
        namespace: Option<&str>,
        name: &str,
        change: &TemplateChange,
    ) -> Result<StoredTemplate, Error> {
        let namespace = self.cluster().resolve_namespace_of_spawn(namespace, caller)?;
        check_name(name)?;
        let catalogue = self.catalogue();
        if catalogue.has_local(name) {
            return Err(Error::TemplateImmutable { name: name.to_owned() });
        }
        // A name alone would mean another template there than it does elsewhere.
        let is_shadow = namespace != *self.cluster().default_namespace()
            && catalogue.holds_template(self.cluster().default_namespace(), name);
        if caller.is_ordinary() && is_shadow {
            return Err(Error::TemplateExists { name: name.to_owned() });
        }
        let (ours, mut signed) = (marks(caller), Pairs::new());
        sign(&mut signed, caller);
        signed.extend(ours.annotations.clone());
        let change = &change.beside(&ours.labels, &signed);
        let mut warnings = change.check_metadata(caller, self.config())?;
        let Some(spec) = &change.spec else { return Err(Error::NoSource) };
        let limit = self.config().max_templates_per_user;
        if caller.is_ordinary() && catalogue.owned_by(&caller.subject) >= limit {
            return Err(Error::TooManyTemplates { limit });
        }
        let mut annotations = change.all_annotations();
        annotations
            .retain(|key, text| !matches!(key.as_str(), keys::DESCRIPTION | keys::TAG) || !text.is_empty());
        warnings.extend(self.vet(caller, &namespace, &Value::Object(spec.clone()), &annotations)?);

        let mut labels = change.labels.clone();
        labels.extend(ours.labels);
        annotations.extend(signed);
        let mut config_map = ConfigMap { data: Some(BTreeMap::from([data(spec)?])), ..ConfigMap::default() };
        config_map.metadata.name = Some(name.to_owned());
        config_map.metadata.namespace = Some(namespace.to_string());
        config_map.metadata.labels = Some(labels);
        config_map.metadata.annotations = Some(annotations);
        let stored = match self.cluster().create_template_config_map(&namespace, &config_map).await {
            Err(ClusterError::AlreadyExists { .. }) => {
                return Err(Error::TemplateExists { name: name.to_owned() });
            }
            result => result?,
        };
        self.wait_seen(&namespace, name, Some(&stored)).await;
        info!(k8s.namespace = %namespace, "template stored");
        Ok(StoredTemplate { name: name.to_owned(), namespace, warnings })
    }

    /// Changes a template: its creator may, and administrators.
    ///
    /// # Errors
    /// Those of [`Spawner::create_template`]; [`Error::NotTemplateOwner`]; [`Error::Cluster`] with a conflict when
    /// somebody else changes it at the same time.
    #[instrument(skip_all, fields(template = name))]
    pub async fn update_template(
        &self,
        caller: &Caller,
        namespace: Option<&str>,
        name: &str,
        change: &TemplateChange,
    ) -> Result<StoredTemplate, Error> {
        let namespace = self.cluster().resolve_namespace(namespace)?;
        let (mut config_map, found) = self.template_to_change(caller, &namespace, name).await?;
        let old_labels = config_map.metadata.labels.take().unwrap_or_default();
        let old_annotations = config_map.metadata.annotations.take().unwrap_or_default();
        // Who sends back all that was read of a template has not written its spec. The mark of its owner is nothing that
        // anybody gives of their own accord.
        let is_sent_back =
            [&change.labels, &change.annotations].iter().any(|pairs| pairs.contains_key(keys::USER_SUB));
        let is_same = |spec: &Map<String, Value>| {
            found.as_ref().is_some_and(|found| found.spec.as_object() == Some(spec))
        };
        let change = &change.beside(&old_labels, &old_annotations);
        let writes = change.spec.as_ref().is_some_and(|spec| !(is_sent_back && is_same(spec)));
        let mut warnings = change.check_metadata(caller, self.config())?;
        let labels: Pairs = old_labels.into_iter().chain(change.labels.clone()).collect();
        let mut annotations: Pairs = old_annotations.into_iter().chain(change.all_annotations()).collect();
        if caller.is_ordinary() {
            // Also what an administrator has added: the spec beside it is the caller's.
            check_kept(&labels, &annotations, caller, self.config())?;
        }
        let spec = change.spec.clone().map(Value::Object);
        // A template that can't be read is mended by giving it another spec.
        let spec_now = spec.or_else(|| found.as_ref().map(|template| template.spec.clone()));
        let spec_now = spec_now.ok_or(Error::NoSource)?;
        warnings.extend(self.vet(caller, &namespace, &spec_now, &annotations)?);
        if let Some(spec) = change.spec.as_ref().filter(|_| writes) {
            let (key, text) = data(spec)?;
            config_map.data.get_or_insert_default().insert(key, text);
        }
        // Whoever changes one part answers for how it goes with the others; but an administrator who only describes
        // somebody's template does not vouch for what it runs.
        if writes || caller.is_ordinary() {
            sign(&mut annotations, caller);
        }
        config_map.metadata.labels = Some(labels);
        config_map.metadata.annotations = Some(annotations);
        let version = version(&config_map);
        let stored =
            self.cluster().replace_template_config_map(&namespace, name, &version, &config_map).await?;
        self.wait_seen(&namespace, name, Some(&stored)).await;
        info!(k8s.namespace = %namespace, "template changed");
        Ok(StoredTemplate { name: name.to_owned(), namespace, warnings })
    }

    /// Deletes a template: its creator may, and administrators. Workspaces made from it stay.
    ///
    /// # Errors
    /// As for [`Spawner::update_template`].
    #[instrument(skip_all, fields(template = name))]
    pub async fn delete_template(
        &self,
        caller: &Caller,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<StoredTemplate, Error> {
        let namespace = self.cluster().resolve_namespace(namespace)?;
        let (config_map, _) = self.template_to_change(caller, &namespace, name).await?;
        self.cluster().delete_template_config_map(&namespace, name, &version(&config_map)).await?;
        self.wait_seen(&namespace, name, None).await;
        info!(k8s.namespace = %namespace, "template deleted");
        Ok(StoredTemplate { name: name.to_owned(), namespace, warnings: Vec::new() })
    }

    /// Reads the ConfigMap of a template that the caller may change, and the template in it if it can be read.
    async fn template_to_change(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        name: &str,
    ) -> Result<(ConfigMap, Option<Template>), Error> {
        check_name(name)?;
        let config_map = match self.cluster().template_config_map(namespace, name).await {
            Err(ClusterError::NotFound { .. }) if self.catalogue().has_local(name) => {
                return Err(Error::TemplateImmutable { name: name.to_owned() });
            }
            Err(ClusterError::NotFound { .. }) => return Err(not_found(name)),
            result => result?,
        };
        let template = parse_config_map(&config_map).ok();
        let metadata = &config_map.metadata;
        let shown = template.clone().unwrap_or_else(|| Template {
            name: name.to_owned(),
            origin: nocrd_templates::Origin::ConfigMap { namespace: namespace.clone() },
            labels: metadata.labels.clone().unwrap_or_default(),
            annotations: metadata.annotations.clone().unwrap_or_default(),
            spec: Value::Null,
            ignored: Vec::new(),
        });
        check_owner(caller, &shown)?;
        Ok((config_map, template))
    }

    /// Waits until a change of one's own is known here, so that the next call finds it. Without the right to list
    /// it never is.
    async fn wait_seen(&self, namespace: &Namespace, name: &str, stored: Option<&ConfigMap>) {
        let permissions = self.cluster().permissions();
        if !permissions.allows("list", "configmaps") {
            return;
        }
        let version = stored.and_then(|stored| stored.metadata.resource_version.as_deref());
        let is_it = |known: &ConfigMap| {
            known.metadata.namespace.as_deref() == Some(namespace.as_str())
                && known.metadata.name.as_deref() == Some(name)
        };
        let mut changes = self.cluster().template_changes();
        let seen = async {
            loop {
                changes.mark_unchanged();
                let known = self.cluster().template_config_maps();
                let known = known.iter().find(|known| is_it(known));
                // What is deleted may have been created anew by somebody else: then it is seen all the same.
                let has_come = match (known, version) {
                    (None, None) => true,
                    (Some(known), Some(version)) => {
                        known.metadata.resource_version.as_deref() == Some(version)
                    }
                    _ => false,
                };
                if has_come || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(self.config().index_wait, seen).await;
    }
}

fn version(config_map: &ConfigMap) -> Version {
    Version {
        uid: config_map.metadata.uid.clone().unwrap_or_default(),
        resource_version: config_map.metadata.resource_version.clone(),
    }
}

/// What a template of the caller's is known by.
fn marks(caller: &Caller) -> TemplateChange {
    let mut marks = TemplateChange::default();
    marks.labels.insert(keys::POD_TEMPLATE.into(), "true".into());
    if caller.trust == Trust::Verified {
        marks.labels.insert(keys::USER_SUB.into(), caller.subject.label_value());
        marks.annotations.insert(keys::USER_SUB.into(), caller.subject.as_str().into());
    }
    marks
}

/// Notes who answers for what the template does.
fn sign(annotations: &mut Pairs, caller: &Caller) {
    if caller.is_ordinary() {
        annotations.remove(keys::TEMPLATE_AUTHOR);
    } else if caller.trust == Trust::Verified {
        annotations.insert(keys::TEMPLATE_AUTHOR.into(), keys::AUTHOR_ADMIN.into());
    }
}

fn data(spec: &Map<String, Value>) -> Result<(String, String), Error> {
    let text =
        serde_json::to_string(spec).map_err(|error| Error::InvalidArgument(format!("spec: {error}")))?;
    Ok((SPEC_KEY.to_owned(), text))
}
