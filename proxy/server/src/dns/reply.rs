//! Reading one message: the records for a name, the aliases on the way to them, or a denial.

use std::net::IpAddr;

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{DNSClass, Name, RData, RecordType, rdata::SRV},
};

/// Aliases followed from a name to its records (CNAME, RFC 1034 section 3.6.2); a longer chain is an error or a loop.
pub(super) const MAX_ALIASES: usize = 8;

/// A kind of record that is asked for.
pub(super) trait Wanted: Sized {
    fn from_data(kind: RecordType, data: &RData) -> Option<Self>;
}

impl Wanted for IpAddr {
    fn from_data(kind: RecordType, data: &RData) -> Option<Self> {
        match (kind, data) {
            (RecordType::A, RData::A(address)) => Some(address.0.into()),
            (RecordType::AAAA, RData::AAAA(address)) => Some(address.0.into()),
            _ => None,
        }
    }
}

impl Wanted for SRV {
    fn from_data(_: RecordType, data: &RData) -> Option<Self> {
        match data {
            RData::SRV(service) => Some(service.clone()),
            _ => None,
        }
    }
}

/// What a message says about a name.
#[derive(Debug, PartialEq)]
pub(super) enum Content<T> {
    /// Records, and the shortest TTL on the way to them, in seconds.
    Records { records: Vec<T>, ttl: u32 },
    /// The name stands for another one, about which the message says nothing (or may not say anything).
    Alias { target: Name, ttl: u32 },
    /// No such name, or no such records. Seconds to believe it, when the message has its SOA (RFC 2308 section 5).
    Nothing { exists: bool, ttl: Option<u32> },
    /// More aliases than `MAX_ALIASES`.
    TooManyAliases,
}

/// Reads what `message` says about `name`. `aliases` counts those followed for the question, over all its messages.
/// Where `believed` says no to an alias's target, the message is not believed about it.
pub(super) fn read<T: Wanted>(
    message: &Message,
    name: &Name,
    kind: RecordType,
    aliases: &mut usize,
    believed: impl Fn(&Name) -> bool,
) -> Content<T> {
    let mut name = name;
    let mut shortest = u32::MAX;
    let mut aliased = false;
    loop {
        let mut records = Vec::new();
        let mut alias = None;
        for record in message.answers.iter().filter(|r| r.dns_class == DNSClass::IN && r.name == *name) {
            if let Some(wanted) = T::from_data(kind, &record.data) {
                records.push(wanted);
            } else if let RData::CNAME(target) = &record.data {
                alias = Some(&target.0);
            } else {
                continue;
            }
            shortest = shortest.min(sane(record.ttl));
        }
        if !records.is_empty() {
            return Content::Records { records, ttl: shortest };
        }
        let Some(target) = alias else { break };
        *aliases += 1;
        if *aliases > MAX_ALIASES {
            return Content::TooManyAliases;
        }
        if !believed(target) {
            return Content::Alias { target: target.clone(), ttl: shortest };
        }
        name = target;
        aliased = true;
    }
    let denied = negative_ttl(message);
    // The response code is about the end of the chain (RFC 6604). Without it and without SOA, nothing is said about it.
    if aliased && denied.is_none() && message.metadata.response_code == ResponseCode::NoError {
        return Content::Alias { target: name.clone(), ttl: shortest };
    }
    Content::Nothing { exists: message.metadata.response_code == ResponseCode::NoError, ttl: denied }
}

/// Whether a message only says who else could know: what a nameserver answers that neither serves the zone nor
/// recurses. It denies nothing.
pub(super) fn is_referral(message: &Message) -> bool {
    let has = |kind| message.authorities.iter().any(|record| record.record_type() == kind);
    message.answers.is_empty() && !message.metadata.authoritative && has(RecordType::NS) && !has(RecordType::SOA)
}

/// RFC 2308 section 5: the lesser of the SOA's own TTL and its minimum.
fn negative_ttl(message: &Message) -> Option<u32> {
    message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(sane(record.ttl).min(sane(soa.minimum))),
        _ => None,
    })
}

/// RFC 2181 section 8: a TTL with its top bit set counts as zero.
fn sane(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::{
        op::OpCode,
        rr::{
            Record,
            rdata::{A, CNAME, NS, SOA},
        },
    };

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn a(owner: &str, ttl: u32, last: u8) -> Record {
        Record::from_rdata(name(owner), ttl, RData::A(A::new(10, 0, 0, last)))
    }

    fn alias(owner: &str, ttl: u32, target: &str) -> Record {
        Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
    }

    fn soa(ttl: u32, minimum: u32) -> Record {
        let soa = SOA::new(name("ns.internal."), name("ops.internal."), 1, 60, 60, 60, minimum);
        Record::from_rdata(name("internal."), ttl, RData::SOA(soa))
    }

    fn message(code: ResponseCode, answers: Vec<Record>, authorities: Vec<Record>) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        message.metadata.response_code = code;
        message.add_answers(answers);
        message.add_authorities(authorities);
        message
    }

    fn read_a(message: &Message, believed: impl Fn(&Name) -> bool) -> Content<IpAddr> {
        read(message, &name("app.internal."), RecordType::A, &mut 0, believed)
    }

    #[test]
    fn takes_the_shortest_ttl_on_the_way() {
        let answers = vec![alias("app.internal.", 5, "b.internal."), a("b.internal.", 60, 1), a("B.internal.", 30, 2)];
        let records = vec![IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        assert_eq!(
            read_a(&message(ResponseCode::NoError, answers, vec![]), |_| true),
            Content::Records { records, ttl: 5 }
        );
    }

    #[test]
    fn ignores_records_of_other_names() {
        let answers = vec![a("evil.internal.", 60, 1)];
        assert_eq!(
            read_a(&message(ResponseCode::NoError, answers, vec![]), |_| true),
            Content::Nothing { exists: true, ttl: None }
        );
    }

    #[test]
    fn asks_for_an_alias_that_it_may_not_believe_or_that_leads_out_of_the_message() {
        let answers = vec![alias("app.internal.", 5, "b.other."), a("b.other.", 60, 1)];
        let expected = Content::Alias { target: name("b.other."), ttl: 5 };
        assert_eq!(read_a(&message(ResponseCode::NoError, answers.clone(), vec![]), |_| false), expected);
        assert_eq!(read_a(&message(ResponseCode::NoError, answers[..1].to_vec(), vec![]), |_| true), expected);
    }

    #[test]
    fn ends_a_loop_of_aliases() {
        let answers = vec![alias("app.internal.", 5, "b.internal."), alias("b.internal.", 5, "app.internal.")];
        assert_eq!(read_a(&message(ResponseCode::NoError, answers, vec![]), |_| true), Content::TooManyAliases);
    }

    #[test]
    fn believes_a_denial_for_the_lesser_of_both_times() {
        let denial = |code, ttl, minimum| read_a(&message(code, vec![], vec![soa(ttl, minimum)]), |_| true);
        assert_eq!(denial(ResponseCode::NXDomain, 300, 10), Content::Nothing { exists: false, ttl: Some(10) });
        assert_eq!(denial(ResponseCode::NoError, 7, 10), Content::Nothing { exists: true, ttl: Some(7) });
        assert_eq!(denial(ResponseCode::NoError, u32::MAX, 10), Content::Nothing { exists: true, ttl: Some(0) });
    }

    #[test]
    fn a_denied_alias_target_is_a_denial() {
        let answers = vec![alias("app.internal.", 5, "gone.internal.")];
        assert_eq!(
            read_a(&message(ResponseCode::NXDomain, answers, vec![]), |_| true),
            Content::Nothing { exists: false, ttl: None }
        );
    }

    #[test]
    fn knows_a_referral() {
        let ns = Record::from_rdata(name("internal."), 60, RData::NS(NS(name("ns.internal."))));
        assert!(is_referral(&message(ResponseCode::NoError, vec![], vec![ns.clone()])));
        assert!(!is_referral(&message(ResponseCode::NoError, vec![], vec![ns, soa(1, 1)])));
        assert!(!is_referral(&message(ResponseCode::NoError, vec![], vec![])));
    }
}
