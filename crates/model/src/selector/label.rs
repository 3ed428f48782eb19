//! Label selectors: `app=web,tier in (a,b),!legacy,weight>3`.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    SelectorError, check_len, check_terms,
    tokens::{Kind, Token, tokens},
};
use crate::names;

/// A conjunction of requirements; without any it selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

/// What is asked of one label. Key and values are such as labels can have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// Its value is one of these.
    In,
    /// It is absent, or its value is none of these.
    NotIn,
    /// It is there.
    Exists,
    /// It is absent.
    DoesNotExist,
    /// Its value is a larger integer.
    GreaterThan,
    /// Its value is a smaller integer.
    LessThan,
}

impl LabelSelector {
    /// Parses a selector.
    ///
    /// # Errors
    /// What is wrong with it and where; also when it is longer than [`MAX_LEN`](super::MAX_LEN) or has more than
    /// [`MAX_TERMS`](super::MAX_TERMS) terms.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        check_len(text)?;
        Parser { tokens: tokens(text), position: 0, end: text.len() }.parse()
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The requirements, all of which must hold, by key.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether it selects what has these labels.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_by(|key| labels.get(key).map(String::as_str))
    }

    /// Whether it selects what has the labels that `label` tells.
    pub fn matches_by<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }
}

impl Requirement {
    /// The label's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How the label is compared.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// With what: one integer for the comparisons, nothing where only presence counts.
    #[must_use]
    pub fn values(&self) -> &BTreeSet<String> {
        &self.values
    }

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

    /// What is wrong with the values.
    fn problem(&self) -> Option<String> {
        match self.operator {
            Operator::In | Operator::NotIn if self.values.is_empty() => Some(
                "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty".to_owned(),
            ),
            Operator::GreaterThan | Operator::LessThan => {
                self.values.first().filter(|value| value.parse::<i64>().is_err()).map(|value| {
                    format!(
                        "values[0]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
                    )
                })
            }
            _ => self.values.iter().enumerate().find_map(|(index, value)| {
                let problem = names::label_value(value).into_iter().next()?;
                Some(format!("values[{index}][{}]: Invalid value: {value:?}: {problem}", self.key))
            }),
        }
    }
}

/// In the canonical form, which reads back as the same selector.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let only = self.values.first().filter(|_| self.values.len() == 1);
        let all = || self.values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match (self.operator, only) {
            (Operator::Exists, _) => f.write_str(key),
            (Operator::DoesNotExist, _) => write!(f, "!{key}"),
            (Operator::In, Some(value)) => write!(f, "{key}={value}"),
            (Operator::In, None) => write!(f, "{key} in ({})", all()),
            (Operator::NotIn, Some(value)) => write!(f, "{key}!={value}"),
            (Operator::NotIn, None) => write!(f, "{key} notin ({})", all()),
            (Operator::GreaterThan, _) => write!(f, "{key}>{}", all()),
            (Operator::LessThan, _) => write!(f, "{key}<{}", all()),
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    /// Length of the text: where a token would be that is not there.
    end: usize,
}

type Parsed<T> = Result<T, SelectorError>;

impl Parser {
    /// The token ahead, where `in` and `notin` are operators.
    fn peek_operator(&self) -> (Kind, &str) {
        self.tokens.get(self.position).map_or((Kind::End, ""), |token| (token.kind, token.text.as_str()))
    }

    /// The token ahead, where `in` and `notin` are ordinary words.
    fn peek(&self) -> (Kind, &str) {
        match self.peek_operator() {
            (Kind::In | Kind::NotIn, text) => (Kind::Identifier, text),
            token => token,
        }
    }

    fn next(&mut self) -> (Kind, String) {
        let (kind, text) = self.peek();
        let token = (kind, text.to_owned());
        self.position += 1;
        token
    }

    /// Where the token ahead begins.
    fn at(&self) -> usize {
        self.at_of(self.position)
    }

    /// Where the token begins that was taken last.
    fn at_last(&self) -> usize {
        self.at_of(self.position.saturating_sub(1))
    }

    fn at_of(&self, position: usize) -> usize {
        self.tokens.get(position).map_or(self.end, |token| token.at)
    }

    fn ahead<T>(&self, expected: &str) -> Parsed<T> {
        let text = self.peek_operator().1;
        Err(SelectorError::new(self.at(), format!("found '{text}'{expected}")))
    }

    fn last<T>(&self, text: &str, expected: &str) -> Parsed<T> {
        Err(SelectorError::new(self.at_last(), format!("found '{text}'{expected}")))
    }

    fn parse(mut self) -> Parsed<LabelSelector> {
        let mut requirements = Vec::new();
        loop {
            match self.peek().0 {
                Kind::Identifier | Kind::Not => {
                    check_terms(requirements.len() + 1, self.at())?;
                    requirements.push(self.requirement().map_err(|error| SelectorError {
                        message: format!("unable to parse requirement: {}", error.message),
                        ..error
                    })?);
                    match self.next() {
                        (Kind::End, _) => break,
                        (Kind::Comma, _) => {
                            if !matches!(self.peek().0, Kind::Identifier | Kind::Not) {
                                return self.ahead(", expected: identifier after ','");
                            }
                        }
                        (_, text) => return self.last(&text, ", expected: ',' or 'end of string'"),
                    }
                }
                Kind::End => break,
                _ => return self.ahead(", expected: !, identifier, or 'end of string'"),
            }
        }
        requirements.sort();
        Ok(LabelSelector { requirements })
    }

    fn requirement(&mut self) -> Parsed<Requirement> {
        let mut token = self.next();
        let negated = token.0 == Kind::Not;
        if negated {
            token = self.next();
        }
        let (Kind::Identifier, key) = token else {
            return self.last(&token.1, ", expected: identifier");
        };
        if let Some(problem) = names::qualified_name(&key).first() {
            return Err(SelectorError::new(
                self.at_last(),
                format!("<nil>: Invalid value: {key:?}: {problem}"),
            ));
        }
        // `!a=b`: the real parser takes it for "a does not exist" and then stumbles over the operator.
        if negated || matches!(self.peek().0, Kind::End | Kind::Comma) {
            let operator = if negated { Operator::DoesNotExist } else { Operator::Exists };
            return Ok(Requirement { key, operator, values: BTreeSet::new() });
        }
        let operator_at = self.at();
        let (operator, values) = match self.peek_operator().0 {
            Kind::In => (Operator::In, self.values()?),
            Kind::NotIn => (Operator::NotIn, self.values()?),
            Kind::Equals => (Operator::In, self.value()?),
            Kind::NotEquals => (Operator::NotIn, self.value()?),
            Kind::Greater => (Operator::GreaterThan, self.value()?),
            Kind::Less => (Operator::LessThan, self.value()?),
            _ => return self.ahead(", expected: in, notin, =, ==, !=, gt, lt"),
        };
        let requirement = Requirement { key, operator, values };
        match requirement.problem() {
            Some(problem) => Err(SelectorError::new(operator_at, problem)),
            None => Ok(requirement),
        }
    }

    /// One value after a comparison; a missing one is the empty text.
    fn value(&mut self) -> Parsed<BTreeSet<String>> {
        self.position += 1;
        if matches!(self.peek().0, Kind::End | Kind::Comma) {
            return Ok(BTreeSet::from([String::new()]));
        }
        match self.next() {
            (Kind::Identifier, text) => Ok(BTreeSet::from([text])),
            (_, text) => self.last(&text, ", expected: identifier"),
        }
    }

    /// `(a, b)` after `in` and `notin`.
    fn values(&mut self) -> Parsed<BTreeSet<String>> {
        self.position += 1;
        match self.next() {
            (Kind::Open, _) => {}
            (_, text) => return self.last(&text, " expected: '('"),
        }
        match self.peek().0 {
            Kind::Close => {
                self.position += 1;
                return Ok(BTreeSet::new());
            }
            Kind::Identifier | Kind::Comma => {}
            _ => return self.ahead(", expected: ',', ')' or identifier"),
        }
        let mut values = BTreeSet::new();
        let mut wants_value = true;
        loop {
            match self.next() {
                (Kind::Identifier, text) => {
                    values.insert(text);
                    wants_value = false;
                    if !matches!(self.peek().0, Kind::Comma | Kind::Close) {
                        return self.ahead(", expected: ',' or ')'");
                    }
                }
                (kind @ (Kind::Comma | Kind::Close), _) => {
                    // Nothing before or between commas is the empty text.
                    if wants_value {
                        values.insert(String::new());
                    }
                    wants_value = true;
                    if kind == Kind::Close {
                        return Ok(values);
                    }
                }
                (_, text) => return self.last(&text, ", expected: ',', or identifier"),
            }
        }
    }
}
