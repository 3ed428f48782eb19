//! The pages of error codes.

use nocrd_model::error::{Code, TABLE};

/// The list in the book.
pub(super) fn index() -> String {
    let mut text = String::from(
        "# Error codes\n\n\
         Every error the server reports carries one of these codes and the word beside it. Codes are never reused. The \
         status is that of the HTTP answer; an MCP tool reports the same number in `structuredContent.error.code`.\n\n\
         | Code | Reason | Status | When | What to do |\n|---|---|---|---|---|\n",
    );
    for code in TABLE {
        text.push_str(&format!(
            "| {} | `{}` | {} | {} | {} |\n",
            code.id,
            code.reason,
            code.kind.status(),
            code.when,
            code.remedy
        ));
    }
    text
}

/// One page for each code: its file name and its text.
pub(super) fn pages() -> impl Iterator<Item = (String, String)> {
    TABLE.iter().map(|code| (format!("{}.md", code.id), page(code)))
}

fn page(code: &Code) -> String {
    format!(
        "# {}: {}\n\n{}\n\n- **Status:** {}\n- **What to do:** {}\n",
        code.id,
        code.reason,
        code.when,
        code.kind.status(),
        code.remedy
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_and_a_line() {
        let index = index();
        for (code, (name, text)) in TABLE.iter().zip(pages()) {
            assert!(index.contains(&format!("| {} | `{}` |", code.id, code.reason)));
            assert!(name.starts_with(code.id) && text.contains(code.remedy), "{name}");
        }
    }
}
