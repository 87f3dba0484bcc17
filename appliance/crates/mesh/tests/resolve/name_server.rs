//! A name server for tests: on a socket of its own, with records that tests set.
//!
//! The tests of every crate that resolves names share this file.

#![allow(
    dead_code,
    reason = "not every crate's tests ask for every kind of record"
)]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CAA, CNAME, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use jiff::SignedDuration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use mesh::resolve::{Resolve, ResolverConfig};

/// Octets from which an answer is cut off over UDP.
const UDP_LIMIT: usize = 1000;

/// What a name answers.
#[derive(Debug, Clone)]
enum Answer {
    /// These records, of whichever types.
    Records(Vec<RData>),
    /// The next of these sets at each question for addresses, the last for ever.
    Sequence(Vec<Vec<RData>>),
    /// This error.
    Error(ResponseCode),
    /// Nothing at all.
    Silence,
}

/// What a name server knows.
#[derive(Debug, Default)]
struct Zone {
    /// Names in lower case, without a dot at the end.
    names: HashMap<String, Answer>,
    /// Every question, in order.
    asked: Vec<(String, RecordType)>,
}

/// A name server that ends with the test.
#[derive(Debug)]
pub(crate) struct NameServer {
    /// What it knows.
    zone: Arc<Mutex<Zone>>,
    /// Where it listens.
    address: SocketAddr,
    /// Its loops.
    _tasks: JoinSet<()>,
}

impl NameServer {
    /// Starts a server that knows nothing.
    pub(crate) async fn start() -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // The same port may be taken for TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&zone)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&zone)));
        Self {
            zone,
            address,
            _tasks: tasks,
        }
    }

    /// Makes a resolver that asks this server.
    pub(crate) fn resolver(&self) -> Arc<dyn Resolve> {
        self.config().check().unwrap().resolver().unwrap()
    }

    /// Returns the configuration that asks this server.
    pub(crate) fn config(&self) -> ResolverConfig {
        ResolverConfig {
            servers: vec![self.address.to_string()],
            timeout: SignedDuration::from_millis(500),
            attempts: 1,
        }
    }

    /// Returns the names asked for, of one type.
    pub(crate) fn asked(&self, record_type: RecordType) -> Vec<String> {
        let zone = self.zone.lock().unwrap();
        zone.asked
            .iter()
            .filter(|(_, asked)| *asked == record_type)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Adds records to a name.
    fn add(&self, name: &str, records: impl IntoIterator<Item = RData>) {
        let mut zone = self.zone.lock().unwrap();
        let answer = zone
            .names
            .entry(name.to_owned())
            .or_insert(Answer::Records(Vec::new()));
        let Answer::Records(known) = answer else {
            panic!("{name} answers otherwise already");
        };
        known.extend(records);
    }

    /// Adds addresses.
    pub(crate) fn address_records(&self, name: &str, addresses: &[&str]) {
        self.add(name, addresses.iter().map(|text| address_record(text)));
    }

    /// Makes a name answer other addresses at each question; A and AAAA both move
    /// it on.
    pub(crate) fn changing(&self, name: &str, addresses: &[&str]) {
        let sets = addresses
            .iter()
            .map(|text| vec![address_record(text)])
            .collect();
        let mut zone = self.zone.lock().unwrap();
        zone.names.insert(name.to_owned(), Answer::Sequence(sets));
    }

    /// Adds a TXT record of these strings.
    pub(crate) fn txt(&self, name: &str, strings: &[&str]) {
        let strings = strings.iter().map(|text| (*text).to_owned()).collect();
        self.add(name, [RData::TXT(TXT::new(strings))]);
    }

    /// Adds a CAA record.
    pub(crate) fn caa(&self, name: &str, critical: bool, tag: &str, value: &str) {
        let mut record = CAA::new_issue(critical, None, Vec::new());
        record.tag = tag.to_owned();
        record.value = value.as_bytes().to_vec();
        self.add(name, [RData::CAA(record)]);
    }

    /// Makes a name another's alias.
    pub(crate) fn alias(&self, name: &str, of: &str) {
        self.add(name, [RData::CNAME(CNAME(fqdn(of)))]);
    }

    /// Makes a name answer an error.
    pub(crate) fn error(&self, name: &str, code: ResponseCode) {
        let mut zone = self.zone.lock().unwrap();
        zone.names.insert(name.to_owned(), Answer::Error(code));
    }

    /// Makes a name answer nothing at all.
    pub(crate) fn silence(&self, name: &str) {
        let mut zone = self.zone.lock().unwrap();
        zone.names.insert(name.to_owned(), Answer::Silence);
    }
}

/// Makes an A or AAAA record.
fn address_record(text: &str) -> RData {
    RData::from(IpAddr::from_str(text).unwrap())
}

/// Makes a complete name.
fn fqdn(name: &str) -> Name {
    Name::from_ascii(format!("{name}.")).unwrap()
}

/// Answers one message; none stays silent.
fn answer(zone: &Mutex<Zone>, request: &[u8]) -> Option<Message> {
    let request = Message::from_vec(request).unwrap();
    let query = request.queries.first().unwrap().clone();
    let record_type = query.query_type();
    let name = query.name().to_ascii().to_ascii_lowercase();
    let name = name.trim_end_matches('.').to_owned();
    let mut zone = zone.lock().unwrap();
    zone.asked.push((name.clone(), record_type));
    let mut response = Message::response(request.id, OpCode::Query);
    response.metadata.recursion_desired = true;
    response.metadata.recursion_available = true;
    response.add_query(query.clone());
    let below = format!(".{name}");
    // A name exists when there is something at it or below it (RFC 8020).
    let exists_below = zone.names.keys().any(|known| known.ends_with(&below));
    let records = match zone.names.get_mut(&name) {
        None if exists_below => Vec::new(),
        None => {
            response.metadata.response_code = ResponseCode::NXDomain;
            return Some(response);
        }
        Some(Answer::Silence) => return None,
        Some(Answer::Error(code)) => {
            response.metadata.response_code = *code;
            return Some(response);
        }
        Some(Answer::Records(records)) => records.clone(),
        Some(Answer::Sequence(sets)) if sets.len() > 1 && record_type == RecordType::A => {
            sets.remove(0)
        }
        Some(Answer::Sequence(sets)) => sets.first().cloned().unwrap_or_default(),
    };
    let fitting = records.into_iter().filter(|record| {
        record.record_type() == record_type || record.record_type() == RecordType::CNAME
    });
    for record in fitting {
        response.add_answer(Record::from_rdata(query.name().clone(), 60, record));
    }
    Some(response)
}

/// Answers over UDP.
async fn serve_udp(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = vec![0; 4096];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
        let Some(response) = answer(&zone, &buffer[..len]) else {
            continue;
        };
        let mut octets = response.to_vec().unwrap();
        if octets.len() > UDP_LIMIT {
            octets = response.truncate().to_vec().unwrap();
        }
        socket.send_to(&octets, from).await.unwrap();
    }
}

/// Answers over TCP.
async fn serve_tcp(listener: TcpListener, zone: Arc<Mutex<Zone>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(serve_stream(stream, Arc::clone(&zone)));
    }
}

/// Answers over one TCP connection, until it ends.
async fn serve_stream(mut stream: TcpStream, zone: Arc<Mutex<Zone>>) -> std::io::Result<()> {
    loop {
        let len = stream.read_u16().await?;
        let mut request = vec![0; len.into()];
        stream.read_exact(&mut request).await?;
        if let Some(response) = answer(&zone, &request) {
            let octets = response.to_vec().unwrap();
            stream.write_u16(octets.len() as u16).await?;
            stream.write_all(&octets).await?;
        }
    }
}
