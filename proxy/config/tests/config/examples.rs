//! The files in `config/` and the blocks of the page for operators are right.

use std::fs;

use portcullis_config::load::load;

use super::{check, root};

#[test]
fn every_example_loads_without_a_warning() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("config")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let loaded = load(&path).unwrap_or_else(|report| panic!("{report}"));
            assert!(loaded.warnings.is_empty(), "{}", loaded.warnings[0]);
            count += 1;
        }
    }
    assert!(count >= 5, "only {count} examples");
}

#[test]
fn every_block_of_the_page_loads() {
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 10, "only {} blocks", blocks.len());
    for block in blocks {
        if let Err(report) = check(&completed(block)) {
            panic!("{report}\nin this block:\n{block}");
        }
    }
}

/// A block shows one thing; what it names or needs besides is put around it.
fn completed(block: &str) -> String {
    let mut text = block.to_owned();
    if !block.contains("[[listener]]") {
        text += "\n[[listener]]\nname = \"https\"\naddress = \":443\"\ntls = {}\n\n[[listener]]\nname = \"http\"\naddress = \":80\"\n";
    }
    if !block.contains("[[certificate]]") && !block.contains("[acme]") {
        text += "\n[[certificate]]\nname = \"shop\"\ncert = \"shop.pem\"\nkey = \"shop.key\"\n";
    }
    for name in ["api", "shop", "shop-next", "assets"] {
        if !block.contains(&format!("[backend.{name}]")) {
            text += &format!("\n[backend.{name}]\nendpoints = \"http://10.0.0.1\"\n");
        }
    }
    for name in ["db", "mail"] {
        if !block.contains(&format!("[backend.{name}]")) {
            text += &format!("\n[backend.{name}]\nendpoints = \"tcp://10.0.0.1:5432\"\n");
        }
    }
    text
}
