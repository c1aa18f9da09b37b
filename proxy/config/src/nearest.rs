//! The name that was probably meant.

/// The candidate nearest to `name`, when it is near enough to be a typo of it.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    // Longer than any name: not a typo, and a distance costs the product of both lengths.
    if length > 128 {
        return None;
    }
    let lower = name.to_lowercase();
    // A third may be wrong; of short names at least one character.
    let allowed = (length / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= 4 * allowed && candidate.len() <= 256)
        .filter_map(|candidate| {
            let distance = strsim::osa_distance(&lower, &candidate.to_lowercase());
            let begins = length >= 4 && candidate.starts_with(&lower);
            (distance <= allowed || begins).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// `did you mean ...?`
pub(crate) fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, candidates).map(|nearest| format!("did you mean `{nearest}`?"))
}

/// `a`, `b` or `c`: all of a few, the first ones of many.
pub(crate) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 24;
    let names: Vec<_> = names.into_iter().take(SHOWN + 1).map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        many if many.len() > SHOWN => format!("{} and others", many[..SHOWN].join(", ")),
        [start @ .., last] => format!("{} or {last}", start.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_typos_and_swapped_letters() {
        let names = ["listener", "limits", "log", "backend"];
        assert_eq!(nearest("lisener", names), Some("listener"));
        assert_eq!(nearest("bakcend", names), Some("backend"));
        assert_eq!(nearest("Listener", names), Some("listener"));
        assert_eq!(nearest("listeners", names), Some("listener"));
    }

    #[test]
    fn says_nothing_when_nothing_is_near() {
        assert_eq!(nearest("certificate", ["listener", "log"]), None);
        assert_eq!(nearest("x", ["api"]), None);
        assert_eq!(nearest(&"x".repeat(1000), ["api"]), None);
    }

    #[test]
    fn lists_names_as_a_sentence_does() {
        assert_eq!(one_of(["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(one_of(["a"]), "`a`");
    }
}
