//! Label selectors: `app=web,tier in (a,b),!legacy,weight>3`.
//!
//! Grammar, leniency and sentences are those of Kubernetes' `apimachinery/pkg/labels`.

use std::{collections::BTreeSet, iter::Peekable, str::Chars};

use serde_json::Value;

use crate::{object, validate::names};

/// A conjunction of requirements; without any it selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl LabelSelector {
    /// Parses a selector.
    ///
    /// # Errors
    /// What is wrong with it, in the words of a real server.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Parser { tokens: tokens(text), position: 0 }.parse()
    }

    /// Whether it selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether it selects this object.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.matches(object::label(object, &requirement.key)))
    }
}

impl Requirement {
    fn matches(&self, label: Option<&str>) -> bool {
        match self.operator {
            Operator::In => label.is_some_and(|label| self.values.contains(label)),
            Operator::NotIn => label.is_none_or(|label| !self.values.contains(label)),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan => self.compare(label, |label, bound| label > bound),
            Operator::LessThan => self.compare(label, |label, bound| label < bound),
        }
    }

    fn compare(&self, label: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let bound = self.values.first().and_then(|value| value.parse().ok());
        label
            .and_then(|label| label.parse().ok())
            .zip(bound)
            .is_some_and(|(label, bound)| holds(label, bound))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    kind: TokenKind,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenKind {
    End,
    Error,
    Identifier,
    In,
    NotIn,
    Not,
    Equals,
    NotEquals,
    Greater,
    Less,
    Open,
    Close,
    Comma,
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn symbol(text: &str) -> Option<TokenKind> {
    Some(match text {
        "(" => TokenKind::Open,
        ")" => TokenKind::Close,
        "," => TokenKind::Comma,
        "!" => TokenKind::Not,
        "=" | "==" => TokenKind::Equals,
        "!=" => TokenKind::NotEquals,
        ">" => TokenKind::Greater,
        "<" => TokenKind::Less,
        _ => return None,
    })
}

fn tokens(text: &str) -> Vec<Token> {
    let mut chars = text.chars().peekable();
    let mut tokens = Vec::new();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t' | '\r' | '\n')).is_some() {}
        match chars.peek().copied() {
            None => return tokens,
            Some(c) if is_symbol(c) => tokens.push(scan_symbol(&mut chars)),
            Some(_) => tokens.push(scan_word(&mut chars)),
        }
    }
}

/// The longest symbol that the characters ahead begin with.
fn scan_symbol(chars: &mut Peekable<Chars<'_>>) -> Token {
    let mut text = String::new();
    let mut found = None;
    while let Some(c) = chars.peek().copied().filter(|c| is_symbol(*c)) {
        text.push(c);
        match symbol(&text) {
            Some(kind) => found = Some(kind),
            None if found.is_some() => {
                text.pop();
                break;
            }
            None => {}
        }
        chars.next();
    }
    match found {
        Some(kind) => Token { kind, text },
        None => Token { kind: TokenKind::Error, text: format!("error expected: keyword found '{text}'") },
    }
}

fn scan_word(chars: &mut Peekable<Chars<'_>>) -> Token {
    let mut text = String::new();
    while let Some(c) = chars.next_if(|c| !is_symbol(*c) && !matches!(c, ' ' | '\t' | '\r' | '\n')) {
        text.push(c);
    }
    let kind = match text.as_str() {
        "in" => TokenKind::In,
        "notin" => TokenKind::NotIn,
        _ => TokenKind::Identifier,
    };
    Token { kind, text }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
}

impl Parser {
    /// The token ahead, where `in` and `notin` are operators.
    fn peek_operator(&self) -> (TokenKind, &str) {
        self.tokens.get(self.position).map_or((TokenKind::End, ""), |token| (token.kind, token.text.as_str()))
    }

    /// The token ahead, where `in` and `notin` are ordinary words.
    fn peek(&self) -> (TokenKind, &str) {
        match self.peek_operator() {
            (TokenKind::In | TokenKind::NotIn, text) => (TokenKind::Identifier, text),
            token => token,
        }
    }

    fn next(&mut self) -> (TokenKind, String) {
        let (kind, text) = self.peek();
        let token = (kind, text.to_owned());
        self.position += 1;
        token
    }

    fn parse(mut self) -> Result<LabelSelector, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                (TokenKind::Identifier | TokenKind::Not, _) => {
                    let requirement = self
                        .requirement()
                        .map_err(|error| format!("unable to parse requirement: {error}"))?;
                    requirements.push(requirement);
                    match self.next() {
                        (TokenKind::End, _) => return Ok(LabelSelector { requirements }),
                        (TokenKind::Comma, _) => match self.peek() {
                            (TokenKind::Identifier | TokenKind::Not, _) => {}
                            (_, text) => {
                                return Err(format!("found '{text}', expected: identifier after ','"));
                            }
                        },
                        (_, text) => return Err(format!("found '{text}', expected: ',' or 'end of string'")),
                    }
                }
                (TokenKind::End, _) => return Ok(LabelSelector { requirements }),
                (_, text) => {
                    return Err(format!("found '{text}', expected: !, identifier, or 'end of string'"));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut token = self.next();
        let negated = token.0 == TokenKind::Not;
        if negated {
            token = self.next();
        }
        let (TokenKind::Identifier, key) = token else {
            return Err(format!("found '{}', expected: identifier", token.1));
        };
        if let Some(problem) = names::qualified_name(&key).first() {
            return Err(format!("<nil>: Invalid value: {key:?}: {problem}"));
        }
        if matches!(self.peek().0, TokenKind::End | TokenKind::Comma) {
            let operator = if negated { Operator::DoesNotExist } else { Operator::Exists };
            return Ok(Requirement { key, operator, values: BTreeSet::new() });
        }
        if negated {
            // `!a=b`: the real parser takes it for "a does not exist" and then stumbles over the operator.
            return Ok(Requirement { key, operator: Operator::DoesNotExist, values: BTreeSet::new() });
        }
        let (operator, values) = match self.peek_operator() {
            (TokenKind::In, _) => (Operator::In, self.values()?),
            (TokenKind::NotIn, _) => (Operator::NotIn, self.values()?),
            (TokenKind::Equals, _) => (Operator::In, self.value()?),
            (TokenKind::NotEquals, _) => (Operator::NotIn, self.value()?),
            (TokenKind::Greater, _) => (Operator::GreaterThan, self.value()?),
            (TokenKind::Less, _) => (Operator::LessThan, self.value()?),
            (_, text) => return Err(format!("found '{text}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        let requirement = Requirement { key, operator, values };
        requirement.check()?;
        Ok(requirement)
    }

    /// One value after a comparison; a missing one is the empty text.
    fn value(&mut self) -> Result<BTreeSet<String>, String> {
        self.position += 1;
        if matches!(self.peek().0, TokenKind::End | TokenKind::Comma) {
            return Ok(BTreeSet::from([String::new()]));
        }
        match self.next() {
            (TokenKind::Identifier, text) => Ok(BTreeSet::from([text])),
            (_, text) => Err(format!("found '{text}', expected: identifier")),
        }
    }

    /// `(a, b)` after `in` and `notin`.
    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        self.position += 1;
        match self.next() {
            (TokenKind::Open, _) => {}
            (_, text) => return Err(format!("found '{text}' expected: '('")),
        }
        match self.peek() {
            (TokenKind::Close, _) => {
                self.position += 1;
                return Ok(BTreeSet::new());
            }
            (TokenKind::Identifier | TokenKind::Comma, _) => {}
            (_, text) => return Err(format!("found '{text}', expected: ',', ')' or identifier")),
        }
        let mut values = BTreeSet::new();
        let mut wants_value = true;
        loop {
            match self.next() {
                (TokenKind::Identifier, text) => {
                    values.insert(text);
                    wants_value = false;
                    match self.peek() {
                        (TokenKind::Comma | TokenKind::Close, _) => {}
                        (_, text) => return Err(format!("found '{text}', expected: ',' or ')'")),
                    }
                }
                (kind @ (TokenKind::Comma | TokenKind::Close), _) => {
                    // Nothing before or between commas is the empty text.
                    if wants_value {
                        values.insert(String::new());
                    }
                    wants_value = true;
                    if kind == TokenKind::Close {
                        return Ok(values);
                    }
                }
                (_, text) => return Err(format!("found '{text}', expected: ',', or identifier")),
            }
        }
    }
}

impl Requirement {
    fn check(&self) -> Result<(), String> {
        match self.operator {
            Operator::In | Operator::NotIn if self.values.is_empty() => {
                Err("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
                    .into())
            }
            Operator::GreaterThan | Operator::LessThan => match self.values.first() {
                Some(value) if value.parse::<i64>().is_err() => Err(format!(
                    "values[0]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
                )),
                _ => Ok(()),
            },
            _ => self.values.iter().enumerate().try_for_each(|(index, value)| {
                match names::label_value(value).first() {
                    Some(problem) => {
                        Err(format!("values[{index}][{}]: Invalid value: {value:?}: {problem}", self.key))
                    }
                    None => Ok(()),
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn selects(selector: &str, labels: &Value) -> bool {
        LabelSelector::parse(selector).expect(selector).matches(&json!({ "metadata": { "labels": labels } }))
    }

    #[test]
    fn grammar() {
        let web = json!({ "app": "web", "n": "5", "in": "x", "example.com/a": "" });
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
            assert_eq!(LabelSelector::parse(selector).expect_err(selector), error);
        }
        assert!(
            LabelSelector::parse("-x")
                .expect_err("bad key")
                .contains("<nil>: Invalid value: \"-x\": name part must")
        );
        assert!(
            LabelSelector::parse("a=-")
                .expect_err("bad value")
                .contains("values[0][a]: Invalid value: \"-\": a valid label")
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,30}", symbols in "[a-c=!(), <>in]{0,20}") {
            let _ = LabelSelector::parse(&text);
            let _ = LabelSelector::parse(&symbols);
        }

        #[test]
        fn equality_selects_exactly_the_value(key in "[a-z]{1,5}", value in "[a-z]{1,5}", other in "[a-z]{1,5}") {
            let object = json!({ key.clone(): value.clone() });
            prop_assert_eq!(selects(&format!("{key}={other}"), &object), value == other);
            prop_assert_eq!(selects(&format!("{key}!={other}"), &object), value != other);
        }
    }
}
