//! Secrets and ConfigMaps as containers use them, and noticing that one changed.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use tokio::sync::watch;

use crate::{kind::Kind, object, store::Store};

/// The data of a Secret or a ConfigMap.
pub(super) type Data = BTreeMap<String, Vec<u8>>;

/// The data of an object, or `None` if there is no such object.
pub(super) fn data(store: &Store, kind: Kind, namespace: &str, name: &str) -> Option<Data> {
    let found = store.get(kind, namespace, name).ok()?;
    let text = |value: &Value| value.as_str().map(str::as_bytes).map(<[u8]>::to_vec);
    let binary = |value: &Value| value.as_str().and_then(|encoded| STANDARD.decode(encoded.trim()).ok());
    let mut data = Data::new();
    let mut take = |field: &str, read: &dyn Fn(&Value) -> Option<Vec<u8>>| {
        let entries = object::at(&found, &[field]).and_then(Value::as_object);
        data.extend(
            entries.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), read(value)?))),
        );
    };
    if kind == Kind::Secret {
        take("data", &binary);
    } else {
        take("data", &text);
        take("binaryData", &binary);
    }
    Some(data)
}

/// How messages call an object of that kind, with its name in quotes.
pub(super) fn missing(kind: Kind, name: &str) -> String {
    format!("{} {name:?} not found", kind.singular())
}

/// Counts up whenever a Secret or a ConfigMap changes, until the receivers are gone.
pub(super) async fn count_changes(store: Store, count: watch::Sender<u64>) {
    tokio::join!(changes_of(&store, Kind::ConfigMap, &count), changes_of(&store, Kind::Secret, &count));
}

async fn changes_of(store: &Store, kind: Kind, count: &watch::Sender<u64>) {
    // A watch that lagged behind is begun anew; whoever waits looks at the present state anyway.
    while !count.is_closed() {
        let Ok((_, mut changes)) = store.list_and_watch(kind) else { return };
        count.send_modify(|count| *count += 1);
        loop {
            let next = tokio::select! {
                next = changes.next() => next,
                () = count.closed() => return,
            };
            match next {
                Some(Ok(_)) => count.send_modify(|count| *count += 1),
                Some(Err(_)) => break,
                None => return,
            }
        }
    }
}
