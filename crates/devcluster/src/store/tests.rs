use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::*;

fn config_map(name: &str, value: &str) -> Value {
    json!({ "metadata": { "name": name, "namespace": "n" }, "data": { "k": value } })
}

fn set(store: &Store, name: &str, value: &str) -> Result<Arc<Value>, Status> {
    store.update(Kind::ConfigMap, "n", name, &Preconditions::none(), |object| {
        object["data"]["k"] = value.into();
        Ok(())
    })
}

fn version(object: &Value) -> u64 {
    object::resource_version(object).parse().expect("a number")
}

async fn next(watch: &mut Watch) -> Option<Result<Event, Status>> {
    timeout(Duration::from_secs(10), watch.next()).await.expect("something happens")
}

fn with_history(history: usize) -> Store {
    Store::open(&Options { history, ..Options::default() }).expect("a store in memory")
}

#[test]
fn every_write_gets_the_next_revision() {
    let store = Store::in_memory();
    let a = store.create(Kind::ConfigMap, config_map("a", "1")).expect("created");
    let b = store.create(Kind::Secret, config_map("b", "1")).expect("created");
    assert_eq!((version(&a), version(&b)), (1, 2));
    assert!(!object::uid(&a).is_empty() && a["metadata"]["creationTimestamp"].is_string());
    let changed = set(&store, "a", "2").expect("changed");
    assert_eq!((version(&changed), object::uid(&changed)), (3, object::uid(&a)));
    let same = set(&store, "a", "2").expect("nothing to do");
    assert!(Arc::ptr_eq(&same, &changed) && store.revision() == 3, "a change that changes nothing is none");
    let gone = store.delete(Kind::ConfigMap, "n", "a", &Preconditions::none()).expect("deleted");
    assert_eq!(version(&gone), 4);
    assert_eq!(store.get(Kind::ConfigMap, "n", "a").expect_err("gone").reason, "NotFound");
}

#[test]
fn a_failed_change_leaves_everything_as_it_was() {
    let store = Store::in_memory();
    let before = store.create(Kind::ConfigMap, config_map("a", "1")).expect("created");
    let refused = store.update(Kind::ConfigMap, "n", "a", &Preconditions::none(), |object| {
        object["data"] = Value::Null;
        Err(Status::bad_request("no"))
    });
    assert_eq!(refused.expect_err("refused").message, "no");
    assert_eq!(store.get(Kind::ConfigMap, "n", "a").expect("there"), before);
    assert_eq!(
        store.create(Kind::ConfigMap, config_map("a", "2")).expect_err("taken").reason,
        "AlreadyExists"
    );
    assert_eq!(store.revision(), 1);
}

#[test]
fn preconditions() {
    let store = Store::in_memory();
    let first = store.create(Kind::ConfigMap, config_map("a", "1")).expect("created");
    let at_first = Preconditions {
        uid: Some(object::uid(&first).into()),
        resource_version: Some(object::resource_version(&first).into()),
    };
    let touch = |preconditions: &Preconditions| {
        store.update(Kind::ConfigMap, "n", "a", preconditions, |object| {
            object["data"]["k"] = "2".into();
            Ok(())
        })
    };
    assert_eq!(touch(&Preconditions::uid("x")).expect_err("another").code, 409);
    touch(&at_first).expect("as expected");
    assert_eq!(touch(&at_first).expect_err("changed since").code, 409);
    let delete = |preconditions: &Preconditions| store.delete(Kind::ConfigMap, "n", "a", preconditions);
    assert!(
        delete(&Preconditions::uid("x"))
            .expect_err("another")
            .message
            .contains("does not match the UID in record")
    );
    assert!(
        delete(&at_first)
            .expect_err("changed")
            .message
            .contains("does not match the ResourceVersion in record")
    );
    delete(&Preconditions::uid(object::uid(&first))).expect("deleted");
}

#[test]
fn lists_are_ordered_and_bounded_by_namespace() {
    let store = Store::in_memory();
    for (namespace, name) in [("b", "x"), ("a", "y"), ("a", "x"), ("ab", "x")] {
        let object = json!({ "metadata": { "name": name, "namespace": namespace } });
        store.create(Kind::Pod, object).expect("created");
    }
    let names = |namespace| -> Vec<String> {
        let items = store.list(Kind::Pod, namespace).items;
        items.iter().map(|object| format!("{}/{}", object::namespace(object), object::name(object))).collect()
    };
    assert_eq!(names(None), ["a/x", "a/y", "ab/x", "b/x"]);
    assert_eq!(names(Some("a")), ["a/x", "a/y"]);
    assert!(names(Some("c")).is_empty());
}

#[tokio::test]
async fn a_watch_tells_everything_in_order() {
    let store = Store::in_memory();
    store.create(Kind::ConfigMap, config_map("a", "1")).expect("created");
    let (snapshot, mut watch) = store.list_and_watch(Kind::ConfigMap).expect("watching");
    assert_eq!(snapshot.items.len(), 1);
    assert_eq!(watch.caught_up_to(), Some(1));
    store.create(Kind::Secret, config_map("s", "1")).expect("of another kind");
    assert_eq!(watch.caught_up_to(), Some(2), "what isn't watched needs no catching up");

    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for round in 0..50 {
            set(&writer, "a", &format!("round {round}")).expect("changed");
            tokio::task::yield_now().await;
        }
        writer.delete(Kind::ConfigMap, "n", "a", &Preconditions::none()).expect("deleted");
    });
    let mut last = 2;
    for round in 0..=50 {
        let event = next(&mut watch).await.expect("goes on").expect("no failure");
        assert!(event.revision > last && version(&event.object) == event.revision);
        last = event.revision;
        let wanted = if round < 50 { Change::Modified } else { Change::Deleted };
        assert_eq!(event.change, wanted);
        assert!(event.previous.is_some());
    }
    writing.await.expect("written");
    assert_eq!(watch.caught_up_to(), Some(last));

    let mut again = store.watch(Kind::ConfigMap, 1).expect("from before");
    assert_eq!(next(&mut again).await.expect("goes on").expect("no failure").object["data"]["k"], "round 0");
    assert_eq!(again.caught_up_to(), None);
}

#[tokio::test]
async fn history_is_bounded() {
    let store = with_history(3);
    store.create(Kind::ConfigMap, config_map("a", "0")).expect("created");
    let mut slow = store.watch(Kind::ConfigMap, 1).expect("watching");
    for value in 1..=4 {
        set(&store, "a", &value.to_string()).expect("changed");
    }
    let Err(expired) = store.watch(Kind::ConfigMap, 1) else { panic!("revision 1 is forgotten") };
    assert_eq!((expired.code, expired.reason), (410, "Expired"));
    assert_eq!(expired.message, "too old resource version: 1 (2)");
    assert_eq!(next(&mut slow).await.expect("tells").expect_err("it lags behind").code, 410);
    assert!(next(&mut slow).await.is_none());

    let mut watch = store.watch(Kind::ConfigMap, 2).expect("still known");
    assert_eq!(next(&mut watch).await.expect("goes on").expect("no failure").revision, 3);
}

#[test]
fn earlier_states_can_be_listed() {
    let store = with_history(8);
    store.create(Kind::ConfigMap, config_map("a", "1")).expect("created"); // 1
    store.create(Kind::ConfigMap, config_map("b", "1")).expect("created"); // 2
    set(&store, "a", "2").expect("changed"); // 3
    store.delete(Kind::ConfigMap, "n", "b", &Preconditions::none()).expect("deleted"); // 4
    store.create(Kind::ConfigMap, config_map("b", "new")).expect("created"); // 5
    let at = |revision| -> Vec<(String, String)> {
        let items = store.list_at(Kind::ConfigMap, Some("n"), revision).expect("known").items;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        items.iter().map(|object| (object::name(object).to_owned(), text(&object["data"]["k"]))).collect()
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert!(at(0).is_empty());
    assert_eq!(at(1), [pair("a", "1")]);
    assert_eq!(at(2), [pair("a", "1"), pair("b", "1")]);
    assert_eq!(at(3), [pair("a", "2"), pair("b", "1")]);
    assert_eq!(at(4), [pair("a", "2")]);
    assert_eq!(at(5), [pair("a", "2"), pair("b", "new")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_create_at_once_one_succeeds() {
    let store = Store::in_memory();
    let mut attempts = tokio::task::JoinSet::new();
    for attempt in 0..16 {
        let store = store.clone();
        attempts.spawn(async move {
            store.create(Kind::ConfigMap, config_map("a", &attempt.to_string())).is_ok()
        });
    }
    let succeeded = attempts.join_all().await.into_iter().filter(|succeeded| *succeeded).count();
    assert_eq!((succeeded, store.revision()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_holds_while_the_write_happens() {
    let store = Store::in_memory();
    let mut attempts = tokio::task::JoinSet::new();
    for attempt in 0..16 {
        let store = store.clone();
        attempts.spawn(async move {
            let at_most_three = |view: &View<'_>| match view.list(Kind::ConfigMap, Some("n")).count() {
                ..3 => Ok(()),
                _ => Err(Status::bad_request("full")),
            };
            store.create_if(Kind::ConfigMap, config_map(&format!("c{attempt}"), ""), at_most_three).is_ok()
        });
    }
    attempts.join_all().await;
    assert_eq!(store.list(Kind::ConfigMap, None).items.len(), 3);
}

mod on_disk {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::store::journal::restore;

    fn open(dir: &TempDir) -> Result<Store, Error> {
        Store::open(&Options { data_dir: Some(dir.path().into()), history: 64 })
    }

    fn everything(store: &Store) -> Vec<Arc<Value>> {
        Kind::ALL.into_iter().flat_map(|kind| store.list(kind, None).items).collect()
    }

    #[test]
    fn objects_and_revisions_survive() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(&dir).expect("opened");
        store.create(Kind::ConfigMap, config_map("a", "1")).expect("created");
        store.create(Kind::ConfigMap, config_map("b", "ü\n\"")).expect("created");
        store.create(Kind::Pod, json!({ "metadata": { "name": "p", "namespace": "n" } })).expect("created");
        set(&store, "a", "2").expect("changed");
        store.delete(Kind::ConfigMap, "n", "b", &Preconditions::none()).expect("deleted");
        let (before, revision) = (everything(&store), store.revision());
        drop(store);

        let store = open(&dir).expect("opened again");
        assert_eq!((everything(&store), store.revision()), (before, revision));
        let Err(expired) = store.watch(Kind::ConfigMap, revision - 1) else { panic!("history is not kept") };
        assert_eq!(expired.code, 410);
        let created = store.create(Kind::ConfigMap, config_map("c", "1")).expect("created");
        assert_eq!(version(&created), revision + 1);
        drop(store);
        assert_eq!(everything(&open(&dir).expect("opened once more")).len(), 3);
    }

    #[test]
    fn a_crash_in_the_middle_of_a_write_loses_that_write_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(&dir).expect("opened");
        let mut states = vec![(0, Vec::new())];
        let mut note = |store: &Store| states.push((store.revision(), everything(store)));
        store.create(Kind::ConfigMap, config_map("a", "1")).expect("created");
        note(&store);
        store.create(Kind::Secret, config_map("s", "ü")).expect("created");
        note(&store);
        set(&store, "a", "2").expect("changed");
        note(&store);
        store.delete(Kind::ConfigMap, "n", "a", &Preconditions::none()).expect("deleted");
        note(&store);
        drop(store);
        let path = dir.path().join("objects.jsonl");
        let written = fs::read(&path).expect("read");
        let header = written.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
        let mut reached = std::collections::BTreeSet::new();
        for length in header..=written.len() {
            let restored = restore(&path, &written[..length]).expect("a cut-off end is no damage");
            let state = (restored.revision, restored.objects.into_iter().map(|(_, object)| object).collect());
            let index = states.iter().position(|known| *known == state).expect("a state there was");
            reached.insert(index);
            // No acknowledged write is missing: all complete lines count.
            let lines = written[..length].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(index, lines - 1);
        }
        assert_eq!(reached.len(), states.len());

        fs::write(&path, &written[..written.len() - 5]).expect("cut");
        let store = open(&dir).expect("opened after the crash");
        assert_eq!(everything(&store), states[3].1);
        store.create(Kind::ConfigMap, config_map("b", "1")).expect("goes on");
        drop(store);
        assert_eq!(everything(&open(&dir).expect("opened again")).len(), 3);
    }

    #[test]
    fn damage_is_reported_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(&dir).expect("opened");
        for name in ["a", "b", "c"] {
            store.create(Kind::ConfigMap, config_map(name, "1")).expect("created");
        }
        drop(store);
        let path = dir.path().join("objects.jsonl");
        let good = fs::read_to_string(&path).expect("read");
        let lines: Vec<&str> = good.lines().collect();
        let cases = [
            (good.replacen("\"k\":\"1\"", "\"k\":\"2\"", 1), 2),
            (good.replacen(lines[2], "garbage", 1), 3),
            (good.replacen(lines[2], "", 1), 3),
            (good.replacen(lines[0], "0123", 1), 1),
            (format!("{}\n{}\n", lines[1], lines[2]), 1),
        ];
        for (damaged, line) in cases {
            fs::write(&path, &damaged).expect("damaged");
            let Err(Error::Damaged { line: reported, .. }) = open(&dir) else { panic!("{damaged}") };
            assert_eq!(reported, line, "{damaged}");
            assert_eq!(fs::read_to_string(&path).expect("read"), damaged);
        }
        fs::write(&path, good).expect("restored");
        assert_eq!(everything(&open(&dir).expect("good again")).len(), 3);
    }

    #[test]
    fn a_half_written_compaction_is_ignored() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(&dir).expect("opened");
        store.create(Kind::ConfigMap, config_map("a", "1")).expect("created");
        drop(store);
        fs::write(dir.path().join("objects.jsonl.new"), "half a li").expect("left over");
        assert_eq!(everything(&open(&dir).expect("opened")).len(), 1);
    }

    #[test]
    fn the_file_does_not_grow_without_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(&dir).expect("opened");
        store.create(Kind::ConfigMap, config_map("a", "")).expect("created");
        for round in 0..100_u32 {
            set(&store, "a", &format!("{round}{}", "x".repeat(64 << 10))).expect("changed");
        }
        store.flush().expect("flushed");
        let length = fs::metadata(dir.path().join("objects.jsonl")).expect("there").len();
        assert!(length < 5 << 20, "{length}");
        let last = store.get(Kind::ConfigMap, "n", "a").expect("there");
        drop(store);
        assert_eq!(open(&dir).expect("opened").get(Kind::ConfigMap, "n", "a").expect("there"), last);
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(&dir).expect("opened");
        assert!(matches!(open(&dir), Err(Error::Locked { .. })));
        drop(store);
        open(&dir).expect("free again");
    }

    #[test]
    fn a_closed_store_lets_go_and_takes_no_more() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(&dir).expect("opened");
        store.create(Kind::ConfigMap, config_map("a", "1")).expect("created");
        store.close().expect("closed");
        let again = open(&dir).expect("free");
        assert_eq!(set(&store, "a", "2").expect_err("closed").code, 503);
        assert_eq!(store.get(Kind::ConfigMap, "n", "a"), again.get(Kind::ConfigMap, "n", "a"));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().expect("a directory");
        let store = open(&dir).expect("opened");
        store.create(Kind::Secret, config_map("s", "secret")).expect("created");
        for file in fs::read_dir(dir.path()).expect("readable") {
            let file = file.expect("a file");
            assert_eq!(file.metadata().expect("there").permissions().mode() & 0o077, 0, "{:?}", file.path());
        }
    }

    #[test]
    fn an_unusable_directory_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        let options = Options { data_dir: Some(file), history: 1 };
        assert!(matches!(Store::open(&options), Err(Error::Io { .. })));
    }
}
