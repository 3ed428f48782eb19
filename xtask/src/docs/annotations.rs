//! The page of labels and annotations.

use nocrd_model::keys::{Key, Kind, TABLE, Use};

pub(super) fn page() -> String {
    let mut text = String::from(
        "# Labels and annotations\n\n\
         What the server reads from templates and writes on pods. *Reserved* keys are set by the server alone: a caller or \
         template that sets one is refused, or the key is dropped. *Directives* tell the server what to do with a template \
         and stay there. *Copied* ones reach the workspace's pod and count there.\n",
    );
    for (usage, title) in
        [(Use::Directive, "Directives"), (Use::Copied, "Copied to the pod"), (Use::Reserved, "Reserved")]
    {
        text.push_str(&format!(
            "\n## {title}\n\n| Key | On | Value | Default | Since | Meaning |\n|---|---|---|---|---|---|\n"
        ));
        TABLE.iter().filter(|key| key.usage == usage).for_each(|key| text.push_str(&line(key)));
    }
    text
}

fn line(key: &Key) -> String {
    let kind = match key.kind {
        Kind::Label => "label",
        Kind::Annotation => "annotation",
        Kind::Both => "label and annotation",
    };
    format!("| `{}` | {kind} | {} | {} | {} | {} |\n", key.key, key.value, key.default, key.since, key.doc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_line() {
        let page = page();
        for key in TABLE {
            assert_eq!(page.matches(&format!("| `{}` |", key.key)).count(), 1, "{}", key.key);
        }
    }
}
