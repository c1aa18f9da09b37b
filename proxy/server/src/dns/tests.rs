//! Names against real nameservers on loopback, over real sockets.

mod nameserver;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RData, RecordType, rdata},
};
use portcullis_config::{
    Location,
    dns::{Dns, Zone},
};
use tokio::{runtime::Handle, time::sleep};

use super::{
    Answer, Followed, Names, Question, Record, Source, State,
    system::{Facts, System},
};
use nameserver::{Nameserver, a, cname, soa, srv};

/// A table with the defaults, but quick to give up.
pub(super) fn config() -> Dns {
    Dns {
        zones: Vec::new(),
        hosts: [("static.internal".to_owned(), vec![ip("10.9.9.9")])].into(),
        nameservers: Vec::new(),
        ttl_floor: Duration::from_millis(100),
        ttl_ceiling: Duration::from_secs(300),
        stale: Duration::from_secs(3600),
        negative_ceiling: Duration::from_millis(200),
        time: Duration::from_millis(300),
    }
}

pub(super) fn zone<const N: usize>(suffix: &str, nameservers: [SocketAddr; N]) -> Zone {
    let at = Location { file: "test.toml".into(), line: 1, column: 1 };
    Zone { suffix: suffix.to_owned(), at, nameservers: nameservers.to_vec() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn names(config: &Dns) -> Arc<Names> {
    names_on(config, Facts::default())
}

fn names_on(config: &Dns, facts: Facts) -> Arc<Names> {
    Names::with_system(config, Handle::current(), System::fixed(facts), Default::default()).unwrap()
}

fn addresses(answer: &Answer) -> Vec<String> {
    answer.records.iter().map(|record| record.address.to_string()).collect()
}

async fn look_up(names: &Names, name: &str) -> Answer {
    names.look_up(&Question::address(name)).await
}

/// Waits until what is followed is as wanted, for five seconds at the most.
async fn eventually(followed: &Followed, what: &str, wanted: impl Fn(&Answer) -> bool) -> Arc<Answer> {
    let start = Instant::now();
    loop {
        let answer = followed.current();
        if wanted(&answer) {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "not within 5 s: {what}; but {answer:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn is(expected: &'static [&'static str]) -> impl Fn(&Answer) -> bool {
    move |answer| answer.state == State::Fresh && addresses(answer) == expected
}

/// A nameserver for the zone `internal`, and one for everything else.
async fn private_and_public() -> (Nameserver, Nameserver, Dns) {
    let (private, public) = (Nameserver::start().await, Nameserver::start().await);
    let mut config = config();
    config.zones = vec![zone("internal", [private.address()])];
    config.nameservers = vec![public.address()];
    (private, public, config)
}

#[tokio::test]
async fn hosts_come_first_then_addresses_then_localhost() {
    let (private, public, config) = private_and_public().await;
    private.set("static.internal.", vec![a("10.0.0.1", 60)]);
    let names = names(&config);
    let answer = look_up(&names, "Static.Internal.").await;
    assert_eq!((addresses(&answer), answer.from), (vec!["10.9.9.9".to_owned()], Source::Hosts));
    assert_eq!(addresses(&look_up(&names, "192.0.2.7").await), ["192.0.2.7"]);
    assert_eq!(addresses(&look_up(&names, "[2001:db8::7]").await), ["2001:db8::7"]);
    assert_eq!(addresses(&look_up(&names, "app.localhost").await), ["127.0.0.1", "::1"]);
    assert!(private.asked().is_empty() && public.asked().is_empty());
}

#[tokio::test]
async fn a_name_goes_to_the_zone_with_the_longest_suffix() {
    let (outer, inner, mut config) = private_and_public().await;
    config.zones.push(zone("pn-1.internal", [inner.address()]));
    inner.set("app.pn-1.internal.", vec![a("10.1.0.1", 60), a("10.1.0.1", 60), a("10.1.0.0", 30)]);
    inner.set("app.pn-1.internal.", vec![nameserver::aaaa("fd00::1", 20)]);
    outer.set("app.pn-2.internal.", vec![a("10.2.0.1", 60)]);
    let names = names(&config);
    let answer = look_up(&names, "app.pn-1.internal").await;
    assert_eq!(addresses(&answer), ["10.1.0.0", "10.1.0.1", "fd00::1"]);
    assert_eq!(answer.from, Source::Zone("pn-1.internal".into()));
    assert_eq!(answer.nameserver, Some(inner.address()));
    assert_eq!(answer.ttl, Duration::from_secs(20));
    let answer = look_up(&names, "APP.PN-2.internal").await;
    assert_eq!((addresses(&answer), answer.nameserver), (vec!["10.2.0.1".to_owned()], Some(outer.address())));
}

#[tokio::test]
async fn a_private_name_is_asked_nowhere_else() {
    let (private, public, config) = private_and_public().await;
    let facts = Facts {
        nameservers: vec![public.address()],
        search: vec![Name::from_ascii("example.com").unwrap()],
        ndots: 15,
        ..Facts::default()
    };
    let with_system = names_on(&Dns { nameservers: Vec::new(), ..config.clone() }, facts);
    for names in [names(&config), with_system] {
        assert_eq!(look_up(&names, "gone.internal").await.state, State::NoSuchName);
        private.fail_with(Some(ResponseCode::ServFail));
        assert!(matches!(look_up(&names, "app.internal").await.state, State::Failed(_)));
        private.fail_with(None);
        private.set("away.internal.", vec![cname("www.example.com.", 60)]);
        private.set("www.example.com.", vec![a("10.0.0.9", 60)]);
        assert_eq!(addresses(&look_up(&names, "away.internal").await), ["10.0.0.9"]);
        private.silence(true);
        assert!(matches!(look_up(&names, "app.internal").await.state, State::Failed(_)));
        private.silence(false);
    }
    assert_eq!(public.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_public_alias_into_a_zone_is_asked_in_the_zone() {
    let (private, public, config) = private_and_public().await;
    public.set("www.example.com.", vec![cname("app.internal.", 60)]);
    public.set("app.internal.", vec![a("192.0.2.66", 60)]);
    private.set("app.internal.", vec![a("10.0.0.1", 60)]);
    let answer = look_up(&names(&config), "www.example.com").await;
    assert_eq!((addresses(&answer), answer.nameserver), (vec!["10.0.0.1".to_owned()], Some(private.address())));
    assert!(!public.asked().iter().any(|name| name == "app.internal."));
}

#[tokio::test]
async fn a_loop_of_aliases_ends() {
    let (_private, public, config) = private_and_public().await;
    public.one_alias_at_a_time(true);
    public.set("a.example.com.", vec![cname("b.example.com.", 60)]);
    public.set("b.example.com.", vec![cname("a.example.com.", 60)]);
    let State::Failed(reason) = look_up(&names(&config), "a.example.com").await.state else { panic!("not failed") };
    assert!(reason.contains("aliases"), "{reason}");
}

#[tokio::test]
async fn addresses_are_followed_as_their_ttl_says() {
    let (private, _public, config) = private_and_public().await;
    private.set("app.internal.", vec![a("10.0.0.1", 0)]);
    let names = names(&config);
    let followed = names.follow(Question::address("app.internal"));
    assert_eq!(followed.current().state, State::Pending);
    let mut versions = followed.subscribe();
    eventually(&followed, "first", is(&["10.0.0.1"])).await;
    assert_eq!(*versions.borrow_and_update(), 1);
    private.replace("app.internal.", vec![a("10.0.0.2", 0), a("10.0.0.3", 0)]);
    eventually(&followed, "second", is(&["10.0.0.2", "10.0.0.3"])).await;
    assert_eq!(*versions.borrow_and_update(), 2);
    private.replace("app.internal.", vec![a("10.0.0.3", 0), a("10.0.0.2", 0)]);
    let asked = private.asked().len();
    while private.asked().len() < asked + 4 {
        sleep(Duration::from_millis(5)).await;
    }
    assert!(!versions.has_changed().unwrap(), "the same set in another order is no change");
}

#[tokio::test]
async fn the_last_good_answer_is_kept_while_nameservers_are_away() {
    let (private, _public, config) = private_and_public().await;
    private.set("app.internal.", vec![a("10.0.0.1", 0)]);
    let names = names(&config);
    let followed = names.follow(Question::address("app.internal"));
    eventually(&followed, "fresh", is(&["10.0.0.1"])).await;
    private.silence(true);
    let stale = eventually(&followed, "stale", |answer| answer.state == State::Stale).await;
    assert_eq!(addresses(&stale), ["10.0.0.1"]);
    assert!(stale.age(Instant::now()) >= Duration::from_millis(300), "{stale:?}");
    assert!(stale.reason().unwrap().contains("no answer"), "{stale:?}");
    private.replace("app.internal.", vec![a("10.0.0.2", 0)]);
    private.silence(false);
    eventually(&followed, "fresh again", is(&["10.0.0.2"])).await;
}

#[tokio::test]
async fn a_denial_empties_the_set_and_the_name_may_come_back() {
    let (private, _public, config) = private_and_public().await;
    let names = names(&config);
    let followed = names.follow(Question::address("app.internal"));
    eventually(&followed, "not there yet", |answer| answer.state == State::NoSuchName).await;
    private.set("app.internal.", vec![a("10.0.0.1", 0)]);
    eventually(&followed, "there", is(&["10.0.0.1"])).await;
    private.remove("app.internal.");
    let gone = eventually(&followed, "gone", |answer| answer.state == State::NoSuchName).await;
    assert!(gone.records.is_empty());
    assert_eq!(gone.ttl, Duration::from_millis(200), "the SOA says 10 s, the ceiling less");
}

#[tokio::test]
async fn hurrying_looks_up_at_once_but_not_more_than_once_a_second() {
    let (private, _public, config) = private_and_public().await;
    private.set("app.internal.", vec![a("10.0.0.1", 300)]);
    let names = names(&config);
    let followed = names.follow(Question::address("app.internal"));
    eventually(&followed, "first", is(&["10.0.0.1"])).await;
    let before = private.asked().len();
    private.replace("app.internal.", vec![a("10.0.0.2", 300)]);
    let start = Instant::now();
    followed.hurry();
    eventually(&followed, "second", is(&["10.0.0.2"])).await;
    assert_eq!(private.asked().len(), before + 2, "one A and one AAAA");
    private.replace("app.internal.", vec![a("10.0.0.3", 300)]);
    for _ in 0..1000 {
        followed.hurry();
    }
    eventually(&followed, "third", is(&["10.0.0.3"])).await;
    assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
    assert_eq!(private.asked().len(), before + 4, "one A and one AAAA each time");
}

#[tokio::test]
async fn a_table_that_takes_another_ones_place_begins_with_its_answers() {
    let (private, _public, config) = private_and_public().await;
    private.set("app.internal.", vec![a("10.0.0.1", 300)]);
    let old = names(&config);
    let followed = old.follow(Question::address("app.internal"));
    eventually(&followed, "first", is(&["10.0.0.1"])).await;
    private.replace("app.internal.", vec![a("10.0.0.2", 300)]);
    let new = Names::replacing(&old, &config, Handle::current()).unwrap();
    let followed = new.follow(Question::address("app.internal"));
    assert!(is(&["10.0.0.1"])(&followed.current()), "not empty, not even for a moment");
    eventually(&followed, "its own", is(&["10.0.0.2"])).await;
}

#[tokio::test]
async fn the_same_question_shares_one_task_that_ends_with_its_last_follower() {
    let (private, _public, config) = private_and_public().await;
    private.set("app.internal.", vec![a("10.0.0.1", 0)]);
    let names = names(&config);
    let one = names.follow(Question::address("app.internal"));
    let two = names.follow(Question::address("app.internal"));
    eventually(&one, "one", is(&["10.0.0.1"])).await;
    assert!(Arc::ptr_eq(&one.current(), &two.current()));
    let seen = names.followed("app.internal", super::Kind::Address).unwrap();
    assert_eq!(addresses(&seen), ["10.0.0.1"]);
    assert!(names.followed("other.internal", super::Kind::Address).is_none());
    drop(one);
    let register = Arc::clone(&names.register);
    drop(names);
    private.replace("app.internal.", vec![a("10.0.0.2", 0)]);
    eventually(&two, "goes on without the other and without `Names`", is(&["10.0.0.2"])).await;
    assert_eq!(register.len(), 1);
    drop(two);
    assert_eq!(register.len(), 0);
    sleep(Duration::from_millis(50)).await;
    let asked = private.asked().len();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(private.asked().len(), asked, "nobody follows any more");
}

#[tokio::test]
async fn a_service_gives_ports_and_weights_of_the_lowest_priority() {
    let (private, public, config) = private_and_public().await;
    private.set(
        "_http._tcp.app.internal.",
        vec![
            srv(10, 5, 3001, "one.internal.", 60),
            srv(10, 0, 3002, "two.example.com.", 40),
            srv(20, 9, 3003, "spare.internal.", 60),
            srv(10, 1, 3004, "gone.internal.", 60),
        ],
    );
    private.set("one.internal.", vec![a("10.0.0.1", 30), a("10.0.0.2", 30)]);
    private.set("two.example.com.", vec![a("10.0.0.3", 60)]);
    private.set("spare.internal.", vec![a("10.0.0.4", 60)]);
    let answer = names(&config).look_up(&Question::service("_http._tcp.app.internal")).await;
    let record =
        |last, port, weight| Record { address: [10, 0, 0, last].into(), port: Some(port), weight, priority: 10 };
    assert_eq!(answer.records, [record(1, 3001, 5), record(2, 3001, 5), record(3, 3002, 0)]);
    assert_eq!(answer.ttl, Duration::from_secs(30));
    assert!(public.asked().is_empty());
    private.replace("_http._tcp.app.internal.", vec![srv(0, 0, 0, ".", 60)]);
    let none = names(&config).look_up(&Question::service("_http._tcp.app.internal")).await;
    assert_eq!(none.state, State::NoSuchName);
}

#[tokio::test]
async fn an_answer_that_was_cut_short_is_asked_for_over_tcp() {
    let (private, _public, config) = private_and_public().await;
    private.set("app.internal.", (0..400u16).map(|n| a(&format!("10.0.{}.{}", n / 256, n % 256), 60)).collect());
    let answer = look_up(&names(&config), "app.internal").await;
    assert_eq!(answer.records.len(), 256, "of 400");
    assert_eq!(addresses(&answer)[255], "10.0.0.255");
    assert!(private.tcp_queries() >= 1);
}

#[tokio::test]
async fn a_dead_nameserver_is_paid_for_once() {
    let (dead, alive) = (Nameserver::start().await, Nameserver::start().await);
    dead.silence(true);
    alive.set("app.internal.", vec![a("10.0.0.1", 60)]);
    let mut config = config();
    config.zones = vec![zone("internal", [dead.address(), alive.address()])];
    let names = names(&config);
    let timed = async || {
        let start = Instant::now();
        let answer = look_up(&names, "app.internal").await;
        assert_eq!((addresses(&answer), answer.nameserver), (vec!["10.0.0.1".to_owned()], Some(alive.address())));
        start.elapsed()
    };
    assert!(timed().await >= config.time);
    assert!(timed().await < config.time);
    dead.silence(false);
    alive.silence(true);
    dead.set("app.internal.", vec![a("10.0.0.1", 60)]);
    let answer = look_up(&names, "app.internal").await;
    assert_eq!(answer.nameserver, Some(dead.address()), "the silent one is asked last, but it is asked");
}

#[tokio::test]
async fn a_nameserver_that_is_not_there_or_fails_passes_the_turn_at_once() {
    let gone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (failing, alive) = (Nameserver::start().await, Nameserver::start().await);
    alive.set("app.internal.", vec![a("10.0.0.1", 60)]);
    let mut config = config();
    config.time = Duration::from_secs(5);
    config.zones = vec![zone("internal", [gone, failing.address(), alive.address()])];
    for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::FormErr] {
        failing.fail_with(Some(code));
        let start = Instant::now();
        let answer = look_up(&names(&config), "app.internal").await;
        assert_eq!((addresses(&answer), answer.nameserver), (vec!["10.0.0.1".to_owned()], Some(alive.address())));
        assert!(start.elapsed() < Duration::from_secs(2), "{code}: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn no_nameserver_is_asked_twice_in_one_look_up() {
    let (one, two) = (Nameserver::start().await, Nameserver::start().await);
    one.silence(true);
    two.fail_with(Some(ResponseCode::ServFail));
    let mut config = config();
    config.zones = vec![zone("internal", [one.address(), two.address()])];
    let names = names(&config);
    for order in [[one.address(), two.address()], [two.address(), one.address()]] {
        let State::Failed(reason) = look_up(&names, "app.internal").await.state else { panic!("not failed") };
        let said: Vec<_> = reason.split("; ").map(|part| part.split(": ").next().unwrap().to_owned()).collect();
        assert_eq!(said, order.map(|address| address.to_string()), "{reason}");
    }
}

#[tokio::test]
async fn one_kind_of_address_is_enough() {
    let (private, _public, config) = private_and_public().await;
    private.set("app.internal.", vec![a("10.0.0.1", 300)]);
    private.ignore(Some(RecordType::AAAA));
    let answer = look_up(&names(&config), "app.internal").await;
    assert_eq!(addresses(&answer), ["10.0.0.1"]);
    assert_eq!(answer.ttl, Duration::from_secs(30), "asked again soon: it may not be all");
}

#[tokio::test]
async fn a_nameserver_without_edns_is_asked_without() {
    let (private, _public, config) = private_and_public().await;
    private.set("app.internal.", vec![a("10.0.0.1", 60)]);
    private.without_edns(true);
    assert_eq!(addresses(&look_up(&names(&config), "app.internal").await), ["10.0.0.1"]);
}

#[tokio::test]
async fn a_public_name_that_leads_to_this_host_is_refused() {
    let (private, public, config) = private_and_public().await;
    public.set("rebind.example.com.", vec![a("127.0.0.1", 60), a("169.254.169.254", 60)]);
    public.set("mixed.example.com.", vec![a("127.0.0.1", 60), a("10.0.0.1", 60)]);
    public.set("_http._tcp.example.com.", vec![srv(0, 0, 80, "localhost.", 60)]);
    public.set("localhost.", vec![a("127.0.0.1", 60)]);
    private.set("app.internal.", vec![a("127.0.0.1", 60)]);
    let names = names(&config);
    let refused = look_up(&names, "rebind.example.com").await;
    assert!(matches!(&refused.state, State::Refused(why) if why.contains("127.0.0.1 (loopback)")), "{refused:?}");
    assert!(refused.records.is_empty());
    assert_eq!(addresses(&look_up(&names, "mixed.example.com").await), ["10.0.0.1"]);
    let service = names.look_up(&Question::service("_http._tcp.example.com")).await;
    assert!(matches!(service.state, State::Refused(_)), "{service:?}");
    let allowed = Question { allow_local: true, ..Question::address("rebind.example.com") };
    assert_eq!(addresses(&names.look_up(&allowed).await), ["127.0.0.1", "169.254.169.254"]);
    assert_eq!(addresses(&look_up(&names, "app.internal").await), ["127.0.0.1"], "a zone is the operator's own");
}

#[tokio::test]
async fn a_bare_name_is_asked_as_it_is_and_then_in_the_search_domains() {
    let (private, public, mut config) = private_and_public().await;
    config.nameservers.clear();
    let domain = |text| Name::from_ascii(text).unwrap();
    let facts = || Facts {
        nameservers: vec![public.address()],
        search: vec![domain("one.example.com"), domain("internal")],
        ndots: 1,
        hosts: [("my-host".to_owned(), vec![ip("127.0.1.1")])].into(),
    };
    let names = names_on(&config, facts());
    public.set("my-api.", vec![a("172.18.0.2", 60)]);
    public.set("found.one.example.com.", vec![a("192.0.2.1", 60)]);
    private.set("deeper.internal.", vec![a("10.0.0.1", 60)]);
    let answer = look_up(&names, "my-api").await;
    assert_eq!((addresses(&answer), answer.from), (vec!["172.18.0.2".to_owned()], Source::System));
    assert_eq!(addresses(&look_up(&names, "found").await), ["192.0.2.1"]);
    let answer = look_up(&names, "deeper").await;
    assert_eq!((addresses(&answer), answer.from), (vec!["10.0.0.1".to_owned()], Source::Zone("internal".into())));
    assert_eq!(look_up(&names, "found.").await.state, State::NoSuchName, "the dot says: as it is");
    assert_eq!(look_up(&names, "nowhere").await.state, State::NoSuchName);
    let answer = look_up(&names, "MY-HOST").await;
    assert_eq!((addresses(&answer), answer.from), (vec!["127.0.1.1".to_owned()], Source::SystemHosts));
    assert!(!public.asked().iter().any(|name| name.ends_with("internal.")), "{:?}", public.asked());
}

#[tokio::test]
async fn a_system_without_nameservers_fails_with_a_reason() {
    let State::Failed(reason) = look_up(&names(&config()), "www.example.com").await.state else { panic!("not failed") };
    assert_eq!(&*reason, "there is no nameserver to ask");
    let State::Failed(reason) = look_up(&names(&config()), "not..a.name").await.state else { panic!("not failed") };
    assert!(reason.contains("not a domain name"), "{reason}");
}

#[tokio::test]
async fn garbage_is_a_failure_and_ends() {
    let (private, _public, config) = private_and_public().await;
    private.garble(true);
    let State::Failed(reason) = look_up(&names(&config), "app.internal").await.state else { panic!("not failed") };
    assert!(reason.contains("not a DNS message"), "{reason}");
}

/// hickory's own server, which truncates, denies and encodes by itself.
#[tokio::test]
async fn works_with_a_complete_nameserver() {
    use hickory_server::{
        Server,
        net::runtime::TokioRuntimeProvider,
        store::in_memory::InMemoryZoneHandler,
        zone_handler::{AxfrPolicy, Catalog, ZoneType},
    };
    let origin = Name::from_ascii("internal.").unwrap();
    let mut zone_handler =
        InMemoryZoneHandler::<TokioRuntimeProvider>::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
    zone_handler.upsert_mut(soa(), 0);
    for last in 0..200 {
        let data = RData::A(rdata::A::new(10, 0, 1, last));
        let many = hickory_proto::rr::Record::from_rdata(Name::from_ascii("many.internal.").unwrap(), 60, data);
        zone_handler.upsert_mut(many, 0);
    }
    let mut catalog = Catalog::new();
    catalog.upsert(origin.into(), vec![Arc::new(zone_handler)]);
    let mut server = Server::new(catalog);
    let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = udp.local_addr().unwrap();
    server.register_listener(tokio::net::TcpListener::bind(address).await.unwrap(), Duration::from_secs(5), 64);
    server.register_socket(udp);
    let mut config = config();
    config.zones = vec![zone("internal", [address])];
    let names = names(&config);
    let answer = look_up(&names, "many.internal").await;
    assert_eq!((answer.records.len(), answer.state), (200, State::Fresh));
    let denied = look_up(&names, "gone.internal").await;
    assert_eq!((denied.state, denied.ttl), (State::NoSuchName, config.negative_ceiling));
}
