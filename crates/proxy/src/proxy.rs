//! The pipeline.

use std::{net::SocketAddr, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
    request::Parts,
    uri::{PathAndQuery, Scheme},
};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use nocrd_model::{Api, Caller, Protocol, Subject, WorkspaceId};

use crate::{
    AuthEndpoint, Body, Config, Drain, Error, Failure, Guard, Lookup, NotReady, Peer, Received, Stay, Target,
    Unknown, Visitor, WorkspaceDirectory,
    directory::{Place, Resolved},
    guard::{Cookies, has_bearer},
    headers::{self, Outside, Said},
    path::{self, Route},
    respond::Asker,
    second_look,
    upstream::{Destination, IdleLimit, Lease, Outgoing, Upstream, is_idempotent},
    websocket::{Handshake, Seats, Tunnel},
};

/// The methods named to a client that uses one we never forward. Others than these are forwarded too.
const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// The proxy. Cheap to clone; all clones share their connections to pods.
#[derive(Clone)]
pub struct Proxy {
    inner: Arc<Inner>,
    /// `None` lets everybody in.
    guard: Option<Arc<dyn Guard>>,
}

struct Inner {
    directory: Arc<dyn WorkspaceDirectory>,
    config: Arc<Config>,
    drain: Drain,
    upstream: Upstream,
    tunnels: Seats,
}

/// What both kinds of requests need to know.
struct Exchange<'a> {
    id: &'a WorkspaceId,
    target: &'a Target,
    resolved: Resolved<'a>,
    /// How the request goes to the pod.
    protocol: Protocol,
    /// `<base>/route/<id>`.
    prefix: &'a str,
    /// Who the workspace is told it is.
    identity: Option<&'a Caller>,
    /// Who it is, told or not.
    visitor: Option<&'a Subject>,
    /// How long what they open stays open.
    stay: Option<&'a Stay>,
    /// Whether the workspace is somebody else's.
    guest: bool,
    /// Whether its pages are kept from the rest of the site.
    shut_in: bool,
}

/// Who sends a request.
enum Sender {
    /// Somebody.
    Known(Visitor),
    /// Nobody knows, and this is what they are told unless the workspace is for everybody.
    Unknown(Box<Unknown>),
}

impl Sender {
    fn known(self) -> Option<Visitor> {
        match self {
            Self::Known(visitor) => Some(visitor),
            Self::Unknown(_) => None,
        }
    }

    /// The answer to who may not reach a workspace that exists.
    fn turned_away(
        self,
        guard: Option<&dyn Guard>,
        id: &WorkspaceId,
        parts: &Parts,
    ) -> Result<Response<Body>, Error> {
        match self {
            Self::Known(visitor) => {
                if let Some(guard) = guard {
                    guard.turned_away(&visitor, id, parts);
                }
                Err(Error::NotFound(id.clone()))
            }
            Self::Unknown(unknown) => Ok(unknown.answer),
        }
    }
}

/// A request for one of a workspace's [`AuthEndpoint`]s.
struct Asked<'a> {
    endpoint: AuthEndpoint,
    id: &'a WorkspaceId,
    target: &'a Target,
    parts: &'a Parts,
    peer: &'a Peer,
}

impl Proxy {
    /// A proxy to the workspaces of `directory` that asks nobody who they are: see [`Proxy::with_guard`].
    #[must_use]
    pub fn new(directory: Arc<dyn WorkspaceDirectory>, config: Config, drain: Drain) -> Self {
        let upstream = Upstream::new(&config);
        let tunnels = Seats::new(&config);
        let config = Arc::new(config);
        Self { inner: Arc::new(Inner { directory, config, drain, upstream, tunnels }), guard: None }
    }

    /// The same proxy, with connections to pods of its own: for a thread that serves requests with nobody's help. All limits
    /// count for both together.
    #[must_use]
    pub fn with_own_connections(&self) -> Self {
        let Inner { directory, config, drain, tunnels, .. } = &*self.inner;
        let inner = Inner {
            directory: Arc::clone(directory),
            config: Arc::clone(config),
            drain: drain.clone(),
            upstream: Upstream::new(config),
            tunnels: tunnels.clone(),
        };
        Self { inner: Arc::new(inner), guard: self.guard.clone() }
    }

    /// The same proxy, which lets in whom `guard` knows, to where it says they may go.
    #[must_use]
    pub fn with_guard(self, guard: Arc<dyn Guard>) -> Self {
        Self { guard: Some(guard), ..self }
    }

    /// Tells whether a path is the proxy's: `<base>/route` and everything below. Ask with the raw path of the request's
    /// target, before anything decodes or normalises it.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        path::is_route(&self.inner.config.base_path, path)
    }

    /// Answers a request: with the workspace's answer, or with an error's. Serve its connection
    /// [with upgrades](hyper::server::conn::http1::Connection::with_upgrades), or WebSockets won't open.
    ///
    /// Dropping the future, or the answer's body, breaks off the request to the pod.
    pub async fn handle(&self, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
        let asker = Asker::of(request.method(), request.headers());
        let mut cookies = Cookies::default();
        let mut answer = match self.inner.serve(request, peer, self.guard.as_deref(), &mut cookies).await {
            Ok(answer) => answer,
            Err(error) => self.inner.refuse(&error, &asker),
        };
        cookies.write(answer.headers_mut());
        answer
    }
}

impl Inner {
    async fn serve(
        &self,
        mut request: Request<Incoming>,
        peer: &Peer,
        guard: Option<&dyn Guard>,
        cookies: &mut Cookies,
    ) -> Result<Response<Body>, Error> {
        if self.drain.is_started() {
            return Err(Error::Draining);
        }
        // Parse.
        match *request.method() {
            Method::CONNECT => {
                return Err(Error::UpgradeRefused("WebSockets are served over HTTP/1.1 only"));
            }
            // It would show a client what this proxy adds to its requests.
            Method::TRACE => return Err(Error::MethodNotAllowed),
            _ => {}
        }
        let has_body = !http_body::Body::is_end_stream(request.body());
        if let Some(received) = request.extensions().get::<Received>()
            && has_body
        {
            received.part();
        }
        let host = headers::host::of_request(request.uri(), request.headers(), request.version())?;
        let handshake = Handshake::wanted(request.method(), request.version(), request.headers(), has_body)?;
        let upgrade = handshake.map(|handshake| (handshake, hyper::upgrade::on(&mut request)));
        let (mut parts, body) = request.into_parts();
        let uri = parts.uri.clone();
        let Route { id, rest, alias } = path::parse(&self.config.base_path, uri.path())?;
        if upgrade.is_none() && rest.is_empty() && matches!(parts.method, Method::GET | Method::HEAD) {
            return redirect_to_slash(&uri);
        }
        if upgrade.is_some() && !self.config.origins.allows(&parts.headers, host.as_ref(), peer.is_tls()) {
            return Err(Error::ForeignOrigin);
        }

        // Authenticate.
        let mut sender = match guard {
            None => Sender::Known(Visitor::local()),
            Some(guard) => match guard.authenticate(&parts, peer, upgrade.is_some()).await {
                Ok(visitor) => Sender::Known(visitor),
                Err(unknown) if unknown.is_final => return Ok(unknown.answer),
                Err(unknown) => Sender::Unknown(Box::new(unknown)),
            },
        };
        // What a WebSocket carries later can't be told from its handshake.
        let write = upgrade.is_some() || !parts.method.is_safe();
        if let Sender::Known(visitor) = &mut sender {
            *cookies = Cookies::take_from(visitor);
            // Browsers send cookies along whoever makes them send a request.
            if visitor.via_cookie
                && write
                && !self.config.origins.proves(&parts.headers, host.as_ref(), peer.is_tls())
            {
                return Err(Error::ForeignOrigin);
            }
        }

        // Resolve, and authorise.
        let found = match self.find(&id) {
            Ok(found) => found,
            Err(error) => {
                return match sender {
                    Sender::Known(_) => Err(error),
                    // Whom nobody knows learns nothing of what there is.
                    Sender::Unknown(unknown) => Ok(unknown.answer),
                };
            }
        };
        let target = found.target();
        let auth = target.auth();
        if let Some(endpoint) = AuthEndpoint::at(rest) {
            let asked = Asked { endpoint, id: &id, target, parts: &parts, peer };
            return Box::pin(self.auth_endpoint(asked, sender, guard, cookies)).await;
        }
        // What begins like an API on the workspace's own port is that API's, whatever the method and the spelling.
        let is_open = auth.open && !target.has_api_at(alias.as_deref().unwrap_or(rest));
        let resolved = {
            let may_reach = |api: Option<&Api>| match &sender {
                _ if is_open && api.is_none() => true,
                Sender::Known(visitor) => {
                    guard.is_none_or(|guard| guard.may_reach(visitor, target, api, write))
                }
                Sender::Unknown(_) => false,
            };
            match target.resolve(&parts.method, rest, alias.as_deref()) {
                Ok(resolved) if may_reach(resolved.api) => resolved,
                // That a path is ambiguous tells what APIs there are.
                Err(problem) if may_reach(None) => {
                    cookies.grant();
                    return Err(Error::InvalidPath(problem));
                }
                Ok(_) | Err(_) => return sender.turned_away(guard, &id, &parts),
            }
        };
        cookies.grant();
        let foreign = matches!(&sender, Sender::Unknown(unknown) if unknown.foreign_credentials);
        let mut visitor = sender.known();
        let guest =
            guard.is_some() && visitor.as_ref().is_none_or(|visitor| visitor.is_guest_of(target.owner()));
        let told = |error: Error| if guest { error.for_guests() } else { error };
        found.check(&id, &self.config).map_err(told)?;
        // What is for everybody is told nothing of anybody.
        let open = guard.is_some() && is_open && resolved.api.is_none();
        // However many others come, its owner gets through.
        let most = self.config.max_requests_per_workspace;
        let place = target.enter(if guest { others_share(most) } else { most }).ok_or(Error::Busy)?;
        let injects = self.config.inject_token && !guest && !open;
        if let (Some(guard), Some(known)) = (guard, &visitor)
            && known.token.is_none()
            && !open
            && (auth.require_token || auth.inject_headers && injects)
        {
            let fetched = guard.fetch_token(known, &parts, peer).await;
            let has_token = fetched.as_ref().is_some_and(|fetched| fetched.token.is_some());
            if let Some(mut fetched) = fetched {
                cookies.replace(&mut fetched);
                visitor = Some(fetched);
            }
            if auth.require_token && !has_token {
                return Ok(guard.wants_token(&parts, peer));
            }
        }

        // Clean, and forward or tunnel.
        let prefix = uri.path().get(..uri.path().len() - rest.len()).unwrap_or_default();
        let known = visitor.as_ref().filter(|_| !open);
        let exchange = Exchange {
            id: &id,
            target,
            resolved,
            protocol: if is_grpc(&parts) { Protocol::H2c } else { resolved.port.protocol },
            prefix,
            identity: known.and_then(Visitor::identity),
            visitor: visitor.as_ref().map(|visitor| &visitor.caller.subject),
            stay: known.map(|visitor| &visitor.stay),
            guest,
            // Anybody may have left a script there.
            shut_in: guest || open,
        };
        // Programs compare a WebSocket's `Origin` with its `Host`, so that must be the one the client used. For other
        // requests it is the pod's address, which development servers accept without being told our name.
        let authority = match &upgrade {
            Some(_) => host.as_ref().unwrap_or(&resolved.port.authority),
            None => &resolved.port.authority,
        };
        let said = Said {
            peer,
            host: host.as_ref(),
            prefix: header_value(prefix)?,
            authority: authority.clone(),
            identity: exchange.identity,
            token: known.and_then(|visitor| visitor.token.as_ref()).filter(|_| injects),
            keeps_authorization: match &visitor {
                Some(visitor) => visitor.keeps_authorization(target.owner(), &parts.headers),
                // It may be one of ours that was not looked at, or is not enough.
                None => !foreign && has_bearer(&parts.headers),
            },
        };
        let asks_first = parts.version == Version::HTTP_11
            && exchange.protocol == Protocol::Http
            && headers::has_token(&parts.headers, &header::EXPECT, "100-continue");
        headers::clean_request(&mut parts.headers, said);
        let (body, place) = Outgoing::new(body, parts.extensions.remove(), place);
        let mut outgoing = Request::new(body);
        *outgoing.uri_mut() = self.forwarded(&uri, &exchange)?;
        *outgoing.method_mut() = parts.method;
        *outgoing.headers_mut() = parts.headers;
        if asks_first {
            Outgoing::ask_first(&mut outgoing);
        }
        let repeatable = is_idempotent(outgoing.method());
        let answer = match upgrade {
            None => self.forward(&exchange, place, &mut outgoing).await,
            // Boxed, like everything large that few requests need: the future of each is moved more than once.
            Some((handshake, client)) => {
                Box::pin(self.tunnel(&exchange, place, &mut outgoing, &handshake, client)).await
            }
        };
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => second_look::explain(&*self.directory, &id, target, error, repeatable),
        };
        let error = told(Box::pin(error).await);
        if !matches!(error, Error::NotReady { .. } | Error::NotFound(_)) {
            tracing::warn!(
                workspace.id = %id,
                route.api = resolved.api.map(|api| api.name.as_str()),
                port = resolved.port.number,
                code = error.code().id,
                cause = std::error::Error::source(&error).map(tracing::field::display),
                "{error}"
            );
        }
        Err(error)
    }

    /// Answers in the workspace's place, for its owner only: these hand out what the owner's pages may do.
    async fn auth_endpoint(
        &self,
        asked: Asked<'_>,
        sender: Sender,
        guard: Option<&dyn Guard>,
        cookies: &mut Cookies,
    ) -> Result<Response<Body>, Error> {
        let Asked { endpoint, id, target, parts, peer } = asked;
        let owns = matches!(&sender, Sender::Known(visitor) if !visitor.is_guest_of(target.owner()));
        if !owns {
            return sender.turned_away(guard, id, parts);
        }
        cookies.grant();
        if !target.auth().token_api {
            return Err(Error::NoTokenApi);
        }
        if parts.method != endpoint.method() {
            return Err(Error::MethodNotAllowed);
        }
        match guard {
            Some(guard) => Ok(guard.auth_endpoint(endpoint, id, target.owner(), parts, peer).await),
            None => Err(Error::NobodyAsked),
        }
    }

    fn find(&self, id: &WorkspaceId) -> Result<Found, Error> {
        match self.directory.lookup(id) {
            Lookup::Found(target) => Ok(Found::Ready(target)),
            Lookup::NotReady { owner, apis, auth, why } => {
                Ok(Found::NotReady(Box::new(Target::absent(owner, apis, auth)), why))
            }
            Lookup::NotFound => Err(Error::NotFound(id.clone())),
            Lookup::NotSynced => Err(Error::NotSynced),
        }
    }

    /// The target of the request to the pod: what follows the workspace's id, byte for byte, without the path of an API
    /// that is stripped, or with `/route/<id>` in front for programs that want that.
    fn forwarded(&self, uri: &Uri, exchange: &Exchange<'_>) -> Result<Uri, Error> {
        let whole = uri.path_and_query().map_or("", PathAndQuery::as_str);
        let stripped = exchange.resolved.stripped;
        let front = if exchange.target.subfolder() && stripped.is_empty() {
            exchange.prefix.strip_prefix(self.config.base_path.as_str()).unwrap_or_default()
        } else {
            ""
        };
        // It can't fail: it is made of a valid target, and not longer than that but for a slash.
        path::forwarded(whole, exchange.prefix.len() + stripped.len(), front)
            .map(Uri::from)
            .map_err(|_| Error::RouteNotFound)
    }

    async fn forward(
        &self,
        exchange: &Exchange<'_>,
        place: Place,
        request: &mut Request<Outgoing>,
    ) -> Result<Response<Body>, Error> {
        if exchange.protocol == Protocol::H2c {
            address_http2(request)?;
        } else if matches!(request.body(), Outgoing::Upload { .. })
            && !request.headers().contains_key(header::CONTENT_LENGTH)
        {
            request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if !self.config.keep_alive && exchange.protocol == Protocol::Http {
            request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let (answer, lease) = self.upstream.send(exchange.destination(&*self.directory), request).await?;
        Ok(self.passed_on(exchange, place, answer, lease))
    }

    /// A pod's answer, as a client gets it.
    fn passed_on(
        &self,
        exchange: &Exchange<'_>,
        place: Place,
        answer: Response<Incoming>,
        lease: Lease,
    ) -> Response<Body> {
        let (status, mut headers, body) = self.cleaned(exchange, answer);
        if lease.is_refusal() {
            // Whether the client sends its body now is for it to decide: what follows can't be told from that.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let mut body = Body::stream(body, lease, self.idle_limit(), place);
        // Other answers end by themselves.
        if let Some(stay) = exchange.stay.filter(|stay| stay.is_limited()) {
            if is_event_stream(&headers) {
                body = body.within(stay.clone());
            } else if is_grpc_message(&headers) {
                // Both sides may talk for as long as they like, and neither may go on.
                body = body.within(stay.clone()).breaking();
            }
        }
        respond(status, headers, body)
    }

    async fn tunnel(
        &self,
        exchange: &Exchange<'_>,
        place: Place,
        request: &mut Request<Outgoing>,
        handshake: &Handshake,
        client: OnUpgrade,
    ) -> Result<Response<Body>, Error> {
        let stranger_at = (exchange.guest && exchange.identity.is_none()).then(|| exchange.target.owner());
        let user = exchange.identity.map(|caller| &caller.subject);
        let seat = self.tunnels.take(user, stranger_at, exchange.id, exchange.guest)?;
        Handshake::write_request(request.headers_mut());
        let to = exchange.destination(&*self.directory);
        let (mut answer, lease) = self.upstream.send_upgradeable(to, request).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(self.passed_on(exchange, place, answer, lease));
        }
        if !handshake.is_agreed(answer.status(), answer.headers()) {
            return Err(Error::Invalid("the pod's 101 does not agree to the WebSocket handshake".into()));
        }
        let pod = hyper::upgrade::on(&mut answer);
        let (status, mut headers, _) = self.cleaned(exchange, answer);
        Handshake::write_response(&mut headers);
        let tunnel = Tunnel {
            client,
            pod,
            idle_timeout: self.config.idle_timeout,
            close_timeout: self.config.close_timeout,
            drain: self.drain.clone(),
            seat,
            stay: exchange.stay.cloned().unwrap_or_default(),
        };
        self.drain.tunnels().spawn(tunnel.run());
        Ok(respond(status, headers, Body::empty()))
    }

    /// The parts of a pod's answer that a client gets.
    fn cleaned(
        &self,
        exchange: &Exchange<'_>,
        answer: Response<Incoming>,
    ) -> (StatusCode, HeaderMap, Incoming) {
        let (mut parts, body) = answer.into_parts();
        let outside = Outside {
            base: self.config.base_path.as_str(),
            prefix: exchange.prefix,
            stripped: exchange.resolved.stripped,
            target: exchange.target,
        };
        headers::clean_response(&mut parts.headers, &outside, exchange.shut_in);
        (parts.status, parts.headers, body)
    }

    fn idle_limit(&self) -> IdleLimit {
        IdleLimit::new(self.config.idle_timeout)
    }

    /// The answer to a request that failed.
    fn refuse(&self, error: &Error, asker: &Asker) -> Response<Body> {
        let message = error.to_string();
        let failure = Failure {
            code: error.code(),
            message: &message,
            retry_after: error.retry_after(),
            progress: error.progress(),
        };
        let (mut parts, body) = self.config.errors.render(&failure, asker.wants()).into_parts();
        let headers = &mut parts.headers;
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match error {
            Error::MethodNotAllowed => {
                headers.insert(header::ALLOW, ALLOW);
            }
            Error::UpgradeRefused(_) => {
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            // The client should come back over another connection, to a server that stays.
            Error::Draining => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let body = if asker.is_head() { Body::empty() } else { Body::from(body) };
        Response::from_parts(parts, body)
    }
}

/// A workspace that exists: nothing of it is told before the visitor is known to be let in.
enum Found {
    Ready(Arc<Target>),
    NotReady(Box<Target>, NotReady),
}

impl Found {
    fn target(&self) -> &Target {
        match self {
            Self::Ready(target) => target,
            Self::NotReady(target, _) => target,
        }
    }

    /// Tells what keeps requests from it: it is not ready, or its address is not one to be dialled.
    fn check(&self, id: &WorkspaceId, config: &Config) -> Result<(), Error> {
        match self {
            Self::Ready(target) if config.addresses.allows(target.ip()) => Ok(()),
            Self::Ready(target) => {
                tracing::warn!(workspace.id = %id, ip = %target.ip(), "pod address refused");
                Err(Error::AddressRefused)
            }
            Self::NotReady(_, why) => Err(Error::NotReady { id: id.clone(), why: why.clone() }),
        }
    }
}

impl<'a> Exchange<'a> {
    fn destination(&self, directory: &'a dyn WorkspaceDirectory) -> Destination<'a> {
        Destination {
            addr: SocketAddr::new(self.target.ip(), self.resolved.port.number.get()),
            uid: self.target.uid(),
            id: self.id,
            directory,
            protocol: self.protocol,
            visitor: self.visitor,
        }
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("config", &self.inner.config)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// `/route/<id>` is answered with `/route/<id>/`, or a page's relative links would lead to other workspaces.
fn redirect_to_slash(uri: &Uri) -> Result<Response<Body>, Error> {
    let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
    let mut headers = HeaderMap::new();
    headers.insert(header::LOCATION, header_value(&[uri.path(), "/", &query].concat())?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(respond(StatusCode::PERMANENT_REDIRECT, headers, Body::empty()))
}

/// How much of what there is for a workspace is for others than its owner.
pub(crate) fn others_share(all: usize) -> usize {
    all - all.div_ceil(4)
}

/// Whether it is a call of gRPC, which exists over HTTP/2 only.
fn is_grpc(parts: &Parts) -> bool {
    parts.version == Version::HTTP_2 && is_grpc_message(&parts.headers)
}

/// Whether it is a message of gRPC; gRPC-Web is another protocol, made for HTTP/1.1.
fn is_grpc_message(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.get(..GRPC.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(GRPC))
            && matches!(kind.get(GRPC.len()), None | Some(b'+' | b';'))
    })
}

/// In HTTP/2 the target tells what `Host` does elsewhere (RFC 9113, 8.3.1).
fn address_http2(request: &mut Request<Outgoing>) -> Result<(), Error> {
    let authority = request.headers_mut().remove(header::HOST).ok_or(Error::RouteNotFound)?;
    let mut target = std::mem::take(request.uri_mut()).into_parts();
    target.scheme = Some(Scheme::HTTP);
    target.authority = Some(authority.as_bytes().try_into().map_err(|_| Error::RouteNotFound)?);
    *request.uri_mut() = Uri::from_parts(target).map_err(|_| Error::RouteNotFound)?;
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}

/// Whether it is a stream of events, which ends when one side has had enough (HTML Living Standard, 9.2).
fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
    })
}

/// A part of the request's target as a header's value.
fn header_value(text: &str) -> Result<HeaderValue, Error> {
    // Control characters, all that a value may not hold, were no part of a valid target.
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| Error::RouteNotFound)
}
