//! Proof of being a replica: a ServiceAccount token that the cluster issued to a pod.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use nocrd_authz::{
    clock::Clock,
    http::{FetchError, Http, HttpOptions},
    verify::{Audience, JwksSource, KeySetLoader, VerifiedToken, Verifier, VerifierConfig},
};
use nocrd_cluster::Cluster;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{AUDIENCE, Unable};

/// What such a token says. Only [`Badges::check`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Badge {
    pub(super) namespace: String,
    /// The ServiceAccount's name.
    pub(super) account: String,
    /// The pod that the token was issued to: it is good as long as that pod exists.
    pub(super) pod: String,
    pub(super) pod_uid: String,
}

impl Badge {
    /// Whether both run under one ServiceAccount.
    pub(super) fn is_colleague_of(&self, other: &Self) -> bool {
        (&self.namespace, &self.account) == (&other.namespace, &other.account)
    }

    fn read(token: &VerifiedToken) -> Result<Self, Unable> {
        let kubernetes = token.claims().get("kubernetes.io").ok_or(Unable::NotOfAPod)?;
        let text =
            |path: &str| kubernetes.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
        let owned = |path: &str| text(path).map(str::to_owned).ok_or(Unable::NotOfAPod);
        let badge = Self {
            namespace: owned("/namespace")?,
            account: owned("/serviceaccount/name")?,
            pod: owned("/pod/name")?,
            pod_uid: owned("/pod/uid")?,
        };
        let subject = format!("system:serviceaccount:{}:{}", badge.namespace, badge.account);
        if token.claims().get("sub").and_then(Value::as_str) == Some(subject.as_str()) {
            Ok(badge)
        } else {
            Err(Unable::NotOfAPod)
        }
    }
}

/// Checks tokens by the keys of the cluster's own issuer.
pub(super) struct Badges {
    cluster: Cluster,
    verifier: OnceCell<Verifier>,
}

impl Badges {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, verifier: OnceCell::new() }
    }

    pub(super) async fn check(&self, token: &str) -> Result<Badge, Unable> {
        let verifier = self.verifier.get_or_try_init(|| self.verifier()).await?;
        Badge::read(&*verifier.verify(token).await?)
    }

    async fn verifier(&self) -> Result<Verifier, Unable> {
        let issuer = self.cluster.service_account_issuer().await?;
        let cluster = self.cluster.clone();
        let load = KeySetLoader::new(move || {
            let cluster = cluster.clone();
            async move {
                let keys = cluster.service_account_keys().await.map_err(|_| FetchError::Unreachable)?;
                Ok(keys.to_string().into_bytes())
            }
            .boxed()
        });
        let config = VerifierConfig {
            jwks: Some(JwksSource::Loaded(load)),
            audience: Audience::These(vec![AUDIENCE.to_owned()]),
            issuer: Some(issuer),
            leeway: Duration::from_secs(30),
            ..VerifierConfig::default()
        };
        let http = Arc::new(Http::new(&HttpOptions::default())?);
        Ok(Verifier::new(config, http, Clock::system())?)
    }
}
