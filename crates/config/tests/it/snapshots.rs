//! What people read: the help and the reference.

use nocrd_config::{Binary, help, reference};

#[test]
fn help_of_nocrd_all() {
    insta::assert_snapshot!(help(Binary::All));
}

#[test]
fn settings_reference() {
    insta::assert_snapshot!(reference::settings_markdown());
}

#[test]
fn the_command_line_page_holds_every_help() {
    let page = reference::help_markdown();
    for binary in Binary::ALL {
        assert!(page.contains(help(binary).trim_end()), "{}", binary.name());
    }
    assert!(
        page.contains("## nocrd-all dev") && page.contains("--api-port") && page.contains("--addr"),
        "{page}"
    );
}
