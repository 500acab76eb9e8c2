//! An S3 server in this process, on a real socket, that counts and may fail.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use overgrant::source::S3Options;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

/// What to do to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// 503 SlowDown.
    SlowDown,
    /// Half of the body, then the connection ends.
    CutBody,
    /// 403 AccessDenied.
    Denied,
    /// 412: the object is another one than was listed.
    Changed,
}

type Decide = dyn FnMut(&Method, &str) -> Fault + Send;

/// A running server; it ends with its runtime.
pub(crate) struct Server {
    address: SocketAddr,
    /// Method and path with query of every request.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    /// Most requests that waited for their answer at once.
    pub(crate) most_at_once: Arc<AtomicUsize>,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Serves the buckets (folders) below `root`.
    pub(crate) fn start(
        root: &Path,
        decide: impl FnMut(&Method, &str) -> Fault + Send + 'static,
    ) -> Self {
        Self::start_slow(root, Duration::ZERO, decide)
    }

    /// The same, far away: every answer begins so much later.
    pub(crate) fn start_slow(
        root: &Path,
        delay: Duration,
        decide: impl FnMut(&Method, &str) -> Fault + Send + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
        builder.set_auth(SimpleAuth::from_single("test", "testtest"));
        let service = builder.build();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let (waiting, most_at_once) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let most = Arc::clone(&most_at_once);
        let decide: Arc<Mutex<Box<Decide>>> = Arc::new(Mutex::new(Box::new(decide)));
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let (service, seen, decide) =
                    (service.clone(), Arc::clone(&seen), Arc::clone(&decide));
                let (waiting, most) = (Arc::clone(&waiting), Arc::clone(&most));
                let handler = service_fn(move |request: Request<Incoming>| {
                    let line = format!("{} {}", request.method(), request.uri());
                    let fault = {
                        let mut decide = decide.lock().unwrap();
                        (*decide)(request.method(), &request.uri().to_string())
                    };
                    seen.lock().unwrap().push(line);
                    let service = service.clone();
                    let waiting = Arc::clone(&waiting);
                    most.fetch_max(waiting.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    async move {
                        if !delay.is_zero() {
                            tokio::time::sleep(delay).await;
                        }
                        let answer = answer(&service, request, fault).await;
                        waiting.fetch_sub(1, Ordering::Relaxed);
                        answer
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), handler));
            }
        });
        Server { address, requests, most_at_once, runtime }
    }

    /// How a client reaches it.
    pub(crate) fn options(&self) -> S3Options {
        S3Options {
            region: Some("us-west-2".to_owned()),
            endpoint: Some(format!("http://{}", self.address)),
            credentials: Some(("test".to_owned(), "testtest".to_owned())),
            ..S3Options::default()
        }
    }

    /// The server's runtime, for async calls of a test.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Requests so far whose line has all of `parts`.
    pub(crate) fn count(&self, parts: &[&str]) -> usize {
        let seen = self.requests.lock().unwrap();
        seen.iter().filter(|line| parts.iter().all(|part| line.contains(part))).count()
    }
}

async fn answer(
    service: &s3s::service::S3Service,
    request: Request<Incoming>,
    fault: Fault,
) -> Result<Response<s3s::Body>, s3s::HttpError> {
    let error = |status: u16, code: &str| {
        let body = format!("<Error><Code>{code}</Code><Message>injected</Message></Error>");
        Response::builder().status(status).body(s3s::Body::from(body.into_bytes())).unwrap()
    };
    match fault {
        Fault::None => service.call(request.map(s3s::Body::from)).await,
        Fault::SlowDown => Ok(error(503, "SlowDown")),
        Fault::Denied => Ok(error(403, "AccessDenied")),
        Fault::Changed => Ok(error(412, "PreconditionFailed")),
        Fault::CutBody => {
            let (parts, body) = service.call(request.map(s3s::Body::from)).await?.into_parts();
            let mut body = body;
            let whole = body.store_all_limited(1 << 24).await.unwrap_or_default();
            let half = whole.slice(..whole.len() / 2);
            // Head and half a body go out before the connection ends.
            let frames = futures::stream::unfold(Some(half), |half| async move {
                match half {
                    Some(half) if !half.is_empty() => {
                        Some((Ok(hyper::body::Frame::data(half)), Some(hyper::body::Bytes::new())))
                    }
                    Some(_) => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        Some((Err(std::io::Error::other("cut")), None))
                    }
                    None => None,
                }
            });
            let cut = s3s::Body::http_body_unsync(http_body_util::StreamBody::new(frames));
            Ok(Response::from_parts(parts, cut))
        }
    }
}
