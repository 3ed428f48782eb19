//! How long ago something was, in the least words that are precise enough.

use jiff::Timestamp;

/// The time since an instant; `<unknown>` when it is none.
pub(super) fn since(instant: &str) -> String {
    match instant.parse::<Timestamp>() {
        Ok(instant) => human(Timestamp::now().duration_since(instant).as_secs()),
        Err(_) => "<unknown>".into(),
    }
}

/// A duration in seconds, as `k8s.io/apimachinery/pkg/util/duration` writes it.
fn human(seconds: i64) -> String {
    let with_rest = |whole: i64, unit: char, rest: i64, lesser: char| {
        if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{lesser}") }
    };
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / (24 * 365));
    match seconds {
        ..=-2 => "<invalid>".into(),
        -1 => "0s".into(),
        _ if seconds < 120 => format!("{seconds}s"),
        _ if minutes < 10 => with_rest(minutes, 'm', seconds % 60, 's'),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => with_rest(hours, 'h', minutes % 60, 'm'),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => with_rest(days, 'd', hours % 24, 'h'),
        _ if years < 2 => format!("{days}d"),
        _ if years < 8 => with_rest(years, 'y', days % 365, 'd'),
        _ => format!("{years}y"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let day = 24 * 3600;
        for (seconds, text) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 60, "3h1m"),
            (9 * 3600, "9h"),
            (3 * day, "3d"),
            (3 * day + 3600, "3d1h"),
            (30 * day, "30d"),
            (2 * 365 * day, "2y"),
            (2 * 365 * day + day, "2y1d"),
            (9 * 365 * day, "9y"),
        ] {
            assert_eq!(human(seconds), text, "{seconds}");
        }
        assert_eq!(since(""), "<unknown>");
    }
}
