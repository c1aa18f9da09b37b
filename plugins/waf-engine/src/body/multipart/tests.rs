use proptest::prelude::*;

use super::*;
use crate::{body::Parsed, model::BodyProcessor};

const LIMITS: Limits = Limits { arguments: 1000, separator: b'&', no_files: 131_072, json_depth: 100, files: None };

fn parse_with(content_type: &str, body: &[u8], limits: &Limits) -> Parsed {
    let mut parsed = Parsed::default();
    parsed.read(body, BodyProcessor::Multipart, content_type.as_bytes(), limits);
    parsed
}

fn parse(body: &str) -> Parsed {
    parse_with("multipart/form-data; boundary=0000", body.as_bytes(), &LIMITS)
}

fn text(parsed: &Parsed, body: &str, slice: Slice) -> String {
    String::from_utf8_lossy(slice.of(body.as_bytes(), &parsed.made)).into_owned()
}

fn arguments(parsed: &Parsed, body: &str) -> Vec<(String, String)> {
    parsed.arguments.iter().map(|pair| (text(parsed, body, pair.name), text(parsed, body, pair.value))).collect()
}

/// A body with one part that has this header.
fn with_header(header: &str) -> String {
    format!("--0000\r\n{header}\r\n\r\nvalue\r\n--0000--\r\n")
}

const CLEAN: Flags = Flags {
    boundary_quoted: false,
    boundary_whitespace: false,
    data_before: false,
    data_after: false,
    header_folding: false,
    invalid_header_folding: false,
    lf_line: false,
    crlf_line: true,
    missing_semicolon: false,
    invalid_quoting: false,
    invalid_part: false,
    file_limit_exceeded: false,
    unmatched_boundary: 0,
    error: false,
};

#[test]
fn fields_and_files_are_told_apart() {
    let body = "--0000\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nline\r\nline\r\n--0000\r\n\
        content-disposition: form-data; name=\"up\\\"load\"; filename=\"C:\\dir\\x.txt\"\r\nContent-Type: text/plain\r\n\r\n\
        file\r\n\r\n--0000\r\nContent-Disposition: form-data; name=b; filename=\"\"\r\n\r\n\r\n--0000--\r\n";
    let parsed = parse(body);
    assert_eq!(parsed.error, None);
    assert_eq!(parsed.multipart.flags, CLEAN);
    assert!(!parsed.multipart.flags.strict_error());
    assert_eq!(arguments(&parsed, body), [("a".into(), "line\r\nline".into()), ("b".into(), String::new())]);
    let files: Vec<_> = parsed.multipart.files().collect();
    assert_eq!(files.len(), 1);
    assert_eq!(text(&parsed, body, files[0].name), "up\"load");
    assert_eq!(text(&parsed, body, files[0].filename), "C:\\dir\\x.txt");
    assert_eq!(text(&parsed, body, files[0].content), "file\r\n");
    assert_eq!(parsed.multipart.combined_size(), 6);
    let headers = parsed.multipart.headers.iter();
    let headers: Vec<_> =
        headers.map(|line| (text(&parsed, body, line.name), text(&parsed, body, line.value))).collect();
    assert_eq!(headers[2], ("up\"load".to_owned(), "Content-Type: text/plain".to_owned()));
    assert_eq!(headers.len(), 4);
}

#[test]
fn an_extended_filename_is_decoded() {
    let body = with_header("Content-Disposition: form-data; name=a; filename*=UTF-8''na%C3%AFve.php");
    let parsed = parse(&body);
    assert_eq!(parsed.error, None);
    let part = parsed.multipart.parts[0];
    assert!(part.file && part.filename.is_empty());
    assert_eq!(text(&parsed, &body, part.extended_filename), "naïve.php");
    // A backend that does not know `filename*` sees a field.
    assert_eq!(arguments(&parsed, &body), [("a".to_owned(), "value".to_owned())]);
    for (wrong, code) in [
        ("naive", "-16"),
        ("''x", "-16"),
        ("\"UTF-8''x\"", "-16"),
        ("UTF-8'x", "-17"),
        ("UTF-8'%'x", "-17"),
        ("UTF-8''a%2", "-18"),
        ("UTF-8''a%4G", "-18"),
        ("UTF-8''a'b", "-12"),
    ] {
        let body = with_header(&format!("Content-Disposition: form-data; name=a; filename*={wrong}"));
        let error = parse(&body).error.unwrap_or_default();
        assert!(error.contains(&format!("Invalid Content-Disposition header ({code}")), "{wrong}: {error}");
    }
}

#[test]
fn content_types_are_judged_strictly() {
    let body = "--0000\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--0000--\r\n";
    for (content_type, error) in [
        ("multipart/form-data; boundary=0000", ""),
        ("Multipart/Form-Data;boundary=0000", ""),
        ("multipart/form-data; boundary=0000; charset=UTF-8", ""),
        ("multipart/form-data, boundary=0000", "malformed"),
        ("multipart/form-data;; boundary=0000", "malformed"),
        ("multipart/form-data; charset=x; boundary=0000", "malformed"),
        ("multipart/form-data; boundary", "malformed"),
        ("multipart/form-data; bOundAry=0000", "case sensitivity"),
        ("multipart/form-data; boundary123=0000", "parameter name"),
        ("multipart/form-data; boundary=\"0000\"; boundary=1111", "Multiple boundary parameters"),
        ("multipart/form-data; boundary=0000; Boundary=1111", "Multiple boundary parameters"),
        ("multipart/form-data; boundary=0000 ", "characters"),
        ("multipart/form-data; boundary=00\"00", "characters"),
        ("multipart/form-data; boundary=\"00\"\"00\"", "characters"),
        ("multipart/form-data; boundary=\"0000", "quote"),
        ("multipart/form-data; boundary=0000\"", "quote"),
        ("multipart/form-data; boundary=", "empty"),
        ("multipart/form-data; boundary=\"\"", "empty"),
        ("multipart/form-data", "not found"),
        ("multipart/mixed; boundary=0000", "MIME type"),
        ("", "not available"),
        (&format!("multipart/form-data; boundary={}", "0".repeat(1000)), "length"),
        ("multipart/form-data; boundary=1111", "No boundaries found"),
        ("multipart/form-data; boundary=0000 1111", "No boundaries found"),
    ] {
        let parsed = parse_with(content_type, body.as_bytes(), &LIMITS);
        let found = parsed.error.as_deref().unwrap_or_default();
        assert!(found.contains(error) && found.is_empty() == error.is_empty(), "{content_type}: {found}");
        if error.is_empty() {
            assert_eq!(arguments(&parsed, body).len(), 1, "{content_type}");
        }
    }
    let flags = |content_type: &str| parse_with(content_type, body.as_bytes(), &LIMITS).multipart.flags;
    assert!(flags("multipart/form-data; boundary=\"0000\"").boundary_quoted);
    assert!(flags("multipart/form-data boundary=0000").missing_semicolon);
    assert!(flags("multipart/form-data; boundary =0000").boundary_whitespace);
    assert!(flags("multipart/form-data; boundary= 0000").boundary_whitespace);
}

#[test]
fn part_headers_are_judged_strictly() {
    for (header, error) in [
        ("Content-Disposition: form-data; name=a", ""),
        ("Content-Disposition: form-data; name=a;", ""),
        ("Content-Disposition: form-data; name='a'", ""),
        ("Content-Type: text/plain", "Part missing Content-Disposition header"),
        ("Content-Disposition: form-data", "missing name field"),
        ("Content-Disposition: form-data;", "missing name field"),
        ("Content-Disposition: form-data; name=\"\"", "missing name field"),
        ("Content-Disposition: attachment; name=a", "Invalid Content-Disposition header"),
        ("Content-Disposition: form-data name=a", "Invalid Content-Disposition header"),
        ("Content-Disposition: form-data; name", "Invalid Content-Disposition header"),
        ("Content-Disposition: form-data; name=", "Invalid Content-Disposition header"),
        ("Content-Disposition: form-data; name=\"a", "Invalid Content-Disposition header"),
        ("Content-Disposition: form-data; name=\"a\\\"", "Invalid Content-Disposition header"),
        ("Content-Disposition: form-data; name=\"a\"b", "Invalid Content-Disposition header"),
        ("Content-Disposition: form-data; name=a b", "Invalid Content-Disposition header"),
        ("Content-Disposition: form-data; name=a; name=b", "Invalid Content-Disposition header"),
        (
            "Content-Disposition: form-data; name=a; filename=\"\"; filename=\"x.php\"",
            "Invalid Content-Disposition header",
        ),
        ("Content-Disposition: form-data; name=a; filename =x.php", "Invalid Content-Disposition header"),
        ("Content-Disposition: form-data; name=a; size=3", "Invalid Content-Disposition header"),
        ("Content-Disposition\u{e}: form-data; name=a", "contains invalid character"),
        ("Content-Disposition : form-data; name=a", "contains invalid character"),
        ("Content-Disposition: form-data; name=a\r\ncontent-disposition: form-data; name=b", "Duplicate part header"),
        ("nothing", "colon missing"),
        (": nothing", "header name missing"),
        (" name=a", "folding error"),
        ("Content-Disposition: form-data; name=a\0", "Nul byte"),
        (&format!("Content-Disposition: form-data; name=a\r\nX: {}", "x".repeat(4096)), "over 4096 bytes"),
        (&format!("Content-Disposition: form-data; name=a\r\nX: y{}", "\r\n yyyyyyyy".repeat(500)), "too long"),
        (&format!("Content-Disposition: form-data; name=a{}", "\r\n-: b".repeat(2)), "Duplicate part header"),
    ] {
        let body = with_header(header);
        let parsed = parse(&body);
        let found = parsed.error.as_deref().unwrap_or_default();
        assert!(found.contains(error) && found.is_empty() == error.is_empty(), "{header:?}: {found}");
        assert_eq!(parsed.multipart.flags.strict_error(), !error.is_empty() || header.contains('\''), "{header:?}");
        if !error.is_empty() {
            assert!(found.starts_with("Multipart parsing error: Multipart: "), "{found}");
        }
    }
    let many: String = (0..200).map(|number| format!("\r\nX-{number}: y")).collect();
    assert!(parse(&with_header(&format!("Content-Disposition: form-data; name=a{many}"))).error.is_some());
}

#[test]
fn a_bad_header_is_there_for_rules_to_see() {
    let body = with_header("Content-Disposition\u{7f}: form-data; name=a");
    let parsed = parse(&body);
    assert!(text(&parsed, &body, parsed.multipart.headers[0].value).starts_with("Content-Disposition\u{7f}"));
}

#[test]
fn folded_headers_are_joined_and_told() {
    let body = with_header("Content-Disposition: form-data;\r\n name=\"a\";\r\n\tfilename=\"b\"\r\nX: y");
    let parsed = parse(&body);
    assert_eq!(parsed.error, None);
    assert_eq!(parsed.multipart.flags, Flags { header_folding: true, ..CLEAN });
    let part = parsed.multipart.parts[0];
    assert_eq!((text(&parsed, &body, part.name), text(&parsed, &body, part.filename)), ("a".into(), "b".into()));
    assert_eq!(
        text(&parsed, &body, parsed.multipart.headers[0].value),
        "Content-Disposition: form-data; name=\"a\"; filename=\"b\""
    );
    let invalid = parse(&with_header("Content-Disposition: form-data;\r\n\u{b}name=\"a\"")).multipart.flags;
    assert!(invalid.header_folding && invalid.invalid_header_folding);
}

#[test]
fn boundaries_and_what_is_around_them_are_judged() {
    let part = "--0000\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
    let flags = |body: &str| parse(body).multipart.flags;
    assert_eq!(flags(&format!("preamble\r\n{part}--0000--\r\n")), Flags { data_before: true, ..CLEAN });
    assert_eq!(flags(&format!("{part}--0000--\r\n{part}--0000--\r\n")), Flags { data_after: true, ..CLEAN });
    assert_eq!(flags(&format!("--0000\r\n{part}--0000--\r\n")), Flags { invalid_part: true, ..CLEAN });
    assert_eq!(flags(&format!("{part}--other\r\n--0000--\r\n")), Flags { unmatched_boundary: 2, ..CLEAN });
    assert_eq!(flags(&format!("{part}x --0000\r\n--0000--\r\n")), Flags { unmatched_boundary: 2, ..CLEAN });
    assert_eq!(flags(&format!("{part}0000\r\n--0000--\r\n")), CLEAN);
    assert_eq!(
        flags(&format!("{part}--0000--\r\n").replace('\r', "")),
        Flags { lf_line: true, crlf_line: false, ..CLEAN }
    );
    let mixed = flags(&format!("{part}--0000--\n"));
    assert!(mixed.crlf_lf_lines() && mixed.strict_error());
    for (body, error) in [
        (part.to_owned(), "Final boundary missing"),
        (format!("{part}--0000"), "Final boundary missing"),
        (format!("{part}--0000--x\r\n"), "Invalid boundary"),
        (format!("{part}--00001\r\n"), "Invalid boundary"),
        (format!("{part}-- 0000--\r\n"), "whitespace"),
        ("nothing".to_owned(), "No boundaries"),
        (format!("{part}--0000--"), ""),
        (format!("{part}--0000--\r"), ""),
    ] {
        let found = parse(&body).error.unwrap_or_default();
        assert!(found.contains(error) && found.is_empty() == error.is_empty(), "{body:?}: {found}");
    }
    let quoted = parse_with("multipart/form-data; boundary=\"0000\"", b"--\"0000\"\r\n", &LIMITS);
    assert!(quoted.error.is_some_and(|error| error.contains("quotes")));
    assert_eq!(flags(&format!("{part}--1111--\r\n")).unmatched_boundary, 1);
    assert_eq!(parse("").error, None);
}

#[test]
fn what_was_cut_off_is_there_for_rules_to_see() {
    let body = "--0000\r\nContent-Disposition: form-data; name=a\r\n\r\nattack\r\nmore";
    assert_eq!(arguments(&parse(body), body), [("a".to_owned(), "attack\r\nmore".to_owned())]);
}

#[test]
fn limits_hold() {
    let file = "--0000\r\nContent-Disposition: form-data; name=f; filename=g\r\n\r\n0123456789\r\n";
    let field = "--0000\r\nContent-Disposition: form-data; name=f\r\n\r\n0123456789\r\n";
    let parse = |body: String, limits: Limits| {
        parse_with("multipart/form-data; boundary=0000", format!("{body}--0000--\r\n").as_bytes(), &limits)
    };
    let two = parse(file.repeat(3), Limits { files: Some(2), ..LIMITS });
    assert!(two.multipart.flags.file_limit_exceeded && two.error.is_some());
    assert_eq!(two.multipart.files().count(), 3);
    assert!(!parse(file.repeat(2), Limits { files: Some(2), ..LIMITS }).multipart.flags.file_limit_exceeded);
    let dropped = parse(field.repeat(3), Limits { arguments: 2, ..LIMITS });
    assert!(dropped.arguments_dropped && dropped.arguments.len() == 2);
    // What is in files does not count: 56 bytes of header do, and 10 of a field.
    assert!(!parse(file.to_owned(), Limits { no_files: 59, ..LIMITS }).over_limit);
    let over = parse(field.repeat(3), Limits { no_files: 100, ..LIMITS });
    assert!(over.over_limit && over.error.is_some_and(|error| error.contains("excluding files")));
}

#[test]
fn bombs_take_linear_time() {
    let megabyte = 1 << 20;
    for body in [
        "--0000\r\n".repeat(megabyte / 8),
        "--".repeat(megabyte / 2),
        "0000".repeat(megabyte / 4),
        format!("--0000\r\nA: b\r\n{}", " \r\n".repeat(megabyte / 3)),
        format!("--0000\r\n{}", "A: b\r\n".repeat(megabyte / 6)),
        "--0000\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n\r\n".repeat(megabyte / 64),
        "\n".repeat(megabyte),
        "--\u{b}\u{b}".repeat(megabyte / 4),
    ] {
        let start = std::time::Instant::now();
        let limits = Limits { files: Some(100), no_files: u64::MAX, ..LIMITS };
        parse_with("multipart/form-data; boundary=0000", body.as_bytes(), &limits);
        // Milliseconds without optimisation; what is quadratic takes minutes.
        assert!(start.elapsed().as_secs() < 5, "{:?}…", &body[..20]);
    }
}

proptest! {
    #[test]
    fn parts_come_back(parts in proptest::collection::vec(("[a-z\"\\\\ é;=]{1,8}", "(\r\n|[ -~\n-]){0,40}", any::<bool>()), 0..5)) {
        // A boundary that is in no part, as RFC 2046 asks of who writes one.
        prop_assume!(parts.iter().all(|(_, content, _)| !content.contains("--")));
        let mut body = String::new();
        for (name, content, file) in &parts {
            let name = name.replace('\\', "\\\\").replace('"', "\\\"");
            let file = if *file { "; filename=\"x\"" } else { "" };
            body += &format!("--0000\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n");
        }
        body += "--0000--\r\n";
        let parsed = parse(&body);
        prop_assert_eq!(&parsed.error, &None);
        let read: Vec<_> = parsed.multipart.parts.iter()
            .map(|part| (text(&parsed, &body, part.name), text(&parsed, &body, part.content), part.file)).collect();
        prop_assert_eq!(read, parts);
    }

    #[test]
    fn any_bytes_are_judged(lines in proptest::collection::vec(prop_oneof![
        Just("--0000\r\n".to_owned()), Just("--0000--\r\n".to_owned()), Just("\r\n".to_owned()), Just("\n".to_owned()),
        "Content-Disposition: form-data; [a-z*='\"\\\\ %;]{0,20}\r\n", " [ -~]{0,5}\r?\n", "(?s).{0,20}",
    ], 0..12), content_type in "multipart/form-data;? ?boundary ?=[0\"';]{0,6}") {
        let body = lines.concat();
        for content_type in [content_type.as_str(), "multipart/form-data; boundary=0000"] {
            let parsed = parse_with(content_type, body.as_bytes(), &LIMITS);
            for part in &parsed.multipart.parts {
                prop_assert!(part.content.offset().is_some());
            }
        }
    }
}
