//! As much HTTP as a scraper needs: GET and HEAD of one page, an answer, and the connection is closed.
//!
//! The limits are the point. A request has at most 8 KiB and 2 s, an answer 10 s to be taken, and eight connections are
//! served at a time; the next one is told so and closed.

use crate::view::metrics::Format;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Largest request.
const MOST: usize = 8 << 10;
/// Time for a request to arrive.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time for an answer to be taken.
const TAKING: Duration = Duration::from_secs(10);
/// Connections at a time.
const CONNECTIONS: usize = 8;

/// A question that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) path: String,
    pub(super) format: Format,
    /// HEAD: everything but the text.
    head_only: bool,
    /// Name in the header `Host`, without the port.
    host: Option<String>,
}

/// What is answered.
pub(super) struct Answer {
    pub(super) status: &'static str,
    pub(super) content_type: &'static str,
    pub(super) text: String,
}

impl Answer {
    /// One line of plain text.
    pub(super) fn plain(status: &'static str, text: &str) -> Answer {
        Answer { status, content_type: "text/plain; charset=utf-8", text: format!("{text}\n") }
    }
}

/// Serves for ever; returns only if the socket fails.
pub(super) fn serve(
    listener: &TcpListener,
    only_local_names: bool,
    answer: impl Fn(&Question) -> Answer + Send + Sync + 'static,
) -> io::Error {
    let answer = Arc::new(answer);
    let busy = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            // One connection, not the socket: it went away, or descriptors are short for a moment.
            Err(error) if is_passing(&error) => {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
            Err(error) => return error,
        };
        if busy.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS {
            busy.fetch_sub(1, Ordering::AcqRel);
            let _ = stream.set_write_timeout(Some(Duration::from_millis(100)));
            let _ = write(stream, &Answer::plain("503 Service Unavailable", "too many connections"), false);
            continue;
        }
        let (answer, counter) = (Arc::clone(&answer), Arc::clone(&busy));
        let thread = std::thread::Builder::new().name("scrape".to_owned()).spawn(move || {
            // Who goes away meanwhile misses the answer.
            let _ = converse(stream, only_local_names, &*answer);
            counter.fetch_sub(1, Ordering::AcqRel);
        });
        if thread.is_err() {
            busy.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::Interrupted];
    kinds.contains(&error.kind()) || matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

fn converse(mut stream: TcpStream, only_local_names: bool, answer: &impl Fn(&Question) -> Answer) -> io::Result<()> {
    let (reply, head_only) = match read_head(&mut stream)? {
        Head::TooLarge => (Answer::plain("431 Request Header Fields Too Large", "8 KiB are the most"), false),
        Head::TooSlow => (Answer::plain("408 Request Timeout", "no whole request within 2 s"), false),
        Head::Whole(head) => match parse(&head) {
            Err(reply) => (reply, false),
            // A page in a browser that had its own name point here would otherwise read the figures.
            Ok(question) if only_local_names && !is_local(question.host.as_deref()) => {
                let text = "this listens on loopback: ask for an address or localhost";
                (Answer::plain("403 Forbidden", text), question.head_only)
            }
            Ok(question) => (answer(&question), question.head_only),
        },
    };
    write(stream, &reply, head_only)
}

enum Head {
    Whole(Vec<u8>),
    TooLarge,
    TooSlow,
}

fn read_head(stream: &mut TcpStream) -> io::Result<Head> {
    let end = Instant::now() + PATIENCE;
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Head::TooSlow);
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => head.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(Head::TooSlow);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if head.len() > MOST {
            return Ok(Head::TooLarge);
        }
        if head.windows(4).any(|four| four == b"\r\n\r\n") || head.windows(2).any(|two| two == b"\n\n") {
            return Ok(Head::Whole(head));
        }
    }
}

/// Reads a request's head.
fn parse(head: &[u8]) -> Result<Question, Answer> {
    let bad = || Answer::plain("400 Bad Request", "this is no HTTP request");
    let text = std::str::from_utf8(head).map_err(|_| bad())?;
    let mut lines = text.lines();
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = words[..] else { return Err(bad()) };
    if !version.starts_with("HTTP/1.") {
        return Err(bad());
    }
    if method != "GET" && method != "HEAD" {
        return Err(Answer::plain("405 Method Not Allowed", "GET and HEAD are known here"));
    }
    let (mut format, mut host) = (Format::Prometheus, None);
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        match name.to_ascii_lowercase().as_str() {
            "accept" if value.to_ascii_lowercase().contains("application/openmetrics-text") => {
                format = Format::Openmetrics;
            }
            "host" => host = Some(without_port(value.trim()).to_owned()),
            _ => {}
        }
    }
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Ok(Question { path, format, head_only: method == "HEAD", host })
}

fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Whether a name is an address or this machine: what no name server can be made to answer for.
fn is_local(host: Option<&str>) -> bool {
    host.is_none_or(|host| host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok())
}

fn write(mut stream: TcpStream, answer: &Answer, head_only: bool) -> io::Result<()> {
    let Answer { status, content_type, text } = answer;
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let mut reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}\
         X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        text.len()
    );
    if !head_only {
        reply.push_str(text);
    }
    if stream.write_timeout()?.is_none() {
        stream.set_write_timeout(Some(TAKING))?;
    }
    stream.write_all(reply.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // What the other side still sends would turn the close into a reset, which may overtake the answer.
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let _ = stream.read(&mut [0; 1024]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(head: &str) -> Result<Question, &'static str> {
        parse(head.as_bytes()).map_err(|answer| answer.status)
    }

    #[test]
    fn questions_are_read() {
        let question = ask("GET /metrics?x=1 HTTP/1.1\r\nHost: localhost:9477\r\n\r\n").unwrap();
        assert_eq!((question.path.as_str(), question.format), ("/metrics", Format::Prometheus));
        assert_eq!(question.host.as_deref(), Some("localhost"));
        let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        let question = ask(&format!("HEAD / HTTP/1.1\r\nACCEPT: {accept}\r\nhost: [::1]:1\r\n\r\n")).unwrap();
        assert!(question.head_only && question.format == Format::Openmetrics);
        assert_eq!(question.host.as_deref(), Some("::1"));
    }

    #[test]
    fn other_things_are_refused() {
        assert_eq!(ask("POST /metrics HTTP/1.1\r\n\r\n"), Err("405 Method Not Allowed"));
        for bad in
            ["", "GET\r\n\r\n", "GET / SPDY/3\r\n\r\n", "GET / HTTP/1.1 x\r\n\r\n", "GET / HTTP/1.1\r\nx\r\n\r\n"]
        {
            assert_eq!(ask(bad), Err("400 Bad Request"), "{bad:?}");
        }
        assert!(parse(b"GET /\xff HTTP/1.1\r\n\r\n").is_err());
    }

    #[test]
    fn only_names_that_are_this_machines_are_local() {
        assert!(is_local(None) && is_local(Some("LOCALHOST")) && is_local(Some("127.0.0.1")) && is_local(Some("::1")));
        assert!(!is_local(Some("evil.example")) && !is_local(Some("")) && !is_local(Some("localhost.evil.example")));
    }
}
