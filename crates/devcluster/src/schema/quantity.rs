//! Quantities: `500m`, `1.5Gi`, `2e3`.

use std::fmt;

/// The sentence of a real server for text that is no quantity.
pub(crate) const MALFORMED: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// An amount, exact to a billionth; finer is rounded away from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantity {
    nanos: i128,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Decimal,
    Binary,
    Exponent,
}

const NANO: i128 = 1_000_000_000;
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// With the power of ten of each.
const DECIMAL: [(&str, i32); 10] =
    [("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3), ("", 0), ("m", -3), ("u", -6), ("n", -9)];

impl Quantity {
    /// Reads a quantity.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') || number.len() > 36 {
            return None;
        }
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let scale = i32::try_from(fraction.len()).ok()?;
        let (format, nanos) = match BINARY.iter().skip(1).position(|unit| *unit == suffix) {
            Some(index) => {
                let shifted = digits.checked_mul(1024_i128.checked_pow(u32::try_from(index).ok()? + 1)?)?;
                (Format::Binary, shift(shifted, 9 - scale)?)
            }
            None => {
                let (format, power) = decimal_power(suffix)?;
                (format, shift(digits, 9 + power - scale)?)
            }
        };
        Some(Self { nanos: if negative { -nanos } else { nanos }, format })
    }

    /// The amount rounded up to whole units.
    pub(crate) fn ceil(self) -> i128 {
        self.nanos.div_euclid(NANO) + i128::from(self.nanos.rem_euclid(NANO) != 0)
    }

    /// In billionths, for comparing.
    pub(crate) fn nanos(self) -> i128 {
        self.nanos
    }
}

fn decimal_power(suffix: &str) -> Option<(Format, i32)> {
    if let Some((_, power)) = DECIMAL.iter().find(|(unit, _)| *unit == suffix) {
        return Some((Format::Decimal, *power));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let power: i32 = exponent.parse().ok()?;
    (power.abs() <= 30).then_some((Format::Exponent, power))
}

/// Multiplies by a power of ten; what gets lost below is rounded away from zero.
fn shift(value: i128, power: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    if power >= 0 {
        return value.checked_mul(factor);
    }
    Some(value / factor + i128::from(value % factor != 0))
}

/// The canonical form: the largest unit that needs no fraction.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let whole = self.nanos % NANO == 0;
        if self.format == Format::Binary && whole && (self.nanos / NANO).abs() >= 1024 {
            let mut value = self.nanos / NANO;
            let mut units = BINARY.iter();
            let mut unit = units.next().copied().unwrap_or_default();
            for next in units {
                if value % 1024 != 0 {
                    break;
                }
                value /= 1024;
                unit = next;
            }
            return write!(f, "{value}{unit}");
        }
        for (unit, power) in DECIMAL {
            let factor = 10_i128.pow((power + 9).unsigned_abs());
            if self.nanos % factor == 0 {
                let value = self.nanos / factor;
                return match (self.format, power) {
                    (Format::Exponent, 0) => write!(f, "{value}"),
                    (Format::Exponent, _) => write!(f, "{value}e{power}"),
                    _ => write!(f, "{value}{unit}"),
                };
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn canonical_forms() {
        for (text, canonical) in [
            ("0", "0"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1.5", "1500m"),
            ("1500m", "1500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("512Ki", "512Ki"),
            ("1000k", "1M"),
            ("12e6", "12e6"),
            ("100Gi", "100Gi"),
            ("-5", "-5"),
            ("+3", "3"),
            ("0.5Ki", "512"),
            ("1E", "1E"),
            (".5", "500m"),
            ("2.", "2"),
        ] {
            assert_eq!(
                Quantity::parse(text).map(|quantity| quantity.to_string()).as_deref(),
                Some(canonical),
                "{text}"
            );
        }
    }

    #[test]
    fn malformed() {
        for text in ["", "lots", "1 ", "1.2.3", "m", "--1", "1kk", "1e", "1e99", ".", "1Zi", "٣"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn canonical_form_is_stable(text in "[+-]?[0-9]{1,6}(\\.[0-9]{1,3})?(n|u|m|k|M|G|Ki|Mi|Gi|e3)?") {
            if let Some(quantity) = Quantity::parse(&text) {
                let again = Quantity::parse(&quantity.to_string()).expect("canonical text is readable");
                prop_assert_eq!(again.nanos(), quantity.nanos());
                prop_assert_eq!(again.to_string(), quantity.to_string());
            }
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = Quantity::parse(&text).map(|quantity| (quantity.to_string(), quantity.ceil()));
        }
    }
}
