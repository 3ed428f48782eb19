//! JSONPaths whose evaluation takes a time that is bounded by the size of the document, whatever stands in it.

use jsonpath_rust::{
    parser::{
        model::{Comparable, Comparison, Filter, FilterAtom, JpQuery, Segment, Selector, Test},
        parse_json_path,
    },
    query::js_path_process,
};
use serde_json::Value;

/// Longest text of a path.
const MAX_TEXT: usize = 512;
/// Most segments of a path.
const MAX_SEGMENTS: usize = 16;
/// Most ways in which the selectors of a path can be combined: `['a','b']['c','d']` has four.
const MAX_COMBINATIONS: usize = 16;
/// Most comparisons and tests of a filter.
const MAX_TERMS: usize = 16;

/// A compiled path.
#[derive(Debug)]
pub(super) struct Path(JpQuery);

impl Path {
    /// Compiles a path; an error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(format!("it is longer than {MAX_TEXT} bytes"));
        }
        let query = parse_json_path(text).map_err(|_| "it is no JSONPath of RFC 9535".to_owned())?;
        check(&query.segments).map_err(str::to_owned)?;
        Ok(Self(query))
    }

    /// The path to a member by the names of its ancestors.
    pub(super) fn of_names(names: &[&str]) -> Self {
        Self(JpQuery::new(names.iter().map(|name| Segment::name(name)).collect()))
    }

    /// Whether what it finds are members of this name.
    pub(super) fn ends_in(&self, name: &str) -> bool {
        let is_name = |selector: &Selector| matches!(selector, Selector::Name(found) if found.trim_matches(['\'', '"']) == name);
        match self.0.segments.last() {
            Some(Segment::Selector(selector)) => is_name(selector),
            Some(Segment::Selectors(selectors)) => selectors.iter().any(is_name),
            Some(Segment::Descendant(inner)) => match inner.as_ref() {
                Segment::Selector(selector) => is_name(selector),
                Segment::Selectors(selectors) => selectors.iter().any(is_name),
                Segment::Descendant(_) => false,
            },
            None => false,
        }
    }

    /// What the path finds.
    pub(super) fn find<'v>(&self, document: &'v Value) -> Vec<&'v Value> {
        let found = js_path_process(&self.0, document);
        found.map(|found| found.into_iter().map(|one| one.val).collect()).unwrap_or_default()
    }

    /// What the path finds, or what the other finds when that is nothing.
    pub(super) fn find_or<'v>(&self, other: Option<&Self>, document: &'v Value) -> Vec<&'v Value> {
        let found = self.find(document);
        match other {
            Some(other) if found.iter().all(|value| value.is_null()) => other.find(document),
            _ => found,
        }
    }
}

fn check(segments: &[Segment]) -> Result<(), &'static str> {
    if segments.len() > MAX_SEGMENTS {
        return Err("it has too many segments");
    }
    let (mut descendants, mut combinations, mut filters) = (0_usize, 1_usize, 0_usize);
    for segment in segments {
        let segment = match segment {
            Segment::Descendant(inner) => {
                descendants += 1;
                inner
            }
            other => other,
        };
        let selectors = match segment {
            Segment::Selector(selector) => std::slice::from_ref(selector),
            Segment::Selectors(selectors) => selectors,
            Segment::Descendant(_) => return Err("it has a descendant segment in another"),
        };
        combinations = combinations.saturating_mul(selectors.len().max(1));
        for selector in selectors {
            if let Selector::Filter(filter) = selector {
                filters += 1;
                let mut terms = 0;
                check_filter(filter, &mut terms)?;
            }
        }
    }
    if descendants > 1 {
        return Err("it has more than one descendant segment (`..`)");
    }
    if combinations > MAX_COMBINATIONS {
        return Err("its lists of selectors combine in too many ways");
    }
    if filters > 2 {
        return Err("it has more than two filters");
    }
    Ok(())
}

/// A filter may compare and test members; it may not search, call functions, or hold filters.
fn check_filter(filter: &Filter, terms: &mut usize) -> Result<(), &'static str> {
    *terms += 1;
    if *terms > MAX_TERMS {
        return Err("a filter of it is too long");
    }
    match filter {
        Filter::Or(parts) | Filter::And(parts) => parts.iter().try_for_each(|part| check_filter(part, terms)),
        Filter::Atom(FilterAtom::Filter { expr, .. }) => check_filter(expr, terms),
        Filter::Atom(FilterAtom::Test { expr, .. }) => match expr.as_ref() {
            Test::RelQuery(segments) => check_member(segments),
            Test::AbsQuery(query) => check_member(&query.segments),
            Test::Function(_) => Err("it calls a function"),
        },
        Filter::Atom(FilterAtom::Comparison(comparison)) => {
            let (Comparison::Eq(a, b)
            | Comparison::Ne(a, b)
            | Comparison::Gt(a, b)
            | Comparison::Gte(a, b)
            | Comparison::Lt(a, b)
            | Comparison::Lte(a, b)) = comparison.as_ref();
            let calls = |side: &Comparable| matches!(side, Comparable::Function(_));
            if calls(a) || calls(b) { Err("it calls a function") } else { Ok(()) }
        }
    }
}

fn check_member(segments: &[Segment]) -> Result<(), &'static str> {
    let plain =
        |segment: &Segment| matches!(segment, Segment::Selector(Selector::Name(_) | Selector::Index(_)));
    if segments.len() > MAX_SEGMENTS || !segments.iter().all(plain) {
        return Err("a filter of it tests more than a member");
    }
    Ok(())
}
