use proptest::prelude::*;

use super::{cookies, target};
use crate::body::form;

proptest! {
    #[test]
    fn any_target_is_taken_apart(input in proptest::collection::vec(prop_oneof![
        Just(b'/'), Just(b'%'), Just(b'?'), Just(b'#'), Just(b':'), Just(b'\\'), Just(b'4'), Just(b'a'), any::<u8>(),
    ], 0..24)) {
        let mut made = Vec::new();
        let parts = target::read(&input, &mut made);
        let [uri, filename, basename, query] =
            [parts.uri, parts.filename, parts.basename, parts.query].map(|slice| slice.of(&input, &made));
        prop_assert!(uri.starts_with(filename));
        prop_assert!(filename.ends_with(basename));
        prop_assert!(!basename.contains(&b'/') && !basename.contains(&b'\\'));
        prop_assert!(input.windows(query.len().max(1)).any(|window| window == query) || query.is_empty());
        prop_assert!(uri.len() <= input.len() && made.len() <= input.len());
    }

    #[test]
    fn any_form_and_cookies_are_split(input in proptest::collection::vec(prop_oneof![
        Just(b'='), Just(b'%'), Just(b'&'), Just(b';'), Just(b'+'), Just(b' '), Just(b'4'), any::<u8>(),
    ], 0..32), limit in 0usize..6) {
        let (mut made, mut pairs) = (Vec::new(), Vec::new());
        form::read(&input, b'&', limit, &mut made, &mut pairs);
        prop_assert!(pairs.len() <= limit && made.len() <= input.len());
        let decoded: usize = pairs.iter().map(|pair| pair.name.len() + pair.value.len()).sum();
        prop_assert!(decoded <= input.len());
        pairs.clear();
        cookies::read(&input, b';', limit, &mut pairs);
        prop_assert!(pairs.len() <= limit);
        prop_assert!(pairs.iter().all(|pair| !pair.name.is_empty() && pair.value.offset().is_some()));
    }

    #[test]
    fn a_form_comes_back(pairs in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..6),
        proptest::collection::vec(any::<u8>(), 0..6)), 1..6), plus in any::<bool>()) {
        let encode = |bytes: &[u8]| bytes.iter().map(|&byte| match byte {
            b' ' if plus => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02x}"),
        }).collect::<String>();
        let form: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let form = form.join("&").into_bytes();
        let (mut made, mut read) = (Vec::new(), Vec::new());
        prop_assert_eq!(form::read(&form, b'&', 100, &mut made, &mut read), (false, false));
        let read: Vec<_> = read.iter()
            .map(|pair| (pair.name.of(&form, &made).to_vec(), pair.value.of(&form, &made).to_vec())).collect();
        prop_assert_eq!(read, pairs);
    }
}
