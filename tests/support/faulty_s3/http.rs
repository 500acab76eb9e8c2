//! HTTP/1.1 by hand, so that an answer can be cut, reset, held back or false.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::bucket::{Answer, Request};
use super::plan::{Fault, Op};

/// How long a connection is held without a byte; clients give up long before.
const STALL: Duration = Duration::from_secs(30);

/// Percent-decoding, as keys and queries need it.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(byte) = byte.filter(|_| *first == b'%') {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads a request off a connection; `None` at its end. `held` keeps what came too early.
pub(crate) async fn read(socket: &mut TcpStream, held: &mut Vec<u8>) -> Option<Request> {
    let head_end = loop {
        if let Some(at) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        more(socket, held).await?;
    };
    let head = String::from_utf8_lossy(&held[..head_end]).into_owned();
    held.drain(..head_end);
    let mut lines = head.split("\r\n");
    let first = lines.next()?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    if headers.get("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
    }
    let chunked = headers.get("transfer-encoding").is_some_and(|value| value.contains("chunked"));
    let mut body = if chunked {
        read_chunked(socket, held).await?
    } else {
        let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        take(socket, held, length).await?
    };
    if headers.get("content-encoding").is_some_and(|value| value.contains("aws-chunked")) {
        body = from_aws_chunked(&body);
    }

    let mut words = first.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: BTreeMap<String, String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    let path = decoded(path.trim_start_matches('/'));
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    let list = method == "GET" && query.contains_key("list-type");
    let op = match method {
        "GET" if list => Op::List,
        "GET" => Op::Get,
        "HEAD" => Op::Head,
        "PUT" if headers.contains_key("x-amz-copy-source") => Op::Copy,
        "PUT" => Op::Put,
        "DELETE" => Op::Delete,
        other => panic!("the server does not know {other}"),
    };
    let prefix = || query.get("prefix").cloned().unwrap_or_default();
    let key = if list { prefix() } else { key.to_owned() };
    Some(Request { op, bucket: bucket.to_owned(), key, query, headers, body })
}

async fn more(socket: &mut TcpStream, held: &mut Vec<u8>) -> Option<()> {
    let mut part = vec![0; 1 << 16];
    let n = socket.read(&mut part).await.ok().filter(|n| *n > 0)?;
    held.extend_from_slice(&part[..n]);
    Some(())
}

async fn take(socket: &mut TcpStream, held: &mut Vec<u8>, n: usize) -> Option<Vec<u8>> {
    while held.len() < n {
        more(socket, held).await?;
    }
    Some(held.drain(..n).collect())
}

async fn line(socket: &mut TcpStream, held: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = held.windows(2).position(|two| two == b"\r\n") {
            let line: Vec<u8> = held.drain(..at + 2).collect();
            return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        more(socket, held).await?;
    }
}

async fn read_chunked(socket: &mut TcpStream, held: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(socket, held).await?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            while !line(socket, held).await?.is_empty() {}
            return Some(body);
        }
        body.extend(take(socket, held, size).await?);
        line(socket, held).await?;
    }
}

/// The payload of `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: chunks, then trailers that are not checked.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>.
fn from_aws_chunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        let head = String::from_utf8_lossy(&rest[..at]).into_owned();
        let size = head.split(';').next().and_then(|n| usize::from_str_radix(n.trim(), 16).ok());
        let Some(size) = size.filter(|n| *n > 0) else { break };
        body.extend_from_slice(&rest[at + 2..at + 2 + size]);
        rest = &rest[at + 2 + size + 2..];
    }
    body
}

/// Until the client goes, or at last.
async fn wait(socket: &mut TcpStream) {
    let mut byte = [0];
    tokio::time::timeout(STALL, socket.read(&mut byte)).await.ok();
}

/// Sends an answer, spoilt by `fault`; false when the connection is over.
pub(crate) async fn send(
    mut socket: TcpStream,
    op: Op,
    answer: &Answer,
    fault: Option<Fault>,
) -> Option<TcpStream> {
    if matches!(fault, Some(Fault::ResetBefore | Fault::LostAnswer)) {
        // Without lingering, dropping the socket resets the connection.
        socket.set_zero_linger().ok();
        return None;
    }
    if fault == Some(Fault::Silence) {
        wait(&mut socket).await;
        return None;
    }
    let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if answer.status != 204 {
        head += &format!("content-length: {}\r\n", answer.body.len());
    }
    head += "x-amz-request-id: test\r\n\r\n";
    socket.write_all(head.as_bytes()).await.ok()?;
    if op == Op::Head {
        return Some(socket);
    }
    let half = &answer.body[..answer.body.len() / 2];
    match fault {
        Some(Fault::ResetInside) => {
            socket.write_all(half).await.ok()?;
            // What was sent must arrive: a reset throws away what is still on its way.
            tokio::time::sleep(Duration::from_millis(5)).await;
            socket.set_zero_linger().ok();
            None
        }
        Some(Fault::Short) => {
            socket.write_all(half).await.ok()?;
            socket.shutdown().await.ok();
            None
        }
        Some(Fault::Stall) => {
            socket.write_all(half).await.ok()?;
            wait(&mut socket).await;
            None
        }
        _ => {
            socket.write_all(&answer.body).await.ok()?;
            Some(socket)
        }
    }
}
