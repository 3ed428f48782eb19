//! TEMP probing
use nocrd_templates::spec::{parse_text, validate};
#[test]
fn probe() {
    let laughs = {
        let mut l = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let p = format!("*a{}", level - 1);
            l += &format!("a{level}: &a{level} [{}]\n", vec![p; 10].join(","));
        }
        l
    };
    let deepflow = format!("a: {}", "[".repeat(200_000));
    let deepmix = format!("{{a: {}", "{b: ".repeat(200_000));
    let wide = format!("a: [{}]", "1,".repeat(400_000));
    let manykeys = (0..100_000).map(|i| format!("k{i}: 1\n")).collect::<String>();
    let bigscalar = format!("a: '{}'", "x".repeat(1_000_000));
    let manyanchors = (0..90_000).map(|i| format!("- &a{i} x\n")).collect::<String>();
    let minus = "- ".repeat(300_000);
    let q = "? ".repeat(300_000);
    let colon = "a: ".repeat(2000);
    for (what, text) in [
        ("laughs", laughs.as_str()),
        ("deepflow", &deepflow),
        ("deepmix", &deepmix),
        ("wide", &wide),
        ("manykeys", &manykeys),
        ("bigscalar", &bigscalar),
        ("anchors", &manyanchors),
        ("minus", &minus),
        ("q", &q),
        ("colon", &colon),
        ("dupjson", r#"{"a":1,"a":2}"#),
        ("dupyaml", "a: 1\na: 2"),
        ("flowdup", "{a: 1, a: 2}"),
        ("flow broken", "{a: 1, b: [}"),
        ("json broken", "{\"a\": 1,\n \"b\": }"),
        ("octal", "a: 0644"),
        ("octal8", "a: 0899"),
        ("0o", "a: 0o644"),
        ("json octal", "{\"a\": 0644}"),
        ("hex", "a: 0x1F"),
        ("under", "a: 1_000"),
        ("sexa", "a: 22:30"),
        ("date", "a: 2001-01-01"),
        ("nan", "a: .nan"),
        ("inf", "a: .inf"),
        ("intkey", "1: a"),
        ("boolkey", "yes: a"),
        ("nullkey", "~: a"),
        ("seqkey", "? [a]\n: b"),
        ("yes", "a: yes"),
        ("no", "a: no"),
        ("on", "a: on"),
        ("y", "a: y"),
        ("tagstr", "a: !!str 5"),
        ("tag", "a: !foo 5"),
        ("bin", "a: !!binary aGVsbG8="),
        ("multi", "a: 1\n---\nb: 2"),
        ("trail", "a: 1\n---\n"),
        ("lead", "---\na: 1\n...\n"),
        ("comment", "# nothing"),
        ("null", "~"),
        ("scalar", "hello"),
        ("merge", "x: &x {a: 1}\ny:\n  <<: *x\n  b: 2"),
        ("tab", "a:\n\tb: 1"),
        ("nul", "a: \0"),
        ("crlf", "a: 1\r\nb: 2\r\n"),
        ("huge", "a: 123456789012345678901234567890"),
        ("exp", "a: 1e400"),
        ("selfref", "a: &a [*a]"),
        ("undef", "a: *x"),
        ("quote", "a: \"unterminated"),
        ("indent", "a:\n  b: 1\n c: 2"),
        ("long", "a: |\n  text\n  more\n"),
        ("jsontrail", "{\"a\":1} x"),
        ("multijson", "{\"a\":1}\n{\"b\":2}"),
        ("flowcomment", "{a: 1} # x"),
        ("jsonnull", "{\"a\":null}"),
        ("emptystr", "a: \"\""),
        ("plainempty", "a:"),
        ("plus", "a: +5"),
        ("ver", "a: 1.10"),
        ("dotnum", "a: .5"),
    ] {
        let t = std::time::Instant::now();
        let r = parse_text(text);
        let s = match r {
            Ok(v) => {
                let _ = validate(&v);
                format!("OK {v}")
            }
            Err(e) => format!("ERR {e}"),
        };
        println!("{what:12} {:>6} ms  {}", t.elapsed().as_millis(), s.chars().take(260).collect::<String>());
    }
    for s in [
        r#"{"containers":[{"name":"a","image":"i","env":[{"name":"A","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":1}}}]}]}"#,
        r#"{"containers":[{"name":"a","image":"i","ports":[{"containerPort":"80"}]}]}"#,
        r#"{"containers":[{"name":"a","image":"i","livenessProbe":{"httpGet":{"port":true}}}]}"#,
        r#"{"containers":{"name":"a"}}"#,
        r#"{"containers":[null]}"#,
        r#"{"containers":["a"]}"#,
        r#"{"containers":[{"image":"i"}]}"#,
        r#"{"containers":[{"name":"a","image":"i","foo":{"bar":1},"env":[{"name":"A","valu":"x"}]}],"volums":[]}"#,
        r#"{"containers":[{"name":"a","image":"i","resources":{"limits":{"cpu":true}}}]}"#,
        r#"{"containers":[{"name":"a","image":"i"}],"terminationGracePeriodSeconds":1.5}"#,
        r#"{"containers":[{"name":"a","image":"i"}],"terminationGracePeriodSeconds":"30"}"#,
        r#"{"containers":[{"name":"a","image":"i"}],"annotations":{"x":true}}"#,
        r#"{"apiVersion":"v1","kind":"Pod","spec":{}}"#,
        r#"{"metadata":{"name":"x"},"containers":[]}"#,
        r#"{"apiVersion":"v1","kind":"Pod","containers":[{"name":"a","image":"i"}]}"#,
    ] {
        println!("{s}\n   -> {:?}", validate(&serde_json::from_str(s).unwrap()).map_err(|e| e.to_string()));
    }
}
