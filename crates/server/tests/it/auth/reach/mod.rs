//! Who reaches what of workspaces: every treatment of authentication, every visibility, every kind of caller, every
//! method, over the whole server. What should come of each is worked out by the [`oracle`].

mod callers;
mod oracle;
mod places;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use axum::{
    Router,
    extract::{Request, State},
    http::HeaderMap,
    response::IntoResponse,
    routing::any,
};
use futures::{StreamExt as _, stream};
use nocrd_model::{Api, AuthMode, Visibility};
use nocrd_proxy_core::AuthEndpoint;
use nocrd_testkit::{Idp, idp};
use tokio::net::TcpListener;

use super::World;
use crate::support::Cluster;
use callers::{BOSS, CALLERS, Known, OWNER};
use oracle::{Answer, Question, Seen};
use places::{APIS, METHODS, Place, Rule, TREATMENTS, Treatment, UPGRADE};

/// How many requests are under way at a time.
const AT_ONCE: usize = 16;
/// So many refused tokens are no reason to make anybody wait.
const PATIENT: [(&str, &str); 2] = [("RATE_LIMIT_MAX", "1000000"), ("AUTH_ADMIN_USERS", BOSS)];

/// A program in the pod: it tells in headers what it was sent, and counts.
async fn program(count: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().fallback(any(tell)).with_state((port, count));
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

async fn tell(State((port, count)): State<(u16, Arc<AtomicUsize>)>, request: Request) -> impl IntoResponse {
    count.fetch_add(1, SeqCst);
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let mut told = HeaderMap::new();
    told.insert("x-seen-port", port.into());
    told.insert("x-seen-path", request.uri().path().parse().unwrap());
    for (to, from) in [("x-seen-sub", "x-user-sub"), ("x-seen-token", "x-workspace-jwt")] {
        if let Some(value) = header(from) {
            told.insert(to, value.parse().unwrap());
        }
    }
    if header("authorization").is_some() {
        told.insert("x-seen-authorization", port.into());
    }
    if header("cookie").is_some_and(|all| all.contains("nocr_")) {
        told.insert("x-seen-cookie", port.into());
    }
    told
}

/// A server with the workspaces, and what runs in their pods.
struct Site {
    world: World,
    main: u16,
    reached: Arc<AtomicUsize>,
    callers: Vec<Known>,
    introspects: bool,
}

impl Site {
    async fn start(idp: Idp, env: &[(&str, &str)], treatments: &'static [Treatment]) -> Self {
        let introspects = env.iter().any(|(name, _)| *name == "INTROSPECTION_ENDPOINT");
        let world = World::with(Cluster::start().await, idp, &[env, &PATIENT].concat()).await;
        let reached = Arc::default();
        let (main, side) = (program(Arc::clone(&reached)).await, program(Arc::clone(&reached)).await);
        for treatment in treatments {
            world.cluster.add_pod_of(treatment.id, main, OWNER, &treatment.annotations(main, side));
            world.cluster.make_ready(treatment.id);
        }
        let token = world.token(OWNER, &["user"], "nogoo9:read");
        for treatment in treatments {
            world
                .server
                .until_as(&token, &format!("/route/{}/", treatment.id), |status, _| status == 200)
                .await;
        }
        reached.store(0, SeqCst);
        let mut callers = Vec::new();
        for caller in CALLERS {
            callers.push(Known::make(&world, caller).await);
        }
        Self { world, main, reached, callers, introspects }
    }

    /// Everything of these workspaces, and of one that there is not, by everybody.
    fn questions(&self, treatments: &'static [Treatment]) -> Vec<(&Known, Question)> {
        let mut all = Vec::new();
        for known in &self.callers {
            for method in METHODS {
                let question = |treatment, place| {
                    (
                        known,
                        Question {
                            introspects: self.introspects,
                            treatment,
                            place,
                            caller: known.caller,
                            method,
                        },
                    )
                };
                let missing = [Place::Main].into_iter().chain(AuthEndpoint::ALL.map(Place::Endpoint));
                all.extend(missing.map(|place| question(None, place)));
                for treatment in treatments.iter().filter(|treatment| treatment.is_asked_with(method)) {
                    all.extend(treatment.places().map(|place| question(Some(treatment), place)));
                }
            }
        }
        all
    }

    async fn check(self, treatments: &'static [Treatment]) {
        let questions = self.questions(treatments);
        let asking = stream::iter(&questions).map(|(known, question)| self.differs(known, question));
        let wrong: Vec<String> =
            asking.buffer_unordered(AT_ONCE).filter_map(async |wrong| wrong).collect().await;
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), questions.len(), wrong.join("\n"));
        let reach = questions.iter().filter(|(_, question)| matches!(question.answer(), Answer::Reached(_)));
        assert_eq!(self.reached.load(SeqCst), reach.count(), "what was refused reached a pod");
        self.world.server.stop().await;
    }

    /// What is wrong with the answer.
    async fn differs(&self, known: &Known, question: &Question) -> Option<String> {
        let id = question.treatment.map_or("missing", |treatment| treatment.id);
        let path = format!("/route/{id}{}", question.place.path());
        let mut request = known.identify(self.world.ask(question.asked().parse().unwrap(), &path, None));
        if question.method == UPGRADE {
            request = known.opens_websocket(request);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers());
        let found = match headers.contains_key("x-seen-port") {
            true => Answer::Reached(self.seen(headers)),
            false => Answer::Is(status),
        };
        let mut wrong = Vec::new();
        if found != question.answer() {
            wrong.push(format!("{found:?}, not {:?}", question.answer()));
        }
        if headers.contains_key("x-seen-cookie") {
            wrong.push("the pod got our cookies".to_owned());
        }
        if status == 401 && !headers.contains_key("www-authenticate") && !path.ends_with("/refresh") {
            wrong.push("no challenge".to_owned());
        }
        let name = known.caller.name;
        (!wrong.is_empty()).then(|| format!("{} {path} {name}: {}", question.method, wrong.join("; ")))
    }

    /// What reached the pod.
    fn seen(&self, headers: &HeaderMap) -> Seen {
        let told = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let policies = headers.get_all("content-security-policy");
        Seen {
            on_main: told("x-seen-port") == Some(self.main.to_string()),
            path: told("x-seen-path").unwrap(),
            sub: told("x-seen-sub"),
            token: headers.contains_key("x-seen-token"),
            authorization: headers.contains_key("x-seen-authorization"),
            shut_in: policies.iter().any(|policy| policy.to_str().unwrap().starts_with("sandbox")),
        }
    }
}

#[tokio::test]
async fn t50_d08_d21_d43_everybody_asks_for_everything() {
    Site::start(Idp::start().await, &[], TREATMENTS).await.check(TREATMENTS).await;
}

/// Tokens that only the provider can read count like any other.
#[tokio::test]
async fn t09_with_tokens_that_are_introspected() {
    /// It has APIs that ask who comes, and does not ask itself.
    const OPEN: &[Treatment] = &[TREATMENTS[1]];
    assert!(OPEN[0].open);
    let config = idp::Config { access_tokens: idp::TokenForm::Opaque, ..idp::Config::default() };
    let idp = Idp::with(config).await;
    let endpoint = idp.introspection_endpoint();
    let env = [("INTROSPECTION_ENDPOINT", &*endpoint), ("OAUTH_CLIENT_SECRET", idp::SECRET)];
    Site::start(idp, &env, OPEN).await.check(OPEN).await;
}

/// The kinds of visibility that there are. Whoever adds one adds APIs of it to the table.
fn kind(visibility: &Visibility) -> &'static str {
    match visibility {
        Visibility::Private => "private",
        Visibility::Internal => "internal",
        Visibility::Admin => "admin",
        Visibility::Scope(_) => "scope",
        Visibility::Role(_) => "role",
        Visibility::Subjects(_) => "subjects",
    }
}

/// The kind that a rule speaks of.
fn kind_of(rule: Rule) -> &'static str {
    match rule {
        Rule::Nobody => "private",
        Rule::SignedIn => "internal",
        Rule::Administrators => "admin",
        Rule::Scope(_) => "scope",
        Rule::Role(_) => "role",
        Rule::People(_) => "subjects",
    }
}

#[test]
fn no_visibility_and_no_treatment_is_without_a_row() {
    let annotations = TREATMENTS[0].annotations(3000, 4000).into_iter().collect();
    let (apis, problems) = Api::parse_all(&annotations);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(apis.len(), APIS.len(), "a name twice");
    for api in &apis {
        let declared = APIS.iter().find(|declared| declared.name == api.name).unwrap();
        assert_eq!(kind(&api.visibility), kind_of(declared.rule), "{}", api.name);
    }
    let kinds: BTreeSet<_> = apis.iter().map(|api| kind(&api.visibility)).collect();
    assert_eq!(kinds.len(), 6, "a kind has no row, or is new: {kinds:?}");

    let mut seen = [false; 4];
    for treatment in TREATMENTS {
        let annotations = treatment.annotations(3000, 4000).into_iter().collect();
        // All fields, so that a new one needs a row.
        let AuthMode { open, token_api, inject_headers, require_token } = AuthMode::parse(&annotations).0;
        let read = [open, token_api, inject_headers, require_token];
        let said = [treatment.open, treatment.token_api, treatment.fetches, treatment.needs_token];
        assert_eq!(read, said, "{}", treatment.id);
        seen.iter_mut().zip(read).for_each(|(seen, read)| *seen |= read);
    }
    assert_eq!(seen, [true; 4]);
}

#[test]
fn the_endpoints_of_a_workspace_are_at_their_paths() {
    for endpoint in AuthEndpoint::ALL {
        assert_eq!(AuthEndpoint::at(endpoint.path()), Some(endpoint));
    }
}
