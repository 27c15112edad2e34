//! `docs/faults.md` is written here, and the table is held to the sources.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use super::table::{self, Family, Row, Verdict};

/// How many faults the promise lists.
const PROMISED: usize = 61;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The source of a test, from the root: `operator/…` runs in this process, `lab/…` on a real cluster.
fn source(file: &str) -> String {
    match file.split_once('/') {
        Some(("lab", _)) => format!("tests/e2e/tests/{file}"),
        _ => format!("tests/tests/{file}"),
    }
}

fn rows() -> impl Iterator<Item = &'static Row> {
    table::FAMILIES.iter().flat_map(|family| family.rows)
}

/// The names of the tests of a source.
fn tests_in(text: &str) -> BTreeSet<&str> {
    let mut tests = BTreeSet::new();
    let mut marked = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[") {
            marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else if let Some((_, name)) = line.split_once("fn ").filter(|_| marked) {
            tests.extend(name.split('(').next());
            marked = false;
        }
    }
    tests
}

fn page() -> String {
    let mut page = table::HEAD.to_owned();
    let mut number = 0;
    for Family { title, rows } in table::FAMILIES {
        write!(page, "\n## {title}\n\n| | fault | verdict | how | held by |\n|---|---|---|---|---|\n").unwrap();
        for Row { fault, verdict, how, tests } in *rows {
            number += 1;
            let link = |test: &&str| {
                let (file, name) = test.split_once("::").unwrap();
                format!("[{}](../{})", name.replace('_', " "), source(file))
            };
            let tests: Vec<_> = tests.iter().map(link).collect();
            writeln!(page, "| {number} | {fault} | {} | {how} | {} |", verdict.as_str(), tests.join("<br>")).unwrap();
        }
    }
    page
}

#[test]
fn the_page_is_what_the_table_says() {
    let file = root().join("docs/faults.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, page()).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == page(), "{} is out of date: run `make gen`", file.display());
}

#[test]
fn every_fault_of_the_promise_has_a_row_and_every_row_a_test() {
    assert_eq!(rows().count(), PROMISED);
    let faults: BTreeSet<_> = rows().map(|row| row.fault).collect();
    assert_eq!(faults.len(), PROMISED, "a fault stands there twice");
    for Row { fault, verdict, how, tests } in rows() {
        assert!(how.ends_with('.') && !how.contains('|') && !fault.contains('|'), "{fault}");
        match verdict {
            Verdict::Resilient | Verdict::Degraded => assert!(!tests.is_empty(), "{fault}: no test holds it"),
            Verdict::NotBuilt => assert!(tests.is_empty(), "{fault}: what is not built has a test"),
        }
    }
}

#[test]
fn every_test_that_the_table_names_is_in_its_source() {
    for Row { fault, tests, .. } in rows() {
        for test in *tests {
            let (file, name) = test.split_once("::").unwrap();
            let text = fs::read_to_string(root().join(source(file))).unwrap_or_default();
            assert!(tests_in(&text).contains(name), "{fault}: {file} has no test {name}");
        }
    }
}

#[test]
fn every_test_of_this_folder_is_in_the_table() {
    let named: BTreeSet<_> = rows().flat_map(|row| row.tests).copied().collect();
    for entry in fs::read_dir(root().join("tests/tests/operator/faults")).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if file == "page.rs" {
            continue;
        }
        for name in tests_in(&fs::read_to_string(&path).unwrap()) {
            let test = format!("operator/faults/{file}::{name}");
            assert!(named.contains(test.as_str()), "{test} is in no row");
        }
    }
}
