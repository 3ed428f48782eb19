//! The API: an HTTP router over the store.
//!
//! A request goes through `path` (what is it about), the access rules (may it be done), and then one module
//! for each thing that can be done. The router is a `tower` service: a client in the same process needs no socket.

mod accept;
mod body;
mod delete;
mod discovery;
mod exec;
mod list;
mod log;
mod openapi;
mod patch;
mod path;
mod pods;
mod protobuf;
mod query;
mod render;
mod review;
mod table;
mod token;
mod watch;
mod write;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::State, response::Response};
use http::{HeaderMap, Method, Request, StatusCode, header};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    accept::Form,
    path::{ObjectPath, Target},
    query::Query,
};
use crate::{
    access::{Access, Attributes},
    apply::Manager,
    kind::Kind,
    resources::{self, Part},
    runtime::Runtime,
    status::Status,
    store::Store,
    tokens::Issuer,
};

/// How the API behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the one user there is.
    pub user: String,
    /// Whether pods get, and need, a service account, as in every real cluster.
    pub service_accounts: bool,
    /// Signs the tokens of service accounts.
    pub issuer: Issuer,
    /// How often a watch that asks for bookmarks gets one.
    pub bookmark_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user: "developer".into(),
            service_accounts: true,
            issuer: Issuer::default(),
            bookmark_interval: Duration::from_secs(60),
        }
    }
}

/// Everything a request needs.
pub struct Api {
    store: Store,
    runtime: Arc<dyn Runtime>,
    access: Access,
    options: Options,
    closing: CancellationToken,
    conversations: TaskTracker,
}

impl Api {
    /// The API over `store`. Pods are run by `runtime`; watches and commands end when `closing` is
    /// cancelled.
    #[must_use]
    pub fn new(
        store: Store,
        runtime: Arc<dyn Runtime>,
        access: Access,
        options: Options,
        closing: CancellationToken,
    ) -> Self {
        Self { store, runtime, access, options, closing, conversations: TaskTracker::new() }
    }

    /// The commands that are being run. They come to an end when `closing` is cancelled; whoever cancels it can wait
    /// for that.
    #[must_use]
    pub fn conversations(&self) -> TaskTracker {
        self.conversations.clone()
    }

    /// The router. It asks for no credentials: whoever can call it may.
    pub fn router(self) -> Router {
        Router::new().fallback(handle).with_state(Arc::new(self))
    }

    fn allow(&self, attributes: &Attributes) -> Result<(), Status> {
        if self.access.allows(attributes) {
            return Ok(());
        }
        let scope = if attributes.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{}\"", attributes.namespace)
        };
        let why = format!(
            "User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {scope}",
            self.options.user,
            attributes.verb,
            attributes.qualified_resource(),
            attributes.group
        );
        Err(Status::forbidden(&attributes.resource, &attributes.name, why))
    }
}

async fn handle(State(api): State<Arc<Api>>, request: Request<Body>) -> Response {
    let answer = dispatch(&api, request).await;
    answer.unwrap_or_else(|status| render::failure(&status))
}

async fn dispatch(api: &Arc<Api>, request: Request<Body>) -> Result<Response, Status> {
    let target = path::parse(request.uri().path());
    if let Target::Object(path) = target {
        return objects(api, path, request).await;
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match target {
        Target::Nothing => {
            return Ok(render::with_type(
                StatusCode::NOT_FOUND,
                "text/plain; charset=utf-8",
                "404 page not found\n",
            ));
        }
        Target::UnknownResource => return Err(Status::unknown_resource()),
        Target::Review(resource) if request.method() == Method::POST => {
            return review::answer(api, &resource, request).await;
        }
        _ if !reads => return Err(Status::method_not_allowed()),
        _ => {}
    }
    let headers = request.headers();
    match target {
        Target::Health => Ok(render::with_type(StatusCode::OK, "text/plain; charset=utf-8", "ok")),
        Target::Version => Ok(render::json(StatusCode::OK, &discovery::version())),
        Target::Core => Ok(discovery::core_document(headers)),
        Target::Groups => Ok(discovery::groups(headers)),
        Target::CoreResources => Ok(render::json(StatusCode::OK, &discovery::core_resources())),
        Target::Group(group) => discovery::group(&group),
        Target::GroupResources(group) => discovery::group_resources(&group),
        Target::OpenIdConfiguration => Ok(token::configuration()),
        Target::OpenIdKeys => token::keys(api),
        Target::OpenApiIndex => Ok(openapi::index()),
        Target::OpenApi(document) => openapi::document(&document),
        _ => Err(Status::method_not_allowed()),
    }
}

/// A request about objects, with all that was read of it but its body.
struct Call<'a> {
    api: &'a Api,
    path: ObjectPath,
    query: Query,
    headers: HeaderMap,
    form: Form,
}

impl Call<'_> {
    fn kind(&self) -> Kind {
        self.path.kind
    }

    fn part(&self) -> Part {
        match self.path.subresource.as_str() {
            "status" => Part::Status,
            "resize" => Part::Resize,
            _ => Part::Object,
        }
    }

    /// In whose name fields are written: a parameter, else the program's name.
    fn manager(&self, applies: bool) -> Manager {
        let agent =
            self.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let program = agent.split('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        Manager {
            name: self.query.get("fieldManager").unwrap_or(program).to_owned(),
            applies,
            subresource: self.path.subresource.clone(),
        }
    }
}

fn verb(method: &Method, path: &ObjectPath, query: &Query) -> Result<&'static str, Status> {
    let all = path.name.is_empty();
    match *method {
        Method::GET | Method::HEAD if all && query.flag("watch") => Ok("watch"),
        Method::GET | Method::HEAD if all => Ok("list"),
        Method::GET | Method::HEAD => Ok("get"),
        Method::POST => Ok("create"),
        Method::PUT if !all => Ok("update"),
        Method::PATCH if !all => Ok("patch"),
        Method::DELETE if all => Ok("deletecollection"),
        Method::DELETE => Ok("delete"),
        _ => Err(Status::method_not_allowed()),
    }
}

async fn objects(api: &Api, path: ObjectPath, request: Request<Body>) -> Result<Response, Status> {
    let query = Query::parse(request.uri().query());
    let verb = verb(request.method(), &path, &query)?;
    let namespace = if path.kind == Kind::Namespace { &path.name } else { &path.namespace };
    api.allow(&Attributes {
        verb: verb.into(),
        group: String::new(),
        resource: path.kind.resource().into(),
        subresource: path.subresource.clone(),
        namespace: namespace.clone(),
        name: path.name.clone(),
    })?;
    let headers = request.headers().clone();
    match (path.kind, path.subresource.as_str(), verb) {
        (_, "", _) => {}
        (kind, "status", "get" | "update" | "patch") if resources::has_status(kind) => {}
        (Kind::Pod, "resize", "get" | "update" | "patch") => {}
        (Kind::Pod, "log", "get") => return log::read(api, &path, &query).await,
        (Kind::Pod, "exec", "get" | "create") => return exec::start(api, &path, &query, request).await,
        (Kind::ServiceAccount, "token", "create") => return token::create(api, &path, request).await,
        (Kind::ServiceAccount, "token", _) => return Err(Status::method_not_allowed()),
        (kind, "status", _) if resources::has_status(kind) => return Err(Status::method_not_allowed()),
        (Kind::Pod, "log" | "exec" | "resize", _) => return Err(Status::method_not_allowed()),
        _ => return Err(Status::unknown_resource()),
    }
    let form = accept::form(&headers)?;
    let call = Call { api, path, query, headers, form };
    let body = request.into_body();
    match verb {
        "watch" => watch::start(&call),
        "list" => list::list(&call),
        "get" => list::get(&call),
        // New objects are posted to their namespace's collection.
        "create" if !call.path.name.is_empty() => Err(Status::method_not_allowed()),
        "create" if call.kind().is_namespaced() && call.path.namespace.is_empty() => {
            Err(Status::method_not_allowed())
        }
        "create" => write::create(&call, &body::read(body).await?),
        "update" => write::update(&call, &body::read(body).await?),
        "patch" => patch::patch(&call, &body::read(body).await?),
        "delete" => delete::one(&call, &body::read(body).await?),
        _ if call.kind() == Kind::Namespace => Err(Status::method_not_allowed()),
        _ => delete::collection(&call, &body::read(body).await?),
    }
}
