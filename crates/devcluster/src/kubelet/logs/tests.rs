use futures::{StreamExt, TryStreamExt};

use super::*;

struct World {
    _dir: tempfile::TempDir,
    log: std::sync::Arc<Log>,
}

fn log(segment_bytes: u64) -> World {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::with_segments_of(dir.path().join("log"), segment_bytes).unwrap();
    World { log: std::sync::Arc::new(log), _dir: dir }
}

impl World {
    fn say(&self, line: &str) {
        self.log.append(Stream::Stdout, line.as_bytes(), true).unwrap();
    }

    async fn text(&self, selection: Selection) -> String {
        let pieces: Vec<_> = read(self.log.clone(), selection).try_collect().await.unwrap();
        String::from_utf8(pieces.concat()).unwrap()
    }

    async fn tail(&self, lines: u64) -> String {
        self.text(Selection { tail: Some(lines), ..Selection::default() }).await
    }
}

#[tokio::test]
async fn output_becomes_lines_and_pieces() {
    let world = log(SEGMENT_BYTES);
    let long = "x".repeat(MAX_PIECE + 5);
    let out = format!("one\n\n{long}\nno end");
    world.log.record(out.as_bytes(), &b""[..]).await;
    assert_eq!(world.text(Selection::default()).await, out);
    let file = fs::read_to_string(segment_path(&world.log.dir, 0)).unwrap();
    let tags: Vec<_> = file.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(tags, ["F", "F", "P", "F", "P"]);
    let stamped = world.text(Selection { timestamps: true, ..Selection::default() }).await;
    assert_eq!(stamped.lines().count(), 4);
    for line in stamped.lines() {
        assert!(line.split_once(' ').unwrap().0.parse::<jiff::Timestamp>().is_ok(), "{line}");
    }
}

#[tokio::test]
async fn tails_are_exact_at_every_length() {
    let world = log(600);
    for number in 0..20 {
        world.say(&format!("line {number}"));
    }
    let all = world.text(Selection::default()).await;
    let lines: Vec<&str> = all.lines().collect();
    assert!(lines.len() > 12 && *lines.last().unwrap() == "line 19", "{all}");
    for wanted in 0..=lines.len() {
        let expected: String = lines[lines.len() - wanted..].iter().map(|line| format!("{line}\n")).collect();
        assert_eq!(world.tail(wanted as u64).await, expected, "{wanted}");
    }
    assert_eq!(world.tail(1000).await, all);
}

#[tokio::test]
async fn size_is_bounded() {
    let world = log(1000);
    for number in 0..1000 {
        world.say(&format!("line {number}"));
    }
    let size: u64 =
        fs::read_dir(&world.log.dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(size <= SEGMENTS * 1100, "{size}");
    assert!(world.text(Selection::default()).await.ends_with("line 998\nline 999\n"));
}

#[tokio::test]
async fn since_and_limit_cut_the_beginning_and_the_end() {
    let world = log(SEGMENT_BYTES);
    world.say("before");
    let instant = jiff::Timestamp::now();
    world.say("after");
    let since = Selection { since: Some(instant), ..Selection::default() };
    assert_eq!(world.text(since).await, "after\n");
    assert_eq!(world.text(Selection { limit: Some(8), ..Selection::default() }).await, "before\na");
    assert_eq!(world.text(Selection { limit: Some(0), ..Selection::default() }).await, "");
}

#[tokio::test]
async fn following_sees_everything_across_segments_and_ends() {
    let world = log(200);
    world.say("line 0");
    let selection = Selection { follow: true, tail: Some(1), ..Selection::default() };
    let mut stream = Box::pin(read(world.log.clone(), selection));
    let mut seen = String::new();
    for number in 0..50 {
        if number > 0 {
            world.say(&format!("line {number}"));
        }
        while seen.lines().count() <= number {
            seen.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
        }
    }
    world.log.end();
    assert!(stream.next().await.is_none());
    let expected: String = (0..50).map(|number| format!("line {number}\n")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_log_without_a_line_can_be_followed_to_its_end() {
    let world = log(200);
    let mut stream = Box::pin(read(world.log.clone(), Selection { follow: true, ..Selection::default() }));
    world.log.end();
    assert!(stream.next().await.is_none());
    assert_eq!(world.tail(5).await, "");
}

#[tokio::test]
async fn last_words_are_bounded() {
    let world = log(SEGMENT_BYTES);
    for number in 0..10 {
        world.say(&format!("é{number}"));
    }
    assert_eq!(world.log.tail_text(2, 100).await, "é8\né9\n");
    assert_eq!(world.log.tail_text(2, 3).await, "9\n");
}
