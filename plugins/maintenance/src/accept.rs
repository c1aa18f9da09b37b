//! What a client would rather read (RFC 9110 section 12.5.1).

/// Whether an `accept` field prefers JSON over HTML. Where both are as welcome, or nothing is said, it is HTML.
pub(crate) fn prefers_json(accept: &str) -> bool {
    quality(accept, "application", "json") > quality(accept, "text", "html")
}

/// In thousandths, by the most specific range.
fn quality(accept: &str, major: &str, minor: &str) -> u16 {
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let Some((range_major, range_minor)) = parts.next().and_then(|kind| kind.split_once('/')) else { continue };
        let precision = if range_major.eq_ignore_ascii_case(major) && range_minor.eq_ignore_ascii_case(minor) {
            3
        } else if range_major.eq_ignore_ascii_case(major) && range_minor == "*" {
            2
        } else if range_major == "*" && range_minor == "*" {
            1
        } else {
            continue;
        };
        let weight = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("q"))
            .map_or(Some(1000), |(_, weight)| thousandths(weight));
        if let Some(weight) = weight
            && precision > best.0
        {
            best = (precision, weight);
        }
    }
    best.1
}

/// `0.5` as 500. None when it is none of those that HTTP has.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, rest) = weight.split_once('.').unwrap_or((weight, ""));
    if rest.len() > 3 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rest: u16 = format!("{rest:0<3}").parse().ok()?;
    match whole {
        "0" => Some(rest),
        "1" if rest == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_unless_json_is_liked_better() {
        for (accept, json) in [
            ("", false),
            ("*/*", false),
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json, text/plain, */*", false),
            ("application/json, text/plain, */*;q=0.8", true),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("text/html;q=0.5, application/json", true),
            ("text/html;q=0, */*", true),
            ("text/*;q=0.3, application/*;q=0.4", true),
            ("application/json;q=2", false),
            ("application/json;q=0.0001", false),
            ("rubbish;;q=,/,=", false),
        ] {
            assert_eq!(prefers_json(accept), json, "{accept:?}");
        }
    }
}
