use proptest::prelude::*;

use super::*;
use crate::selector::{MAX_LEN, MAX_TERMS};

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn selects(selector: &str, labels: &BTreeMap<String, String>) -> bool {
    LabelSelector::parse(selector).unwrap_or_else(|error| panic!("{selector}: {error}")).matches(labels)
}

#[test]
fn grammar() {
    let web = labels(&[("app", "web"), ("n", "5"), ("in", "x"), ("example.com/a", "")]);
    for selector in [
        "",
        " ",
        "app",
        "app=web",
        "app==web",
        " app = web , n ",
        "app in (web,db)",
        "app in ( web )",
        "app notin (db)",
        "none notin (x)",
        "none!=x",
        "!none",
        "! none",
        "n>4",
        "n<6",
        "n > 4,n<6",
        "in=x",
        "in in (x)",
        "example.com/a=",
        "example.com/a in (,b)",
        "example.com/a in (b,)",
        "app!=db,app",
        "example.com/a",
    ] {
        assert!(selects(selector, &web), "{selector}");
    }
    for selector in [
        "app=db",
        "!app",
        "none",
        "app!=web",
        "n>5",
        "none>1",
        "app notin (web)",
        "app in (db)",
        "app>1",
        "a=,app",
    ] {
        assert!(!selects(selector, &web), "{selector}");
    }
}

#[test]
fn errors_read_as_from_a_real_server() {
    for (selector, error) in [
        ("app in x", "unable to parse requirement: found 'x' expected: '('"),
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("app= bad value", "found 'value', expected: ',' or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        (
            "a in ()",
            "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
        ),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        (
            "n>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ] {
        assert_eq!(LabelSelector::parse(selector).unwrap_err().message(), error, "{selector}");
    }
    let message = |text: &str| LabelSelector::parse(text).unwrap_err().message().to_owned();
    assert!(message("-x").contains("<nil>: Invalid value: \"-x\": name part must"));
    assert!(message("a=-").contains("values[0][a]: Invalid value: \"-\": a valid label"));
}

#[test]
fn t49_attacks_are_refused_with_their_place_or_mean_what_they_say() {
    for (selector, at) in [
        ("!", 1),
        ("a,!", 3),
        ("a in (b", 7),
        ("a in b)", 5),
        ("a in ((b))", 6),
        ("a)", 1),
        ("a,,b", 2),
        (",a", 0),
        ("a=b c=d", 4),
        ("\u{e4}=x", 0),
        ("a=\u{e4}", 1),
        ("a,b=c/d", 3),
        ("a\u{0}=x", 0),
        ("a=x;b=y", 1),
        ("a in ()", 2),
    ] {
        let error = LabelSelector::parse(selector).unwrap_err();
        assert_eq!(error.at(), at, "{selector}: {error}");
        assert!(error.to_string().starts_with(&format!("at byte {at}: ")), "{error}");
    }
    // Two terms, as it says, and both must hold: more text selects less.
    let both = LabelSelector::parse("a,nogoo9/x=y").unwrap();
    assert_eq!(both.requirements().len(), 2);
    assert!(!both.matches(&labels(&[("a", "")])) && both.matches(&labels(&[("a", ""), ("nogoo9/x", "y")])));
}

#[test]
fn t49_long_texts_and_many_terms_are_refused() {
    assert_eq!(LabelSelector::parse(&"a".repeat(MAX_LEN + 1)).unwrap_err().at(), MAX_LEN);
    let many = |count: usize| vec!["a"; count].join(",");
    assert!(LabelSelector::parse(&many(MAX_TERMS)).is_ok());
    assert_eq!(LabelSelector::parse(&many(MAX_TERMS + 1)).unwrap_err().at(), 2 * MAX_TERMS);
}

#[test]
fn canonical_texts() {
    for (text, canonical) in [
        ("", ""),
        (" b == x , a", "a,b=x"),
        ("a in (x)", "a=x"),
        ("a notin (y,x)", "a notin (x,y)"),
        ("a notin (x)", "a!=x"),
        ("! a", "!a"),
        ("n > 4", "n>4"),
        ("a in (,b)", "a in (,b)"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("a=", "a="),
    ] {
        assert_eq!(LabelSelector::parse(text).unwrap().to_string(), canonical, "{text}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in ".{0,30}", symbols in "[a-c=!(), <>in]{0,20}") {
        let _ = LabelSelector::parse(&text);
        let _ = LabelSelector::parse(&symbols);
    }

    #[test]
    fn equality_selects_exactly_the_value(key in "[a-z]{1,5}", value in "[a-z]{1,5}", other in "[a-z]{1,5}") {
        let object = labels(&[(&key, &value)]);
        prop_assert_eq!(selects(&format!("{key}={other}"), &object), value == other);
        prop_assert_eq!(selects(&format!("{key}!={other}"), &object), value != other);
    }

    #[test]
    fn canonical_text_reads_back_the_same(text in "[a-c=!(), <>in]{0,20}|a (in|notin) \\([ab,]{0,5}\\),b=c") {
        if let Ok(selector) = LabelSelector::parse(&text) {
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
        }
    }

    #[test]
    fn t49_no_text_selects_more_for_having_another_term(first in "[a-c!=,in ()]{0,8}", other in "[a-c!=,in ()]{0,8}") {
        let objects = [labels(&[]), labels(&[("a", "b")]), labels(&[("b", ""), ("c", "a")])];
        if let (Ok(one), Ok(both)) =
            (LabelSelector::parse(&first), LabelSelector::parse(&format!("{first},{other}")))
        {
            prop_assert!(objects.iter().all(|object| one.matches(object) || !both.matches(object)));
        }
    }
}
