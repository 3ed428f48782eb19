//! Where users give what their clients must not see: the port to whoever serves the pages.

use std::{collections::BTreeMap, fmt};

use futures::future::BoxFuture;
use nocrd_model::Caller;
use serde::{Deserialize, Serialize};

/// Pages on which users give the values that a call lacks. They are served elsewhere; here is what calls need of them.
///
/// An implementation shows a page to the caller it was opened for and to nobody else, and takes values once.
pub trait ContextForms: Send + Sync + fmt::Debug + 'static {
    /// Opens a page. `None` when there can't be one for this caller now; why is for the implementation's own log.
    fn open<'a>(&'a self, wanted: &'a Wanted<'a>) -> BoxFuture<'a, Option<Opened>>;

    /// Takes what was given on a page, which is over then.
    fn take<'a>(&'a self, id: &'a str, caller: &'a Caller) -> BoxFuture<'a, Taken>;

    /// Waits until it is worth while to try [`Self::take`] again. It may return early, but not at once.
    fn wait<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()>;

    /// Forgets a page: nobody waits for what is given there.
    fn close<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()>;
}

/// What a page is to ask for, and what it tells of the call.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Who calls, and so who may give the values.
    pub caller: &'a Caller,
    /// What the tool does, for people.
    pub title: &'a str,
    /// The template that requires the values, as the call names it: one short line of somebody's text.
    pub template: Option<String>,
    /// The workspace or pod that the call names, likewise.
    pub name: Option<String>,
    /// The names of the values, as the template's author wrote them.
    pub names: &'a [String],
}

/// A page that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Names the page to whoever opened it. It is not what the address is made of, and not enough to see the page.
    pub id: String,
    /// Where its user finds it.
    pub url: String,
}

/// What [`ContextForms::take`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// The values, of which there are no others than were asked for.
    Given(Values),
    /// Nobody has given any yet.
    NotYet,
    /// There is no such page any more, or none of this caller's.
    Gone,
}

/// Values by their names. `Debug` shows the names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, String>);

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl FromIterator<(String, String)> for Values {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl IntoIterator for Values {
    type Item = (String, String);
    type IntoIter = std::collections::btree_map::IntoIter<String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t54_debug_shows_no_value() {
        let values = Values::from_iter([("TOKEN".to_owned(), "hunter2".to_owned())]);
        assert_eq!(format!("{:?}", Taken::Given(values)), r#"Given({"TOKEN"})"#);
    }
}
