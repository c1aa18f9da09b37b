//! Who may pass: lists of networks, of which the most specific one decides.

use std::net::IpAddr;

use portcullis_sdk::settings::{Network, Networks};
use serde::Deserialize;

/// What a network, or the absence of one, means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// The exchange goes on.
    Allow,
    /// It is answered here.
    Deny,
}

/// The lists, compiled.
#[derive(Debug)]
pub struct Policy {
    networks: Networks<Access>,
    otherwise: Access,
}

impl Policy {
    /// A policy of two lists and what holds for an address in neither. Without `otherwise`, a list of those who may pass means that
    /// nobody else may.
    ///
    /// # Errors
    ///
    /// One sentence for the operator: both lists are empty, or a network is in both.
    pub fn new(allow: &[Network], deny: &[Network], otherwise: Option<Access>) -> Result<Self, String> {
        if allow.is_empty() && deny.is_empty() {
            return Err("`allow` and `deny` are both empty: write at least one network in one of them".to_owned());
        }
        let otherwise = otherwise.unwrap_or(if allow.is_empty() { Access::Allow } else { Access::Deny });
        let allowed = allow.iter().map(|network| (*network, Access::Allow));
        let denied = deny.iter().map(|network| (*network, Access::Deny));
        let networks = Networks::new(allowed.chain(denied))
            .map_err(|network| format!("{network} is in both `allow` and `deny`: remove it from one of them"))?;
        Ok(Self { networks, otherwise })
    }

    /// What holds for a client.
    pub fn access(&self, client: IpAddr) -> Access {
        self.networks.find(client).unwrap_or(self.otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str], otherwise: Option<Access>) -> Result<Policy, String> {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Network>>();
        Policy::new(&networks(allow), &networks(deny), otherwise)
    }

    fn access(policy: &Policy, client: &str) -> Access {
        policy.access(client.parse().unwrap())
    }

    #[test]
    fn a_list_of_the_allowed_denies_everybody_else() {
        let policy = policy(&["10.0.0.0/8", "2001:db8::/32"], &[], None).unwrap();
        assert_eq!(access(&policy, "10.1.2.3"), Access::Allow);
        assert_eq!(access(&policy, "::ffff:10.1.2.3"), Access::Allow);
        assert_eq!(access(&policy, "2001:db8::7"), Access::Allow);
        assert_eq!(access(&policy, "192.0.2.1"), Access::Deny);
        assert_eq!(access(&policy, "2001:db9::7"), Access::Deny);
    }

    #[test]
    fn a_list_of_the_denied_allows_everybody_else() {
        let policy = policy(&[], &["192.0.2.0/24"], None).unwrap();
        assert_eq!(access(&policy, "192.0.2.1"), Access::Deny);
        assert_eq!(access(&policy, "192.0.3.1"), Access::Allow);
    }

    #[test]
    fn holes_can_be_cut_both_ways() {
        let policy = policy(&["10.0.0.0/8", "10.1.2.3"], &["10.1.0.0/16"], None).unwrap();
        assert_eq!(access(&policy, "10.2.0.1"), Access::Allow);
        assert_eq!(access(&policy, "10.1.0.1"), Access::Deny);
        assert_eq!(access(&policy, "10.1.2.3"), Access::Allow);
    }

    #[test]
    fn the_default_can_be_said() {
        let policy = policy(&["10.1.2.3"], &["10.0.0.0/8"], Some(Access::Allow)).unwrap();
        assert_eq!(access(&policy, "192.0.2.1"), Access::Allow);
        assert_eq!(access(&policy, "10.9.9.9"), Access::Deny);
    }

    #[test]
    fn lists_that_mean_nothing_are_refused() {
        assert!(policy(&[], &[], Some(Access::Deny)).unwrap_err().contains("both empty"));
        let error = policy(&["10.0.0.0/8"], &["10.0.0.0/8"], None).unwrap_err();
        assert_eq!(error, "10.0.0.0/8 is in both `allow` and `deny`: remove it from one of them");
    }
}
