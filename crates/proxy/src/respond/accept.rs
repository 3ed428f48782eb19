//! Content negotiation between the two forms of an error answer (RFC 9110, 12.5.1).

/// The form of an error answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// An object, for programs.
    Json,
    /// A page, for people.
    Html,
}

/// How well a media type is accepted: quality in thousandths, then how precisely it is named.
type Fit = (u16, u8);

impl Wants {
    /// Reads an `Accept` header. HTML must be wanted more, or named more precisely, than JSON.
    #[must_use]
    pub fn parse(accept: &str) -> Self {
        let (mut html, mut json): (Fit, Fit) = ((0, 0), (0, 0));
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let quality = parts.find_map(quality).unwrap_or(1000);
            consider(&mut html, name, "text/html", "text/*", quality);
            consider(&mut json, name, "application/json", "application/*", quality);
        }
        if html.0 > 0 && html > json { Self::Html } else { Self::Json }
    }
}

/// The most precise range that matches decides the quality.
fn consider(fit: &mut Fit, name: &str, full: &str, family: &str, quality: u16) {
    let precision = if name.eq_ignore_ascii_case(full) {
        3
    } else if name.eq_ignore_ascii_case(family) {
        2
    } else {
        u8::from(name == "*/*")
    };
    if precision > fit.1 {
        *fit = (quality, precision);
    }
}

/// `q=0.8` in thousandths. One that can't be read counts as not accepted.
fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value = value.trim();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = |text: &str| text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
    let padded = format!("{fraction:0<3}");
    Some(match (whole, padded.parse::<u16>()) {
        ("1", Ok(0)) if digits(fraction) => 1000,
        ("0", Ok(thousandths)) if digits(fraction) => thousandths,
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn html_only_when_it_is_wanted_more() {
        for accept in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
            "text/html",
            "TEXT/HTML, */*",
            "text/html;q=0.9, application/json;q=0.1",
            "text/*, */*;q=0.5",
            "application/json;q=0, text/html;q=0.001",
            "text/html; level=1",
        ] {
            assert_eq!(Wants::parse(accept), Wants::Html, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/json",
            "application/json, text/html",
            "application/json, text/html;q=0.9",
            "text/html;q=0",
            "text/html;q=x",
            "text/html;q=0.1, */*",
            "application/json, text/plain, */*",
            "image/png",
            "x-text/html",
        ] {
            assert_eq!(Wants::parse(accept), Wants::Json, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(accept in "[a-z*/;,=q0-9. ]{0,60}|\\PC{0,30}") {
            let _ = Wants::parse(&accept);
        }
    }
}
