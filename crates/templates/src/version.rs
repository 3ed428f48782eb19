use std::cmp::Ordering;

/// Tells whether a template's version `latest` is newer than `current`.
///
/// Dotted numbers (`1.10`, `v2.0.1`) are compared as numbers, missing parts counting as 0; of other texts any
/// difference counts as newer.
///
/// ```
/// # use nocrd_templates::is_newer;
/// assert!(is_newer("1.10", "1.9.3") && !is_newer("1.0", "1.0.0") && !is_newer("1.0", "2.0"));
/// assert!(is_newer("2026-spring", "2025-autumn") && !is_newer("main", "main"));
/// ```
#[must_use]
pub fn is_newer(latest: &str, current: &str) -> bool {
    match (numbers(latest), numbers(current)) {
        (Some(latest), Some(current)) => compare(&latest, &current) == Ordering::Greater,
        _ => latest.trim() != current.trim(),
    }
}

fn numbers(version: &str) -> Option<Vec<u64>> {
    let text = version.trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    text.split('.')
        .map(|part| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten())
        .collect()
}

fn compare(a: &[u64], b: &[u64]) -> Ordering {
    let length = a.len().max(b.len());
    let part = |numbers: &[u64], at: usize| numbers.get(at).copied().unwrap_or(0);
    (0..length).map(|at| part(a, at).cmp(&part(b, at))).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
