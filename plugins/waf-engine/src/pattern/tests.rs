use super::*;

fn compile(source: &str) -> Pattern {
    Pattern::new(source.as_bytes(), Options { ignore_case: false, backtrack_limit: 100_000 }).unwrap()
}

#[test]
fn reads_what_regex_reads_differently() {
    for (source, value, found) in [
        (r"^\(\s*\)\s+{", "() {", Some(0..4)),
        ("[[(@]x", "a[x", Some(1..3)),
        ("a{,3}", "aaa a{,3}", Some(4..9)),
        (r"\x{41}\101\o{102}", "AAB", Some(0..3)),
        ("\\xe9", "\u{e9}", None),
        (r"[a-\d]+", "5-a", Some(0..3)),
        (r"\Qa.b\E+", "aXb a.bb", Some(4..8)),
        ("(?x) a b # c", "ab", Some(0..2)),
        ("a++b", "aaab", Some(0..4)),
        ("$", "a\n", Some(2..2)),
        (r"<\?(?!xml)", "<?xml <?php", Some(6..8)),
        (r"(\w+) \1", "ab ab", Some(0..5)),
        (r"\Z", "a\n", Some(1..1)),
    ] {
        let mut groups = Groups::default();
        let matched = compile(source).groups(value.as_bytes(), &mut groups).unwrap();
        assert_eq!(matched, found.is_some(), "{source}");
        if matched {
            assert_eq!(groups.0[0], found, "{source}");
        }
    }
}
