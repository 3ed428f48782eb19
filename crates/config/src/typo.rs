//! Misspelt environment variables: `AUTH_ENABLE` would be overlooked without a word.

use crate::settings::TABLE;

/// A warning for each name that is one slip away from a variable of ours and is none.
pub(crate) fn warnings(names: &[String]) -> Vec<String> {
    let ours = || TABLE.iter().flat_map(|row| row.env).copied();
    let mut warnings: Vec<String> = names
        .iter()
        // Short plain words such as NODE or GHOST are too close to too much.
        .filter(|name| name.contains('_') && ours().all(|known| known != name.as_str()))
        .filter_map(|name| {
            let meant = ours().find(|known| known.contains('_') && is_one_slip(name, known))?;
            Some(format!("environment variable {name} is not known: did you mean {meant}?"))
        })
        .collect();
    warnings.sort();
    warnings
}

/// Whether one inserted, missing, wrong or swapped character makes the difference.
fn is_one_slip(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same_start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(same_start..).unwrap_or_default(), b.get(same_start..).unwrap_or_default());
    let same_end = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let middle = |s: &[u8]| s.get(..s.len() - same_end).unwrap_or_default().to_vec();
    match (middle(a).as_slice(), middle(b).as_slice()) {
        ([], [_]) | ([_], []) | ([_], [_]) => true,
        ([x1, x2], [y1, y2]) => x1 == y2 && x2 == y1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_one_slip_from_two() {
        for (a, b) in
            [("AUTH_ENABLE", "AUTH_ENABLED"), ("AUTH_ENABELD", "AUTH_ENABLED"), ("TLS_KEV", "TLS_KEY")]
        {
            assert!(is_one_slip(a, b) && is_one_slip(b, a), "{a} {b}");
        }
        for (a, b) in [("AUTH_ENABLED", "AUTH_ENABLED"), ("AUTH_ENAB", "AUTH_ENABLED"), ("TLS_CA", "TLS_KEY")]
        {
            assert!(!is_one_slip(a, b), "{a} {b}");
        }
    }

    #[test]
    fn warns_of_near_misses_only() {
        let names =
            ["AUTH_ENABLE", "AUTH_ENABLED", "GHOST", "NODE", "PATH", "UNRELATED_NAME"].map(str::to_owned);
        assert_eq!(
            warnings(&names),
            ["environment variable AUTH_ENABLE is not known: did you mean AUTH_ENABLED?"]
        );
    }
}
