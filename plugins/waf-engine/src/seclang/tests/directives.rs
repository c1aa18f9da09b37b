//! Settings, other files, and what is said about them.

use super::*;

#[test]
fn defaults_are_checked() {
    for (text, says) in [
        ("SecDefaultAction \"phase:1,log,block,status:404\"", "pass, deny"),
        ("SecDefaultAction \"phase:2,t:none,pass\"", "t:none does not suit"),
        ("SecDefaultAction \"phase:2,id:1,pass\"", "id does not suit"),
        ("SecDefaultAction \"phase:2,pass\"\nSecDefaultAction \"phase:2,pass\"", "already, at t:1"),
        ("SecDefaultAction", "needs actions"),
    ] {
        assert!(mistake(text).text.contains(says), "{text}: {}", mistake(text).text);
    }
}

#[test]
fn directives_set_refuse_or_have_no_effect() {
    let settings = load(concat!(
        "secruleengine on\nSecRequestBodyLimit 5\nSecRequestBodyLimitAction ProcessPartial\nSecArgumentSeparator \";\"\n",
        "SecResponseBodyMimeType text/xml \"application/JSON; x\"\nSecResponseBodyMimeType a/b\nSecAuditLogParts ABE\n",
        "SecComponentSignature \"a/1\"\nSecComponentSignature b\nSecPcreMatchLimit 7\nSecWebAppId app\nSecRuleEngine Off\n",
    ))
    .rules
    .settings;
    assert_eq!((settings.mode, settings.request_body_limit, settings.argument_separator), (Mode::Off, 5, b';'));
    assert_eq!((settings.request_body_limit_action, settings.backtrack_limit), (Some(LimitAction::ProcessPartial), 7));
    assert_eq!(
        settings.response_body_mime_types,
        ["text/xml".into(), "application/json".into(), Arc::<str>::from("a/b")]
    );
    assert_eq!(settings.audit_parts.0, 0b10011 | 1 << 25);
    assert_eq!(settings.component_signatures.len(), 2);
    for (text, says) in [
        ("SecRuleScript x.lua", "Lua"),
        ("SecRemoteRules k https://x", "not fetched"),
        ("SecGeoLookupDb /x", "geoLookup"),
        ("SecHttpBlKey x", "@rbl"),
        ("SecRuleInheritance On", "[route.waf]"),
        ("SecXmlExternalEntity On", "save Off"),
        ("SecStreamOutBodyInspection On", "save Off"),
        ("SecContentInjection On", "save Off"),
        ("SecConnReadStateLimit 50", "save Off"),
        ("SecCookieFormat 1", "only SecCookieFormat 0"),
        ("SecRuleEngine Onn", "neither On"),
        ("SecRequestBodyLimit 1k", "without a unit"),
        ("SecRequestBodyLimit -1", "not a number"),
        ("SecRequestBodyAccess On Off", "too much"),
        ("SecRequestBodyAccess", "needs a value"),
        ("SecAuditLogParts AXZ", "no part X"),
        ("<IfModule security2_module>", "[route.waf]"),
        ("LoadModule x y", "httpd"),
        ("modsecurity on;", "nginx"),
        ("SecMarker a b", "too much"),
        ("SecRule ARGS \"@rx a", "no closing \""),
        ("SecRule ARGS \"a\"b id:1", "right after"),
        ("SecRule ARGS", "variables, an operator"),
        ("SecRule ARGS \"\" id:1", "operator is empty"),
        ("SecRule ARGS a id:1 b", "too much"),
        ("SecAction", "has actions"),
    ] {
        assert!(mistake(text).text.contains(says), "{text}: {}", mistake(text).text);
    }
    for text in
        ["SecTmpDir /tmp", "SecServerSignature x", "SecConnEngine On", "SecXmlExternalEntity Off", "SecDebugLogLevel 3"]
    {
        assert!(matches!(&notes(text)[..], [(NoteKind::Inert, _)]), "{text}");
    }
}

#[test]
fn files_include_others_relative_to_themselves() {
    let memory = files([
        ("/a/main.conf", "Include sub/*.conf\nIncludeOptional missing.conf\nIncludeOptional no/*.conf\nSecMarker end"),
        ("/a/sub/1.conf", "Include \"../x.inc\"\nSecMarker 1"),
        ("/a/sub/2.conf", "SecMarker 2"),
        ("/a/sub/../x.inc", "SecMarker x"),
    ]);
    let mut loader = Loader::new(&memory);
    loader.file("/a/m*.conf").text("more", b"SecMarker last");
    let markers: Vec<String> = loader
        .finish()
        .unwrap()
        .rules
        .entries
        .iter()
        .map(|entry| match entry {
            Entry::Marker(name) => name.to_string(),
            Entry::Rule(rule) => panic!("{rule:?}"),
        })
        .collect();
    assert_eq!(markers, ["x", "1", "2", "end", "last"]);
}

#[test]
fn includes_are_bounded() {
    let refused = |memory: &Memory| {
        let mut loader = Loader::new(memory);
        loader.file("/a");
        loader.finish().unwrap_err().remove(0).text
    };
    assert!(refused(&files([("/a", "Include b"), ("/b", "Include a")])).contains("/a -> /b -> /a"));
    assert!(refused(&files([("/a", "Include b")])).contains("/b cannot be read: there is no such file"));
    assert!(refused(&files([("/a", "Include b*")])).contains("no file matches /b*"));
    let names: Vec<&'static str> = (0..20).map(|depth| &*String::leak(format!("/{depth}"))).collect();
    let deep: BTreeMap<_, _> = (0..20)
        .map(|depth| (names[depth], format!("Include {}", depth + 1).into_bytes()))
        .chain([("/a", b"Include 0".to_vec())])
        .collect();
    assert!(refused(&Memory(deep)).contains("16 deep"));
    // Each file includes the next one ten times: ten to the tenth files.
    let wide: BTreeMap<_, _> = (0..10)
        .map(|depth| (names[depth], format!("Include {}\n", depth + 1).repeat(10).into_bytes()))
        .chain([("/a", b"Include 0".to_vec()), ("/10", b"#".to_vec())])
        .collect();
    assert!(refused(&Memory(wide)).contains("10000 files"));
    let large = Memory([("/a", b"#\n".repeat(9 << 20))].into());
    assert!(refused(&large).contains("16 MiB"));
}

#[test]
fn the_unicode_map_lies_beside_its_file() {
    let memory = files([
        ("/a/main.conf", "SecUnicodeMapFile unicode.mapping 20127\n"),
        ("/a/two.conf", "SecUnicodeMapFile unicode.mapping\nSecUnicodeCodePage 20127\n"),
        ("/a/bad.conf", "SecUnicodeMapFile unicode.mapping 7\n"),
        ("/a/unicode.mapping", "20127 (US-ASCII)\nff0e:2e\n"),
    ]);
    for (file, loads) in [("/a/main.conf", true), ("/a/two.conf", true), ("/a/bad.conf", false)] {
        let mut loader = Loader::new(&memory);
        loader.file(file);
        match loader.finish() {
            Ok(loaded) => assert_eq!((loaded.rules.settings.unicode_map.is_some(), true), (loads, loads)),
            Err(problems) => assert!(!loads && problems[0].text.contains("unicode.mapping"), "{}", lines(&problems)),
        }
    }
}

#[test]
fn exclusions_and_jumps_to_nowhere_are_noted() {
    let text = "SecAction \"id:1,ctl:ruleRemoveById=5-9,ctl:ruleRemoveTargetByTag=t;ARGS,skipAfter:NO\"";
    let all: Vec<String> = notes(text).into_iter().map(|(_, text)| text).collect();
    for says in ["no rule from 5 to 9", "no rule has the tag t", "no marker or rule NO"] {
        assert!(all.iter().any(|note| note.contains(says)), "{all:?}");
    }
    assert!(notes("SecRule ARGS \"@rbl x\" id:1").iter().any(|(kind, _)| *kind == NoteKind::NeverMatches));
    assert!(notes("SecRule !ARGS a id:1").iter().any(|(kind, _)| *kind == NoteKind::Suspicious));
}
