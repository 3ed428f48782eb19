//! The stream of changes that a client of 2026-07-28 opens.

use std::sync::{Arc, Mutex};

use nocrd_model::Caller;
use rmcp::{
    model::SubscriptionFilter,
    service::{SubscriptionContext, SubscriptionSink},
};

use super::{Gone, Interest, MAX_RESOURCES, News, Outlet, serve};
use crate::{Surface, resources::Uri};

/// What of a client's wishes is granted. Whose a resource is does not matter here: nobody is told of what they can't read.
pub(crate) fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let mut accepted = SubscriptionFilter::default();
    accepted.tools_list_changed = requested.tools_list_changed;
    accepted.resources_list_changed = requested.resources_list_changed;
    // Of too many none is granted: what is granted is sent back, duplicates and all.
    let wanted = requested.resource_subscriptions.as_ref().filter(|uris| uris.len() <= MAX_RESOURCES);
    accepted.resource_subscriptions =
        wanted.map(|uris| uris.iter().filter(|uri| Uri::parse(uri).is_some()).cloned().collect());
    accepted
}

/// Tells the client of changes until it ends the stream.
pub(crate) async fn listen(surface: Surface, caller: Caller, context: &SubscriptionContext) {
    let changes = surface.hub().subscribe();
    let accepted = context.accepted();
    let mut interest = Interest::of(caller);
    if accepted.tools_list_changed == Some(true) {
        interest = interest.in_tools();
    }
    if accepted.resources_list_changed == Some(true) {
        interest = interest.in_resources(&surface);
    }
    for uri in accepted.resource_subscriptions.iter().flatten().filter_map(|uri| Uri::parse(uri)) {
        interest.add(&surface, uri);
    }
    let serving = serve(surface, changes, Arc::new(Mutex::new(interest)), context.sink().clone());
    tokio::select! {
        () = context.cancelled() => {}
        () = serving => {}
    }
}

impl Outlet for SubscriptionSink {
    async fn tell(&self, news: News) -> Result<(), Gone> {
        let sent = match news {
            News::Tools => self.notify_tool_list_changed().await,
            News::Resources => self.notify_resource_list_changed().await,
            News::Updated(uri) => self.notify_resource_updated(uri.to_string()).await,
        };
        sent.map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(uris: Vec<String>) -> Vec<String> {
        let mut requested = SubscriptionFilter::default();
        requested.resource_subscriptions = Some(uris);
        accepted(&requested).resource_subscriptions.unwrap_or_default()
    }

    #[test]
    fn t45_what_is_granted_is_ours_and_bounded() {
        let good = "workspace://ns/w1".to_owned();
        let odd = ["file:///etc/passwd", "workspace://ns/../w1", "workspace://ns/%771"].map(str::to_owned);
        assert_eq!(granted([vec![good.clone()], odd.into()].concat()), std::slice::from_ref(&good));
        assert_eq!(granted(vec![good.clone(); MAX_RESOURCES]).len(), MAX_RESOURCES);
        assert!(granted(vec![good; MAX_RESOURCES + 1]).is_empty());
    }

    #[test]
    fn prompts_never_change() {
        let mut requested = SubscriptionFilter::default();
        requested.prompts_list_changed = Some(true);
        assert_eq!(accepted(&requested), SubscriptionFilter::default());
    }
}
