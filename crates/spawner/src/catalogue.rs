//! The catalogue of templates, made anew when a ConfigMap changes and, for the directory, every few seconds.

use std::{
    path::PathBuf,
    sync::Mutex,
    time::{Duration, Instant},
};

use nocrd_cluster::Cluster;
use nocrd_templates::{BuiltInOptions, Catalogue, Problem, Template};

/// Where templates come from besides the cluster's ConfigMaps.
#[derive(Debug, Clone)]
pub struct TemplateSources {
    /// Directory of template files; it is read again when it may have changed.
    pub directory: Option<PathBuf>,
    /// The templates this crate brings; `None` turns them off.
    pub built_in: Option<BuiltInOptions>,
}

impl Default for TemplateSources {
    fn default() -> Self {
        Self { directory: None, built_in: Some(BuiltInOptions::default()) }
    }
}

/// How long a listing of the directory counts as fresh.
const DIRECTORY_TTL: Duration = Duration::from_secs(3);

type Loaded = (Vec<Template>, Vec<Problem>);

/// Builds catalogues, and keeps the last one as long as nothing it was made from has changed.
pub(crate) struct Loader {
    sources: TemplateSources,
    built_in: Vec<Template>,
    last: Mutex<Option<Snapshot>>,
}

struct Snapshot {
    generation: u64,
    read: Instant,
    catalogue: Catalogue,
}

impl Loader {
    pub(crate) fn new(sources: TemplateSources) -> Self {
        let built_in = sources.built_in.as_ref().map(nocrd_templates::built_in).unwrap_or_default();
        Self { sources, built_in, last: Mutex::new(None) }
    }

    /// The catalogue as of now.
    pub(crate) fn catalogue(&self, cluster: &Cluster) -> Catalogue {
        let generation = *cluster.template_changes().borrow();
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let fresh = |snapshot: &&Snapshot| {
            snapshot.generation == generation
                && (self.sources.directory.is_none() || snapshot.read.elapsed() < DIRECTORY_TTL)
        };
        if let Some(snapshot) = last.as_ref().filter(fresh) {
            return snapshot.catalogue.clone();
        }
        let catalogue = Catalogue::new(self.config_maps(cluster), self.directory(), self.built_in.clone());
        *last = Some(Snapshot { generation, read: Instant::now(), catalogue: catalogue.clone() });
        catalogue
    }

    fn config_maps(&self, cluster: &Cluster) -> Loaded {
        let mut loaded = Loaded::default();
        for config_map in cluster.template_config_maps().iter() {
            match nocrd_templates::parse_config_map(config_map) {
                Ok(template) => loaded.0.push(template),
                Err(problem) => loaded.1.push(problem),
            }
        }
        loaded
    }

    fn directory(&self) -> Loaded {
        self.sources.directory.as_deref().map(nocrd_templates::load_directory).unwrap_or_default()
    }
}
