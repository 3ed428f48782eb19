use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nocrd_model::{Namespace, Subject};

use crate::{Error, Problem, Template, TemplateRef};

type Entry = Result<Arc<Template>, Problem>;
type ByName = BTreeMap<String, Entry>;

/// All templates there are at one time; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Catalogue(Arc<Sources>);

#[derive(Debug, Default)]
struct Sources {
    config_maps: BTreeMap<Namespace, ByName>,
    /// The directory's, and the built-in ones it does not replace.
    local: ByName,
    /// What the directory holds besides, under names that are taken by other files of it.
    besides: Vec<Problem>,
}

/// The templates one sees from a namespace.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Those that can be used: ConfigMaps by name, then the others by name.
    pub templates: Vec<Arc<Template>>,
    /// Those that can't, and why.
    pub problems: Vec<Problem>,
}

impl Catalogue {
    /// Puts the sources together; each brings the templates it could read and those it could not.
    #[must_use]
    pub fn new(
        config_maps: (Vec<Template>, Vec<Problem>),
        directory: (Vec<Template>, Vec<Problem>),
        built_in: Vec<Template>,
    ) -> Self {
        let mut sources = Sources::default();
        for entry in entries(config_maps) {
            let (name, origin) = identity(&entry);
            if let Some(namespace) = origin.namespace() {
                let (namespace, name) = (namespace.clone(), name.to_owned());
                sources.config_maps.entry(namespace).or_default().insert(name, entry);
            }
        }
        for entry in entries(directory) {
            let name = identity(&entry).0.to_owned();
            match (sources.local.contains_key(&name), entry) {
                (true, Err(problem)) => sources.besides.push(problem),
                (_, entry) => {
                    sources.local.insert(name, entry);
                }
            }
        }
        for entry in entries((built_in, Vec::new())) {
            sources.local.entry(identity(&entry).0.to_owned()).or_insert(entry);
        }
        Self(Arc::new(sources))
    }

    /// Finds a template. A reference without a namespace means `default_namespace`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when no source has it; [`Error::Malformed`] when the source that counts has it but can't
    /// read it.
    pub fn resolve(
        &self,
        reference: &TemplateRef,
        default_namespace: &Namespace,
    ) -> Result<Arc<Template>, Error> {
        let namespace = reference.namespace.as_ref().unwrap_or(default_namespace);
        let from_config_map = self.0.config_maps.get(namespace).and_then(|names| names.get(&reference.name));
        match from_config_map.or_else(|| self.0.local.get(&reference.name)) {
            Some(Ok(template)) => Ok(Arc::clone(template)),
            Some(Err(problem)) => {
                Err(Error::Malformed { reference: reference.to_string(), reason: problem.reason.clone() })
            }
            None => Err(Error::NotFound { reference: reference.to_string() }),
        }
    }

    /// Lists what is to be seen from a namespace: its ConfigMaps, and the local templates they don't hide.
    #[must_use]
    pub fn list(&self, namespace: &Namespace) -> Listing {
        let none = ByName::new();
        let config_maps = self.0.config_maps.get(namespace).unwrap_or(&none);
        let local = self.0.local.iter().filter(|(name, _)| !config_maps.contains_key(*name));
        let mut listing = Listing { templates: Vec::new(), problems: Vec::new() };
        for (_, entry) in config_maps.iter().chain(local) {
            match entry {
                Ok(template) => listing.templates.push(Arc::clone(template)),
                Err(problem) => listing.problems.push(problem.clone()),
            }
        }
        listing.problems.extend(self.0.besides.iter().cloned());
        listing
    }

    /// Tells whether a ConfigMap holds a template, be it one that can't be read.
    #[must_use]
    pub fn holds_template(&self, namespace: &Namespace, config_map: &str) -> bool {
        self.0.config_maps.get(namespace).is_some_and(|names| names.contains_key(config_map))
    }

    /// How many templates somebody has created.
    #[must_use]
    pub fn owned_by(&self, creator: &Subject) -> usize {
        let all = self.0.config_maps.values().flat_map(ByName::values);
        all.filter_map(|entry| entry.as_ref().ok())
            .filter(|template| template.user_sub().is_some_and(|by| by == *creator))
            .count()
    }

    /// Tells whether the directory or the server itself has a template of this name, be it one that can't be read.
    #[must_use]
    pub fn has_local(&self, name: &str) -> bool {
        self.0.local.contains_key(name)
    }

    /// The namespaces that have templates in ConfigMaps.
    #[must_use]
    pub fn namespaces(&self) -> BTreeSet<&Namespace> {
        self.0.config_maps.keys().collect()
    }
}

fn entries((templates, problems): (Vec<Template>, Vec<Problem>)) -> impl Iterator<Item = Entry> {
    templates.into_iter().map(|template| Ok(Arc::new(template))).chain(problems.into_iter().map(Err))
}

fn identity(entry: &Entry) -> (&str, &crate::Origin) {
    match entry {
        Ok(template) => (&template.name, &template.origin),
        Err(problem) => (&problem.name, &problem.origin),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Origin;

    fn template(name: &str, origin: Origin) -> Template {
        Template {
            name: name.into(),
            origin,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            spec: json!({"containers": []}),
            ignored: Vec::new(),
        }
    }

    fn namespace(name: &str) -> Namespace {
        Namespace::parse(name).unwrap()
    }

    fn catalogue() -> Catalogue {
        let in_ns = |name: &str| template(name, Origin::ConfigMap { namespace: namespace("ns") });
        let broken = |name: &str, origin| Problem { name: name.into(), origin, reason: "line 3".into() };
        Catalogue::new(
            (
                vec![in_ns("a"), in_ns("b")],
                vec![broken("c", Origin::ConfigMap { namespace: namespace("ns") })],
            ),
            (
                vec![template("b", Origin::Directory), template("d", Origin::Directory)],
                vec![broken("e", Origin::Directory)],
            ),
            ["b", "c", "d", "e", "f"].map(|name| template(name, Origin::BuiltIn)).into(),
        )
    }

    fn origin(reference: &str, default: &str) -> Result<Origin, Error> {
        let found = catalogue().resolve(&reference.parse().unwrap(), &namespace(default))?;
        Ok(found.origin.clone())
    }

    #[test]
    fn earlier_sources_hide_later_ones() {
        assert!(matches!(origin("b", "ns"), Ok(Origin::ConfigMap { .. })));
        assert_eq!(origin("b", "other"), Ok(Origin::Directory));
        assert!(matches!(origin("ns/b", "other"), Ok(Origin::ConfigMap { .. })));
        assert_eq!(origin("d", "ns"), Ok(Origin::Directory));
        assert_eq!(origin("ns/f", "ns"), Ok(Origin::BuiltIn));
        assert!(matches!(origin("g", "ns"), Err(error) if error.is_not_found()));
    }

    #[test]
    fn a_malformed_template_does_not_fall_back_to_another_source() {
        assert!(matches!(origin("c", "ns"), Err(Error::Malformed { reason, .. }) if reason == "line 3"));
        assert!(matches!(origin("e", "ns"), Err(Error::Malformed { .. })));
        assert_eq!(origin("c", "other"), Ok(Origin::BuiltIn));
    }

    #[test]
    fn a_problem_beside_a_good_template_of_its_name_is_still_reported() {
        let problem = Problem { name: "a".into(), origin: Origin::Directory, reason: "twice".into() };
        let directory = (vec![template("a", Origin::Directory)], vec![problem.clone()]);
        let catalogue = Catalogue::new(Default::default(), directory, vec![template("a", Origin::BuiltIn)]);
        let listing = catalogue.list(&namespace("ns"));
        assert_eq!((listing.templates.len(), listing.problems), (1, vec![problem]));
        let found = catalogue.resolve(&"a".parse().unwrap(), &namespace("ns")).unwrap();
        assert_eq!(found.origin, Origin::Directory);
    }

    #[test]
    fn config_maps_of_templates_are_known_readable_or_not() {
        let catalogue = catalogue();
        for (name, expected) in [("a", true), ("c", true), ("d", false), ("f", false), ("other", false)] {
            assert_eq!(catalogue.holds_template(&namespace("ns"), name), expected, "{name}");
            assert!(!catalogue.holds_template(&namespace("elsewhere"), name), "{name}");
        }
    }

    #[test]
    fn lists_each_name_once_and_problems_beside() {
        let listing = catalogue().list(&namespace("ns"));
        let names: Vec<&str> = listing.templates.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "d", "f"]);
        let broken: Vec<&str> = listing.problems.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(broken, ["c", "e"]);
    }
}
