//! A proxy in this process: it knows CONNECT, leads every name to one place, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The proxy. Its threads end with the process.
pub(crate) struct TestProxy {
    host: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl TestProxy {
    /// Leads all connections to `target`; without one, refuses them.
    pub(crate) fn start(target: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heads, target) = (Arc::clone(&heads), target.clone());
                std::thread::spawn(move || serve(stream, target.as_deref(), &heads));
            }
        });
        Self { host, seen }
    }

    /// `127.0.0.1:port`
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The heads of all requests.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, target: Option<&str>, heads: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let is_tunnel = head.starts_with("CONNECT ");
    heads.lock().unwrap().push(head);
    let mut stream = stream;
    let Some(target) = target.filter(|_| is_tunnel) else {
        let _ = stream.write_all(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
        return;
    };
    let server = TcpStream::connect(target).unwrap();
    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
    let (back, forth) = (server.try_clone().unwrap(), stream.try_clone().unwrap());
    std::thread::spawn(move || pipe(back, forth));
    pipe(reader, server);
}

fn pipe(mut from: impl Read, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}
