use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use crate::{Origin, Problem, Template, document::parse_file, spec::MAX_BYTES};

/// Most template files that are read.
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
    if files.len() > MAX_FILES {
        let reason = format!("only the first {MAX_FILES} of its {} template files are read", files.len());
        problems.push(problem("", reason));
    }
    for (file, stem) in files.into_iter().take(MAX_FILES) {
        let text = match read(&directory.join(&file)) {
            Ok(text) => text,
            Err(error) => {
                problems.push(problem(&stem, format!("can't read {file}: {error}")));
                continue;
            }
        };
        match parse_file(&text, &stem, &Origin::Directory) {
            Ok(template) if templates.contains_key(&template.name) => {
                let reason = format!("{file}: another file has the template {:?} already", template.name);
                problems.push(problem(&template.name, reason));
            }
            Ok(template) => {
                templates.insert(template.name.clone(), template);
            }
            Err(found) => problems.push(Problem { reason: format!("{file}: {}", found.reason), ..found }),
        }
    }
    (templates.into_values().collect(), problems)
}

/// The template files and their stems, sorted.
fn list(directory: &Path) -> io::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
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

/// Reads a file that is one, as far as it may be long: a pipe would block, and a device may have no end.
fn read(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MAX_BYTES {
        return Err(io::Error::other(format!("it has more than the {MAX_BYTES} bytes allowed")));
    }
    Ok(text)
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
        let twice = problems.iter().find(|p| p.reason.contains("another")).unwrap();
        assert_eq!(twice.name, "a");
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

    #[test]
    fn reads_files_only_and_no_further_than_allowed() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("big.yaml"), format!("{GOOD}\n#{}", "x".repeat(MAX_BYTES))).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("/dev/zero", directory.path().join("endless.yaml")).unwrap();
        let (templates, problems) = load_directory(directory.path());
        assert!(templates.is_empty());
        assert_eq!(problems.len(), if cfg!(unix) { 2 } else { 1 }, "{problems:?}");
    }

    #[test]
    fn more_files_than_are_read_are_reported() {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..=MAX_FILES {
            fs::write(directory.path().join(format!("t{number}.yaml")), GOOD).unwrap();
        }
        let (templates, problems) = load_directory(directory.path());
        assert_eq!((templates.len(), problems.len()), (MAX_FILES, 1), "{problems:?}");
    }
}
