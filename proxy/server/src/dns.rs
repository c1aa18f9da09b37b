//! temporary
#![allow(missing_docs)]
use std::{fmt, net::{IpAddr, SocketAddr}, sync::Arc, time::{Duration, Instant}};
use arc_swap::ArcSwap;
use portcullis_config::dns::Dns;
use serde_json::{Value, json};
#[derive(Debug)]
pub struct Names { config: Dns, runtime: tokio::runtime::Handle }
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question { pub name: String, pub kind: Kind, pub allow_local: bool }
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind { Address, Service }
#[derive(Clone, Debug)]
pub struct Record { pub address: IpAddr, pub port: Option<u16>, pub weight: u16, pub priority: u16 }
#[derive(Clone, Debug)]
pub enum State { Pending, Fresh, Stale, NoSuchName, Refused(String), Failed(String) }
impl fmt::Display for State { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{self:?}") } }
#[derive(Clone, Debug)]
pub struct Answer { pub question: Question, pub records: Vec<Record>, pub state: State, pub nameserver: Option<SocketAddr>, pub ttl: Duration, pub at: Instant }
impl Answer { pub fn to_json(&self, _now: Instant) -> Value { json!({"name": self.question.name, "records": self.records.iter().map(|r| r.address.to_string()).collect::<Vec<_>>(), "state": self.state.to_string()}) } }
#[derive(Clone, Debug)]
pub struct Followed { answer: Arc<ArcSwap<Answer>>, version: tokio::sync::watch::Receiver<u64> }
impl Followed {
    pub fn current(&self) -> Arc<Answer> { self.answer.load_full() }
    pub fn hurry(&self) {}
    pub fn subscribe(&self) -> tokio::sync::watch::Receiver<u64> { self.version.clone() }
}
impl Names {
    pub fn new(config: &Dns, runtime: tokio::runtime::Handle) -> Result<Arc<Self>, std::io::Error> { Ok(Arc::new(Self { config: config.clone(), runtime })) }
    pub async fn look_up(&self, q: &Question) -> Answer {
        let mut records = Vec::new();
        if let Some(a) = self.config.hosts.get(&q.name) { records = a.clone(); }
        else if let Ok(found) = tokio::net::lookup_host((q.name.as_str(), 0)).await { records = found.map(|a| a.ip()).collect(); }
        Answer { question: q.clone(), state: if records.is_empty() { State::NoSuchName } else { State::Fresh }, records: records.into_iter().map(|address| Record { address, port: None, weight: 1, priority: 0 }).collect(), nameserver: None, ttl: Duration::from_secs(1), at: Instant::now() }
    }
    pub fn follow(self: &Arc<Self>, q: Question) -> Followed {
        let answer = Arc::new(ArcSwap::from_pointee(Answer { question: q.clone(), records: vec![], state: State::Pending, nameserver: None, ttl: Duration::ZERO, at: Instant::now() }));
        let (tx, version) = tokio::sync::watch::channel(0);
        let (names, a) = (self.clone(), answer.clone());
        self.runtime.spawn(async move { loop { let new = names.look_up(&q).await; a.store(Arc::new(new)); tx.send_modify(|v| *v += 1); tokio::time::sleep(Duration::from_secs(1)).await; } });
        Followed { answer, version }
    }
}
