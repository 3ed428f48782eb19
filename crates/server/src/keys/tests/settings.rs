//! From settings to the keeping of keys.

use std::{collections::BTreeMap, time::Duration};

use nocrd_config::Settings;

use crate::keys::peers_config;

#[test]
fn the_settings_of_peers_arrive() {
    let config = |env: &[(&str, &str)]| {
        let env: BTreeMap<_, _> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        peers_config(&Settings::from_env(&env).unwrap())
    };
    let port = ("PEER_PORT", "3999");
    let file = ("PEER_TOKEN_FILE", "/var/run/secrets/peer/token");
    let given = [port, file, ("PEER_DISCOVERY_RETRIES", "7"), ("PEER_DISCOVERY_DELAY_MS", "250")];
    let peers = config(&given).unwrap();
    assert_eq!((peers.port, peers.token_file.to_str()), (3999, Some("/var/run/secrets/peer/token")));
    assert_eq!((peers.retries, peers.delay), (7, Duration::from_millis(250)));
    assert!(config(&[]).is_none() && config(&[file]).is_none());
}
