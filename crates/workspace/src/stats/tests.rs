use std::{fs, path::Path};

use serde_json::json;

use super::*;

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

const CONTAINER: [(&str, &str); 5] = [
    ("memory.current", "104857600\n"),
    ("memory.max", "536870912\n"),
    ("memory.stat", "anon 1\ninactive_file 52428800\nactive_file 2\n"),
    ("cpu.stat", "usage_usec 2000000\nuser_usec 1\n"),
    ("cpu.max", "50000 100000\n"),
];

const PROCESS: [(&str, &str); 2] = [
    ("stat", "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 100 1 1"),
    ("status", "Name:\ta\nVmRSS:\t    2048 kB\n"),
];

#[test]
fn a_container_is_measured_by_its_control_group() {
    let cgroup = directory(&CONTAINER);
    let start = Instant::now();
    let mut sampler =
        Sampler::with(Source::at(cgroup.path(), Path::new("/nonexistent")), "/nonexistent".into(), start);
    fs::write(cgroup.path().join("cpu.stat"), "usage_usec 2500000\n").unwrap();
    let stats = serde_json::to_value(sampler.sample(start + Duration::from_secs(65))).unwrap();
    assert_eq!(stats["memory"], json!({"usedBytes": 52_428_800, "limitBytes": 536_870_912}));
    assert_eq!((&stats["scope"], &stats["disk"]), (&json!("container"), &json!(null)));
    assert_eq!((&stats["cpu"]["limitCores"], &stats["uptimeSeconds"]), (&json!(0.5), &json!(65)));
    assert_eq!(
        stats["stats"],
        json!({"CPU": "0.8 % of 50.0 %", "Memory": "50.0 MiB of 512 MiB", "Uptime": "1m 5s"})
    );
}

#[test]
fn outside_a_container_the_process_is_measured() {
    let process = directory(&PROCESS);
    let source = Source::at(Path::new("/nonexistent"), process.path());
    assert_eq!((source.scope(), source.cpu()), (Scope::Process, Some(Duration::from_secs(2))));
    assert_eq!(source.memory(), Some(Memory { used_bytes: 2 * 1024 * 1024, limit_bytes: None }));
    assert_eq!(source.cpu_limit(), None);
}

#[test]
fn no_limit_is_not_a_limit_of_zero() {
    let cgroup = directory(&CONTAINER);
    fs::write(cgroup.path().join("memory.max"), "max\n").unwrap();
    fs::write(cgroup.path().join("cpu.max"), "max 100000\n").unwrap();
    let source = Source::at(cgroup.path(), Path::new("/nonexistent"));
    assert_eq!((source.cpu_limit(), source.memory().unwrap().limit_bytes), (None, None));
}

#[test]
fn what_cannot_be_read_is_null_and_nothing_fails() {
    for files in
        [&[][..], &[("stat", "garbage"), ("status", "VmRSS:")], &[("stat", "1 (a) S 1"), ("status", "")]]
    {
        let process = directory(files);
        let start = Instant::now();
        let mut sampler = Sampler::with(
            Source::at(Path::new("/nonexistent"), process.path()),
            "/nonexistent".into(),
            start,
        );
        let stats = serde_json::to_value(sampler.sample(start)).unwrap();
        assert_eq!(
            stats,
            json!({"stats": {"Uptime": "0s"}, "scope": "process", "cpu": null, "memory": null, "disk": null, "uptimeSeconds": 0})
        );
    }
}

#[test]
fn processor_use_is_averaged_over_the_window_and_kept_within_it() {
    let cgroup = directory(&CONTAINER);
    let start = Instant::now();
    let mut sampler = Sampler::with(Source::at(cgroup.path(), Path::new("/nonexistent")), "/".into(), start);
    let mut at = |millis: u64, used: u64| {
        fs::write(cgroup.path().join("cpu.stat"), format!("usage_usec {used}\n")).unwrap();
        sampler.sample(start + Duration::from_millis(millis)).cpu.unwrap().cores
    };
    assert_eq!(at(500, 2_100_000), None);
    assert_eq!(at(2_000, 3_000_000), Some(0.5));
    assert_eq!(at(2_500, 9_000_000), Some(0.5));
    assert_eq!(at(4_000, 3_000_000), Some(0.0));
    // A counter that goes back is no negative use.
    assert_eq!(at(6_000, 0), Some(0.0));
}

#[cfg(target_os = "linux")]
#[test]
fn this_very_process_can_be_measured() {
    let mut sampler = Sampler::new(".".into());
    let stats = sampler.sample(Instant::now());
    assert!(stats.memory.is_some_and(|memory| memory.used_bytes > 0), "{stats:?}");
    assert!(stats.disk.is_some_and(|disk| disk.available_bytes <= disk.total_bytes), "{stats:?}");
}
