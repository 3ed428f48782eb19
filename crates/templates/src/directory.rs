use std::{collections::BTreeMap, fs, io, path::Path};

use crate::{Origin, Problem, Template, document::parse_file, spec::MAX_BYTES};

/// Most files that are looked at.
const MAX_FILES: usize = 1_000;

/// Reads the `.yaml`, `.yml` and `.json` files directly in `directory`, by file name. What can't be read is reported
/// beside the rest, an unreadable directory included.
#[must_use]
pub fn load_directory(directory: &Path) -> (Vec<Template>, Vec<Problem>) {
    let mut templates: BTreeMap<String, Template> = BTreeMap::new();
    let mut problems = Vec::new();
    let problem =
        |name: &str, reason: String| Problem { name: name.to_owned(), origin: Origin::Directory, reason };
    let files = match list(directory) {
        Ok(files) => files,
        Err(error) => {
            return (Vec::new(), vec![problem("", format!("can't read {}: {error}", directory.display()))]);
        }
    };
    for (file, stem) in files {
        let text = match read(&directory.join(&file)) {
            Ok(text) => text,
            Err(error) => {
                problems.push(problem(&stem, format!("can't read {file}: {error}")));
                continue;
            }
        };
        match parse_file(&text, &stem, &Origin::Directory) {
            Ok(template) => match templates.get(&template.name) {
                Some(_) => problems.push(problem(
                    &stem,
                    format!("{file}: another file has the template {:?} already", template.name),
                )),
                None => {
                    templates.insert(template.name.clone(), template);
                }
            },
            Err(found) => problems.push(Problem { reason: format!("{file}: {}", found.reason), ..found }),
        }
    }
    // A template that could be read is not hidden by another file that claims its name.
    problems
        .retain(|problem| !templates.contains_key(&problem.name) || problem.reason.contains("another file"));
    (templates.into_values().collect(), problems)
}

/// The template files and their stems, sorted.
fn list(directory: &Path) -> io::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)?.take(MAX_FILES) {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let Some((stem, extension)) = name.rsplit_once('.') else { continue };
        if !stem.is_empty()
            && ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
        {
            files.push((name.clone(), stem.to_owned()));
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> io::Result<String> {
    let length = fs::metadata(path)?.len();
    if length > MAX_BYTES as u64 {
        return Err(io::Error::other(format!("it has {length} bytes, more than the {MAX_BYTES} allowed")));
    }
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "spec: {containers: [{name: a, image: i}]}";

    #[test]
    fn reads_what_it_can_and_reports_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("a.yaml", GOOD);
        write(
            "b.JSON",
            r#"{"metadata": {"name": "renamed"}, "spec": {"containers": [{"name": "a", "image": "i"}]}}"#,
        );
        write("broken.yml", "spec: [");
        write("c.yaml", &format!("metadata: {{name: a}}\n{GOOD}"));
        write("notes.txt", "not a template");
        write(".yaml", GOOD);
        fs::create_dir(directory.path().join("d.yaml")).unwrap();
        let (templates, problems) = load_directory(directory.path());
        let names: Vec<&str> = templates.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["a", "renamed"]);
        let mut reasons: Vec<&str> = problems.iter().map(|p| p.reason.as_str()).collect();
        reasons.sort_unstable();
        assert_eq!(reasons.len(), 3, "{reasons:?}");
        assert!(
            reasons[0].contains("broken.yml: ")
                && reasons[1].contains("c.yaml: another")
                && reasons[2].contains("d.yaml")
        );
    }

    #[test]
    fn an_unreadable_directory_is_a_problem_not_an_absence() {
        let (templates, problems) = load_directory(Path::new("/nonexistent/templates"));
        assert!(templates.is_empty() && problems.len() == 1 && problems[0].reason.contains("can't read"));
    }
}
