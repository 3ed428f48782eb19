//! Checking a template before it is stored, so that its author learns at once what would keep everybody from using it.

use nocrd_model::keys;
use nocrd_templates::spec as pod_spec;
use serde_json::{Map, Value};

use super::{
    Inputs, Resolved,
    callers::{self, Brought},
    check_policy, check_service_account, check_size,
};
use crate::{
    Error,
    directives::{self, Directives},
    metadata::{self, Pairs},
    policy::PodSecurity,
};

/// Checks a spec with the annotations of the template it is to be part of, as if the caller of `inputs` brought both
/// themselves: an ordinary caller's template may do no more than they may. Gives what they should know.
pub(crate) fn vet(inputs: &Inputs<'_>, annotations: &Pairs) -> Result<Vec<String>, Error> {
    let Resolved::Inline(spec) = &inputs.source else { return Ok(Vec::new()) };
    let (caller, config) = (&inputs.request.caller, inputs.config);
    let directives = Directives::parse(annotations)?;
    check_size(spec, config.max_spec_bytes)?;
    let pod_spec::Parsed { labels, annotations: inside, mut spec, typed } = pod_spec::read((*spec).clone())?;
    metadata::check_values(&metadata::copied(annotations, false).collect())?;
    metadata::check_not_gateway(&labels)?;
    if caller.is_ordinary() {
        metadata::check_labels(&labels, caller, config)?;
        metadata::check_inline_annotations(&inside)?;
        metadata::check_foreign_annotations(&inside, caller, config)?;
        let none = Map::new();
        callers::check(&Brought { inputs, overrides: &none, template: None, spec: &spec, typed: &typed })?;
        if directives.iam_role_arn.is_some() {
            let reason = "only an administrator's template can give a workspace a role";
            return Err(Error::Annotation { key: keys::IAM_ROLE_ARN.into(), reason: reason.into() });
        }
    }
    check_service_account(&spec, config)?;
    check_policy(&typed, &inside, config)?;
    directives::first_container_mut(&mut spec)?;
    directives.apply(&mut spec, &[] as &[Value], config.pod_security == PodSecurity::Restricted)?;
    Ok(directives.warnings)
}
