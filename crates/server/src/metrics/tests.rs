use std::collections::BTreeSet;

use nocrd_model::error as codes;

use super::*;

#[test]
fn families_are_as_the_book_says() {
    let metrics = Metrics::new();
    let second = Duration::from_secs(1);
    metrics.answered(Route::Workspace, &Method::GET, StatusCode::OK, second);
    metrics.checked(Checked::Good(Via::Session));
    metrics.signed_in(Outcome::Done);
    metrics.called(SPAWN, Outcome::Done, second);
    metrics.called("list_workspaces", Outcome::of(codes::FORBIDDEN), second);
    metrics.rate_limited("mcp");
    let text = metrics.text().unwrap();
    for line in [
        &format!("nocrd_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
        "nocrd_http_requests_total{route=\"workspace\",method=\"GET\",status=\"200\"} 1",
        "nocrd_http_request_duration_seconds_bucket{le=\"1.0\",route=\"workspace\"} 1",
        "nocrd_credential_checks_total{method=\"session\",outcome=\"accepted\"} 1",
        "nocrd_sign_ins_total{outcome=\"done\"} 1",
        "nocrd_tool_calls_total{tool=\"spawn_workspace\",outcome=\"done\"} 1",
        "nocrd_tool_calls_total{tool=\"list_workspaces\",outcome=\"refused\"} 1",
        "nocrd_spawn_duration_seconds_count{outcome=\"done\"} 1",
        "nocrd_rate_limited_total{limit=\"mcp\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn labels_are_bounded_whatever_clients_and_workspaces_make_up() {
    let metrics = Metrics::new();
    for number in 100..1000 {
        let status = StatusCode::from_u16(number).unwrap();
        let method = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        metrics.answered(Route::of(&format!("/{number}"), ""), &method, status, Duration::ZERO);
    }
    let text = metrics.text().unwrap();
    let series: BTreeSet<_> =
        text.lines().filter(|line| line.starts_with("nocrd_http_requests_total")).collect();
    assert!(series.len() < 80, "{}", series.len());
    assert!(series.iter().all(|line| line.contains("route=\"other\",method=\"other\"")));
}

#[test]
fn bad_credentials_are_told_apart_from_none() {
    let metrics = Metrics::new();
    metrics.checked(Checked::None);
    metrics.checked(Checked::Bad(codes::UNAUTHENTICATED, true));
    metrics.checked(Checked::Bad(codes::UNAUTHENTICATED, false));
    metrics.checked(Checked::Bad(codes::IDENTITY_PROVIDER_UNAVAILABLE, true));
    let text = metrics.text().unwrap();
    for (method, outcome) in
        [("none", "refused"), ("bearer", "refused"), ("session", "refused"), ("bearer", "failed")]
    {
        let line = format!("nocrd_credential_checks_total{{method=\"{method}\",outcome=\"{outcome}\"}} 1");
        assert!(text.contains(&line), "{line}\n{text}");
    }
}
