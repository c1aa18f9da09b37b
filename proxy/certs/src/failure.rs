//! What goes wrong when a certificate is ordered, and how long to wait before trying again.

use std::time::Duration;

use instant_acme::{Error, Problem};
use serde::{Deserialize, Serialize};

use crate::storage::StorageError;

/// Whose doing a failure was, which decides when trying again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The authority wants less (RFC 8555 section 6.6).
    RateLimited,
    /// The name does not resolve, or to something else.
    Dns,
    /// A CAA record does not allow this authority (RFC 8659).
    Caa,
    /// The authority could not reach the place where the answer is.
    Unreachable,
    /// It reached it, and the answer was another one.
    WrongAnswer,
    /// The authority gives no certificate for this name, ever, by its policy.
    Refused,
    /// The account, its binding or its terms.
    Account,
    /// The authority is away, or answers with errors of its own.
    Authority,
    /// A record could not be put into the DNS.
    DnsUpdate,
    /// State cannot be kept: nothing is ordered that could not be kept.
    Storage,
    /// What was issued is not what a handshake with this proxy shows.
    NotServed,
    /// No challenge fits this name, the authority and the settings.
    NoChallenge,
}

impl Kind {
    /// As metrics, logs and `portcullis certs list` call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Dns => "dns",
            Self::Caa => "caa",
            Self::Unreachable => "unreachable",
            Self::WrongAnswer => "wrong_answer",
            Self::Refused => "refused",
            Self::Account => "account",
            Self::Authority => "authority",
            Self::DnsUpdate => "dns_update",
            Self::Storage => "storage",
            Self::NotServed => "not_served",
            Self::NoChallenge => "no_challenge",
        }
    }

    /// Whether another authority may succeed where this one did not.
    pub const fn another_may(self) -> bool {
        matches!(self, Self::RateLimited | Self::Authority | Self::Account | Self::Caa | Self::Refused)
    }

    /// Whether proving the name in another way may succeed.
    pub const fn is_of_challenge(self) -> bool {
        matches!(self, Self::Unreachable | Self::WrongAnswer | Self::DnsUpdate)
    }

    /// The first wait and the longest. Those of validations stay below the five failures per name and hour after which Let's Encrypt refuses
    /// (its documentation of rate limits, "Authorization Failures per Identifier per Account").
    const fn waits(self) -> (Duration, Duration) {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let (first, longest) = match self {
            Self::Authority | Self::Storage => (MINUTE, HOUR),
            Self::NotServed => (MINUTE, 6 * HOUR),
            Self::Dns | Self::Unreachable | Self::WrongAnswer | Self::DnsUpdate => (15 * MINUTE, 12 * HOUR),
            Self::RateLimited => (HOUR, 24 * HOUR),
            Self::Caa | Self::Refused | Self::Account | Self::NoChallenge => (HOUR, 24 * HOUR),
        };
        (Duration::from_secs(first), Duration::from_secs(longest))
    }
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// Whose doing.
    pub kind: Kind,
    /// A sentence for the operator, at most 1000 bytes.
    pub detail: String,
    /// The authority's own word on when to come back.
    pub retry_after: Option<Duration>,
}

/// What an authority may make us wait at most, whatever it says: a week.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

impl Failure {
    /// A failure with its sentence.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        // Of bytes that an authority sends, as much as a line of a log can take.
        if let Some((end, _)) = detail.char_indices().nth(1000) {
            detail.truncate(end);
        }
        // One line: it goes to logs.
        if detail.contains(char::is_control) {
            detail = detail.replace(char::is_control, " ");
        }
        Self { kind, detail, retry_after: None }
    }

    /// What an error of the ACME client means.
    pub fn acme(error: &Error, retry_after: Option<Duration>) -> Self {
        let mut failure = match error {
            Error::Api(problem) => Self::problem(problem),
            Error::Json(error) => Self::new(Kind::Authority, format!("the authority's answer cannot be read: {error}")),
            Error::Timeout(_) => Self::new(Kind::Authority, "the authority did not finish the order in time"),
            Error::Unsupported(what) => Self::new(Kind::Account, format!("the authority does not support {what}")),
            Error::KeyRejected | Error::Crypto => Self::new(
                Kind::Account,
                "the account's key cannot be used; move the account's file away to make a new account",
            ),
            error => Self::new(Kind::Authority, error.to_string()),
        };
        failure.retry_after = retry_after.map(|time| time.min(LONGEST_RETRY_AFTER));
        failure
    }

    /// What a problem document means (RFC 8555 section 6.7).
    pub fn problem(problem: &Problem) -> Self {
        // Of several, the first that is about a name says more than "compound".
        let inner =
            problem.subproblems.iter().find_map(|inner| Some((inner.r#type.as_deref()?, inner.detail.as_deref())));
        let outer = problem.r#type.as_deref().unwrap_or_default();
        let (name, detail) = match (outer.strip_prefix(PREFIX), inner) {
            (Some("compound"), Some((name, detail))) => (name, detail.or(problem.detail.as_deref())),
            _ => (outer, problem.detail.as_deref()),
        };
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        let kind = match name {
            "rateLimited" => Kind::RateLimited,
            "dns" => Kind::Dns,
            "caa" => Kind::Caa,
            "connection" | "tls" => Kind::Unreachable,
            "unauthorized" | "incorrectResponse" => Kind::WrongAnswer,
            "rejectedIdentifier" | "unsupportedIdentifier" => Kind::Refused,
            "accountDoesNotExist"
            | "externalAccountRequired"
            | "invalidContact"
            | "unsupportedContact"
            | "userActionRequired"
            | "badSignatureAlgorithm"
            | "badPublicKey"
            | "invalidProfile" => Kind::Account,
            _ => Kind::Authority,
        };
        Self::new(kind, format!("{} ({name})", detail.unwrap_or("no detail given")))
    }

    /// How long until the next attempt: the authority's word, or a wait that doubles with each failure in a row (`failures`, this one counted);
    /// plus up to a tenth, so that many names do not come back in one second. `chance`: 0 to 1.
    pub fn wait(&self, failures: u32, chance: f64) -> Duration {
        let (first, longest) = self.kind.waits();
        let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
        let wait = self.retry_after.map_or(doubled, |time| time.max(Duration::from_secs(1)));
        wait + wait.mul_f64(0.1 * chance.clamp(0.0, 1.0))
    }
}

const PREFIX: &str = "urn:ietf:params:acme:error:";

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::new(Kind::Storage, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Failure {
        Failure::problem(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn problems_have_kinds() {
        for (name, kind) in [
            ("rateLimited", Kind::RateLimited),
            ("caa", Kind::Caa),
            ("connection", Kind::Unreachable),
            ("serverInternal", Kind::Authority),
        ] {
            let failure =
                problem(&format!(r#"{{"type":"urn:ietf:params:acme:error:{name}","detail":"because","status":400}}"#));
            assert_eq!(failure.kind, kind);
            assert_eq!(failure.detail, format!("because ({name})"));
        }
    }

    #[test]
    fn a_compound_problem_is_what_its_part_is() {
        let failure = problem(
            r#"{"type":"urn:ietf:params:acme:error:compound","detail":"several","subproblems":[
               {"type":"urn:ietf:params:acme:error:caa","detail":"not us","identifier":{"type":"dns","value":"a.example.com"}}]}"#,
        );
        assert_eq!((failure.kind, failure.detail.as_str()), (Kind::Caa, "not us (caa)"));
    }

    #[test]
    fn waits_double_up_to_a_bound_and_the_authority_has_the_last_word() {
        let mut failure = Failure::new(Kind::Dns, "x");
        assert_eq!(failure.wait(1, 0.0), Duration::from_secs(900));
        assert_eq!(failure.wait(2, 0.0), Duration::from_secs(1800));
        assert_eq!(failure.wait(u32::MAX, 0.0), Duration::from_secs(12 * 3600));
        assert_eq!(failure.wait(1, 1.0), Duration::from_secs(990));
        failure.retry_after = Some(Duration::from_secs(7));
        assert_eq!(failure.wait(5, 0.0), Duration::from_secs(7));
    }

    #[test]
    fn what_an_authority_says_fits_a_line() {
        let failure = Failure::new(Kind::Authority, format!("a\nb{}", "é".repeat(5000)));
        assert!(!failure.detail.contains('\n') && failure.detail.chars().count() == 1000);
    }
}
