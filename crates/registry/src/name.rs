//! Names, as the OCI distribution specification has them. They need no escaping in a path.

/// Longest name of a repository, in bytes.
const MAX_REPOSITORY: usize = 255;
/// Longest tag, in bytes.
const MAX_TAG: usize = 128;

/// Tells whether a text can be the name of a repository.
pub(crate) fn is_repository(text: &str) -> bool {
    text.len() <= MAX_REPOSITORY && text.split('/').all(is_component)
}

/// Lower-case letters and digits, and between them `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separates = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    text.starts_with(plain) && text.ends_with(plain) && text.split(plain).all(separates)
}

/// Tells whether a text can be a tag.
pub(crate) fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= MAX_TAG && text.starts_with(word) && text.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repositories() {
        for good in ["a", "busybox", "team/app", "a.b/c_d/e__f/g--h", "0/1", &"a".repeat(255)] {
            assert!(is_repository(good), "{good}");
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "a..b",
            "a.-b",
            "a___b",
            "-a",
            "a-",
            ".",
            "..",
            "a/../b",
            "ä",
            "a b",
            "a?b",
            "a#b",
            "a%2fb",
            "a\\b",
            "a:1",
            "a\n",
            &"a".repeat(256),
        ] {
            assert!(!is_repository(bad), "{bad}");
        }
    }

    #[test]
    fn tags() {
        for good in ["latest", "1.0", "_x", "V1-rc.2", &"a".repeat(128)] {
            assert!(is_tag(good), "{good}");
        }
        for bad in ["", ".a", "-a", "a/b", "a:b", "a b", "ä", "a\u{1b}[0m", &"a".repeat(129)] {
            assert!(!is_tag(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_a_repository_stays_as_it_is_in_a_path(text in "[a-z0-9._/-]{1,20}") {
            if is_repository(&text) {
                let mut url = url::Url::parse("http://h/").unwrap();
                url.set_path(&format!("/v2/{text}/tags/list"));
                prop_assert_eq!(url.path(), format!("/v2/{text}/tags/list"));
            }
        }
    }
}
