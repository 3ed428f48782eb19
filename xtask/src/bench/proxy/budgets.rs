//! What there is to keep within, and whether it was.

use std::fmt;

/// The budgets looked at so far.
#[derive(Default)]
pub(super) struct Budgets(Vec<Budget>);

struct Budget {
    what: String,
    found: f64,
    limit: String,
    unit: &'static str,
    kept: bool,
}

impl Budgets {
    pub(super) fn at_most(&mut self, what: &str, found: f64, limit: f64, unit: &'static str) {
        self.note(what, found, format!("≤ {limit}"), unit, found <= limit);
    }

    pub(super) fn below(&mut self, what: &str, found: f64, limit: f64, unit: &'static str) {
        self.note(what, found, format!("< {limit}"), unit, found < limit);
    }

    pub(super) fn at_least(&mut self, what: &str, found: f64, limit: f64, unit: &'static str) {
        self.note(what, found, format!("≥ {limit}"), unit, found >= limit);
    }

    fn note(&mut self, what: &str, found: f64, limit: String, unit: &'static str, kept: bool) {
        self.0.push(Budget { what: what.to_owned(), found, limit, unit, kept });
    }
}

impl fmt::Display for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Budget { what, found, limit, unit, kept } in &self.0 {
            let word = if *kept { "ok" } else { "missed" };
            writeln!(f, "{word:<8}{what:<42}{found:>10.2} {unit:<8} (budget {limit})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_kept_or_missed() {
        let mut budgets = Budgets::default();
        budgets.at_most("a", 20.0, 20.0, "MiB");
        budgets.at_most("b", 20.1, 20.0, "MiB");
        budgets.below("c", 1.0, 1.0, "ms");
        budgets.at_least("d", 1.0, 1.0, "×");
        budgets.at_least("e", f64::NAN, 1.0, "×");
        let text = budgets.to_string();
        let words: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(words, ["ok", "missed", "missed", "ok", "missed"]);
    }
}
