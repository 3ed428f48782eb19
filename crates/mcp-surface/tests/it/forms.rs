//! Secret context, which is given on a page of the server and never through a client, in both eras of the protocol.

use futures::future::BoxFuture;
use nocrd_devcluster::kind::Kind;
use nocrd_mcp_surface::{ContextForms, Opened, Options, Taken, Values, Wanted};
use nocrd_model::Caller;
use rmcp::{
    ClientHandler, ErrorData, RoleClient,
    model::{
        CallToolRequest, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig, ClientRequest,
        CustomNotification, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability,
        FormElicitationCapability, Implementation, InputRequest, InputRequiredResult, InputResponses,
        ProgressNotificationParam, UrlElicitationCapability,
    },
    service::{NotificationContext, PeerRequestOptions, RequestContext, RunningService},
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

use crate::{
    dev::DevWorld,
    elicit::{ERAS, Era, error_id, params, serve},
    world::until,
};

/// Pages that nobody serves: tests fill them in.
#[derive(Debug, Default)]
struct Pages {
    forms: Mutex<Vec<Form>>,
    /// Whether there can be none.
    shut: std::sync::atomic::AtomicBool,
    looked: Notify,
    changed: Notify,
}

#[derive(Debug)]
struct Form {
    caller: Caller,
    told: String,
    values: Option<Values>,
    /// Taken, or closed.
    over: bool,
}

impl Pages {
    fn fill_in(&self, id: &str, values: &Value) {
        let values = values.as_object().unwrap().iter();
        let values = values.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        self.forms.lock().unwrap()[id.parse::<usize>().unwrap()].values = Some(values.collect());
        self.changed.notify_one();
    }

    /// What the pages were told, and whether they are over.
    fn told(&self) -> Vec<(String, bool)> {
        self.forms.lock().unwrap().iter().map(|form| (form.told.clone(), form.over)).collect()
    }
}

impl ContextForms for Pages {
    fn open<'a>(&'a self, wanted: &'a Wanted<'a>) -> BoxFuture<'a, Option<Opened>> {
        Box::pin(async {
            if self.shut.load(std::sync::atomic::Ordering::Relaxed) {
                return None;
            }
            let mut forms = self.forms.lock().unwrap();
            let id = forms.len().to_string();
            let Wanted { caller, title, template, name, names } = wanted;
            let told = format!("{title} {template:?} {name:?} {names:?}");
            forms.push(Form { caller: (*caller).clone(), told, values: None, over: false });
            Some(Opened { url: format!("https://gw.example/context/secret-{id}"), id })
        })
    }

    fn take<'a>(&'a self, id: &'a str, caller: &'a Caller) -> BoxFuture<'a, Taken> {
        Box::pin(async {
            let mut forms = self.forms.lock().unwrap();
            let form = &mut forms[id.parse::<usize>().unwrap()];
            if form.over || form.caller != *caller {
                return Taken::Gone;
            }
            match form.values.take() {
                Some(values) => {
                    form.over = true;
                    Taken::Given(values)
                }
                None => Taken::NotYet,
            }
        })
    }

    fn wait<'a>(&'a self, _id: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async {
            self.looked.notify_one();
            self.changed.notified().await;
        })
    }

    fn close<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async { self.forms.lock().unwrap()[id.parse::<usize>().unwrap()].over = true })
    }
}

/// What a user does whose client shows the address of a page.
#[derive(Debug, Clone)]
enum Does {
    /// Fills it in, and then says that they went there.
    FillsIn(Value),
    /// Says so before.
    GoesThere,
    Declines,
    Cancels,
}

#[derive(Clone)]
struct User {
    does: Does,
    elicits: Option<ElicitationCapability>,
    pages: Arc<Pages>,
    /// What the client was shown, and told.
    seen: Arc<Mutex<Vec<String>>>,
}

impl ClientHandler for User {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation = self.elicits.clone();
        ClientConfig::new(capabilities, Implementation::new("test", "1"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::UrlElicitationParams { url, elicitation_id, message, .. } = request else {
            panic!("a form of the client");
        };
        assert!(message.contains("neither this client nor the model"), "{message}");
        self.seen.lock().unwrap().push(url);
        Ok(ElicitResult::new(match &self.does {
            Does::FillsIn(values) => {
                self.pages.fill_in(&elicitation_id, values);
                ElicitationAction::Accept
            }
            Does::GoesThere => ElicitationAction::Accept,
            Does::Declines => ElicitationAction::Decline,
            Does::Cancels => ElicitationAction::Cancel,
        }))
    }

    async fn on_custom_notification(
        &self,
        notification: CustomNotification,
        _context: NotificationContext<RoleClient>,
    ) {
        let params = notification.params.unwrap_or_default();
        self.seen.lock().unwrap().push(format!("{} {params}", notification.method));
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        assert!(params.progress > 0.0);
        self.seen.lock().unwrap().push(format!("progress: {}", params.message.unwrap_or_default()));
    }
}

fn elicits(form: bool, url: bool) -> Option<ElicitationCapability> {
    let mut capability = ElicitationCapability::default();
    capability.form = form.then(FormElicitationCapability::default);
    capability.url = url.then(UrlElicitationCapability::default);
    Some(capability)
}

type Client = RunningService<RoleClient, User>;

struct Stage {
    world: DevWorld,
    pages: Arc<Pages>,
}

impl Stage {
    /// With the templates `secret`, of which a part is plain, and `plain`.
    async fn new() -> Self {
        let pages = Arc::<Pages>::default();
        let options = Options { forms: Some(pages.clone()), ..Options::default() };
        let world = DevWorld::with(nocrd_spawner::Config::default(), options, |_| {}).await;
        for (name, plain) in [("secret", "REPO"), ("plain", "REPO,TOKEN")] {
            world.create(
                Kind::ConfigMap,
                &json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": "nogoo9", "labels": {"nogoo9/pod-template": "true"},
                    "annotations": {"nogoo9/required-context": "REPO,TOKEN", "nogoo9/plain-context": plain}},
                "data": {"spec": "containers: [{name: agent, image: busybox}]"}}),
            );
        }
        until("the templates are known", || world.cluster.template_config_maps().len() == 2).await;
        Self { world, pages }
    }

    async fn client(&self, era: Era, does: Does) -> Client {
        self.client_that(era, does, elicits(false, true)).await
    }

    async fn client_that(&self, era: Era, does: Does, elicits: Option<ElicitationCapability>) -> Client {
        let user = User { does, elicits, pages: Arc::clone(&self.pages), seen: Arc::default() };
        serve(&self.world, era, user).await
    }

    fn context_of(&self, id: &str) -> Value {
        self.world.object(Kind::Secret, &format!("ws-{id}-context"))["data"].clone()
    }
}

fn arguments(id: &str, template: &str) -> Value {
    json!({"id": id, "templateRef": template})
}

async fn spawn(client: &Client, id: &str, template: &str) -> CallToolResult {
    client.call_tool(params("spawn_workspace", &arguments(id, template))).await.unwrap()
}

fn seen(client: &Client) -> Vec<String> {
    client.service().seen.lock().unwrap().clone()
}

fn filled() -> Value {
    json!({"REPO": "r", "TOKEN": "hunter2", "OTHER": "evil"})
}

#[tokio::test]
async fn t54_secret_context_is_given_on_a_page() {
    let stage = Stage::new().await;
    for (n, era) in ERAS.into_iter().enumerate() {
        let ada = stage.client(era, Does::FillsIn(filled())).await;
        let result = spawn(&ada, &format!("w{n}"), "secret").await;
        assert_eq!(error_id(&result), "none", "{era:?}: {result:?}");
        // What was not asked for does not count.
        assert_eq!(stage.context_of(&format!("w{n}")), json!({"REPO": "cg==", "TOKEN": "aHVudGVyMg=="}));
        assert!(!format!("{result:?}").contains("hunter2"));
        let told = format!(r#"Spawn a workspace Some("secret") Some("w{n}") ["REPO", "TOKEN"]"#);
        assert_eq!(stage.pages.told()[n], (told, true), "{era:?}");
        let url = format!("https://gw.example/context/secret-{n}");
        match era {
            Era::Sessions => {
                until("the client is told", || seen(&ada).iter().any(|line| line.starts_with("notif"))).await;
                let complete = format!("notifications/elicitation/complete {{\"elicitationId\":\"{n}\"}}");
                let told: Vec<_> =
                    seen(&ada).into_iter().filter(|line| !line.starts_with("progress")).collect();
                assert_eq!(told, [url, complete]);
            }
            Era::Stateless => assert_eq!(seen(&ada), [url]),
        }
    }
    // A client that has only pages is led to one for plain values too.
    let ada = stage.client(Era::Sessions, Does::FillsIn(filled())).await;
    assert_eq!(error_id(&spawn(&ada, "p", "plain").await), "none");
    stage.world.stop().await;
}

#[tokio::test]
async fn who_does_not_go_there_gets_nothing_and_the_page_is_over() {
    let stage = Stage::new().await;
    for era in ERAS {
        for does in [Does::Declines, Does::Cancels] {
            let ada = stage.client(era, does.clone()).await;
            assert_eq!(error_id(&spawn(&ada, "w", "secret").await), "NCR0105", "{era:?} {does:?}");
            assert!(stage.pages.told().iter().all(|(_, over)| *over), "{era:?} {does:?}");
        }
        // Half of it is not enough, and nobody is asked twice in one call.
        let ada = stage.client(era, Does::FillsIn(json!({"REPO": "r"}))).await;
        assert_eq!(error_id(&spawn(&ada, "w", "secret").await), "NCR0208", "{era:?}");
        assert_eq!(seen(&ada).iter().filter(|line| line.starts_with("https")).count(), 1);
    }
    assert_eq!(stage.world.objects(Kind::Pod).len(), 0);
    stage.world.stop().await;
}

#[tokio::test]
async fn without_a_page_the_call_fails_as_before() {
    let stage = Stage::new().await;
    for era in ERAS {
        for elicits in [None, Some(ElicitationCapability::default()), elicits(true, false)] {
            let ada = stage.client_that(era, Does::FillsIn(filled()), elicits.clone()).await;
            assert_eq!(error_id(&spawn(&ada, "w", "secret").await), "NCR0208", "{era:?} {elicits:?}");
        }
    }
    assert_eq!(stage.pages.told(), []);
    stage.pages.shut.store(true, std::sync::atomic::Ordering::Relaxed);
    for era in ERAS {
        let ada = stage.client(era, Does::FillsIn(filled())).await;
        assert_eq!(error_id(&spawn(&ada, "w", "secret").await), "NCR0208", "{era:?}");
        assert_eq!(seen(&ada), [""; 0]);
    }
    stage.world.stop().await;
}

#[tokio::test]
async fn a_call_of_a_session_waits_for_the_values() {
    let stage = Stage::new().await;
    let ada = stage.client(Era::Sessions, Does::GoesThere).await;
    let call = spawn(&ada, "w", "secret");
    let filling = async {
        stage.pages.looked.notified().await;
        // That something happened does not mean that the values are there.
        stage.pages.changed.notify_one();
        stage.pages.looked.notified().await;
        until("progress is told", || seen(&ada).iter().any(|line| line.starts_with("progress"))).await;
        stage.pages.fill_in("0", &filled());
    };
    let (result, ()) = tokio::join!(call, filling);
    assert_eq!(error_id(&result), "none");

    // Nobody waits any more for what is given to a cancelled call.
    let request = CallToolRequest::new(params("spawn_workspace", &arguments("x", "secret")));
    let request = ClientRequest::CallToolRequest(request);
    let handle = ada.send_cancellable_request(request, PeerRequestOptions::no_options()).await.unwrap();
    stage.pages.looked.notified().await;
    handle.cancel(None).await.unwrap();
    until("the page is over", || stage.pages.told()[1].1).await;
    assert_eq!(stage.context_of("x"), Value::Null);
    stage.world.stop().await;
}

fn accepted() -> InputResponses {
    [("context".to_owned(), json!({"action": "accept"}))].into()
}

/// The address that a question leads to.
fn address(question: &InputRequiredResult) -> String {
    match &question.input_requests.as_ref().unwrap()["context"] {
        InputRequest::Elicitation(request) => match &request.params {
            ElicitRequestParams::UrlElicitationParams { url, .. } => url.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn t61_the_question_is_asked_again_until_the_values_are_there() {
    let stage = Stage::new().await;
    let ada = stage.client(Era::Stateless, Does::GoesThere).await;
    let call = async |id: &str, state: Option<&str>| {
        let mut params = params("spawn_workspace", &arguments(id, "secret"));
        if let Some(state) = state {
            params = params.with_input_responses(accepted()).with_request_state(state);
        }
        ada.call_tool_once(params).await
    };
    let asked = |response| match response {
        Ok(CallToolResponse::InputRequired(question)) => question,
        other => panic!("no question: {other:?}"),
    };
    let first = asked(call("w", None).await);
    let state = first.request_state.clone().unwrap();
    // What the client keeps says nothing of the page.
    assert!(!state.contains("gw.example") && !state.contains("ada"));
    let nudging = async {
        stage.pages.looked.notified().await;
        stage.pages.changed.notify_one();
    };
    let (second, ()) = tokio::join!(call("w", Some(&state)), nudging);
    let second = asked(second);
    assert_eq!((address(&second), stage.pages.told().len()), (address(&first), 1));
    // It is for this call only.
    let error = call("other", Some(&state)).await.unwrap_err().to_string();
    assert!(error.contains("-32602"), "{error}");

    // Forgotten meanwhile: a new page.
    stage.pages.close("0").await;
    let third = asked(call("w", second.request_state.as_deref()).await);
    assert_ne!(address(&third), address(&first));
    stage.pages.fill_in("1", &filled());
    let state = third.request_state.unwrap();
    let done = call("w", Some(&state)).await.unwrap();
    assert!(matches!(&done, CallToolResponse::Complete(result) if result.is_error != Some(true)), "{done:?}");
    assert_eq!(stage.context_of("w")["TOKEN"], "aHVudGVyMg==");
    // Values are there once.
    let fourth = call("w", Some(&state)).await.unwrap();
    assert!(!format!("{fourth:?}").contains("hunter2"));
    stage.world.stop().await;
}
