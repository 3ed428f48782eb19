//! Who may depend on whom within the workspace.

use serde_json::Value;

use crate::{Result, process};

/// Package and the packages of this workspace it may link. Tests may use more: the table is about what ships.
const ALLOWED: &[(&str, &[&str])] = &[
    // For tests only: in no other row.
    ("nocrd-testkit", &[]),
    ("nocrd-model", &[]),
    ("nocrd-authz", &["nocrd-model"]),
    ("nocrd-config", &["nocrd-model"]),
    ("nocrd-telemetry", &["nocrd-model"]),
    ("nocrd-templates", &["nocrd-model"]),
    ("nocrd-cluster", &["nocrd-model"]),
    ("nocrd-proxy-core", &["nocrd-model"]),
    ("nocrd-registry", &["nocrd-model"]),
    ("nocrd-workspace", &["nocrd-model"]),
    ("nocrd-devcluster", &["nocrd-model"]),
    ("nocrd-spawner", &["nocrd-cluster", "nocrd-model", "nocrd-templates"]),
    (
        "nocrd-mcp-surface",
        &[
            "nocrd-authz",
            "nocrd-cluster",
            "nocrd-model",
            "nocrd-registry",
            "nocrd-spawner",
            "nocrd-templates",
        ],
    ),
    (
        "nocrd-server",
        &[
            "nocrd-authz",
            "nocrd-cluster",
            "nocrd-config",
            "nocrd-mcp-surface",
            "nocrd-model",
            "nocrd-proxy-core",
            "nocrd-registry",
            "nocrd-spawner",
            "nocrd-telemetry",
            "nocrd-templates",
        ],
    ),
    (
        "nocrd-all",
        &[
            "nocrd-config",
            "nocrd-devcluster",
            "nocrd-model",
            "nocrd-server",
            "nocrd-telemetry",
            "nocrd-workspace",
        ],
    ),
    // For tests only: in no other row.
    ("nocrd-conformance", &["nocrd-config", "nocrd-devcluster", "nocrd-mcp-surface", "nocrd-server"]),
    ("nocrd-mcp", &["nocrd-config", "nocrd-model", "nocrd-server", "nocrd-telemetry"]),
    ("nocrd-proxy", &["nocrd-config", "nocrd-model", "nocrd-server", "nocrd-telemetry"]),
    ("xtask", &["nocrd-cluster", "nocrd-config", "nocrd-mcp-surface", "nocrd-model"]),
];

/// A package of the workspace and the workspace packages it links.
#[derive(Debug, PartialEq)]
pub(super) struct Package {
    pub(super) name: String,
    links: Vec<String>,
}

/// Asks cargo for the workspace's packages.
pub(super) fn workspace_packages() -> Result<Vec<Package>> {
    let text = process::output(process::cargo().args(["metadata", "--format-version=1", "--no-deps"]))?;
    Ok(parse(&serde_json::from_str(&text)?))
}

fn parse(metadata: &Value) -> Vec<Package> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .map(|package| Package {
            name: name(package),
            links: list(&package["dependencies"])
                .iter()
                // A path means: of this workspace. The kind of a plain dependency is null.
                .filter(|dependency| !dependency["path"].is_null() && dependency["kind"].is_null())
                .map(name)
                .collect(),
        })
        .collect()
}

pub(super) fn check(packages: &[Package]) -> Vec<String> {
    let mut findings = Vec::new();
    for package in packages {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            findings.push(format!(
                "{}: a new package; say in xtask/src/tidy/dependencies.rs and in ARCHITECTURE.md what it may depend on",
                package.name
            ));
            continue;
        };
        findings.extend(
            package
                .links
                .iter()
                .filter(|link| !allowed.contains(&link.as_str()))
                .map(|link| format!("{} depends on {link}, which it must not know", package.name)),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_what_points_the_wrong_way() {
        let packages = parse(&json!({ "packages": [
            { "name": "nocrd-model", "dependencies": [{ "name": "serde", "kind": null }] },
            { "name": "nocrd-mcp", "dependencies": [
                { "name": "nocrd-devcluster", "kind": null, "path": "/x" },
                { "name": "nocrd-server", "kind": null, "path": "/x" },
            ]},
            { "name": "nocrd-cluster", "dependencies": [{ "name": "nocrd-devcluster", "kind": "dev", "path": "/x" }] },
            { "name": "nocrd-new", "dependencies": [] },
        ]}));
        let findings = check(&packages);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert_eq!(findings[0], "nocrd-mcp depends on nocrd-devcluster, which it must not know");
        assert!(findings[1].starts_with("nocrd-new: a new package"));
    }

    #[test]
    fn the_table_has_no_cycle() {
        // Everything a package may link stands above it in the table.
        for (position, (name, allowed)) in ALLOWED.iter().enumerate() {
            for link in *allowed {
                let above = ALLOWED.iter().take(position).any(|(other, _)| other == link);
                assert!(above, "{name} may link {link}, which comes later");
            }
        }
    }

    #[test]
    fn the_workspace_is_read() {
        let packages = workspace_packages().unwrap();
        assert!(packages.iter().any(|package| package.name == "xtask"), "{packages:?}");
    }
}
