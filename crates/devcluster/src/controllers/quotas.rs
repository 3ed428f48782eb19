//! Quotas tell how much of them is used.

use futures::StreamExt;

use super::{Notice, notices, tolerate};
use crate::{
    kind::Kind,
    object,
    resources::quota,
    store::{Fate, Mode, Store},
};

pub(super) async fn run(store: Store) {
    let mut notices = std::pin::pin!(notices(&store, &[Kind::ResourceQuota, Kind::Pod]));
    while let Some(notice) = notices.next().await {
        let (Notice::Present(_, object) | Notice::Gone(_, object)) = notice;
        let namespace = object::namespace(&object);
        for quota in store.list(Kind::ResourceQuota, Some(namespace)).items {
            let result = store.modify(
                Kind::ResourceQuota,
                namespace,
                object::name(&quota),
                Mode::Commit,
                |view, quota| {
                    let status = quota::status(view, quota);
                    object::as_map(quota).insert("status".into(), status);
                    Ok(Fate::Stays)
                },
            );
            tolerate(result, "counting a quota");
        }
    }
}
