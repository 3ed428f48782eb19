//! What is in volumes that Kubernetes writes: `configMap`, `secret`, `downwardAPI` and `projected`.

use super::files::{File, Payload, is_valid};
use crate::{
    kind::Kind,
    kubelet::{
        fields::Fields,
        sources,
        spec::{
            ConfigMapVolume, DownwardFile, DownwardVolume, KeyToPath, ProjectedVolume, SecretVolume,
            SourceProjection, TokenProjection,
        },
    },
    object,
    store::Store,
    tokens::{Bound, Issuer, Projected, Wanted},
};

/// Permissions of files where the pod says nothing.
const DEFAULT_MODE: u32 = 0o644;
/// Permissions of tokens where the pod says nothing.
const TOKEN_MODE: u32 = 0o600;

/// Where the content of a volume comes from.
pub(super) struct Reader<'a> {
    pub(super) store: &'a Store,
    pub(super) fields: Fields<'a>,
}

impl Reader<'_> {
    pub(super) fn config_map(&self, volume: &ConfigMapVolume) -> Result<Payload, String> {
        let mode = volume.default_mode.unwrap_or(DEFAULT_MODE);
        self.object(Kind::ConfigMap, &volume.name, &volume.items, volume.optional, mode)
    }

    pub(super) fn secret(&self, volume: &SecretVolume) -> Result<Payload, String> {
        let mode = volume.default_mode.unwrap_or(DEFAULT_MODE);
        self.object(Kind::Secret, &volume.secret_name, &volume.items, volume.optional, mode)
    }

    pub(super) fn downward(&self, volume: &DownwardVolume) -> Result<Payload, String> {
        self.fields(&volume.items, volume.default_mode.unwrap_or(DEFAULT_MODE))
    }

    pub(super) fn projected(
        &self,
        volume: &ProjectedVolume,
        issuer: &Issuer,
        tokens: &mut Projected,
    ) -> Result<Payload, String> {
        let mode = volume.default_mode.unwrap_or(DEFAULT_MODE);
        let object = |kind: Kind, SourceProjection { name, items, optional }: &SourceProjection| {
            self.object(kind, name, items, *optional, mode)
        };
        let mut payload = Payload::new();
        for source in &volume.sources {
            if let Some(map) = &source.config_map {
                payload.extend(object(Kind::ConfigMap, map)?);
            }
            if let Some(secret) = &source.secret {
                payload.extend(object(Kind::Secret, secret)?);
            }
            if let Some(downward) = &source.downward_api {
                payload.extend(self.fields(&downward.items, mode)?);
            }
            if let Some(token) = &source.service_account_token {
                let content =
                    tokens.get(issuer, self.store, self.token(token)).map_err(|status| status.message)?;
                // Whoever runs the containers must be able to read it, and nobody else.
                let mode = volume.default_mode.unwrap_or(TOKEN_MODE);
                insert(&mut payload, &token.path, File { content: content.into_bytes(), mode })?;
            }
            if source.cluster_trust_bundle.is_some() {
                return Err("the embedded cluster has no projected sources of type clusterTrustBundle".into());
            }
        }
        Ok(payload)
    }

    /// What a `serviceAccountToken` source asks for: a token that is bound to this pod.
    fn token(&self, source: &TokenProjection) -> Wanted {
        let account = match self.fields.spec.service_account_name.as_str() {
            "" => "default",
            name => name,
        };
        let pod = self.fields.pod;
        Wanted {
            namespace: object::namespace(pod).to_owned(),
            account: account.to_owned(),
            audiences: Some(source.audience.clone())
                .filter(|audience| !audience.is_empty())
                .into_iter()
                .collect(),
            seconds: source.expiration_seconds,
            bound_to: Some(Bound {
                kind: Kind::Pod.name().to_owned(),
                name: object::name(pod).to_owned(),
                uid: object::uid(pod).to_owned(),
            }),
        }
    }

    fn object(
        &self,
        kind: Kind,
        name: &str,
        items: &[KeyToPath],
        optional: bool,
        default_mode: u32,
    ) -> Result<Payload, String> {
        let namespace = object::namespace(self.fields.pod);
        let Some(mut data) = sources::data(self.store, kind, namespace, name) else {
            return if optional { Ok(Payload::new()) } else { Err(sources::missing(kind, name)) };
        };
        if items.is_empty() {
            let file = |content| File { content, mode: default_mode };
            return Ok(data
                .into_iter()
                .filter(|(key, _)| is_valid(key))
                .map(|(key, content)| (key, file(content)))
                .collect());
        }
        let mut payload = Payload::new();
        for item in items {
            let Some(content) = data.remove(&item.key) else {
                if optional {
                    continue;
                }
                let what = if kind == Kind::Secret { "secret" } else { "config" };
                return Err(format!("references non-existent {what} key: {}", item.key));
            };
            insert(&mut payload, &item.path, File { content, mode: item.mode.unwrap_or(default_mode) })?;
        }
        Ok(payload)
    }

    fn fields(&self, items: &[DownwardFile], default_mode: u32) -> Result<Payload, String> {
        let mut payload = Payload::new();
        for item in items {
            let text = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), _) => self.fields.field(&field.field_path)?,
                (None, Some(resource)) => self.fields.resource(resource, None)?,
                (None, None) => String::new(),
            };
            let file = File { content: text.into_bytes(), mode: item.mode.unwrap_or(default_mode) };
            insert(&mut payload, &item.path, file)?;
        }
        Ok(payload)
    }
}

fn insert(payload: &mut Payload, path: &str, file: File) -> Result<(), String> {
    if !is_valid(path) {
        return Err(format!("invalid path {path:?}"));
    }
    payload.insert(path.to_owned(), file);
    Ok(())
}
