//! Grammar of the command line.

use std::{ffi::OsString, path::PathBuf};

use nocrd_config::{Binary, Command, DevOptions, Lookup, Sandbox, WorkspaceOptions, help, load};

use crate::{report, settings};

const NOTHING: &dyn Lookup = &[] as &[(&str, &str); 0];

fn command(args: &[&str], env: &dyn Lookup) -> Command {
    load(Binary::All, args, env).unwrap()
}

fn refused(args: &[&str], env: &dyn Lookup) -> String {
    load(Binary::All, args, env).unwrap_err().to_string()
}

#[test]
fn switches_have_four_forms() {
    for args in [
        &["--managed-only", "false"][..],
        &["--managed-only=false"],
        &["--no-managed-only"],
        &["--managed-only=NO"],
    ] {
        assert!(!settings(args, &[]).managed_only, "{args:?}");
    }
    for args in
        [&["--managed-only"][..], &["--managed-only", "true"], &["--no-managed-only", "--managed-only"]]
    {
        assert!(settings(args, &[("MANAGED_ONLY", "false")]).managed_only, "{args:?}");
    }
    assert!(report(&["--managed-only=maybe"], &[]).contains("(flag --managed-only)"));
    assert!(matches!(command(&["--managed-only", "dev"], NOTHING), Command::Dev(..)));
}

#[test]
fn a_setting_without_a_flag_is_named_as_a_variable() {
    let text = report(&["--jwt-secret=hunter2", "--oauth-client-id", "x"], &[]);
    for part in
        ["JWT_SECRET has no flag: set the environment variable JWT_SECRET", "OAUTH_CLIENT_ID has no flag"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn unknown_arguments_are_named_with_a_suggestion() {
    let report = report(&["--prot", "5", "--nmespace=x", "--mode", "all", "-z"], &[("PORT", "x")]);
    for part in [
        "\"--prot\": did you mean `--port`",
        "\"--nmespace\": did you mean `--namespace`",
        "MODE",
        "PORT",
        "\"-z\"",
    ] {
        assert!(report.contains(part), "{part} in {report}");
    }
    assert!(refused(&["wrkspace"], NOTHING).contains("did you mean `workspace`"));
    assert!(refused(&["setup"], NOTHING).contains("there are `dev` and `workspace`"));
    assert!(load(Binary::Mcp, ["dev"], NOTHING).unwrap_err().to_string().contains("\"dev\""));
    let missing = refused(&["--port", "--mode", "all"], NOTHING);
    assert!(missing.contains("--port needs a value") && missing.contains("MODE"), "{missing}");
}

#[test]
fn help_and_version_go_before_mistakes() {
    for args in [&["--help"][..], &["-h"], &["dev", "--help"], &["workspace", "-h"]] {
        assert!(
            matches!(command(args, &[("PORT", "x")]), Command::Print(text) if text.contains("Usage: ")),
            "{args:?}"
        );
    }
    for args in [["--version"], ["-V"]] {
        let expected = format!("nocrd-all {}\n", env!("CARGO_PKG_VERSION"));
        assert!(matches!(command(&args, NOTHING), Command::Print(text) if text == expected));
    }
    for binary in Binary::ALL {
        assert!(help(binary).starts_with("Ephemeral workspaces") && help(binary).contains(binary.name()));
    }
    assert!(!help(Binary::Mcp).contains("No cluster at hand"));
}

#[test]
fn old_launcher_flags() {
    assert!(matches!(command(&["-c"], NOTHING), Command::CheckPermissions(_)));
    assert!(matches!(
        command(&["--check-permissions", "-m", "namespaced"], NOTHING),
        Command::CheckPermissions(_)
    ));
    assert!(settings(&["-r", "bun"], &[]).warnings()[0].contains("--runtime"));
    assert!(refused(&["-c", "dev"], NOTHING).contains("--check-permissions"));
}

#[test]
fn dev_takes_its_own_options_and_all_settings() {
    let Command::Dev(settings, options) = command(
        &[
            "--log-level",
            "debug",
            "dev",
            "--api-port=6443",
            "--data-dir",
            "/d",
            "--kubeconfig=/k",
            "--sandbox=none",
            "-p0",
        ],
        NOTHING,
    ) else {
        panic!()
    };
    assert_eq!((settings.log_level.as_str(), settings.port), ("debug", 0));
    let expected = DevOptions {
        api_port: 6443,
        data_dir: Some(PathBuf::from("/d")),
        kubeconfig: Some(PathBuf::from("/k")),
        sandbox: Sandbox::None,
    };
    assert_eq!(options, expected);
    let report = refused(&["dev", "--api-port=x", "--sandbox=vm", "--port=y"], NOTHING);
    for part in ["--api-port", "--sandbox", "PORT"] {
        assert!(report.contains(part), "{report}");
    }
}

#[test]
fn workspace_serves_where_its_pod_tells() {
    let options = |args: &[&str], env: &dyn Lookup| match command(args, env) {
        Command::Workspace(WorkspaceOptions { addr, root }) => (addr.to_string(), root),
        other => panic!("{other:?}"),
    };
    assert_eq!(options(&["workspace"], NOTHING), ("0.0.0.0:3000".to_owned(), PathBuf::from(".")));
    assert_eq!(options(&["workspace"], &[("POD_IP", "127.1.2.3"), ("PORT", "80")]).0, "127.1.2.3:80");
    assert_eq!(options(&["workspace"], &[("POD_IP", "fd00::1")]).0, "[fd00::1]:3000");
    let given =
        options(&["workspace", "--addr=127.0.0.1:0", "--root", "/w"], &[("PORT", "x"), ("MODE", "nonsense")]);
    assert_eq!(given, ("127.0.0.1:0".to_owned(), PathBuf::from("/w")));
    assert!(refused(&["workspace", "--addr", "here"], NOTHING).contains("--addr"));
    let both = refused(&["workspace"], &[("POD_IP", "x"), ("PORT", "y")]);
    assert!(both.contains("POD_IP") && both.contains("PORT"), "{both}");
    assert!(refused(&["--port=1", "workspace"], NOTHING).contains("--addr and --root only"));
}

#[cfg(unix)]
#[test]
fn text_that_is_not_unicode_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let bad = |prefix: &[u8]| OsString::from_vec([prefix, b"\xff"].concat());
    for args in
        [vec![bad(b"--namespace=")], vec![bad(b"--")], vec![bad(b"")], vec!["--tls-cert".into(), bad(b"")]]
    {
        assert!(load(Binary::All, args.clone(), NOTHING).is_err(), "{args:?}");
    }
}
