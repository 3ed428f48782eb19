//! Which variables a caller may set: by some a program loads or runs what its author never meant it to, and others stand
//! for whose data a template shows.

use std::collections::BTreeSet;

use nocrd_model::keys;
use nocrd_templates::Template;
use serde_json::Value;

use crate::{Error, Product, SpawnRequest};

/// Names by which loaders, shells, interpreters and common tools are told what to load or run.
const STEERING: [&str; 46] = [
    "_JAVA_OPTIONS",
    "BASHOPTS",
    "BASH_ENV",
    "BROWSER",
    "BUNDLE_GEMFILE",
    "CDPATH",
    "CLASSPATH",
    "DOTNET_STARTUP_HOOKS",
    "EDITOR",
    "ENV",
    "GCONV_PATH",
    "GEM_HOME",
    "GEM_PATH",
    "GLIBC_TUNABLES",
    "GRADLE_OPTS",
    "HOME",
    "IFS",
    "JAVA_OPTS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LESSCLOSE",
    "LESSOPEN",
    "LOCPATH",
    "MAVEN_OPTS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "PAGER",
    "PATH",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "PROMPT_COMMAND",
    "PS4",
    "RUBYLIB",
    "RUBYOPT",
    "RUSTC_WRAPPER",
    "R_ENVIRON",
    "R_PROFILE",
    "SHELL",
    "SHELLOPTS",
    "SSH_ASKPASS",
    "VISUAL",
    "XDG_CONFIG_HOME",
    "ZDOTDIR",
];

/// What such names begin with.
const STEERING_PREFIXES: [&str; 12] = [
    "BASH_FUNC_",
    "CORECLR_",
    "COR_",
    "DYLD_",
    "ERL_",
    "GIT_",
    "LD_",
    "LUA_",
    "NPM_CONFIG_",
    "PERL5",
    "PIP_",
    "PYTHON",
];

/// In any case: some tools read both.
fn is_steering(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    STEERING.contains(&name.as_str()) || STEERING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Checks the variables of a request: those of the context, which the first container gets, and those of the overrides.
pub(super) fn check(request: &SpawnRequest<Product>, template: Option<&Template>) -> Result<(), Error> {
    let required = template.map(Template::required_context).unwrap_or_default();
    let containers = template.and_then(|template| template.spec.get("containers")?.as_array());
    let containers = containers.map(Vec::as_slice).unwrap_or_default();
    let rules = |container| Rules::of(request, &required, container);
    let first = rules(containers.first());
    request.context.names().try_for_each(|name| first.check(name))?;
    for wanted in &request.container_overrides {
        let rules = rules(containers.iter().find(|own| text(own.get("name")) == wanted.name));
        for variable in wanted.env.iter().flatten() {
            rules.check(text(variable.get("name")))?;
            rules.check_value(text(variable.get("name")), text(variable.get("value")))?;
        }
    }
    Ok(())
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(container: Option<&'a Value>, member: &str) -> &'a [Value] {
    container.and_then(|all| all.get(member)?.as_array()).map(Vec::as_slice).unwrap_or_default()
}

/// What may be set in one container of a template.
struct Rules<'a> {
    request: &'a SpawnRequest<Product>,
    required: &'a [String],
    /// Variables to which the template itself gives a value that is the same for everybody.
    preset: BTreeSet<&'a str>,
    /// Variables from which paths of volumes follow, and with them whose files are seen.
    in_paths: BTreeSet<&'a str>,
}

impl<'a> Rules<'a> {
    fn of(request: &'a SpawnRequest<Product>, required: &'a [String], container: Option<&'a Value>) -> Self {
        let env = list(container, "env");
        let is_preset = |variable: &&Value| {
            variable.get("value").and_then(Value::as_str).is_some_and(|value| !value.contains("${{"))
        };
        let paths = list(container, "volumeMounts").iter().map(|mount| text(mount.get("subPathExpr")));
        let paths: Vec<&str> = paths.filter(|path| !path.is_empty()).collect();
        // A variable may be made of others.
        let values = env.iter().filter(|_| !paths.is_empty()).map(|variable| text(variable.get("value")));
        Self {
            request,
            required,
            preset: env.iter().filter(is_preset).map(|variable| text(variable.get("name"))).collect(),
            in_paths: paths.iter().copied().chain(values).flat_map(expanded).collect(),
        }
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        if self.required.iter().any(|required| required == name) {
            return Ok(());
        }
        if self.request.caller.is_ordinary() && self.in_paths.contains(name) {
            return refuse(name, "the template makes paths of volumes from it".to_owned());
        }
        if self.request.may_write {
            return Ok(());
        }
        let required = keys::REQUIRED_CONTEXT;
        if is_steering(name) {
            return refuse(
                name,
                format!(
                    "programs load or run what it says; unless the template names it in {required}, {RIGHT}"
                ),
            );
        }
        if !self.preset.contains(name) {
            return refuse(
                name,
                format!(
                    "the template neither names it in {required} nor gives it a value, and for any other {RIGHT}"
                ),
            );
        }
        Ok(())
    }

    /// A value may show what the template keeps from view in another variable.
    fn check_value(&self, name: &str, value: &str) -> Result<(), Error> {
        if self.request.may_write || expanded(value).next().is_none() {
            return Ok(());
        }
        refuse(name, format!("its value refers to another variable, and for that {RIGHT}"))
    }
}

const RIGHT: &str = "you need the right to pods of your own making (AUTH_REQUIRED_WRITE_ROLE)";

fn refuse(name: &str, reason: String) -> Result<(), Error> {
    Err(Error::Variable { name: name.chars().take(80).collect(), reason })
}

/// The names in `$(NAME)`, for which Kubernetes puts in the values of other variables.
fn expanded(text: &str) -> impl Iterator<Item = &str> {
    text.split("$(").skip(1).filter_map(|rest| rest.split_once(')').map(|(name, _)| name))
}
