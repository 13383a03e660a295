//! A registry in this process that can be told to misbehave, and that remembers every request.
//!
//! Plain HTTP/1.1 on threads of its own, so that it shares nothing with the client that it tests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Barrier, Mutex, MutexGuard};

use attestry::digest::Digest;
use attestry::oci::{Descriptor, Manifest};
use base64::Engine;

/// The name and password that the registry takes.
pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "open:sesame";

#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Auth {
    #[default]
    None,
    Basic,
    Bearer,
}

/// What is wrong with the registry. The default is a registry of distribution-spec 1.1.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub(crate) struct Faults {
    pub(crate) no_referrers_api: bool,
    pub(crate) no_oci_subject: bool,
    pub(crate) no_etag: bool,
    /// Nothing is ever deleted.
    pub(crate) no_delete: bool,
    pub(crate) page_size: Option<usize>,
    pub(crate) auth: Auth,
    /// Requests that get 429 with `Retry-After`.
    pub(crate) throttle_first: usize,
    /// Requests that a token is good for.
    pub(crate) expire_token_after: Option<usize>,
    pub(crate) wrong_digest_header: bool,
    /// Answers with a body that end before they should.
    pub(crate) truncate_first: usize,
    /// Bodies end with the connection, without a `Content-Length`.
    pub(crate) no_length: bool,
    pub(crate) absolute_location: bool,
    /// Origin that uploads, blobs, later pages or the token realm are sent to.
    pub(crate) uploads_at: Option<String>,
    pub(crate) blobs_at: Option<String>,
    pub(crate) next_page_at: Option<String>,
    pub(crate) realm: Option<String>,
    /// The first two requests whose line contains this wait for each other.
    pub(crate) meet: Option<String>,
    /// Writes of a tag that are answered well and lost, as if another writer came right after.
    pub(crate) lose_tag_writes: usize,
    /// Uploads in pieces: the status that refuses them, the least bytes of one, the piece whose connection breaks when
    /// half of it is there, the one whose answer is lost, the one that must go to the status first, whether it forgets.
    pub(crate) refuse_pieces: Option<u16>,
    pub(crate) least_piece: Option<usize>,
    pub(crate) break_piece: Option<usize>,
    pub(crate) lose_answer_of_piece: Option<usize>,
    pub(crate) forget_pieces_at: Option<usize>,
    pub(crate) no_location_for_pieces: bool,
    /// Bytes that are taken of each piece.
    pub(crate) sip: Option<usize>,
    /// What is said to be there after each piece, and after a question for it.
    pub(crate) claimed_range: Option<&'static str>,
    /// `Content-Range` says that the whole is longer than it is.
    pub(crate) wrong_totals: bool,
    /// Seconds until the end of an upload is answered.
    pub(crate) slow_commit: u64,
    /// Whether blobs of other repositories are mounted; otherwise the wish is answered with an upload.
    pub(crate) mounts: bool,
    /// Ranges: not known, answered with another range, answered with other bytes, answered with half of the rest.
    pub(crate) no_ranges: bool,
    pub(crate) wrong_ranges: bool,
    pub(crate) other_bytes_in_ranges: bool,
    pub(crate) short_ranges: bool,
    /// Listings of referrers hold an entry whose digest is of an unknown algorithm.
    pub(crate) spoiled_listings: bool,
    /// All answers say `Warning: 299 - "going soon"`.
    pub(crate) warns: bool,
    /// Bodies come a byte at a time.
    pub(crate) drip: bool,
    /// `Retry-After` of the 429 answers; `0` where this is empty.
    pub(crate) retry_after: &'static str,
    /// Answers that are given instead, first match first.
    pub(crate) canned: Vec<Canned>,
}

/// A fixed answer to all requests whose line (`GET /v2/…`) contains a text.
#[derive(Clone)]
pub(crate) struct Canned {
    pub(crate) request: &'static str,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Canned {
    pub(crate) fn status(request: &'static str, status: u16) -> Self {
        Self { request, status, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn body(request: &'static str, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { request, status: 200, headers: vec![("Content-Type", media_type.to_owned())], body: body.into() }
    }
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// `GET /v2/…`
    pub(crate) line: String,
    pub(crate) authorization: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }
}

#[derive(Default)]
struct State {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    tags: BTreeMap<String, String>,
    seen: Vec<Seen>,
    throttled: usize,
    truncated: usize,
    met: usize,
    uploads: usize,
    /// What came in pieces, by upload, and the number of pieces.
    pieces: BTreeMap<String, (Vec<u8>, usize)>,
    pieces_seen: usize,
    tag_writes_lost: usize,
    /// Blobs that other repositories have.
    elsewhere: BTreeMap<String, Vec<u8>>,
    tokens: BTreeMap<String, usize>,
}

struct Shared {
    faults: Faults,
    origin: String,
    barrier: Barrier,
    state: Mutex<State>,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    fn error(status: u16, code: &str) -> Self {
        Self::new(status).body(format!(r#"{{"errors":[{{"code":"{code}","message":"said the test"}}]}}"#))
    }
}

/// In place of a status: the connection ends.
const NO_ANSWER: u16 = 0;

/// The registry. Its threads end with the process.
pub(crate) struct TestRegistry {
    shared: Arc<Shared>,
}

impl TestRegistry {
    pub(crate) fn start(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { faults, origin, barrier: Barrier::new(2), state: Mutex::default() });
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&server);
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { shared }
    }

    /// `127.0.0.1:port`
    pub(crate) fn host(&self) -> &str {
        self.shared.origin.strip_prefix("http://").unwrap()
    }

    /// `http://127.0.0.1:port`
    pub(crate) fn origin(&self) -> &str {
        &self.shared.origin
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// How many requests contain a text in their line.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.state().seen.iter().filter(|seen| seen.line.contains(text)).count()
    }

    /// Forgets the requests, keeps the content.
    pub(crate) fn forget(&self) {
        self.state().seen.clear();
    }

    pub(crate) fn put_blob(&self, digest: &Digest, bytes: &[u8]) {
        self.state().blobs.insert(digest.to_string(), bytes.to_vec());
    }

    /// Puts a blob into another repository of the registry.
    pub(crate) fn put_elsewhere(&self, digest: &Digest, bytes: &[u8]) {
        self.state().elsewhere.insert(digest.to_string(), bytes.to_vec());
    }

    pub(crate) fn put_manifest(&self, tag: Option<&str>, media_type: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        let mut state = self.state();
        state.manifests.insert(digest.to_string(), (media_type.to_owned(), bytes.to_vec()));
        if let Some(tag) = tag {
            state.tags.insert(tag.to_owned(), digest.to_string());
        }
        digest
    }

    /// All that is kept: manifests, tags and blobs, by name.
    pub(crate) fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let manifests =
            state.manifests.iter().map(|(digest, (_, bytes))| (format!("manifest {digest}"), bytes.clone()));
        let tags = state.tags.iter().map(|(tag, digest)| (format!("tag {tag}"), digest.clone().into_bytes()));
        let blobs = state.blobs.iter().map(|(digest, bytes)| (format!("blob {digest}"), bytes.clone()));
        manifests.chain(tags).chain(blobs).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    // Head and body go out in two writes; without this the second waits 40 ms for the client's acknowledgement.
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader) {
        let reply = shared.answer(&request);
        if reply.status == NO_ANSWER {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
        let mut length = reply.body.len();
        let mut truncated = false;
        if matches!(reply.status, 200 | 206) && request.method == "GET" && !request.path.contains("/token") {
            let mut state = shared.state.lock().unwrap();
            truncated = state.truncated < shared.faults.truncate_first;
            state.truncated += usize::from(truncated);
        }
        let mut head = format!("HTTP/1.1 {} Said\r\n", reply.status);
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if shared.faults.warns {
            head.push_str("Warning: 299 - \"going soon\"\r\n");
        }
        let ends = shared.faults.no_length && request.method == "GET";
        match ends {
            true => head.push_str("Connection: close\r\n\r\n"),
            false => head.push_str(&format!("Content-Length: {length}\r\n\r\n")),
        }
        length = if truncated { length / 2 } else { length };
        let body = if request.method == "HEAD" { &[][..] } else { &reply.body[..length] };
        let pieces = if shared.faults.drip { body.chunks(1) } else { body.chunks(usize::MAX) };
        let written = writer.write_all(head.as_bytes()).and_then(|()| {
            pieces.into_iter().try_for_each(|piece| {
                if shared.faults.drip {
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
                writer.write_all(piece)
            })
        });
        if written.is_err() || truncated || ends {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let body = match headers.get("content-length") {
        Some(length) => {
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).ok()?;
            body
        }
        None if headers.contains_key("transfer-encoding") => {
            assert_eq!(method, "PATCH", "registries want a length for what comes whole");
            read_chunked(reader)?
        }
        None => Vec::new(),
    };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Request { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}

/// A body of unknown length, as Go's clients send what comes in pieces.
fn read_chunked(reader: &mut BufReader<&TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

impl Request {
    fn query(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    fn line(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{} {}{mark}{}", self.method, self.path, self.query)
    }

    fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization").map(String::as_str)
    }
}

fn basic() -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}")))
}

impl Shared {
    fn answer(&self, request: &Request) -> Reply {
        let line = request.line();
        let meets = {
            let mut state = self.state.lock().unwrap();
            let authorization = request.authorization().map(str::to_owned);
            state.seen.push(Seen { line: line.clone(), authorization, headers: request.headers.clone() });
            if state.throttled < self.faults.throttle_first {
                state.throttled += 1;
                let after = if self.faults.retry_after.is_empty() { "0" } else { self.faults.retry_after };
                return Reply::error(429, "TOOMANYREQUESTS").header("Retry-After", after);
            }
            let meets = state.met < 2 && self.faults.meet.as_ref().is_some_and(|text| line.contains(text));
            state.met += usize::from(meets);
            meets
        };
        let reply = self.reply(request, &line);
        if meets {
            self.barrier.wait();
        }
        reply
    }

    fn reply(&self, request: &Request, line: &str) -> Reply {
        if request.path == "/token" {
            return self.token(request);
        }
        if let Some(challenge) = self.challenge(request) {
            return Reply::error(401, "UNAUTHORIZED").header("WWW-Authenticate", challenge);
        }
        if let Some(canned) = self.faults.canned.iter().find(|canned| line.contains(canned.request)) {
            let reply = Reply::new(canned.status).body(canned.body.clone());
            return canned.headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value));
        }
        let rest = request.path.strip_prefix("/v2/").unwrap_or_default();
        let parts: Vec<&str> = rest.split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET" | "HEAD", [.., "manifests", reference]) => self.manifest(reference),
            ("PUT", [.., "manifests", reference]) => self.put_manifest(reference, request),
            ("DELETE", [.., "manifests", _]) if self.faults.no_delete => Reply::error(405, "UNSUPPORTED"),
            ("DELETE", [.., "manifests", reference]) => self.delete(reference),
            ("GET" | "HEAD", [.., "blobs", digest]) => self.blob(request, digest),
            ("POST", [.., "blobs", "uploads", ""]) => self.begin_upload(request),
            ("PATCH", [.., "blobs", "uploads", _]) => self.take_piece(request),
            ("GET", [.., "blobs", "uploads", _]) => self.progress(request),
            ("DELETE", [.., "blobs", "uploads", _]) => Reply::new(204),
            ("PUT", [.., "blobs", "uploads", _]) => self.finish_upload(request),
            ("GET", [.., "referrers", digest]) if !self.faults.no_referrers_api => self.referrers(request, digest),
            ("GET", [.., "tags", "list"]) => self.tags(request),
            ("GET", [""]) if request.path == "/v2/" => Reply::new(200).body("{}"),
            _ => Reply::new(404).body("404 page not found"),
        }
    }

    /// The challenge for a request that may not pass.
    fn challenge(&self, request: &Request) -> Option<String> {
        match self.faults.auth {
            Auth::None => None,
            Auth::Basic => (request.authorization() != Some(&basic())).then(|| r#"Basic realm="the test""#.to_owned()),
            Auth::Bearer => {
                let write = !matches!(request.method.as_str(), "GET" | "HEAD");
                let wanted = if write { "push" } else { "pull" };
                let mut state = self.state.lock().unwrap();
                let token = request.authorization().and_then(|value| value.strip_prefix("Bearer "));
                let from = request.query("from").filter(|_| request.query("mount").is_some());
                let from = from.map(|from| format!("from-{from}")).unwrap_or_default();
                let fits = |token: &&str| token.contains(wanted) && token.contains(&from);
                let left = token.filter(fits).and_then(|token| state.tokens.get_mut(token));
                if let Some(left) = left.filter(|left| **left > 0) {
                    *left -= 1;
                    return None;
                }
                let realm = self.faults.realm.clone().unwrap_or_else(|| format!("{}/token", self.origin));
                let name = request.path.trim_start_matches("/v2/").split('/').next().unwrap_or_default();
                Some(format!(r#"Bearer realm="{realm}",service="the test",scope="repository:{name}:{wanted}""#))
            }
        }
    }

    fn token(&self, request: &Request) -> Reply {
        if request.method == "POST" {
            let body = String::from_utf8(request.body.clone()).unwrap();
            if !body.contains("grant_type=refresh_token") || !body.contains("refresh_token=an-identity") {
                return Reply::error(400, "invalid_grant");
            }
        } else if request.authorization() != Some(&basic()) {
            return Reply::error(401, "UNAUTHORIZED");
        }
        let mut state = self.state.lock().unwrap();
        let scope = format!("{} {}", request.query, String::from_utf8_lossy(&request.body));
        let actions = if scope.contains("push") { "pull-push" } else { "pull" };
        let from = if scope.contains("scope=repository%3Abase%3Apull") { "-from-base" } else { "" };
        let token = format!("token-{}-{actions}{from}", state.tokens.len());
        state.tokens.insert(token.clone(), self.faults.expire_token_after.unwrap_or(usize::MAX));
        Reply::new(200).body(format!(r#"{{"token":"{token}","expires_in":300}}"#))
    }

    fn digest_of(&self, state: &State, reference: &str) -> Option<String> {
        if reference.contains(':') { Some(reference.to_owned()) } else { state.tags.get(reference).cloned() }
    }

    fn manifest(&self, reference: &str) -> Reply {
        let state = self.state.lock().unwrap();
        let digest = self.digest_of(&state, reference);
        let found = digest.and_then(|digest| Some((state.manifests.get(&digest)?, digest)));
        let Some(((media_type, bytes), digest)) = found else { return Reply::error(404, "MANIFEST_UNKNOWN") };
        let said =
            if self.faults.wrong_digest_header { Digest::sha256(b"another").to_string() } else { digest.clone() };
        let reply = Reply::new(200).header("Content-Type", media_type).header("Docker-Content-Digest", said);
        let reply = if self.faults.no_etag { reply } else { reply.header("ETag", format!("\"{digest}\"")) };
        reply.body(bytes.clone())
    }

    fn put_manifest(&self, reference: &str, request: &Request) -> Reply {
        let mut state = self.state.lock().unwrap();
        let current = self.digest_of(&state, reference).filter(|digest| state.manifests.contains_key(digest));
        if !self.faults.no_etag {
            let current = current.map(|digest| format!("\"{digest}\""));
            let wanted = request.headers.get("if-match");
            let overtaken = wanted.is_some_and(|wanted| current.as_ref() != Some(wanted));
            if overtaken || (current.is_some() && request.headers.contains_key("if-none-match")) {
                return Reply::error(412, "PRECONDITION_FAILED");
            }
        }
        let digest = Digest::sha256(&request.body).to_string();
        if reference.contains(':') && reference != digest {
            return Reply::error(400, "DIGEST_INVALID");
        }
        let media_type = request.headers["content-type"].clone();
        state.manifests.insert(digest.clone(), (media_type.clone(), request.body.clone()));
        if !reference.contains(':') {
            if state.tag_writes_lost < self.faults.lose_tag_writes {
                state.tag_writes_lost += 1;
            } else {
                state.tags.insert(reference.to_owned(), digest.clone());
            }
        }
        let reply = Reply::new(201).header("Docker-Content-Digest", &digest);
        match read(&media_type, &request.body).and_then(|manifest| Some(manifest.subject()?.digest.clone())) {
            Some(subject) if !self.faults.no_oci_subject => reply.header("OCI-Subject", subject),
            _ => reply,
        }
    }

    /// A tag alone, or a manifest with all its tags.
    fn delete(&self, reference: &str) -> Reply {
        let mut state = self.state.lock().unwrap();
        let known = if reference.contains(':') {
            state.tags.retain(|_, digest| digest != reference);
            state.manifests.remove(reference).is_some()
        } else {
            state.tags.remove(reference).is_some()
        };
        if known { Reply::new(202) } else { Reply::error(404, "MANIFEST_UNKNOWN") }
    }

    fn blob(&self, request: &Request, digest: &str) -> Reply {
        if let Some(origin) = self.faults.blobs_at.as_ref().filter(|_| request.method == "GET") {
            return Reply::new(307).header("Location", format!("{origin}{}?signature=secret", request.path));
        }
        match self.state.lock().unwrap().blobs.get(digest) {
            Some(bytes) => self.part_of(request, digest, bytes),
            None => Reply::error(404, "BLOB_UNKNOWN"),
        }
    }

    /// All of a blob, or the range that was asked for.
    fn part_of(&self, request: &Request, digest: &str, bytes: &[u8]) -> Reply {
        let etag = format!("\"{digest}\"");
        let reply = |status: u16| {
            let reply = Reply::new(status).header("Content-Type", "application/octet-stream");
            if self.faults.no_etag { reply } else { reply.header("ETag", &etag) }
        };
        let first = request.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        let same = request.headers.get("if-range").is_none_or(|wanted| *wanted == etag);
        let Some(first) = first.filter(|_| same && !self.faults.no_ranges) else {
            return reply(200).body(bytes);
        };
        let (first, mut last) = (first.parse::<usize>().unwrap(), bytes.len() - 1);
        if self.faults.short_ranges {
            last = first + (last - first) / 2;
        }
        let mut rest = bytes[first..=last].to_vec();
        if self.faults.other_bytes_in_ranges {
            rest.fill(b'?');
        }
        let said = if self.faults.wrong_ranges { first - 1 } else { first };
        let whole = bytes.len() + usize::from(self.faults.wrong_totals);
        reply(206).header("Content-Range", format!("bytes {said}-{last}/{whole}")).body(rest)
    }

    fn begin_upload(&self, request: &Request) -> Reply {
        let mut state = self.state.lock().unwrap();
        if let Some(digest) = request.query("mount").filter(|_| self.faults.mounts) {
            let digest = digest.replace("%3A", ":");
            if let Some(bytes) = state.elsewhere.get(&digest).cloned() {
                state.blobs.insert(digest.clone(), bytes);
                return Reply::new(201).header("Docker-Content-Digest", digest);
            }
        }
        state.uploads += 1;
        let path = format!("{}{}", request.path, state.uploads);
        let reply = Reply::new(202).header("Location", self.location(&path, 0));
        self.faults.least_piece.into_iter().fold(reply, |reply, least| reply.header("OCI-Chunk-Min-Length", least))
    }

    /// Where an upload goes on after so many pieces.
    fn location(&self, path: &str, pieces: usize) -> String {
        let origin = match (&self.faults.uploads_at, self.faults.absolute_location) {
            (Some(origin), _) => origin.as_str(),
            (None, true) => &self.origin,
            (None, false) => "",
        };
        format!("{origin}{path}?state=a%2Fb&pieces={pieces}")
    }

    fn take_piece(&self, request: &Request) -> Reply {
        if let Some(status) = self.faults.refuse_pieces {
            return Reply::error(status, "UNSUPPORTED");
        }
        let mut state = self.state.lock().unwrap();
        state.pieces_seen += 1;
        let number = Some(state.pieces_seen);
        let upload = state.pieces.entry(request.path.clone()).or_default();
        if request.query("pieces") != Some(&upload.1.to_string()) {
            return Reply::error(404, "BLOB_UPLOAD_UNKNOWN");
        }
        let start = upload.0.len();
        let range = request.headers.get("content-range");
        let expected = format!("{start}-{}", (start + request.body.len()).saturating_sub(1));
        if range.is_some_and(|range| *range != expected) {
            return Reply::error(416, "BLOB_UPLOAD_INVALID");
        }
        let kept = if number == self.faults.break_piece { request.body.len() / 2 } else { request.body.len() };
        let kept = self.faults.sip.map_or(kept, |sip| sip.min(kept));
        upload.0.extend_from_slice(&request.body[..kept]);
        upload.1 += 1;
        let (end, pieces) = (upload.0.len(), upload.1);
        if number == self.faults.forget_pieces_at {
            state.pieces.remove(&request.path);
        }
        if [self.faults.break_piece, self.faults.lose_answer_of_piece, self.faults.forget_pieces_at].contains(&number) {
            return Reply::new(NO_ANSWER);
        }
        let reply = Reply::new(202).header("Range", self.claimed(end));
        if self.faults.no_location_for_pieces {
            return reply;
        }
        reply.header("Location", self.location(&request.path, pieces))
    }

    fn claimed(&self, length: usize) -> String {
        let said = format!("0-{}", length.saturating_sub(1));
        self.faults.claimed_range.map_or(said, str::to_owned)
    }

    fn progress(&self, request: &Request) -> Reply {
        match self.state.lock().unwrap().pieces.get(&request.path) {
            None => Reply::error(404, "BLOB_UPLOAD_UNKNOWN"),
            Some((bytes, pieces)) => Reply::new(204)
                .header("Range", self.claimed(bytes.len()))
                .header("Location", self.location(&request.path, *pieces)),
        }
    }

    fn finish_upload(&self, request: &Request) -> Reply {
        std::thread::sleep(std::time::Duration::from_secs(self.faults.slow_commit));
        let mut state = self.state.lock().unwrap();
        let (mut bytes, pieces) = state.pieces.remove(&request.path).unwrap_or_default();
        bytes.extend_from_slice(&request.body);
        let digest = Digest::sha256(&bytes).to_string();
        let promised = request.query("digest").map(|digest| digest.replace("%3A", ":"));
        let known = request.query("state") == Some("a%2Fb") && request.query("pieces") == Some(&pieces.to_string());
        if promised.as_ref() != Some(&digest) || !known {
            return Reply::error(400, "DIGEST_INVALID");
        }
        state.blobs.insert(digest.clone(), bytes);
        Reply::new(201).header("Docker-Content-Digest", digest)
    }

    fn referrers(&self, request: &Request, subject: &str) -> Reply {
        let state = self.state.lock().unwrap();
        let manifests = state.manifests.values().filter_map(|(media_type, bytes)| read(media_type, bytes));
        let about = manifests.filter(|manifest| manifest.subject().is_some_and(|s| s.digest.to_string() == subject));
        let all: Vec<Descriptor> = about.map(|manifest| manifest.referrer_descriptor()).collect();
        let (page, link) = self.page(request, &all);
        let index = attestry::oci::new_index(page, &BTreeMap::new());
        let reply = Reply::new(200).header("Content-Type", index.media_type());
        let reply = link.into_iter().fold(reply, |reply, link| reply.header("Link", link));
        let body = index.bytes(u64::MAX).unwrap();
        reply.body(if self.faults.spoiled_listings { spoiled(&body) } else { body.to_vec() })
    }

    fn tags(&self, request: &Request) -> Reply {
        let tags: Vec<String> = self.state.lock().unwrap().tags.keys().cloned().collect();
        let (page, link) = self.page(request, &tags);
        let reply = link.into_iter().fold(Reply::new(200), |reply, link| reply.header("Link", link));
        reply.body(serde_json::to_vec(&serde_json::json!({"name": "x", "tags": page})).unwrap())
    }

    fn page<'a, T>(&self, request: &Request, all: &'a [T]) -> (&'a [T], Option<String>) {
        let start = request.query("from").map_or(0, |text| text.parse().unwrap());
        let end = all.len().min(start + self.faults.page_size.unwrap_or(usize::MAX - all.len()));
        let origin = self.faults.next_page_at.as_deref().unwrap_or_default();
        let link = (end < all.len()).then(|| format!("<{origin}{}?from={end}>; rel=\"next\"", request.path));
        (&all[start..end], link)
    }
}

fn read(media_type: &str, bytes: &[u8]) -> Option<Manifest> {
    let media_type = attestry::media_type::MediaType::new(media_type);
    let blob = attestry::content::Blob::of_bytes(media_type, bytes.to_vec());
    Manifest::read(blob, &attestry::limits::Limits::default()).ok()
}

/// An index with one more entry, whose digest nobody can read.
pub(crate) fn spoiled(index: &[u8]) -> Vec<u8> {
    let mut index: serde_json::Value = serde_json::from_slice(index).unwrap();
    let entry = serde_json::json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "blake3:00", "size": 1});
    index["manifests"].as_array_mut().unwrap().push(entry);
    serde_json::to_vec(&index).unwrap()
}
