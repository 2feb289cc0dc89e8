//! What stands behind a Service: a tiny server that says who it is and whom it sees.
//!
//! On every address it answers HTTP with one line of JSON and echoes UDP datagrams, its own name
//! added, so that a client learns which Pod answered and the Pod's view of the client's address.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::process::Spec;

/// A backend and where it listens.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct BackendArgs {
    /// Name of the Pod
    #[arg(long)]
    name: String,
    /// Name of the node
    #[arg(long)]
    node: String,
    /// Addresses to listen on
    #[arg(long = "address", required = true)]
    addresses: Vec<IpAddr>,
    /// TCP and UDP port
    #[arg(long)]
    port: u16,
}

/// The process of a backend on a host.
pub(crate) fn spec(
    program: &Path,
    name: &str,
    host: &Host,
    addresses: &[IpAddr],
    port: u16,
    log: PathBuf,
) -> Spec {
    let mut argv = vec![program.display().to_string()];
    argv.extend(["lab", "backend", "--name", name, "--node", host.name()].map(str::to_owned));
    argv.push(format!("--port={port}"));
    argv.extend(addresses.iter().map(|address| format!("--address={address}")));
    Spec {
        name: name.to_owned(),
        host: host.clone(),
        argv,
        environment: Vec::new(),
        confinement: None,
        log,
    }
}

/// Serves until the process is killed.
pub(crate) fn run(args: &BackendArgs) -> Result<()> {
    let mut threads = Vec::new();
    for address in &args.addresses {
        let local = SocketAddr::new(*address, args.port);
        let listener = TcpListener::bind(local).map_err(Error::io(format!("tcp {local}")))?;
        let socket = UdpSocket::bind(local).map_err(Error::io(format!("udp {local}")))?;
        let tcp = args.clone();
        threads.push(thread::spawn(move || serve_http(&listener, &tcp)));
        let name = args.name.clone();
        threads.push(thread::spawn(move || echo(&socket, &name)));
    }
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

fn serve_http(listener: &TcpListener, args: &BackendArgs) {
    for stream in listener.incoming().flatten() {
        let args = args.clone();
        // A client that is slow or silent keeps its own thread only.
        thread::spawn(move || answer(&stream, &args));
    }
}

fn answer(stream: &TcpStream, args: &BackendArgs) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let body = json!({
        "pod": args.name,
        "node": args.node,
        "address": stream.local_addr()?.ip(),
        "client": stream.peer_addr()?.ip(),
    });
    let body = format!("{body}\n");
    let mut writer = stream;
    write!(
        writer,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn echo(socket: &UdpSocket, name: &str) {
    let mut buffer = [0u8; 2048];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
        let mut reply = buffer[..length].to_vec();
        reply.extend_from_slice(name.as_bytes());
        let _ = socket.send_to(&reply, client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_who_it_is_and_whom_it_sees() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let args = BackendArgs {
            name: "web-1".into(),
            node: "node1".into(),
            addresses: vec![address.ip()],
            port: address.port(),
        };
        thread::spawn(move || serve_http(&listener, &args));
        let (status, body) = crate::host::http(address, "/", Duration::from_secs(5)).unwrap();
        assert_eq!(status, 200);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["pod"], "web-1");
        assert_eq!(body["client"], "127.0.0.1");
    }

    #[test]
    fn echoes_with_its_name() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        thread::spawn(move || echo(&server, "web-1"));
        client.send(b"12345678").unwrap();
        let mut buffer = [0u8; 64];
        let length = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"12345678web-1");
    }
}
