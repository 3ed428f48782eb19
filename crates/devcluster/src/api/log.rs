//! Logs of containers.

use axum::{body::Body, response::Response};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use super::{Api, path::ObjectPath, pods, query::Query, render};
use crate::{kind::Kind, object::text_at, runtime::LogOptions, status::Status, validate::Problems};

pub(super) async fn read(api: &Api, path: &ObjectPath, query: &Query) -> Result<Response, Status> {
    let mut options = options(&path.name, query)?;
    let pod = api.store.get(Kind::Pod, &path.namespace, &path.name)?;
    options.container = pods::container(&pod, query.get("container"))?;
    let body = if text_at(&pod, &["spec", "nodeName"]).is_empty() {
        // Nothing can have been written yet.
        Body::empty()
    } else {
        Body::from_stream(api.runtime.logs(pod, options).await?)
    };
    Ok(render::with_type(StatusCode::OK, "text/plain", body))
}

fn options(pod: &str, query: &Query) -> Result<LogOptions, Status> {
    let mut problems = Problems::default();
    let mut at_least = |field: &str, least: i64, why: &str| -> Result<Option<u64>, Status> {
        let Some(number) = query.number(field)? else { return Ok(None) };
        if number < least {
            problems.invalid(field, number, why);
        }
        Ok(u64::try_from(number).ok())
    };
    let tail_lines = at_least("tailLines", 0, "must be greater than or equal to 0")?;
    let limit_bytes = at_least("limitBytes", 1, "must be greater than 0")?;
    let since_seconds = at_least("sinceSeconds", 1, "must be greater than 0")?;
    let since_time = query.get("sinceTime").map(|time| {
        time.parse::<Timestamp>().map_err(|_| {
            Status::bad_request(format!(
                "parsing time \"{time}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse it"
            ))
        })
    });
    if since_seconds.is_some() && since_time.is_some() {
        problems.forbidden("sinceSeconds", "at most one of `sinceTime` or `sinceSeconds` may be specified");
    }
    let causes = problems.into_causes();
    if !causes.is_empty() {
        return Err(Status::invalid("", "PodLogOptions", pod, causes));
    }
    let back = since_seconds.and_then(|seconds| i64::try_from(seconds).ok()).map(SignedDuration::from_secs);
    Ok(LogOptions {
        container: String::new(),
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        tail_lines,
        since: match since_time {
            Some(time) => Some(time?),
            None => back.map(|back| Timestamp::now().checked_sub(back).unwrap_or(Timestamp::MIN)),
        },
        limit_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked() {
        let parse = |text: &str| options("p", &Query::parse(Some(text)));
        let read = parse("follow=true&tailLines=0&limitBytes=9&timestamps=1&sinceTime=2026-01-01T00:00:00Z")
            .expect("valid");
        assert!(read.follow && read.timestamps && !read.previous);
        assert_eq!((read.tail_lines, read.limit_bytes), (Some(0), Some(9)));
        assert_eq!(read.since, "2026-01-01T00:00:00Z".parse().ok());
        assert!(parse("sinceSeconds=5").expect("valid").since < Some(Timestamp::now()));
        for refused in [
            "tailLines=-1",
            "limitBytes=0",
            "sinceSeconds=0",
            "sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(refused).expect_err(refused).code, 422);
        }
        assert_eq!(parse("tailLines=x").expect_err("no number").code, 400);
    }
}
