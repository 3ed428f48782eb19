//! Tokens of service accounts: how a pod proves to others what it is.
//!
//! They have the form and the claims of a real cluster's and are signed with ES256, by a key that is made anew with each
//! start. They open nothing here: the API's listener knows its own token only.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    kind::Kind,
    object::{self, text_at},
    status::{Cause, Status},
    store::Store,
};

/// Who issues the tokens. Nobody listens at that address from outside, as in many real clusters.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Lifetime of a token when none is asked for, and the limits, in seconds.
const DEFAULT_SECONDS: i64 = 3600;
const MIN_SECONDS: i64 = 600;
const MAX_SECONDS: i64 = 1 << 32;

/// The key that signs tokens, made when it is first needed. Clones are one.
#[derive(Clone, Default)]
pub struct Issuer(Arc<OnceLock<Option<Signing>>>);

struct Signing {
    id: String,
    key: EncodingKey,
    jwk: Value,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issuer")
    }
}

/// What a token is asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) namespace: String,
    /// The service account's name.
    pub(crate) account: String,
    /// The issuer itself, if there are none.
    pub(crate) audiences: Vec<String>,
    pub(crate) seconds: Option<i64>,
    pub(crate) bound_to: Option<Bound>,
}

/// The object with which a token ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) kind: String,
    pub(crate) name: String,
    /// Empty for whatever it is.
    pub(crate) uid: String,
}

/// A token.
#[derive(Clone, PartialEq)]
pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) seconds: i64,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Issuer {
    fn signing(&self) -> Result<&Signing, Status> {
        let signing = self.0.get_or_init(Signing::generate).as_ref();
        signing.ok_or_else(|| Status::new(500, "InternalError", "no key to sign tokens with could be made"))
    }

    /// The public key as a JSON Web Key Set (RFC 7517).
    pub(crate) fn keys(&self) -> Result<Value, Status> {
        Ok(json!({ "keys": [self.signing()?.jwk] }))
    }

    /// What `/.well-known/openid-configuration` says. The keys are at the API's own address.
    pub(crate) fn configuration() -> Value {
        json!({
            "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/openid/v1/jwks"),
            "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// Issues a token for a service account of the store.
    ///
    /// # Errors
    /// 404 without the account or what the token is bound to, 409 when that is another object than was said, 422 for what
    /// makes no sense.
    pub(crate) fn issue(&self, store: &Store, wanted: &Wanted) -> Result<Issued, Status> {
        let Wanted { namespace, account, audiences, seconds, bound_to } = wanted;
        let seconds = seconds.unwrap_or(DEFAULT_SECONDS);
        check_seconds(account, seconds)?;
        let stored = store.get(Kind::ServiceAccount, namespace, account)?;
        let mut kubernetes = serde_json::Map::from_iter([
            ("namespace".to_owned(), json!(namespace)),
            ("serviceaccount".to_owned(), json!({ "name": account, "uid": object::uid(&stored) })),
        ]);
        if let Some(bound) = bound_to {
            kubernetes.extend(bind(store, namespace, account, bound)?);
        }
        let audiences = if audiences.is_empty() { vec![ISSUER.to_owned()] } else { audiences.clone() };
        let issued = Timestamp::now();
        let expires = issued.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
        let claims = json!({
            "aud": audiences, "exp": expires.as_second(), "iat": issued.as_second(), "iss": ISSUER,
            "jti": Uuid::new_v4().to_string(), "kubernetes.io": kubernetes, "nbf": issued.as_second(),
            "sub": format!("system:serviceaccount:{namespace}:{account}"),
        });
        let signing = self.signing()?;
        // Like a real cluster's, the header has no `typ`.
        let header = Header { typ: None, kid: Some(signing.id.clone()), ..Header::new(Algorithm::ES256) };
        let token = jsonwebtoken::encode(&header, &claims, &signing.key).map_err(|error| {
            Status::new(500, "InternalError", format!("the token can't be signed: {error}"))
        })?;
        Ok(Issued { token, audiences, seconds, issued, expires })
    }
}

fn check_seconds(account: &str, seconds: i64) -> Result<(), Status> {
    let detail = if seconds < MIN_SECONDS {
        "may not specify a duration less than 10 minutes"
    } else if seconds > MAX_SECONDS {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    let cause = Cause {
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {seconds}: {detail}"),
        field: "spec.expirationSeconds".into(),
    };
    Err(Status::invalid("authentication.k8s.io", "TokenRequest", account, vec![cause]))
}

/// What a token says of the object that it is bound to.
fn bind(
    store: &Store,
    namespace: &str,
    account: &str,
    bound: &Bound,
) -> Result<BTreeMap<String, Value>, Status> {
    let kind = match bound.kind.as_str() {
        "Pod" => Kind::Pod,
        "Secret" => Kind::Secret,
        "Node" => Kind::Node,
        other => {
            return Err(Status::bad_request(format!(
                "cannot bind token for serviceaccount {account:?} to object of type {other:?}"
            )));
        }
    };
    let within = if kind.is_namespaced() { namespace } else { "" };
    let found = store.get(kind, within, &bound.name)?;
    let uid = object::uid(&found);
    if !bound.uid.is_empty() && bound.uid != uid {
        let message = format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been \
             deleted and then recreated",
            bound.uid
        );
        return Err(Status::new(409, "Conflict", message));
    }
    if kind == Kind::Pod && text_at(&found, &["spec", "serviceAccountName"]) != account {
        return Err(Status::bad_request(format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
        )));
    }
    let mut claims =
        BTreeMap::from([(kind.singular().to_owned(), json!({ "name": bound.name, "uid": uid }))]);
    let node = text_at(&found, &["spec", "nodeName"]);
    if kind == Kind::Pod
        && !node.is_empty()
        && let Ok(stored) = store.get(Kind::Node, "", node)
    {
        claims.insert("node".to_owned(), json!({ "name": node, "uid": object::uid(&stored) }));
    }
    Ok(claims)
}

impl Signing {
    fn generate() -> Option<Self> {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).ok()?;
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).ok()?;
        // An uncompressed point: 4, then both coordinates.
        let (x, y) = pair.der_bytes().strip_prefix(&[4])?.split_at_checked(32)?;
        let digest = Sha256::digest(pair.der_bytes());
        let id = URL_SAFE_NO_PAD.encode(digest);
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({
            "use": "sig", "kty": "EC", "kid": id, "crv": "P-256", "alg": "ES256", "x": coordinate(x), "y": coordinate(y),
        });
        Some(Self { id, key, jwk })
    }
}

/// Tokens in volumes: each is issued once, and renewed in time.
#[derive(Debug, Default)]
pub(crate) struct Projected(Vec<(Wanted, Issued)>);

impl Projected {
    /// The token, a new one when four fifths of the last one's life are over.
    pub(crate) fn get(&mut self, issuer: &Issuer, store: &Store, wanted: Wanted) -> Result<String, Status> {
        let is_fresh = |issued: &Issued| {
            let life = SignedDuration::from_secs(issued.seconds / 5 * 4);
            issued.issued.saturating_add(life).is_ok_and(|renewal| Timestamp::now() < renewal)
        };
        if let Some((_, issued)) = self.0.iter().find(|(known, issued)| *known == wanted && is_fresh(issued))
        {
            return Ok(issued.token.clone());
        }
        let issued = issuer.issue(store, &wanted)?;
        let token = issued.token.clone();
        self.0.retain(|(known, _)| *known != wanted);
        self.0.push((wanted, issued));
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        let store = Store::in_memory();
        let meta = |name: &str| json!({ "name": name, "namespace": "n" });
        store.create(Kind::ServiceAccount, json!({ "metadata": meta("a") })).unwrap();
        store.create(Kind::ServiceAccount, json!({ "metadata": meta("b") })).unwrap();
        let pod = json!({ "metadata": meta("p"), "spec": { "serviceAccountName": "a", "containers": [] } });
        store.create(Kind::Pod, pod).unwrap();
        store
    }

    fn wanted(account: &str) -> Wanted {
        Wanted { namespace: "n".into(), account: account.into(), ..Wanted::default() }
    }

    fn claims(token: &str) -> Value {
        let payload = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }

    #[test]
    fn a_token_names_account_pod_and_audience() {
        let (store, issuer) = (store(), Issuer::default());
        let bound = Bound { kind: "Pod".into(), name: "p".into(), uid: String::new() };
        let wanted =
            Wanted { audiences: vec!["x".into()], seconds: Some(600), bound_to: Some(bound), ..wanted("a") };
        let issued = issuer.issue(&store, &wanted).unwrap();
        let claims = claims(&issued.token);
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!("system:serviceaccount:n:a"), &json!(["x"])));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
        let pod = store.get(Kind::Pod, "n", "p").unwrap();
        assert_eq!(claims["kubernetes.io"]["pod"], json!({ "name": "p", "uid": object::uid(&pod) }));
        assert_eq!(claims["kubernetes.io"]["serviceaccount"]["name"], "a");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let (store, issuer) = (store(), Issuer::default());
        let bound =
            |name: &str, uid: &str| Some(Bound { kind: "Pod".into(), name: name.into(), uid: uid.into() });
        for (wanted, code) in [
            (wanted("c"), 404),
            (Wanted { seconds: Some(599), ..wanted("a") }, 422),
            (Wanted { bound_to: bound("q", ""), ..wanted("a") }, 404),
            (Wanted { bound_to: bound("p", "other"), ..wanted("a") }, 409),
            (Wanted { bound_to: bound("p", ""), ..wanted("b") }, 400),
        ] {
            assert_eq!(issuer.issue(&store, &wanted).unwrap_err().code, code, "{wanted:?}");
        }
    }

    #[test]
    fn a_projected_token_stays_until_it_must_be_renewed() {
        let (store, issuer, mut projected) = (store(), Issuer::default(), Projected::default());
        let first = projected.get(&issuer, &store, wanted("a")).unwrap();
        assert_eq!(projected.get(&issuer, &store, wanted("a")).unwrap(), first);
        assert_ne!(projected.get(&issuer, &store, wanted("b")).unwrap(), first);
        let long_ago = SignedDuration::from_secs(DEFAULT_SECONDS / 5 * 4 + 1);
        projected.0[0].1.issued = Timestamp::now() - long_ago;
        assert_ne!(projected.get(&issuer, &store, wanted("a")).unwrap(), first);
    }
}
