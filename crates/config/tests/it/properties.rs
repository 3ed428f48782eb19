//! No input makes the parser panic, and no input makes it show a secret.

use std::collections::BTreeMap;

use nocrd_config::{Binary, load, settings::TABLE};
use proptest::{prelude::*, sample::select};

fn names() -> Vec<&'static str> {
    TABLE
        .iter()
        .flat_map(|row| row.env)
        .copied()
        .chain(["KUBERNETES_SERVICE_HOST", "HOME", "POD_IP"])
        .collect()
}

fn flags() -> Vec<String> {
    let long = TABLE
        .iter()
        .filter_map(|row| row.flag)
        .flat_map(|f| [format!("--{}", f.long), format!("--no-{}", f.long)]);
    let short = TABLE.iter().filter_map(|row| row.flag?.short).map(|s| format!("-{s}"));
    let own = [
        "dev",
        "workspace",
        "--api-port",
        "--root",
        "--addr",
        "-c",
        "-r",
        "--runtime",
        "--",
        "-",
        "--sandbox",
    ];
    long.chain(short).chain(own.map(str::to_owned)).collect()
}

/// Values near what settings accept, and far from it.
fn value() -> impl Strategy<Value = String> {
    let near = [
        "true",
        "0",
        "65535",
        "-1",
        "http",
        "stdio",
        "/a/b",
        "https://u:p@h/",
        "10.0.0.0/8",
        ",",
        "$.a",
        "*",
        "",
    ];
    prop_oneof![select(near.to_vec()).prop_map(str::to_owned), "[ -~]{0,12}", "\\PC{0,12}", ".{0,200}"]
}

proptest! {
    #[test]
    fn nothing_panics(
        args in prop::collection::vec(
            prop_oneof![
                select(flags()),
                value(),
                (select(flags()), value()).prop_map(|(flag, value)| format!("{flag}={value}")),
            ],
            0..6,
        ),
        env in prop::collection::btree_map(select(names()).prop_map(str::to_owned), value(), 0..8),
        binary in select(Binary::ALL.to_vec()),
    ) {
        match load(binary, &args, &env) {
            Ok(command) => {
                let text = format!("{command:?}");
                prop_assert!(!text.is_empty());
            }
            Err(errors) => {
                prop_assert!(errors.iter().count() > 0);
                // A report stays readable whatever was thrown at it.
                prop_assert!(errors.to_string().lines().all(|line| line.chars().count() < 2000), "{errors}");
            }
        }
    }

    #[test]
    fn t54_no_secret_is_ever_shown(
        secret in "[A-Za-z0-9+/]{12,60}",
        env in prop::collection::btree_map(select(names()).prop_map(str::to_owned), value(), 0..5),
    ) {
        let secret = format!("s3cr3t{secret}");
        for row in TABLE.iter().filter(|row| row.is_secret()) {
            let mut env: BTreeMap<String, String> = env.clone();
            env.insert(row.name().to_owned(), secret.clone());
            let text = match load(Binary::All, ["--log-level=debug"], &env) {
                Ok(command) => format!("{command:?}"),
                Err(errors) => format!("{errors} {errors:?}"),
            };
            prop_assert!(!text.contains(&secret), "{}: {text}", row.name());
        }
    }
}
