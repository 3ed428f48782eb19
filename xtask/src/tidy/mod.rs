//! Rules about the source that no compiler checks. Each gives a list of findings; an empty list is a pass.

mod architecture;
mod dependencies;
mod effects;
mod files;
pub(crate) mod ignored;
mod links;
mod source;

use crate::{Result, docs};

/// Checks everything and prints what is found.
pub(crate) fn run() -> Result {
    let sources = files::rust_sources()?;
    let mut findings = Vec::new();
    let packages = dependencies::workspace_packages()?;
    findings.extend(dependencies::check(&packages));
    findings.extend(architecture::check(&packages)?);
    for file in &sources {
        findings.extend(source::check(file)?);
    }
    findings.extend(effects::check(&sources)?);
    findings.extend(links::check()?);
    findings.extend(docs::stale()?);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("tidy: {} packages and {} source files in order", packages.len(), sources.len());
            Ok(())
        }
        count => Err(format!("tidy found {count} things to put right").into()),
    }
}
