use std::os::unix::fs::symlink;

use serde_json::json;

use super::*;
use crate::{
    kind::Kind,
    kubelet::{
        addresses::HOST,
        spec::{self, PodSpec},
    },
};

struct World {
    store: Store,
    issuer: Issuer,
    claims: Claims,
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let store = Store::in_memory();
        let meta = |name: &str| json!({ "name": name, "namespace": "n" });
        store
            .create(Kind::ConfigMap, json!({ "metadata": meta("m"), "data": { "a": "1", "b": "2" } }))
            .unwrap();
        store.create(Kind::Secret, json!({ "metadata": meta("s"), "data": { "k": "dg==" } })).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let claims = Claims::open(&dir.path().join("claims")).unwrap();
        Self { store, issuer: Issuer::default(), claims, dir }
    }

    fn volumes(&self) -> Volumes {
        Volumes::new(self.dir.path().join("volumes"))
    }

    fn set_up(
        &self,
        volumes: &mut Volumes,
        source: Value,
        host_paths: &[PathBuf],
    ) -> Result<PathBuf, String> {
        let mut volume = source;
        volume["name"] = "v".into();
        let pod = json!({
            "metadata": { "name": "p", "namespace": "n", "labels": { "l": "1" } },
            "spec": { "volumes": [volume] },
        });
        let spec: PodSpec = spec::of(&pod).unwrap();
        let fields = Fields { pod: &pod, spec: &spec, ip: HOST, allocatable: &Value::Null };
        let Self { store, issuer, claims, .. } = self;
        volumes
            .set_up(&Context { store, fields, host_paths, claims, issuer })
            .map_err(|failure| failure.why)?;
        Ok(volumes.mount(&mount(""), "")?.host)
    }

    fn make(&self, source: Value) -> Result<PathBuf, String> {
        self.set_up(&mut self.volumes(), source, &[])
    }
}

fn mount(sub_path: &str) -> VolumeMount {
    VolumeMount {
        name: "v".into(),
        mount_path: "/m".into(),
        sub_path: sub_path.into(),
        ..VolumeMount::default()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn items_and_modes_are_honoured() {
    let world = World::new();
    let dir = world
        .make(json!({ "configMap": {
            "name": "m", "defaultMode": 0o440, "items": [{ "key": "a", "path": "x/y" }, { "key": "b", "path": "z", "mode": 0o700 }],
        }}))
        .unwrap();
    assert_eq!(fs::read_to_string(dir.join("x/y")).unwrap(), "1");
    assert_eq!((mode(&dir.join("x/y")), mode(&dir.join("z"))), (0o440, 0o700));
    assert!(!dir.join("a").exists());
}

#[test]
fn projected_volumes_gather_sources() {
    let world = World::new();
    let dir = world
        .make(json!({ "projected": { "sources": [
            { "configMap": { "name": "m", "items": [{ "key": "a", "path": "map/a" }] } },
            { "secret": { "name": "s" } },
            { "secret": { "name": "none", "optional": true } },
            { "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
        ]}}))
        .unwrap();
    assert_eq!(fs::read_to_string(dir.join("map/a")).unwrap(), "1");
    assert_eq!(fs::read_to_string(dir.join("k")).unwrap(), "v");
    assert_eq!(fs::read_to_string(dir.join("labels")).unwrap(), "l=\"1\"");
}

#[test]
fn what_cannot_be_had_is_said() {
    let world = World::new();
    for (source, words) in [
        (json!({ "configMap": { "name": "no" } }), r#"configmap "no" not found"#),
        (json!({ "secret": { "secretName": "no" } }), r#"secret "no" not found"#),
        (
            json!({ "secret": { "secretName": "s", "items": [{ "key": "z", "path": "z" }] } }),
            "non-existent secret key: z",
        ),
        (json!({ "configMap": { "name": "m", "items": [{ "key": "a", "path": "../z" }] } }), "invalid path"),
        (
            json!({ "persistentVolumeClaim": { "claimName": "no" } }),
            r#"persistentvolumeclaim "no" not found"#,
        ),
        (json!({ "nfs": { "server": "s", "path": "/" } }), "no volumes of type nfs"),
        (
            json!({ "projected": { "sources": [{ "serviceAccountToken": { "path": "t" } }] } }),
            r#"serviceaccounts "default" not found"#,
        ),
        (
            json!({ "projected": { "sources": [{ "clusterTrustBundle": { "path": "t" } }] } }),
            "clusterTrustBundle",
        ),
        (json!({ "hostPath": { "path": "/etc" } }), "allowed: none"),
    ] {
        let why = world.make(source).unwrap_err();
        assert!(why.contains(words), "{why}");
    }
    let empty = world.make(json!({ "secret": { "secretName": "no", "optional": true } })).unwrap();
    assert!(empty.is_dir());
}

#[test]
fn content_follows_its_source() {
    let world = World::new();
    let mut volumes = world.volumes();
    let source = json!({ "configMap": { "name": "m" } });
    let dir = world.set_up(&mut volumes, source.clone(), &[]).unwrap();
    let untouched = fs::read_link(dir.join("..data")).unwrap();
    world.set_up(&mut volumes, source.clone(), &[]).unwrap();
    assert_eq!(fs::read_link(dir.join("..data")).unwrap(), untouched);
    let change = |map: &mut Value| {
        map["data"] = json!({ "a": "new" });
        Ok(())
    };
    world.store.update(Kind::ConfigMap, "n", "m", &crate::store::Preconditions::none(), change).unwrap();
    world.set_up(&mut volumes, source, &[]).unwrap();
    assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "new");
    assert!(!dir.join("b").exists());
}

#[test]
fn sub_paths_stay_in_the_volume() {
    let world = World::new();
    let mut volumes = world.volumes();
    let dir = world.set_up(&mut volumes, json!({ "emptyDir": {} }), &[]).unwrap();
    assert_eq!(mode(&dir), 0o777);
    let sub = volumes.mount(&mount("a/b"), "a/b").unwrap();
    assert_eq!(sub.host, dir.canonicalize().unwrap().join("a/b"));
    assert!(sub.host.is_dir() && !sub.read_only);
    symlink("/etc", dir.join("out")).unwrap();
    for bad in ["../x", "/etc", "out", "out/x", "a/../../x"] {
        assert!(volumes.mount(&mount(bad), bad).is_err(), "{bad}");
    }
}

#[test]
fn claims_are_the_same_for_all_pods_and_read_only_where_wanted() {
    let world = World::new();
    let meta = json!({ "name": "c", "namespace": "n" });
    let claim = json!({ "metadata": meta, "status": { "phase": "Bound" } });
    world.store.create(Kind::PersistentVolumeClaim, claim).unwrap();
    let source =
        |read_only: bool| json!({ "persistentVolumeClaim": { "claimName": "c", "readOnly": read_only } });
    let (mut writable, mut read_only) = (world.volumes(), world.volumes());
    let dir = world.set_up(&mut writable, source(false), &[]).unwrap();
    assert_eq!(mode(&dir), 0o777);
    assert_eq!(world.set_up(&mut read_only, source(true), &[]).unwrap(), dir);
    let sub = |volumes: &Volumes| volumes.mount(&mount("a/b"), "a/b").unwrap();
    assert_eq!(sub(&writable).host, dir.join("a/b"));
    assert!(!sub(&writable).read_only && sub(&read_only).read_only);
    assert!(writable.mount(&mount("../x"), "../x").is_err());
}

#[test]
fn host_paths_are_bounded() {
    let world = World::new();
    let allowed = tempfile::tempdir().unwrap();
    let allow = [allowed.path().to_owned()];
    fs::write(allowed.path().join("file"), "").unwrap();
    symlink("/etc", allowed.path().join("out")).unwrap();
    let ask = |path: &Path, kind: &str| {
        let source = json!({ "hostPath": { "path": path, "type": kind } });
        world.set_up(&mut world.volumes(), source, &allow)
    };
    assert!(ask(allowed.path(), "Directory").is_ok());
    assert!(ask(&allowed.path().join("new"), "DirectoryOrCreate").is_ok());
    assert!(ask(&allowed.path().join("file"), "Directory").is_err());
    assert!(ask(&allowed.path().join("absent"), "").is_err());
    assert!(ask(&allowed.path().join("out"), "").is_err());
    assert!(ask(Path::new("/etc"), "").is_err());
    assert!(ask(&world.dir.path().join("made"), "DirectoryOrCreate").is_err());
    assert!(!world.dir.path().join("made").exists());
}

#[test]
fn projected_tokens_are_bound_to_the_pod_and_stay() {
    let world = World::new();
    let meta = |name: &str| json!({ "name": name, "namespace": "n" });
    world.store.create(Kind::ServiceAccount, json!({ "metadata": meta("default") })).unwrap();
    let pod = json!({ "metadata": meta("p"), "spec": { "serviceAccountName": "default", "containers": [] } });
    world.store.create(Kind::Pod, pod).unwrap();
    let source = json!({ "projected": { "sources": [
        { "serviceAccountToken": { "path": "token", "audience": "x", "expirationSeconds": 600 } },
        { "downwardAPI": { "items": [{ "path": "name", "fieldRef": { "fieldPath": "metadata.name" } }] } },
    ]}});
    let mut volumes = world.volumes();
    let dir = world.set_up(&mut volumes, source.clone(), &[]).unwrap();
    let token = fs::read_to_string(dir.join("token")).unwrap();
    assert_eq!((token.split('.').count(), mode(&dir.join("token"))), (3, 0o600));
    world.set_up(&mut volumes, source, &[]).unwrap();
    assert_eq!(fs::read_to_string(dir.join("token")).unwrap(), token);
}
