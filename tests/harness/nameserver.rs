//! A nameserver in this process whose records change at once.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{CNAME, SOA, SRV},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinHandle,
};

use crate::{origin::listen, port::Port, scenario::runtime};

/// Authoritative for every name; answers on UDP and TCP until it is dropped.
#[derive(Debug)]
pub struct Nameserver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    tasks: Vec<JoinHandle<()>>,
    _port: Option<Port>,
}

/// How a nameserver behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Well,
    /// It does not answer.
    Silent,
    /// It answers SERVFAIL.
    Failing,
    /// It answers REFUSED.
    Refusing,
    /// Over UDP it says that the answer is too long for UDP.
    Truncating,
    /// It answers with bytes that are no message.
    Babbling,
}

/// A name's records of one kind.
#[derive(Clone, Debug)]
enum Data {
    Addresses(Vec<IpAddr>),
    Services(Vec<Service>),
    Alias(String),
}

/// An SRV record.
#[derive(Clone, Debug)]
pub struct Service {
    /// The lowest number is used first.
    pub priority: u16,
    /// Its share among those of one priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The name that has the addresses.
    pub target: String,
}

#[derive(Debug)]
struct State {
    records: BTreeMap<String, (u32, Data)>,
    mood: Mood,
    /// Names asked for, with the transport.
    asked: Vec<(String, &'static str)>,
}

/// Questions remembered; a scenario that asks more often than this is about something else.
const ASKED_MAX: usize = 100_000;

/// The longest answer over UDP (the size that DNS Flag Day 2020 recommends).
const UDP_MAX: usize = 1232;

impl Nameserver {
    /// Starts one without records on `127.0.0.1`.
    ///
    /// # Panics
    /// When no port is free for both UDP and TCP.
    pub async fn start() -> Self {
        for _ in 0..16 {
            let port = Port::reserve();
            let address = port.address();
            // The UDP port of the same number may be taken by somebody's query; then another number is tried.
            let Ok(udp) = UdpSocket::bind(address).await else { continue };
            let tcp = TcpListener::bind(address).await.expect("a reserved port can be bound");
            return Self::over(udp, tcp, address, Some(port));
        }
        panic!("no port is free for both UDP and TCP");
    }

    /// Starts one without records here.
    ///
    /// # Panics
    /// When the address is taken, or needs rights that this process has not.
    pub async fn at(address: SocketAddr) -> Self {
        let udp = UdpSocket::bind(address).await.unwrap_or_else(|error| panic!("{address} cannot be bound: {error}"));
        Self::over(udp, listen(address).await, address, None)
    }

    fn over(udp: UdpSocket, tcp: TcpListener, address: SocketAddr, port: Option<Port>) -> Self {
        let state = Arc::new(Mutex::new(State { records: BTreeMap::new(), mood: Mood::Well, asked: Vec::new() }));
        let tasks =
            vec![runtime().spawn(serve_udp(udp, state.clone())), runtime().spawn(serve_tcp(tcp, state.clone()))];
        Self { address, state, tasks, _port: port }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives `name` these addresses, instead of those it had. TTL 1 second.
    pub fn set(&self, name: &str, addresses: &[IpAddr]) {
        self.set_with_ttl(name, 1, addresses);
    }

    /// [`set`](Self::set) with a TTL in seconds.
    pub fn set_with_ttl(&self, name: &str, ttl: u32, addresses: &[IpAddr]) {
        self.lock().records.insert(name.to_lowercase(), (ttl, Data::Addresses(addresses.to_vec())));
    }

    /// Gives `name` SRV records: port and target.
    pub fn set_services(&self, name: &str, services: &[(u16, &str)]) {
        let service = |(port, target): &(u16, &str)| Service {
            priority: 0,
            weight: 1,
            port: *port,
            target: (*target).to_owned(),
        };
        self.set_ranked_services(name, services.iter().map(service).collect());
    }

    /// Gives `name` SRV records with all they can say.
    pub fn set_ranked_services(&self, name: &str, services: Vec<Service>) {
        self.lock().records.insert(name.to_lowercase(), (1, Data::Services(services)));
    }

    /// Makes `name` an alias.
    pub fn set_alias(&self, name: &str, target: &str) {
        self.lock().records.insert(name.to_lowercase(), (1, Data::Alias(target.to_owned())));
    }

    /// Takes all records of `name` away: NXDOMAIN from now on.
    pub fn remove(&self, name: &str) {
        self.lock().records.remove(&name.to_lowercase());
    }

    /// Changes how it behaves.
    pub fn mood(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// Names that were asked for, with `"udp"` or `"tcp"`, in order.
    pub fn asked(&self) -> Vec<(String, &'static str)> {
        self.lock().asked.clone()
    }

    /// How often `name` was asked for.
    pub fn times_asked(&self, name: &str) -> usize {
        self.lock().asked.iter().filter(|(asked, _)| asked == name).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Nameserver {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve_udp(socket: UdpSocket, state: Arc<Mutex<State>>) {
    let mut buffer = vec![0; 4096];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
        if let Some(reply) = reply(&buffer[..length], &state, "udp") {
            drop(socket.send_to(&reply, peer).await);
        }
    }
}

async fn serve_tcp(listener: TcpListener, state: Arc<Mutex<State>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let state = state.clone();
        // Ends when the client closes, or with the runtime.
        tokio::spawn(async move { drop(converse(stream, &state).await) });
    }
}

async fn converse(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await?;
        if let Some(reply) = reply(&question, state, "tcp") {
            stream.write_u16(u16::try_from(reply.len()).unwrap_or(u16::MAX)).await?;
            stream.write_all(&reply).await?;
        }
    }
}

fn reply(question: &[u8], state: &Mutex<State>, transport: &'static str) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    let query = question.queries.first()?.clone();
    let name = query.name.to_ascii().trim_end_matches('.').to_lowercase();
    let mut state = lock(state);
    if state.asked.len() < ASKED_MAX {
        state.asked.push((name.clone(), transport));
    }
    let mut message = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.authoritative = true;
    message.metadata.recursion_desired = question.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.add_query(query.clone());
    match state.mood {
        Mood::Silent => return None,
        Mood::Babbling => return Some(b"\xff\xfe no message".to_vec()),
        Mood::Failing => message.metadata.response_code = ResponseCode::ServFail,
        Mood::Refusing => message.metadata.response_code = ResponseCode::Refused,
        Mood::Truncating if transport == "udp" => message.metadata.truncation = true,
        Mood::Well | Mood::Truncating => {
            fill(&mut message, &state.records, &name, query.query_type);
        }
    }
    let bytes = message.to_vec().ok()?;
    if transport == "tcp" || bytes.len() <= UDP_MAX {
        return Some(bytes);
    }
    message.metadata.truncation = true;
    message.answers.clear();
    message.to_vec().ok()
}

/// Follows aliases, and adds what is known; a name without any record does not exist.
fn fill(message: &mut Message, records: &BTreeMap<String, (u32, Data)>, name: &str, kind: RecordType) {
    let mut name = name.to_owned();
    for _ in 0..16 {
        let Some((ttl, data)) = records.get(&name) else {
            message.metadata.response_code = ResponseCode::NXDomain;
            break;
        };
        let mut add = |rdata| {
            if let Ok(owner) = absolute(&name) {
                message.add_answer(Record::from_rdata(owner, *ttl, rdata));
            }
        };
        match data {
            Data::Addresses(addresses) => {
                for address in addresses {
                    if matches!((address, kind), (IpAddr::V4(_), RecordType::A) | (IpAddr::V6(_), RecordType::AAAA)) {
                        add(RData::from(*address));
                    }
                }
            }
            Data::Services(services) if kind == RecordType::SRV => {
                for service in services {
                    if let Ok(target) = absolute(&service.target) {
                        add(RData::SRV(SRV::new(service.priority, service.weight, service.port, target)));
                    }
                }
            }
            Data::Services(_) => {}
            Data::Alias(target) => {
                if let Ok(alias) = absolute(target) {
                    add(RData::CNAME(CNAME(alias)));
                }
                name = target.to_lowercase();
                continue;
            }
        }
        break;
    }
    if message.answers.is_empty() {
        let root = Name::root();
        let soa = SOA::new(root.clone(), root.clone(), 1, 3600, 600, 86_400, 1);
        message.add_authority(Record::from_rdata(root, 1, RData::SOA(soa)));
    }
}

fn absolute(name: &str) -> Result<Name, impl std::fmt::Debug> {
    Name::from_ascii(format!("{}.", name.trim_end_matches('.')))
}
