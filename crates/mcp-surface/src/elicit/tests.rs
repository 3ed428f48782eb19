use nocrd_model::Role;
use rmcp::model::InputResponses;
use serde_json::json;

use super::*;

fn request(tool: &str, arguments: Value) -> CallToolRequestParams {
    let mut request = CallToolRequestParams::new(tool.to_owned());
    request.arguments = arguments.as_object().cloned();
    request
}

fn retry<'a>(keys: &'a KeyRing, caller: &'a Caller, request: &'a CallToolRequestParams) -> Retry<'a> {
    Retry { keys, caller, request }
}

fn question() -> ElicitRequestParams {
    let requested_schema = ElicitationSchema::builder().required_bool("confirm").build().unwrap();
    ElicitRequestParams::FormElicitationParams { meta: None, message: "?".to_owned(), requested_schema }
}

/// The state that a client is given.
fn asked(retry: &Retry<'_>) -> String {
    match retry.ask("confirm", question(), None) {
        Stop::Ask(result) => result.request_state.unwrap(),
        _ => panic!("no question"),
    }
}

fn accept() -> InputResponses {
    [("confirm".to_owned(), json!({"action": "accept", "content": {"confirm": true}}))].into()
}

#[test]
fn t61_an_answer_belongs_to_its_caller_tool_and_arguments() {
    let keys = KeyRing::of_this_process();
    let ada = Caller::verified("ada".into(), Role::User);
    let call = request("delete_pod", json!({"name": "p", "deep": {"a": 1, "b": [2]}}));
    let state = asked(&retry(&keys, &ada, &call));
    let answered = |caller: &Caller, call: CallToolRequestParams, state: &str| {
        let call = call.with_input_responses(accept()).with_request_state(state.to_owned());
        let outcome = retry(&keys, caller, &call).answer("confirm");
        matches!(outcome, Ok(Some(ElicitResult { action: ElicitationAction::Accept, .. })))
    };
    assert!(answered(&ada, call.clone(), &state));
    // In whatever order the members stand.
    assert!(answered(&ada, request("delete_pod", json!({"deep": {"b": [2], "a": 1}, "name": "p"})), &state));
    assert!(!answered(&Caller::verified("bob".into(), Role::User), call.clone(), &state));
    assert!(!answered(&Caller::local(), call.clone(), &state));
    assert!(!answered(
        &ada,
        request("stop_workspace", json!({"name": "p", "deep": {"a": 1, "b": [2]}})),
        &state
    ));
    assert!(!answered(&ada, request("delete_pod", json!({"name": "q", "deep": {"a": 1, "b": [2]}})), &state));
    for forged in
        ["", "x", &state[1..], &format!("{state}A"), &asked(&retry(&KeyRing::of_this_process(), &ada, &call))]
    {
        assert!(!answered(&ada, call.clone(), forged), "{forged}");
    }
    // Nor is it good for another question, or without one.
    let other = InputResponses::from([("other".to_owned(), json!({"action": "accept"}))]);
    let call_with = |responses, state: Option<String>| {
        let mut call = call.clone().with_input_responses(responses);
        call.request_state = state;
        call
    };
    assert!(matches!(
        retry(&keys, &ada, &call_with(other.clone(), Some(state.clone()))).answer("other"),
        Err(Stop::Invalid(_))
    ));
    assert!(matches!(
        retry(&keys, &ada, &call_with(accept(), None)).answer("confirm"),
        Err(Stop::Invalid(_))
    ));
    // An answer to something else is none: the question is asked again.
    assert!(matches!(retry(&keys, &ada, &call_with(other, Some(state.clone()))).answer("confirm"), Ok(None)));
    let malformed = InputResponses::from([("confirm".to_owned(), json!({"action": "perhaps"}))]);
    assert!(matches!(
        retry(&keys, &ada, &call_with(malformed, Some(state))).answer("confirm"),
        Err(Stop::Invalid(_))
    ));
}

#[test]
fn t61_an_answer_comes_too_late() {
    let keys = KeyRing::of_this_process();
    let ada = Caller::verified("ada".into(), Role::User);
    let mut call = request("delete_pod", json!({"name": "p"}));
    for (expires, good) in [(now() + 60, true), (now() - 1, false), (0, false)] {
        let state = serde_json::to_vec(&State { question: "confirm".into(), expires, opened: None }).unwrap();
        let state = keys.seal(Purpose::RequestState, &retry(&keys, &ada, &call).binding(), &state).unwrap();
        // Sealed for something else it is worth nothing.
        call.request_state = Some(state);
        call.input_responses = Some(accept());
        assert_eq!(retry(&keys, &ada, &call).answer("confirm").is_ok(), good, "{expires}");
    }
    let cursor =
        serde_json::to_vec(&State { question: "confirm".into(), expires: now() + 60, opened: None }).unwrap();
    call.request_state =
        Some(keys.seal(Purpose::Cursor, &retry(&keys, &ada, &call).binding(), &cursor).unwrap());
    assert!(retry(&keys, &ada, &call).answer("confirm").is_err());
}
