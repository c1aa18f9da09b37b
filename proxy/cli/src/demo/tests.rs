use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use super::*;

/// One request to an instance, without the proxy.
fn get(at: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

/// Addresses of a name, asked over UDP with a message made by hand.
fn look_up(name: &str) -> Vec<IpAddr> {
    let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(&message, loopback(NAMESERVER)).unwrap();
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).unwrap();
    let answer = hickory_proto::op::Message::from_vec(&answer[..length]).unwrap();
    answer.answers.iter().filter_map(|record| record.data.ip_addr()).collect()
}

// One test: the ports are fixed, as the demo's are, and cargo runs tests side by side.
#[test]
fn town_serves_redeploys_names_busy_ports_and_ends() {
    {
        let _somebody = TcpListener::bind(loopback(BLOG)).unwrap();
        let error = Town::start().err().expect("a port is busy");
        assert!(format!("{error}").contains("TCP port 9104 on 127.0.0.1"), "{error}");
        assert_eq!(error.downcast_ref::<std::io::Error>().map(std::io::Error::kind), Some(ErrorKind::AddrInUse));
    }

    let town = Town::start().unwrap();
    for (index, port) in SHOP.into_iter().enumerate() {
        let response = get(loopback(port), "/cart").unwrap();
        assert!(response.contains(&format!("shop {} at 127.0.0.1:{port}: GET /cart", index + 1)), "{response}");
    }
    let first = look_up(PRIVATE_NAME);
    assert_eq!(first.len(), 2);
    assert_eq!(look_up(&format!("1.{PRIVATE_NAME}")), [container(1)]);
    assert!(look_up(&format!("3.{PRIVATE_NAME}")).is_empty());

    let at = SocketAddr::new(first[0], PRIVATE);
    assert!(get(at, "/").unwrap().contains("deploy 1"));
    assert!(get(at, "/redeploy").unwrap().contains("deploy 2 is coming"));
    let end = Instant::now() + Duration::from_secs(15);
    while look_up(PRIVATE_NAME) == first || get(at, "/").is_ok() {
        assert!(Instant::now() < end, "the app is re-created within fifteen seconds, and the old instances go");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(get(SocketAddr::new(look_up(PRIVATE_NAME)[0], PRIVATE), "/").unwrap().contains("deploy 2"));

    drop(town);
    assert!(TcpStream::connect(loopback(BLOG)).is_err());
    drop(Town::start().unwrap());
}

#[test]
fn files_are_made_once_and_an_edited_configuration_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("demo");
    let files = Files::prepare(&dir).unwrap();
    assert!(!files.kept);
    assert_eq!(fs::metadata(dir.join("server.key")).unwrap().permissions().mode() & 0o777, 0o600);
    let certificate = fs::read_to_string(dir.join("server.pem")).unwrap();

    let edited = fs::read_to_string(&files.config).unwrap() + "# edited\n";
    fs::write(&files.config, &edited).unwrap();
    let again = Files::prepare(&dir).unwrap();
    assert!(again.kept);
    assert_eq!(fs::read_to_string(&files.config).unwrap(), edited);
    assert_eq!(fs::read_to_string(dir.join("server.pem")).unwrap(), certificate);
    assert!(tour(&again).contains("kept as you left it"));
}

#[test]
fn configuration_of_the_demo_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    let files = Files::prepare(dir.path()).unwrap();
    let loaded = portcullis_config::load::load(&files.config).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.config.listeners.len(), 2);
}
