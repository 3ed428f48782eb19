//! What is said of many measurements.

use std::time::Duration;

/// The middle one; `NAN` of none.
pub(super) fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// The value that `part` percent of all are below.
pub(super) fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into what is in memory, and not negative"
    )]
    let at = (sorted.len() as f64 * part / 100.0) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Median, tail and number of some times in milliseconds.
pub(super) fn spread(values: &[f64]) -> String {
    let at = |part| percentile(values, part);
    format!("median {:.1} ms, 95th percentile {:.1} ms, of {}", at(50.0), at(95.0), values.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(
            (median(&values), percentile(&values, 99.0), percentile(&values, 100.0)),
            (101.0, 199.0, 200.0)
        );
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[7.0])), (2.0, 7.0));
        assert!(median(&[]).is_nan());
    }
}
