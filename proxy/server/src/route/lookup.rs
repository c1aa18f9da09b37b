//! Maps from names, and how names are written as their keys.

use std::borrow::Cow;

use crate::http::target::Authority;

/// A map from names. Its keys are the operator's: a client can look for names, not put any in.
pub(super) type Map<V> = hashbrown::HashMap<Box<str>, V, foldhash::fast::RandomState>;

/// Looks for `key`.
#[inline]
pub(super) fn look_up<'m, V>(map: &'m Map<V>, key: &str) -> Option<&'m V> {
    #[cfg(test)]
    COUNT.with(|count| count.set(count.get() + 1));
    map.get(key)
}

/// A host as requests have it: the configuration keeps IPv6 addresses as they are written.
pub(super) fn host_key(host: &str) -> Cow<'_, str> {
    match Authority::parse(host) {
        Ok(authority) => authority.host,
        Err(_) => host.into(),
    }
}

#[cfg(test)]
thread_local! {
    /// Look-ups of this thread.
    pub(super) static COUNT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
