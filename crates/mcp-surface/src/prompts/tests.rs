use super::*;

#[test]
fn they_say_what_people_and_models_need() {
    for entry in PROMPTS {
        assert!(!entry.title.is_empty() && entry.description.ends_with('.'), "{}", entry.name);
        for argument in entry.arguments {
            assert!(argument.description.ends_with('.'), "{} {}", entry.name, argument.name);
        }
    }
}

fn parse(entry: &Entry, given: Value) -> Result<Values, Vec<String>> {
    let given = given.as_object().cloned();
    Values::parse(entry, given).map_err(|error| error.details().to_vec())
}

#[test]
fn arguments_are_texts_that_are_known() {
    let values = parse(&spawn::PROMPT, serde_json::json!({"task": " run\u{1b}[2J it ", "templateRef": ""}));
    let values = values.ok().unwrap();
    assert_eq!((values.required("task"), values.get("templateRef")), ("run it", None));
    for (given, problem) in [
        (serde_json::json!({}), "argument \"task\" is missing"),
        (serde_json::json!({"task": " "}), "argument \"task\" is missing"),
        (serde_json::json!({"task": 5}), "argument \"task\" must be a string"),
        (serde_json::json!({"task": "a", "jwtPayload": "b"}), "argument \"jwtPayload\" is unknown"),
        (
            serde_json::json!({"task": "a".repeat(MAX_VALUE + 1)}),
            "argument \"task\" is longer than 8000 characters",
        ),
    ] {
        assert_eq!(parse(&spawn::PROMPT, given).err().unwrap(), [problem]);
    }
}
