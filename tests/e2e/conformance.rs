//! The conformance suite of the Model Context Protocol: what the product shows of itself, and everything that is required
//! when the suite's fixtures are served beside it, by the same transport and handlers.

use std::path::{Path, PathBuf};

use crate::{
    dev::PROGRAM,
    program::{Ended, Program},
    tools,
};

/// A revision of the protocol.
struct Revision {
    name: &'static str,
    /// What the product passes although it is not required.
    product: &'static [&'static str],
    /// What the fixture build passes although it is not required.
    fixtures: &'static [&'static str],
}

const REVISIONS: [Revision; 2] = [
    Revision {
        name: "2025-11-25",
        product: &["server-session-lifecycle"],
        fixtures: &["server-session-lifecycle", "json-schema-2020-12"],
    },
    Revision {
        name: "2026-07-28",
        product: &["http-header-validation"],
        fixtures: &[
            "http-header-validation",
            "http-custom-header-server-validation",
            "json-schema-2020-12",
            "tasks-lifecycle",
            "tasks-capability-negotiation",
            "tasks-wire-fields",
            "tasks-request-state-removal",
            "tasks-mrtr-input",
            "tasks-request-headers",
            "tasks-dispatch-and-envelope",
            "tasks-required-task-error",
            "tasks-mrtr-composition",
        ],
    },
];

#[test]
#[ignore = "runs alone (the suite gives some answers half a second)"]
fn the_product_conforms_as_far_as_it_needs_no_fixtures() {
    let server = Server::start(Path::new(PROGRAM));
    for revision in &REVISIONS {
        server.passes(revision.name, &format!("product-{}.yml", revision.name), revision.product);
    }
    server.program.stop();
}

#[test]
#[ignore = "runs alone (the suite gives some answers half a second)"]
fn with_fixtures_everything_required_passes() {
    let server = Server::start(&fixture_build());
    for revision in &REVISIONS {
        server.passes(revision.name, "fixtures.yml", revision.fixtures);
    }
    server.program.stop();
}

/// Cargo tells a test only the programs of its own package. This one is beside them, where all of the workspace is built.
fn fixture_build() -> PathBuf {
    let name = "nocrd-conformance";
    let path = Path::new(PROGRAM).with_file_name(name);
    assert!(path.is_file(), "{} is not there: run `cargo build -p {name}`", path.display());
    path
}

/// A server on an embedded cluster.
struct Server {
    program: Program,
    url: String,
}

impl Server {
    fn start(program: &Path) -> Self {
        let program = Program::of(program, &["dev", "--port=0", "--api-port=0"], &[]);
        let url = format!("{}/mcp", program.base());
        Self { program, url }
    }

    /// Runs what a revision requires. What fails is exactly what is listed in a file of the suite's directory.
    fn passes(&self, revision: &str, expected: &str, also: &[&str]) {
        let expected = tools::conformance_list(expected);
        let Ended { status, stdout, stderr } = self.run(revision, &expected);
        let passing: Vec<_> =
            entries(&expected).into_iter().filter(|name| !has_failed(&stdout, name)).collect();
        let failing: Vec<_> = also.iter().filter(|scenario| !has_passed(&stdout, scenario)).collect();
        assert!(
            status.success() && passing.is_empty() && failing.is_empty(),
            "{revision}: {status}; not required and failing: {failing:?}; listed and not failing: {passing:?}\n{stdout}\n{stderr}"
        );
    }

    fn run(&self, revision: &str, expected: &Path) -> Ended {
        let results = tempfile::tempdir().unwrap();
        let suite = tools::conformance();
        let arguments = [suite.to_str().unwrap(), "server", "--url", &self.url, "--requirements", revision];
        let files =
            ["--expected-failures", expected.to_str().unwrap(), "-o", results.path().to_str().unwrap()];
        Program::of(&tools::conformance_node(), &[&arguments[..], &files].concat(), &[]).end()
    }
}

/// The entries of a list of what fails.
fn entries(list: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(list).unwrap();
    let entries = text.lines().filter_map(|line| line.trim().strip_prefix("- "));
    entries.map(|entry| entry.split(" #").next().unwrap().to_owned()).collect()
}

/// Whether the report says of an entry that it fails, as expected. It is silent about one that names nothing, and where a
/// check is not made any more.
fn has_failed(report: &str, entry: &str) -> bool {
    report.lines().any(|line| line.trim().strip_prefix("~ ") == Some(entry))
}

/// Whether the report's summary says of a scenario that something of it has passed, and everything that was looked at.
fn has_passed(report: &str, scenario: &str) -> bool {
    let counts = report.lines().find_map(|line| line.strip_prefix(&format!("✓ {scenario}: ")));
    counts.is_some_and(|counts| !counts.starts_with("0 passed"))
}
