//! What a caller sees: the one place where tools, resources, completions, prompts and notifications learn it.

use std::{collections::BTreeSet, sync::Arc};

use nocrd_authz::policy::Action;
use nocrd_cluster::Cluster;
use nocrd_model::{Caller, Namespace, WorkspaceId};
use nocrd_spawner::{ListFilter, Workspace};
use nocrd_templates::{Template, TemplateRef};

use crate::{Error, Options, Surface};

/// Somebody who looks at what the server has. Looking costs no API call.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    surface: &'a Surface,
    caller: &'a Caller,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(surface: &'a Surface, caller: &'a Caller) -> Self {
        Self { surface, caller }
    }

    pub(crate) fn caller(&self) -> &'a Caller {
        self.caller
    }

    pub(crate) fn options(&self) -> &'a Options {
        self.surface.options()
    }

    pub(crate) fn cluster(&self) -> &'a Cluster {
        self.surface.spawner().cluster()
    }

    /// Whether the caller may do something of a kind.
    pub(crate) fn may(&self, action: Action) -> bool {
        self.options().policy.check(self.caller, action).is_ok()
    }

    /// Whether the caller is shown a template: what they may not use is as good as not there, unless they made it.
    pub(crate) fn sees(&self, template: &Template) -> bool {
        template.restriction().check(self.caller).is_ok()
            || template.user_sub().is_some_and(|creator| creator == self.caller.subject)
    }

    /// Whether the caller may start workspaces in a namespace.
    pub(crate) fn may_spawn_in(&self, namespace: &Namespace) -> bool {
        self.cluster().resolve_namespace_of_spawn(Some(namespace.as_str()), self.caller).is_ok()
    }

    /// The templates to be seen from a namespace.
    pub(crate) fn templates(&self, namespace: &Namespace) -> Vec<Arc<Template>> {
        let mut templates = self.surface.spawner().catalogue().list(namespace).templates;
        templates.retain(|template| self.sees(template));
        templates
    }

    /// Finds a template; a reference without a namespace means `namespace`. What is wrong with one that can't be read
    /// is for those who could put it right.
    pub(crate) fn template(
        &self,
        reference: &TemplateRef,
        namespace: &Namespace,
    ) -> Result<Arc<Template>, Error> {
        let found = self.surface.spawner().catalogue().resolve(reference, namespace);
        let known = |error: nocrd_templates::Error| {
            if self.may(Action::Write) { error } else { error.without_broken() }
        };
        let template = found.map_err(|error| Error::Template(known(error)))?;
        if !self.sees(&template) {
            return Err(nocrd_templates::Error::NotFound { reference: reference.to_string() }.into());
        }
        Ok(template)
    }

    /// The namespaces in which templates are looked for: the default one, and those that have some.
    pub(crate) fn template_namespaces(&self) -> BTreeSet<Namespace> {
        let catalogue = self.surface.spawner().catalogue();
        let served = catalogue.namespaces().into_iter().filter(|namespace| self.cluster().serves(namespace));
        served.chain([self.cluster().default_namespace()]).cloned().collect()
    }

    /// Finds a workspace of the caller's. In another namespace than the one asked for, it is not there.
    pub(crate) fn workspace(
        &self,
        id: &WorkspaceId,
        namespace: Option<&Namespace>,
    ) -> Result<Workspace, Error> {
        let workspace = self.surface.spawner().get(id, self.caller.owner_filter())?;
        let found = &workspace.pod().namespace;
        // A workspace may be older than the server's present limits.
        if self.cluster().serves(found) && namespace.is_none_or(|namespace| namespace == found) {
            Ok(workspace)
        } else {
            Err(nocrd_spawner::Error::NotFound { id: id.clone() }.into())
        }
    }

    /// The caller's workspaces, by id; none where the server may not know of any.
    pub(crate) fn workspaces(&self) -> Result<Vec<Workspace>, Error> {
        let owner = self.caller.owner_filter().cloned();
        let filter = ListFilter { owner, ..ListFilter::default() };
        match self.surface.spawner().list(&filter) {
            Err(nocrd_spawner::Error::NotSynced) if is_blind(self.cluster()) => Ok(Vec::new()),
            listed => Ok(listed?.items),
        }
    }
}

/// Whether the server lacks the right to know the pods, rather than the time.
pub(crate) fn is_blind(cluster: &Cluster) -> bool {
    let permissions = cluster.permissions();
    permissions.complete && !["list", "watch"].into_iter().all(|verb| permissions.allows(verb, "pods"))
}
