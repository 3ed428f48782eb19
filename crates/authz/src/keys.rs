//! The keys behind every value that leaves the server and comes back: cookies, cursors, shared grants.
//!
//! One secret yields, by HKDF-SHA256 (RFC 5869), one signing key and one sealing key for each [`Purpose`], so that no
//! value made for one purpose is accepted for another, and so that a `JWT_SECRET` that is also the cookie secret never
//! signs a cookie itself. A value names the key that made it, so that keys rotate without signing anybody out.
//!
//! | form | text |
//! |---|---|
//! | signed | `2.` key id `.` base64url(payload) `.` base64url(HMAC-SHA256 over all before the last dot) |
//! | sealed | `2.` key id `.` base64url(nonce) `.` base64url(AES-256-GCM ciphertext and tag) |

use std::{
    fmt,
    str::FromStr as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead as _, Payload},
};
use arc_swap::ArcSwapOption;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use nocrd_model::{Code, error};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

/// Format of signed and sealed texts. Version 1 is what earlier releases wrote, without version and key id.
const VERSION: &str = "2";
/// The least bytes a secret has; the same as HMAC-SHA256's output (RFC 2104 section 3).
pub const MIN_SECRET_BYTES: usize = 32;
/// Longest text that is looked at.
const MAX_TEXT: usize = 64 * 1024;
/// Bytes of an AES-GCM nonce.
const NONCE_BYTES: usize = 12;
/// Characters of a key id.
const KEY_ID_LEN: usize = 8;

/// What a value is for. Each purpose has keys of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The cookie `nocr_sess`.
    Session,
    /// The cookie `nocr_refresh`.
    Refresh,
    /// The cookie of a sign-in under way.
    Login,
    /// The cookie of a link with a token whose browser is asked.
    Link,
    /// An access token kept in a cookie.
    Token,
    /// The outcome of a refresh grant, shared between replicas.
    Grant,
    /// A list's cursor, or another handle that a client holds.
    Cursor,
    /// The id of work that goes on when its request has been answered.
    Task,
    /// What a client gives back with the answer to a question (`requestState` of the Model Context Protocol).
    RequestState,
    /// What a user has given on a page, until a call takes it.
    Context,
}

impl Purpose {
    /// All purposes.
    pub const ALL: [Self; 10] = [
        Self::Session,
        Self::Refresh,
        Self::Login,
        Self::Link,
        Self::Token,
        Self::Grant,
        Self::Cursor,
        Self::Task,
        Self::RequestState,
        Self::Context,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Refresh => "refresh",
            Self::Login => "login",
            Self::Link => "link",
            Self::Token => "token",
            Self::Grant => "grant",
            Self::Cursor => "cursor",
            Self::Task => "task",
            Self::RequestState => "request-state",
            Self::Context => "context",
        }
    }
}

/// Why a signed or sealed text is not accepted, or can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A secret is too short to be one.
    #[error("a session secret has {bytes} bytes; it needs at least {MIN_SECRET_BYTES}")]
    WeakSecret {
        /// How many it has.
        bytes: usize,
    },
    /// The server does not know its session key yet.
    #[error("the session key is not known yet")]
    NotReady,
    /// The text has another form.
    #[error("not a value of this server")]
    Malformed,
    /// A key made the text that this server does not have (yet, or any more).
    #[error("made with a key this server does not have")]
    UnknownKey(KeyId),
    /// The text was changed, or made for something else.
    #[error("the value was changed, or made for another purpose")]
    Forged,
    /// The value does not fit into a cookie.
    #[error(
        "{what} needs {bytes} bytes, and a cookie holds at most {max}: let the identity provider send fewer roles or shorter tokens"
    )]
    TooLarge {
        /// What was to be stored.
        what: &'static str,
        /// What it needs.
        bytes: usize,
        /// What there is.
        max: usize,
    },
}

impl SealError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::WeakSecret { .. } => error::INVALID_SETTING,
            Self::NotReady => error::NOT_SYNCED,
            Self::Malformed | Self::UnknownKey(_) | Self::Forged => error::UNAUTHENTICATED,
            Self::TooLarge { .. } => error::INTERNAL,
        }
    }
}

/// The short public name of a key: 48 bits of a digest of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KEY_ID_LEN]);

impl KeyId {
    fn of(secret: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(b"no-crd key id\0").chain_update(secret).finalize();
        let mut id = [b'-'; KEY_ID_LEN];
        for (to, from) in id.iter_mut().zip(URL_SAFE_NO_PAD.encode(digest).bytes()) {
            *to = from;
        }
        Self(id)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::str::FromStr for KeyId {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let id: [u8; KEY_ID_LEN] = text.as_bytes().try_into().map_err(|_| SealError::Malformed)?;
        let base64url = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if id.iter().all(base64url) { Ok(Self(id)) } else { Err(SealError::Malformed) }
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.as_str())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The two keys of one purpose. They are prepared once: a check costs no key set-up.
struct Derived {
    signing: Hmac<Sha256>,
    sealing: Aes256Gcm,
}

impl Derived {
    fn new(secret: &Hkdf<Sha256>, purpose: Purpose) -> Option<Self> {
        let expand = |use_: &str| {
            let mut key = [0_u8; 32];
            secret
                .expand_multi_info(
                    &[b"no-crd 2 ", use_.as_bytes(), b" ", purpose.label().as_bytes()],
                    &mut key,
                )
                .ok()?;
            Some(key)
        };
        Some(Self {
            signing: Hmac::new_from_slice(&expand("sign")?).ok()?,
            sealing: Aes256Gcm::new_from_slice(&expand("seal")?).ok()?,
        })
    }
}

/// One secret, made ready for use.
struct Key {
    id: KeyId,
    session: Derived,
    refresh: Derived,
    login: Derived,
    link: Derived,
    token: Derived,
    grant: Derived,
    cursor: Derived,
    task: Derived,
    request_state: Derived,
    context: Derived,
}

impl Key {
    fn new(secret: &[u8]) -> Result<Self, SealError> {
        let weak = SealError::WeakSecret { bytes: secret.len() };
        if secret.len() < MIN_SECRET_BYTES {
            return Err(weak);
        }
        let extracted = Hkdf::<Sha256>::new(Some(b"no-crd session key"), secret);
        let derive = |purpose| Derived::new(&extracted, purpose).ok_or(weak.clone());
        Ok(Self {
            id: KeyId::of(secret),
            session: derive(Purpose::Session)?,
            refresh: derive(Purpose::Refresh)?,
            login: derive(Purpose::Login)?,
            link: derive(Purpose::Link)?,
            token: derive(Purpose::Token)?,
            grant: derive(Purpose::Grant)?,
            cursor: derive(Purpose::Cursor)?,
            task: derive(Purpose::Task)?,
            request_state: derive(Purpose::RequestState)?,
            context: derive(Purpose::Context)?,
        })
    }

    fn of(&self, purpose: Purpose) -> &Derived {
        match purpose {
            Purpose::Session => &self.session,
            Purpose::Refresh => &self.refresh,
            Purpose::Login => &self.login,
            Purpose::Link => &self.link,
            Purpose::Token => &self.token,
            Purpose::Grant => &self.grant,
            Purpose::Cursor => &self.cursor,
            Purpose::Task => &self.task,
            Purpose::RequestState => &self.request_state,
            Purpose::Context => &self.context,
        }
    }
}

/// The key that makes new values, and the ones before it that are still accepted.
pub struct SessionKeys {
    current: Key,
    previous: Vec<Key>,
}

impl SessionKeys {
    /// Takes secrets as bytes, of at least [`MIN_SECRET_BYTES`] each.
    ///
    /// # Errors
    /// [`SealError::WeakSecret`].
    pub fn new<'a>(current: &[u8], previous: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, SealError> {
        let previous = previous.into_iter().map(Key::new).collect::<Result<_, _>>()?;
        Ok(Self { current: Key::new(current)?, previous })
    }

    /// The secret of sessions for a server that has only a `JWT_SECRET`: derived from it, so that what signs tokens
    /// never signs cookies, and the other way round.
    ///
    /// # Errors
    /// [`SealError::WeakSecret`].
    pub fn secret_from_jwt_secret(jwt_secret: &[u8]) -> Result<[u8; 32], SealError> {
        let weak = SealError::WeakSecret { bytes: jwt_secret.len() };
        if jwt_secret.len() < MIN_SECRET_BYTES {
            return Err(weak);
        }
        let mut secret = [0_u8; 32];
        Hkdf::<Sha256>::new(Some(b"no-crd jwt secret"), jwt_secret)
            .expand(b"no-crd 2 session secret", &mut secret)
            .map_err(|_| weak)?;
        Ok(secret)
    }

    /// The id of the key that makes new values.
    #[must_use]
    pub fn current_id(&self) -> KeyId {
        self.current.id
    }

    fn find(&self, id: KeyId) -> Result<&Key, SealError> {
        std::iter::once(&self.current)
            .chain(&self.previous)
            .find(|key| key.id == id)
            .ok_or(SealError::UnknownKey(id))
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKeys")
            .field("current", &self.current.id)
            .field("previous", &self.previous.iter().map(|key| key.id).collect::<Vec<_>>())
            .finish()
    }
}

/// How often at most it is told that a key is not known: clients send what they like.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The session keys of a running server: unknown at first, exchanged while it runs.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: ArcSwapOption<SessionKeys>,
    /// How often they were exchanged.
    epoch: AtomicU64,
    wanted: Notify,
    /// When it was last told that a key is not known.
    told: Mutex<Option<Instant>>,
}

impl KeyRing {
    /// A ring that knows its keys.
    #[must_use]
    pub fn known(keys: SessionKeys) -> Self {
        let ring = Self::default();
        ring.set(keys);
        ring
    }

    /// A ring whose key nobody else has, and that ends with the process: for a server without sessions.
    #[must_use]
    pub fn of_this_process() -> Self {
        let secret: [u8; MIN_SECRET_BYTES] = rand::random();
        // It is long enough.
        SessionKeys::new(&secret, []).map_or_else(|_| Self::default(), Self::known)
    }

    /// Takes these keys from now on.
    pub fn set(&self, keys: SessionKeys) {
        self.keys.store(Some(Arc::new(keys)));
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// A number that changes with the keys, and just after them.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Tells whether there are keys.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.keys.load().is_some()
    }

    /// The id of the key that makes new values.
    #[must_use]
    pub fn current_id(&self) -> Option<KeyId> {
        self.keys.load().as_ref().map(|keys| keys.current_id())
    }

    /// Waits until a value turned up whose key is not known, which may mean that another replica has rotated it.
    /// Clients can bring this about at will: who reloads keys because of it does so at most every few seconds.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The key of that id. That there is none is worth a line now and then: replicas that don't share a key sign people out
    /// at random, and only the ids tell.
    fn find<'k>(&self, keys: &'k SessionKeys, id: KeyId) -> Result<&'k Key, SealError> {
        keys.find(id).inspect_err(|_| {
            self.wanted.notify_one();
            if self.is_time_to_tell() {
                tracing::warn!(key = %id, ours = %keys.current_id(), "a cookie was made with a session key that is not known here");
            }
        })
    }

    fn is_time_to_tell(&self) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        if due {
            *told = Some(Instant::now());
        }
        due
    }

    /// Signs `payload`, which stays readable for everybody.
    ///
    /// # Errors
    /// [`SealError::NotReady`].
    pub fn sign(&self, purpose: Purpose, payload: &[u8]) -> Result<String, SealError> {
        let keys = self.keys.load();
        let key = &keys.as_ref().ok_or(SealError::NotReady)?.current;
        let mut text = format!("{VERSION}.{}.", key.id);
        URL_SAFE_NO_PAD.encode_string(payload, &mut text);
        let mac = key.of(purpose).signing.clone().chain_update(text.as_bytes()).finalize().into_bytes();
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut text);
        Ok(text)
    }

    /// The payload of a text that [`Self::sign`] made for this purpose. The comparison takes the same time for every
    /// signature.
    ///
    /// # Errors
    /// Any but [`SealError::WeakSecret`] and [`SealError::TooLarge`].
    pub fn verify(&self, purpose: Purpose, text: &str) -> Result<Vec<u8>, SealError> {
        let keys = self.keys.load();
        let keys = keys.as_ref().ok_or(SealError::NotReady)?;
        let parts = Parts::parse(text)?;
        let key = self.find(keys, parts.key)?;
        let mut mac = [0_u8; 32];
        let length =
            URL_SAFE_NO_PAD.decode_slice(parts.fourth, &mut mac).map_err(|_| SealError::Malformed)?;
        if length != mac.len() {
            return Err(SealError::Malformed);
        }
        // `Mac::verify_slice` compares through `subtle`.
        key.of(purpose)
            .signing
            .clone()
            .chain_update(parts.signed.as_bytes())
            .verify_slice(&mac)
            .map_err(|_| SealError::Forged)?;
        URL_SAFE_NO_PAD.decode(parts.third).map_err(|_| SealError::Malformed)
    }

    /// Encrypts `plain`, bound to `context`: [`Self::open`] must name the same.
    ///
    /// # Errors
    /// [`SealError::NotReady`].
    pub fn seal(&self, purpose: Purpose, context: &[u8], plain: &[u8]) -> Result<String, SealError> {
        let keys = self.keys.load();
        let key = &keys.as_ref().ok_or(SealError::NotReady)?.current;
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let associated = associated(purpose, key.id, context);
        let sealed = key
            .of(purpose)
            .sealing
            .encrypt(&nonce.into(), Payload { msg: plain, aad: &associated })
            .map_err(|_| SealError::Malformed)?;
        let mut text = format!("{VERSION}.{}.", key.id);
        URL_SAFE_NO_PAD.encode_string(nonce, &mut text);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(sealed, &mut text);
        Ok(text)
    }

    /// What [`Self::seal`] encrypted for this purpose and `context`.
    ///
    /// # Errors
    /// Any but [`SealError::WeakSecret`] and [`SealError::TooLarge`].
    pub fn open(&self, purpose: Purpose, context: &[u8], text: &str) -> Result<Vec<u8>, SealError> {
        let keys = self.keys.load();
        let keys = keys.as_ref().ok_or(SealError::NotReady)?;
        let parts = Parts::parse(text)?;
        let key = self.find(keys, parts.key)?;
        let mut nonce = [0_u8; NONCE_BYTES];
        let length =
            URL_SAFE_NO_PAD.decode_slice(parts.third, &mut nonce).map_err(|_| SealError::Malformed)?;
        if length != nonce.len() {
            return Err(SealError::Malformed);
        }
        let sealed = URL_SAFE_NO_PAD.decode(parts.fourth).map_err(|_| SealError::Malformed)?;
        let associated = associated(purpose, key.id, context);
        key.of(purpose)
            .sealing
            .decrypt(&nonce.into(), Payload { msg: &sealed, aad: &associated })
            .map_err(|_| SealError::Forged)
    }
}

/// What a sealed text is bound to besides its key.
fn associated(purpose: Purpose, key: KeyId, context: &[u8]) -> Vec<u8> {
    [VERSION.as_bytes(), b"\0", purpose.label().as_bytes(), b"\0", key.as_str().as_bytes(), b"\0", context]
        .concat()
}

/// The parts of a signed or sealed text.
struct Parts<'t> {
    key: KeyId,
    third: &'t str,
    fourth: &'t str,
    /// All before the last dot.
    signed: &'t str,
}

impl<'t> Parts<'t> {
    fn parse(text: &'t str) -> Result<Self, SealError> {
        if text.len() > MAX_TEXT {
            return Err(SealError::Malformed);
        }
        let (signed, fourth) = text.rsplit_once('.').ok_or(SealError::Malformed)?;
        let mut parts = signed.split('.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(VERSION), Some(key), Some(third), None) => {
                Ok(Self { key: KeyId::from_str(key)?, third, fourth, signed })
            }
            _ => Err(SealError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests;
