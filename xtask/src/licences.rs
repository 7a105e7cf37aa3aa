//! `licences`: the licences of everything of others that the programs contain, each text once and in full, as their makers
//! ship it beside the source. The same lock files give the same bytes.
//!
//! A crate without a licence file gets the well-known text of the licence that it names, and the authors that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::deb::{at, output, read};

pub const USAGE: &str = "usage: xtask licences FILE [--desktop]";

/// What licence files are called, in capitals.
const NAMES: &[&str] = &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
/// No licence is longer.
const TEXT_MAX_BYTES: u64 = 256 * 1024;
const LINE: &str = "--------------------------------------------------------------------------------";

/// Something of others that is built in.
struct Component {
    name: String,
    version: String,
    licence: String,
    from: Option<String>,
    authors: Vec<String>,
    folder: PathBuf,
}

/// The file's path, or why there is none.
pub fn run(arguments: &[&str]) -> Result<PathBuf, String> {
    let (file, desktop) = match arguments {
        [file] => (Path::new(file), false),
        [file, "--desktop"] => (Path::new(file), true),
        _ => return Err(USAGE.to_owned()),
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = text(&source, desktop)?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    fs::write(file, text).map_err(at(file))?;
    Ok(file.to_owned())
}

/// The whole text, for `gander` alone or with its native windows.
pub fn text(source: &Path, desktop: bool) -> Result<String, String> {
    let mut components = crates(source, desktop)?;
    components.extend(web(source)?);
    components.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    let mit = read(&source.join("LICENSE-MIT"))?;
    // The project's own copyright is nobody else's.
    let mit = mit.lines().filter(|line| !line.starts_with("Copyright")).collect::<Vec<_>>().join("\n");
    written(&components, &mit)
}

fn written(components: &[Component], mit: &str) -> Result<String, String> {
    // The same words are the same text, however their lines are broken.
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let mut texts: Vec<(String, BTreeSet<String>)> = Vec::new();
    let mut all = Vec::new();
    for component in components {
        let label = format!("{} {}", component.name, component.version);
        let mut stands = BTreeSet::new();
        for found in files(&component.folder)? {
            let number = *numbers.entry(found.split_whitespace().collect::<Vec<_>>().join(" ")).or_insert_with(|| {
                texts.push((found, BTreeSet::new()));
                texts.len()
            });
            texts[number - 1].1.insert(label.clone());
            stands.insert(number);
        }
        all.push((component, stands));
    }
    let mut list = String::new();
    for (component, mut stands) in all {
        let label = format!("{} {}", component.name, component.version);
        let _ = writeln!(list, "{label} ({})", component.licence);
        if let Some(from) = &component.from {
            let _ = writeln!(list, "    {from}");
        }
        if stands.is_empty() {
            let number = well_known(&component.licence, mit, &mut texts).ok_or_else(|| {
                format!("{label} ships no text of its licence, {}, and it is not known here", component.licence)
            })?;
            texts[number - 1].1.insert(label);
            stands.insert(number);
            let authors = if component.authors.is_empty() { "its authors" } else { &component.authors.join(", ") };
            let _ = writeln!(list, "    ships no text of its licence; copyright of {authors}");
        }
        let numbers: Vec<String> = stands.iter().map(|number| format!("[{number}]")).collect();
        let _ = writeln!(list, "    {}", numbers.join(" "));
    }
    let mut whole = format!(
        "Gander's programs contain these {} crates and packages of others. The numbers lead to the texts of\n\
         their licences, as they ship them, or the well-known text where they ship none.\n\n",
        components.len()
    );
    whole += &list;
    for (number, (text, of)) in texts.iter().enumerate() {
        let of = of.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let _ = write!(whole, "\n{LINE}\n[{}] {of}\n{LINE}\n\n{text}\n", number + 1);
    }
    Ok(whole)
}

/// The number of a licence's own text, for what names it and ships none.
fn well_known(licence: &str, mit: &str, texts: &mut Vec<(String, BTreeSet<String>)>) -> Option<usize> {
    // These two name nobody, so that whoever ships them ships them whole.
    for (name, begins) in [("Apache-2.0", "Apache License\n"), ("MPL-2.0", "Mozilla Public License Version 2.0\n")] {
        let whole = |text: &str| text.trim_start().starts_with(begins) && text.len() > 9_000;
        if licence.contains(name)
            && let Some(at) = texts.iter().position(|(text, _)| whole(text))
        {
            return Some(at + 1);
        }
    }
    if !licence.contains("MIT") {
        return None;
    }
    let at = texts.iter().position(|(text, _)| text == mit).unwrap_or_else(|| {
        texts.push((mit.to_owned(), BTreeSet::new()));
        texts.len() - 1
    });
    Some(at + 1)
}

/// The licence files in a folder, by name; those of parts are below `LICENSES`.
fn files(folder: &Path) -> Result<Vec<String>, String> {
    let mut paths = Vec::new();
    for folder in [folder.to_owned(), folder.join("LICENSES")] {
        let Ok(found) = fs::read_dir(&folder) else { continue };
        for entry in found {
            let path = entry.map_err(at(&folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
            let is_text = !name.ends_with(".RS") && !name.ends_with(".JS") && !name.ends_with(".HTML");
            let of_parts = folder.ends_with("LICENSES");
            if is_text && (of_parts || NAMES.iter().any(|known| name.starts_with(known))) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let mut texts = Vec::new();
    for path in paths {
        let meta = fs::metadata(&path).map_err(at(&path))?;
        if !meta.is_file() {
            continue;
        }
        if meta.len() > TEXT_MAX_BYTES {
            return Err(format!("{} is longer than any licence", path.display()));
        }
        let text = fs::read(&path).map_err(at(&path))?;
        let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
        let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().map(str::trim_end).collect();
        let text = lines.join("\n").trim_matches('\n').to_owned();
        if !text.is_empty() {
            texts.push(text);
        }
    }
    Ok(texts)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    license: Option<String>,
    repository: Option<String>,
    homepage: Option<String>,
    authors: Vec<String>,
    manifest_path: PathBuf,
}

/// The crates that the programs are built with here: procedural macros too, whose output is in them.
fn crates(source: &Path, desktop: bool) -> Result<Vec<Component>, String> {
    let mut tree = Command::new("cargo");
    tree.current_dir(source).args(["tree", "--locked", "--edges", "normal", "--prefix", "none"]);
    tree.args(["--format", "{p}", "--package", "gander-cli"]);
    if desktop {
        tree.args(["--package", "gander-desktop"]);
    }
    let tree = output(&mut tree)?;
    let built: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?.strip_prefix('v')?))
        })
        .collect();
    let metadata =
        Command::new("cargo").current_dir(source).args(["metadata", "--locked", "--format-version", "1"]).output();
    let metadata = metadata.map_err(|error| format!("cargo could not be run: {error}"))?;
    let metadata: Metadata = serde_json::from_slice(&metadata.stdout)
        .map_err(|error| format!("cargo metadata is not as expected: {error}"))?;
    let built = |package: &Package| package.source.is_some() && built.contains(&(&package.name, &package.version));
    let components = metadata.packages.into_iter().filter(built).map(|package| Component {
        folder: package.manifest_path.parent().map(Path::to_owned).unwrap_or_default(),
        licence: package.license.unwrap_or_else(|| "see its text".to_owned()),
        from: package.repository.or(package.homepage),
        name: package.name,
        version: package.version,
        authors: package.authors,
    });
    Ok(components.collect())
}

/// The packages that the web UI is built with.
fn web(source: &Path) -> Result<Vec<Component>, String> {
    let web = source.join("web");
    let lock = read(&web.join("package-lock.json"))?;
    let lock: Value = serde_json::from_str(&lock).map_err(|error| format!("web/package-lock.json: {error}"))?;
    let mut components = Vec::new();
    for (path, package) in lock["packages"].as_object().into_iter().flatten() {
        let Some((_, name)) = path.rsplit_once("node_modules/").filter(|_| package["dev"] != true) else { continue };
        let folder = web.join(path);
        let missing = |_| format!("{} is not there: build the web UI first (make web)", folder.display());
        let own: Value = serde_json::from_str(&read(&folder.join("package.json")).map_err(missing)?)
            .map_err(|error| format!("{path}: {error}"))?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let repository = text(&own["repository"]["url"]).or_else(|| text(&own["repository"]));
        let author = text(&own["author"]["name"]).or_else(|| text(&own["author"]));
        components.push(Component {
            name: name.to_owned(),
            version: text(&package["version"]).unwrap_or_default(),
            licence: text(&package["license"]).unwrap_or_else(|| "see its text".to_owned()),
            from: repository.map(|url| url.trim_start_matches("git+").to_owned()),
            authors: author.into_iter().collect(),
            folder,
        });
    }
    Ok(components)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Component, written};

    fn component(root: &Path, name: &str, files: &[(&str, &str)]) -> Component {
        let folder = root.join(name);
        fs::create_dir_all(folder.join("LICENSES")).unwrap();
        for (file, text) in files {
            fs::write(folder.join(file), text).unwrap();
        }
        let (version, licence, from) = ("1.0.0".to_owned(), "MIT".to_owned(), Some("https://example.org".to_owned()));
        Component { name: name.to_owned(), version, licence, from, authors: vec!["A. Goose".to_owned()], folder }
    }

    #[test]
    fn each_text_stands_once_and_in_full() {
        let root = std::env::temp_dir().join(format!("licences-{}", std::process::id()));
        let all = [
            component(&root, "a", &[("LICENSE-MIT", "Permission is\r\nhereby granted\r\n"), ("license.rs", "no")]),
            component(&root, "b", &[("COPYING", "Permission is hereby\n  granted"), ("LICENSES/X.txt", "X\n")]),
            component(&root, "c", &[("README", "Permission")]),
        ];
        let told = written(&all, "MIT, as everybody knows it");
        let told = told.unwrap();
        assert_eq!(told.matches("Permission is\nhereby granted").count(), 1, "{told}");
        assert!(!told.contains("hereby\n  granted") && !told.contains("\r"), "{told}");
        assert!(told.contains("[1] a 1.0.0, b 1.0.0\n") && told.contains("[2] b 1.0.0\n"), "{told}");
        assert!(told.contains("b 1.0.0 (MIT)\n    https://example.org\n    [1] [2]\n"), "{told}");
        assert!(told.contains("ships no text of its licence; copyright of A. Goose\n    [3]\n"), "{told}");
        assert!(told.contains("[3] c 1.0.0\n") && told.ends_with("\n\nMIT, as everybody knows it\n"), "{told}");
        let unknown = Component { licence: "Beerware".to_owned(), ..component(&root, "d", &[]) };
        let refused = written(&[unknown], "");
        fs::remove_dir_all(&root).unwrap();
        assert!(refused.unwrap_err().contains("d 1.0.0 ships no text of its licence, Beerware"));
    }
}
