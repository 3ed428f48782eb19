//! Numbers in rows and columns.

use std::fmt;

/// A table. Where it has ratios, they are those of its columns to the one called `nginx`.
pub(super) struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<f64>)>,
    ratios: bool,
}

/// The column that others are compared with.
const PEER: &str = "nginx";

impl Table {
    pub(super) fn new(title: &str, columns: Vec<String>) -> Self {
        Self { title: title.to_owned(), columns, rows: Vec::new(), ratios: false }
    }

    pub(super) fn with_ratios(self) -> Self {
        Self { ratios: true, ..self }
    }

    pub(super) fn row(&mut self, label: &str, values: Vec<f64>) {
        self.rows.push((label.to_owned(), values));
    }

    /// The ratio of a column to nginx's, in the row with that label.
    pub(super) fn ratio(&self, label: &str, column: &str) -> Option<f64> {
        let (_, values) = self.rows.iter().find(|(name, _)| name == label)?;
        let at = |name: &str| values.get(self.columns.iter().position(|column| column == name)?);
        Some(at(column)? / at(PEER)?)
    }

    /// The columns after nginx's: those with a ratio.
    fn compared(&self) -> impl Iterator<Item = &String> {
        let columns = self.columns.iter().skip_while(|column| *column != PEER).skip(1);
        columns.filter(|_| self.ratios)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.rows.iter().map(|(label, _)| label.chars().count());
        let first = label.chain([self.title.chars().count()]).max().unwrap_or_default();
        write!(f, "{:<first$}", self.title)?;
        for column in &self.columns {
            write!(f, "{column:>12}")?;
        }
        for column in self.compared() {
            write!(f, "{:>18}", format!("{column}/{PEER}"))?;
        }
        writeln!(f)?;
        for (label, values) in &self.rows {
            write!(f, "{label:<first$}")?;
            for value in values {
                let digits = if value.abs() < 10.0 { 2 } else { usize::from(value.abs() < 1000.0) };
                write!(f, "{value:>12.digits$}")?;
            }
            for column in self.compared() {
                write!(f, "{:>18.2}", self.ratio(label, column).unwrap_or(f64::NAN))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_nginx() {
        let columns = ["direct", "nginx", "no-crd", "x"].map(str::to_owned).to_vec();
        let mut table = Table::new("rate", columns).with_ratios();
        table.row("plain", vec![4000.0, 2000.0, 1500.0, 5.25]);
        assert_eq!(table.ratio("plain", "no-crd"), Some(0.75));
        assert_eq!((table.ratio("plain", "y"), table.ratio("other", "x")), (None, None));
        assert_eq!(
            table.to_string(),
            "rate       direct       nginx      no-crd           x      no-crd/nginx           x/nginx\n\
             plain        4000        2000        1500        5.25              0.75              0.00\n"
        );
    }
}
