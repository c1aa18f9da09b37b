//! The Core Rule Set, of the shared test data and of Debian.

use waf_engine::{
    model::{Entry, Rule},
    operator::Operator,
    seclang::{Loaded, NoteKind},
};

use crate::disk::{load, shared};

fn rules(loaded: &Loaded) -> Vec<&Rule> {
    loaded
        .rules
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Rule(rule) => Some(rule),
            Entry::Marker(_) => None,
        })
        .collect()
}

fn show(loaded: &Loaded) {
    for note in &loaded.notes {
        println!("{note}");
    }
}

#[test]
fn the_core_rule_set_4_loads() {
    let Some(shared) = shared() else {
        eprintln!("skipped: the shared test data are not there");
        return;
    };
    let loaded = load(|loader| {
        loader.file(&format!("{shared}/crs-v4.28.0/crs-setup.conf.example"));
        loader.file(&format!("{shared}/tools/crs4-test-setup.conf"));
        loader.file(&format!("{shared}/crs-v4.28.0/rules/*.conf"));
    });
    show(&loaded);
    let memory: usize = rules(&loaded)
        .iter()
        .flat_map(|rule| &rule.links)
        .filter_map(|link| match &link.condition.as_ref()?.operator {
            Operator::Regex(regex) => Some(regex.pattern()?.memory()),
            _ => None,
        })
        .sum();
    println!("patterns: {} KiB", memory >> 10);
    assert!(memory < 64 << 20, "{memory}");
    // The inventory: 630 rules with an id, 73 chained ones; the set-up for tests has two more.
    assert_eq!(rules(&loaded).len(), 632);
    assert_eq!(rules(&loaded).iter().map(|rule| rule.links.len() - 1).sum::<usize>(), 73);
}

#[test]
fn debians_core_rule_set_loads_from_its_own_place() {
    let load_file = "/usr/share/modsecurity-crs/owasp-crs.load";
    if !std::path::Path::new(load_file).exists() {
        eprintln!("skipped: Debian's modsecurity-crs is not installed");
        return;
    }
    let loaded = load(|loader| {
        loader.file(load_file);
    });
    show(&loaded);
    assert!(rules(&loaded).len() > 500, "{}", rules(&loaded).len());
    let never: Vec<_> = loaded.notes.iter().filter(|note| note.kind == NoteKind::NeverMatches).collect();
    for word in ["@geoLookup of rule 910100", "@rbl of rule 910140", "GEO of rule 910100"] {
        assert!(never.iter().any(|note| note.text.contains(word)), "{word}: {never:?}");
    }
}

#[test]
fn debians_recommended_settings_load() {
    let recommended = "/etc/modsecurity/modsecurity.conf-recommended";
    if !std::path::Path::new(recommended).exists() {
        eprintln!("skipped: Debian's libapache2-mod-security2 is not installed");
        return;
    }
    let loaded = load(|loader| {
        loader.file(recommended);
    });
    show(&loaded);
    let settings = &loaded.rules.settings;
    assert_eq!(settings.mode, waf_engine::model::Mode::DetectionOnly);
    assert!(settings.request_body_access && settings.response_body_access && settings.unicode_map.is_some());
    // SecTmpDir, SecDataDir and the like.
    assert!(loaded.notes.iter().any(|note| note.kind == NoteKind::Inert));
}
