//! Streamable HTTP, both eras: rmcp's service behind the limits and conveniences it does not have.

use std::{
    convert::Infallible,
    fmt::Display,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, combinators::BoxBody};
use nocrd_authz::challenge::Challenge;
use nocrd_model::Caller;
use rmcp::{
    model::ProtocolVersion,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{
    envelope::Envelope,
    gate::{Gate, SESSION_HEADER, Seat, Who},
    plain::{self, Streamed},
    refusal::{INVALID_REQUEST, PARSE_ERROR, Refusal},
};
use crate::{Error, Surface, catalogue};

/// The body of an answer.
pub type Body = BoxBody<Bytes, Infallible>;

/// How the server is reached over HTTP.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// No sessions, for the older protocol versions too: each request stands alone.
    pub stateless: bool,
    /// Values of the `Host` header that are served, with or without a port; `None` means any. It defends servers
    /// on a private address against DNS rebinding.
    pub allowed_hosts: Option<Vec<String>>,
    /// Values of the `Origin` header that are served, such as `https://app.example:443` or `http://localhost:*`;
    /// requests without the header always are. `None` means any.
    pub allowed_origins: Option<Vec<String>>,
    /// Largest request body.
    pub max_body_bytes: usize,
    /// How often a silent stream is kept alive with a comment. A request that takes longer than this is answered
    /// with a stream instead of plain JSON.
    pub keep_alive: Duration,
    /// After how long without a message a session ends.
    pub session_idle: Duration,
    /// Most sessions at a time.
    pub max_sessions: usize,
    /// Most sessions of one caller at a time, where callers are told apart.
    pub max_sessions_per_caller: usize,
    /// Most long-lived streams at a time: those that clients open to listen.
    pub max_streams: usize,
    /// Most long-lived streams of one caller at a time, where callers are told apart.
    pub max_streams_per_caller: usize,
    /// Ends all sessions and streams when cancelled.
    pub shutdown: CancellationToken,
}

impl Default for HttpOptions {
    fn default() -> Self {
        let loopback = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let origins = ["http", "https"]
            .iter()
            .flat_map(|scheme| loopback.iter().map(move |host| format!("{scheme}://{host}:*")));
        Self {
            stateless: false,
            allowed_origins: Some(origins.collect()),
            allowed_hosts: Some(loopback.to_vec()),
            max_body_bytes: 4 * 1024 * 1024,
            keep_alive: Duration::from_secs(15),
            session_idle: Duration::from_secs(30 * 60),
            max_sessions: 1_000,
            max_sessions_per_caller: 50,
            max_streams: 1_000,
            max_streams_per_caller: 50,
            shutdown: CancellationToken::new(),
        }
    }
}

/// The server as a service for one path. Clones share everything.
#[derive(Clone)]
pub struct HttpService {
    inner: StreamableHttpService<Surface, LocalSessionManager>,
    gate: Arc<Gate>,
    surface: Surface,
    stateless: bool,
    max_body_bytes: usize,
    /// Bytes that messages under way may hold in memory.
    arriving: Arc<Semaphore>,
}

/// Most bytes of incomplete messages, of all clients together.
const ARRIVING_BYTES: usize = 128 * 1024 * 1024;

/// Makes the service. The layers before it put the [`Caller`] into the request's extensions, and the [`Challenge`] that
/// tells a client where to get a token with more scopes.
#[must_use]
pub fn http_service(surface: Surface, options: HttpOptions) -> HttpService {
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.keep_alive = Some(options.session_idle);
    sessions.session_config.sse_retry = None;
    let sessions = Arc::new(sessions);
    let gate = Arc::new(Gate::new(Arc::clone(&sessions), &options));
    let mut config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(!options.stateless)
        .with_json_response(true)
        .with_sse_keep_alive(Some(options.keep_alive))
        // Clients from before 2025-11-25 take the event that would begin every stream for a broken message.
        .with_sse_retry(None)
        .with_max_request_body_bytes(options.max_body_bytes)
        .with_cancellation_token(options.shutdown);
    config = match options.allowed_hosts {
        Some(hosts) => config.with_allowed_hosts(hosts),
        None => config.disable_allowed_hosts(),
    };
    config = match options.allowed_origins {
        Some(origins) => config.with_allowed_origins(origins).enforce_origin_validation(),
        None => config.disable_allowed_origins(),
    };
    let (factory, idle) = (surface.clone(), Some(options.session_idle));
    HttpService {
        inner: StreamableHttpService::new(move || Ok(factory.for_session(idle)), sessions, config),
        gate,
        surface,
        stateless: options.stateless,
        max_body_bytes: options.max_body_bytes,
        arriving: Arc::new(Semaphore::new(ARRIVING_BYTES)),
    }
}

impl<B> tower::Service<Request<B>> for HttpService
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Display + Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.handle(request).await) })
    }
}

impl HttpService {
    /// How many sessions there are; `None` in the moment in which that changes.
    #[must_use]
    pub fn sessions(&self) -> Option<usize> {
        self.gate.sessions()
    }

    async fn handle<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut parts, body) = request.into_parts();
        widen_accept(&mut parts.headers);
        let caller = self.surface.identify(Some(&parts.extensions)).ok();
        let who = Who::of(caller.as_ref());
        if let Err(refusal) = self.check_session(&parts, &who) {
            return refusal.into_response(None);
        }
        match parts.method {
            Method::POST if is_json(&parts.headers) => match self.read(body).await {
                Ok(message) => self.post(parts, message, caller.as_ref(), who).await,
                Err(refusal) => refusal.into_response(None),
            },
            Method::GET => self.listen(parts, &who).await,
            Method::DELETE => self.end(parts).await,
            _ => self.pass(parts, Bytes::new()).await,
        }
    }

    fn check_session(&self, parts: &Parts, who: &Who) -> Result<(), Refusal> {
        // Where there are no sessions the header means nothing.
        if self.stateless || is_without_sessions(&parts.headers) {
            return Ok(());
        }
        self.gate.check_session(&parts.headers, who)
    }

    async fn read<B>(&self, body: B) -> Result<Bytes, Refusal>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limit = self.max_body_bytes;
        let mut body = std::pin::pin!(Limited::new(body, limit));
        let (mut message, mut held) = (BytesMut::new(), None::<OwnedSemaphorePermit>);
        while let Some(frame) = body.as_mut().frame().await {
            let frame = frame.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    let text = format!("the message has more than {limit} bytes");
                    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, text)
                } else {
                    Refusal::new(StatusCode::BAD_REQUEST, PARSE_ERROR, "the message breaks off")
                }
            })?;
            let Ok(data) = frame.into_data() else { continue };
            // What has arrived of messages that are not complete is bounded for all clients together.
            let bytes = u32::try_from(data.remaining()).unwrap_or(u32::MAX);
            let more = Arc::clone(&self.arriving).try_acquire_many_owned(bytes).map_err(|_| {
                let text = "too much is arriving at once: try again".to_owned();
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, INVALID_REQUEST, text)
            })?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
            message.put(data);
        }
        Ok(message.freeze())
    }

    async fn post(&self, parts: Parts, message: Bytes, caller: Option<&Caller>, who: Who) -> Response<Body> {
        let envelope = match Envelope::parse(&message) {
            Ok(envelope) => envelope,
            Err(refusal) => return refusal.into_response(None),
        };
        // An `initialize` is of the older era whatever its header says, and so is the session it names.
        if envelope.is("initialize")
            && !self.stateless
            && let Err(refusal) = self.gate.check_session(&parts.headers, &who)
        {
            return refusal.into_response(None);
        }
        if let Some(refusal) = self.lacks_scope(&parts, &envelope, caller) {
            return refusal.into_response(envelope.id);
        }
        if !self.stateless && envelope.is("initialize") && !parts.headers.contains_key(SESSION_HEADER) {
            return match self.gate.begin_session(&who).await {
                Ok(seat) => self.clone().begin(parts, message, envelope, seat).await,
                Err(refusal) => refusal.into_response(envelope.id),
            };
        }
        if envelope.is("subscriptions/listen") {
            return match self.gate.enter_stream(&who) {
                Ok(seat) => self.pass(parts, message).await.map(|body| Streamed::holding(seat, body).boxed()),
                Err(refusal) => refusal.into_response(envelope.id),
            };
        }
        finish(self.pass(parts, message).await, envelope).await
    }

    /// Begins a session. It goes on when the client is gone, so that no session is left which nobody began.
    async fn begin(self, parts: Parts, message: Bytes, envelope: Envelope, seat: Seat) -> Response<Body> {
        let id = envelope.id.clone();
        let task = tokio::spawn(async move {
            let response = self.pass(parts, message).await;
            self.gate.remember(response.headers(), seat);
            finish(response, envelope).await
        });
        task.await.unwrap_or_else(|_| Refusal::busy("the session could not be begun").into_response(id))
    }

    /// Refuses a call for want of a scope in the way that leads a client to a better token. Whatever else keeps the
    /// caller from the tool is the tool's to tell.
    fn lacks_scope(&self, parts: &Parts, envelope: &Envelope, caller: Option<&Caller>) -> Option<Refusal> {
        let listed = catalogue::find(envelope.tool()?)?;
        let denied = self.surface.check(caller?, listed.entry).err()?;
        let scope = denied.scope()?.to_owned();
        let challenge = match parts.extensions.get::<Challenge>() {
            Some(challenge) => challenge.insufficient_scope(&scope),
            None => HeaderValue::from_static("Bearer error=\"insufficient_scope\""),
        };
        let lacking = Error::Denied { tool: listed.entry.name, lacking: denied };
        let refusal = Refusal::insufficient_scope(lacking.to_string(), challenge);
        self.surface.report_refusal(listed.entry, caller?, &parts.extensions, lacking);
        Some(refusal)
    }

    async fn listen(&self, parts: Parts, who: &Who) -> Response<Body> {
        match self.gate.enter_stream(who) {
            Ok(seat) => {
                self.pass(parts, Bytes::new()).await.map(|body| Streamed::holding(seat, body).boxed())
            }
            Err(refusal) => refusal.into_response(None),
        }
    }

    async fn end(&self, parts: Parts) -> Response<Body> {
        let mut response = self.pass(parts, Bytes::new()).await;
        if response.status() == StatusCode::ACCEPTED {
            // It is over, not only noted; the official Python client complains about anything but this.
            *response.status_mut() = StatusCode::OK;
        }
        response
    }

    async fn pass(&self, parts: Parts, body: Bytes) -> Response<Body> {
        self.inner.handle(Request::from_parts(parts, Full::new(body))).await
    }
}

/// Makes of an answer what its client can best use.
async fn finish(response: Response<Body>, envelope: Envelope) -> Response<Body> {
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        // It is JSON; this is rmcp's answer to JSON that it can't read as a message.
        return Refusal::not_a_message().into_response(envelope.id);
    }
    if envelope.is_request() && !envelope.wants_progress() && plain::is_stream(&response) {
        return plain::collapse(response).await;
    }
    response
}

/// Whether a request is of a version of the protocol that knows no sessions. A version that we don't know may have them.
fn is_without_sessions(headers: &HeaderMap) -> bool {
    let mut told = headers.get_all("mcp-protocol-version").iter();
    let Some(version) = told.next().filter(|_| told.next().is_none()) else { return false };
    ProtocolVersion::KNOWN_VERSIONS
        .iter()
        .any(|known| !known.has_initialize() && known.as_str().as_bytes() == version.as_bytes())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// The protocol asks clients to accept JSON and event streams by name. One that accepts anything, or does not say,
/// accepts those too.
fn widen_accept(headers: &mut HeaderMap) {
    let any = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| text.split(',').any(|kind| kind.trim().starts_with("*/*")))
    };
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() || values.any(any) {
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    }
}
