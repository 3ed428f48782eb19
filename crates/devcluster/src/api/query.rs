//! Query parameters.

use url::form_urlencoded;

use crate::status::{Cause, Status};

/// The parameters of a request; of one given twice, the first counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

/// What happens to members that an object's type doesn't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped, and the caller is told.
    Warn,
    /// The request is refused.
    Strict,
}

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self { pairs: pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect() }
    }

    /// A parameter; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let first = self.pairs.iter().find(|(other, _)| other == name);
        first.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A switch. As on a real server, anything but `false` and `0` switches it on when the parameter is there.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.all(name).next().is_some_and(|value| !matches!(value, "false" | "0"))
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        self.get(name)
            .map(|value| {
                value.parse().map_err(|_| {
                    Status::bad_request(format!("strconv.ParseInt: parsing \"{value}\": invalid syntax"))
                })
            })
            .transpose()
    }

    /// `dryRun=All`.
    pub(super) fn dry_run(&self) -> Result<bool, Status> {
        match self.get("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(invalid_option("dryRun", other, "All")),
        }
    }

    pub(super) fn field_validation(&self) -> Result<FieldValidation, Status> {
        match self.get("fieldValidation") {
            Some("Ignore") => Ok(FieldValidation::Ignore),
            None | Some("Warn") => Ok(FieldValidation::Warn),
            Some("Strict") => Ok(FieldValidation::Strict),
            Some(other) => Err(invalid_option("fieldValidation", other, "Ignore\", \"Strict\", \"Warn")),
        }
    }
}

fn invalid_option(name: &str, value: &str, supported: &str) -> Status {
    let cause = Cause {
        reason: "FieldValueNotSupported",
        message: format!("Unsupported value: {value:?}: supported values: \"{supported}\""),
        field: name.into(),
    };
    Status::invalid("meta.k8s.io", "CreateOptions", "", vec![cause])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let query = Query::parse(Some("a=1&a=2&watch&x=false&y=%3D+b&limit=z&empty="));
        assert_eq!(query.get("a"), Some("1"));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert!(query.flag("watch") && !query.flag("x") && !query.flag("none"));
        assert_eq!(query.get("y"), Some("= b"));
        assert_eq!(query.get("empty"), None);
        assert_eq!(query.number("limit").expect_err("no number").code, 400);
        assert_eq!(query.number("none").expect("absent"), None);
    }
}
