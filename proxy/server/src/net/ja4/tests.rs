//! The vectors are published ones; the hellos are made from their raw forms.

use super::*;

/// A ClientHello's body that offers these, and what belongs into the extensions that are read.
fn body(
    legacy: u16,
    versions: &[u16],
    ciphers: &[u16],
    extensions: &[u16],
    protocol: &[u8],
    algorithms: &[u16],
) -> Vec<u8> {
    let bytes = |numbers: &[u16]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    let long = |content: &[u8]| [&(content.len() as u16).to_be_bytes()[..], content].concat();
    let short = |content: &[u8]| [&[content.len() as u8][..], content].concat();
    let mut list = Vec::new();
    for &kind in extensions {
        let content = match kind {
            SERVER_NAME => long(&[&[0][..], &long(b"a.example")].concat()),
            APPLICATION_PROTOCOLS => long(&[short(protocol), short(b"http/1.1")].concat()),
            SIGNATURE_ALGORITHMS => long(&bytes(algorithms)),
            SUPPORTED_VERSIONS => short(&bytes(versions)),
            _ => vec![0],
        };
        list.extend(bytes(&[kind]));
        list.extend(long(&content));
    }
    [&bytes(&[legacy])[..], &[7; 32], &short(&[9; 32]), &long(&bytes(ciphers)), &short(&[0]), &long(&list)].concat()
}

fn tcp(body: &[u8]) -> String {
    fingerprint(body, TCP).expect("it is well formed").to_string()
}

const CHROME_CIPHERS: [u16; 15] = [
    0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f,
    0x0035,
];
const CHROME_EXTENSIONS: [u16; 16] = [
    0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b,
    0x000a, 0x0015,
];
const CHROME_ALGORITHMS: [u16; 8] = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];

#[test]
fn gives_the_description_s_example() {
    let hello = body(0x0303, &[0x0304, 0x0303], &CHROME_CIPHERS, &CHROME_EXTENSIONS, b"h2", &CHROME_ALGORITHMS);
    assert_eq!(tcp(&hello), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    assert_eq!(fingerprint(&hello, 'q').unwrap().as_ref(), "q13d1516h2_8daaf6152771_e5627efa2ab1");
}

#[test]
fn grease_and_order_change_nothing() {
    let mut ciphers = CHROME_CIPHERS.to_vec();
    ciphers.reverse();
    ciphers.insert(0, 0xdada);
    let mut extensions = CHROME_EXTENSIONS.to_vec();
    extensions.reverse();
    extensions.insert(0, 0x3a3a);
    extensions.push(0xfafa);
    let mut algorithms = CHROME_ALGORITHMS.to_vec();
    algorithms.insert(3, 0x0a0a);
    let hello = body(0x0303, &[0x7a7a, 0x0303, 0x0304], &ciphers, &extensions, b"h2", &algorithms);
    assert_eq!(tcp(&hello), "t13d1516h2_8daaf6152771_e5627efa2ab1");
}

#[test]
fn tells_newer_chrome_and_firefox_from_it() {
    let extensions = [45, 51, 16, 0xfe0d, 23, 17613, 0, 11, 10, 43, 0xff01, 35, 18, 5, 13, 27];
    let hello = body(0x0303, &[0x0304, 0x0303], &CHROME_CIPHERS, &extensions, b"h2", &CHROME_ALGORITHMS);
    assert_eq!(tcp(&hello), "t13d1516h2_8daaf6152771_d8a2da3f94cd");
    let ciphers = [
        0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc02c, 0xc030, 0xc00a, 0xc009, 0xc013, 0xc014, 0x009c,
        0x009d, 0x002f, 0x0035,
    ];
    let extensions = [
        0x0000, 0x0017, 0xff01, 0x000a, 0x000b, 0x0023, 0x0010, 0x0005, 0x0022, 0x0012, 0x0033, 0x002b, 0x000d, 0x002d,
        0x001c, 0x001b, 0xfe0d,
    ];
    let algorithms = [0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201];
    let hello = body(0x0303, &[0x0304, 0x0303], &ciphers, &extensions, b"h2", &algorithms);
    assert_eq!(tcp(&hello), "t13d1717h2_5b57614c22b0_3cbfd9057e0d");
}

#[test]
fn what_is_not_offered_is_zeros_or_left_out() {
    // The description's hash of the same extensions without algorithms.
    let hello = body(0x0303, &[0x0304], &CHROME_CIPHERS, &CHROME_EXTENSIONS, b"h2", &[]);
    assert_eq!(tcp(&hello), "t13d1516h2_8daaf6152771_6d807ffa2a79");
    assert_eq!(tcp(&body(0x0301, &[], &[0x1a1a], &[], b"", &[])), "t10i000000_000000000000_000000000000");
    // Only what the first part says already.
    let hello = body(0x0302, &[], &CHROME_CIPHERS, &[SERVER_NAME, APPLICATION_PROTOCOLS], b"h3", &[]);
    assert_eq!(tcp(&hello), "t11d1502h3_8daaf6152771_000000000000");
    // From before there were extensions: no list at all.
    let mut bare = body(0x0300, &[], &CHROME_CIPHERS, &[], b"", &[]);
    bare.truncate(bare.len() - 2);
    assert_eq!(tcp(&bare), "ts3i150000_8daaf6152771_000000000000");
}

#[test]
fn counts_and_versions_stay_two_characters() {
    let many: Vec<u16> = (0x2000..0x2000 + 150).collect();
    assert!(tcp(&body(0x9999, &[], &many, &many, b"", &[])).starts_with("t00i999900_"));
}

#[test]
fn protocols_that_are_no_text_are_shown_as_hexadecimal() {
    let cases: [(&[u8], &str); 9] = [
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"x", "xx"),
        (b"", "00"),
        (&[0xab], "ab"),
        (&[0xab, 0xcd], "ad"),
        (&[0x30, 0xab], "3b"),
        (&[0x30, 0x31, 0xab, 0xcd], "3d"),
        (&[0x30, 0xab, 0xcd, 0x31], "01"),
    ];
    for (name, ends) in cases {
        assert_eq!(String::from_iter(protocol_ends(name)), ends, "{name:?}");
    }
}

#[test]
fn a_broken_hello_has_none() {
    let whole = body(0x0303, &[0x0304], &CHROME_CIPHERS, &CHROME_EXTENSIONS, b"h2", &CHROME_ALGORITHMS);
    // Only where the extensions begin is it whole, as one without them.
    let found: Vec<_> = (0..whole.len()).filter_map(|cut| fingerprint(&whole[..cut], TCP)).collect();
    assert_eq!(found, ["t12i150000_8daaf6152771_000000000000".into()]);
    // Three bytes of signature algorithms.
    let odd = [0, 13, 0, 5, 0, 3, 4, 3, 8];
    let mut hello = body(0x0303, &[], &CHROME_CIPHERS, &[], b"", &[]);
    let length = hello.len() - 2;
    hello.truncate(length);
    hello.extend((odd.len() as u16).to_be_bytes());
    hello.extend(odd);
    assert_eq!(fingerprint(&hello, TCP), None);
}
