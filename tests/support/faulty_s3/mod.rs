//! An S3 server in this process, on real sockets, with buckets in memory, that fails as it is told.

mod bucket;
mod http;
pub(crate) mod plan;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use overgrant::source::S3Options;
use tokio::net::{TcpListener, TcpStream};

use bucket::{Answer, Buckets, Request, Stored};
use plan::{Fault, FaultPlan, Op};

/// Everything that requests change.
struct State {
    buckets: Buckets,
    plan: FaultPlan,
    /// Requests that each rule matched.
    matched: Vec<usize>,
    /// Objects that a fault took away.
    taken: BTreeMap<String, Stored>,
    injected: usize,
    /// The first access key that signed a request.
    first_key: Option<String>,
}

/// A running server; it ends with its runtime.
pub(crate) struct FaultyS3 {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    runtime: tokio::runtime::Runtime,
}

impl FaultyS3 {
    /// An empty server whose listings have at most `page` entries per page.
    pub(crate) fn start(page: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            buckets: Buckets { objects: BTreeMap::new(), page },
            plan: FaultPlan::default(),
            matched: Vec::new(),
            taken: BTreeMap::new(),
            injected: 0,
            first_key: None,
        }));
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).ok();
                tokio::spawn(serve(socket, Arc::clone(&shared)));
            }
        });
        FaultyS3 { address, state, runtime }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// How a client reaches it.
    pub(crate) fn options(&self) -> S3Options {
        S3Options {
            region: Some("us-west-2".to_owned()),
            endpoint: Some(self.endpoint()),
            credentials: Some(("test".to_owned(), "testtest".to_owned())),
            ..S3Options::default()
        }
    }

    /// `http://127.0.0.1:…`
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The server's runtime, for async calls of a test.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Puts an object at `bucket/key`.
    pub(crate) fn put(&self, place: &str, bytes: &[u8]) {
        self.state().buckets.put(place, bytes.to_vec());
    }

    /// Puts every file of a folder below `bucket/prefix/`.
    pub(crate) fn put_folder(&self, place: &str, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let place = format!("{place}/{}", path.file_name().unwrap().display());
            if path.is_dir() {
                self.put_folder(&place, &path);
            } else {
                self.put(&place, &std::fs::read(&path).unwrap());
            }
        }
    }

    /// Objects below `bucket/prefix`, by what follows it.
    pub(crate) fn objects(&self, place: &str) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let below = state.buckets.objects.iter();
        below
            .filter_map(|(at, stored)| {
                Some((at.strip_prefix(place)?.to_owned(), stored.bytes.clone()))
            })
            .collect()
    }

    /// From now on, requests meet this; counting starts anew, and the last plan is healed.
    pub(crate) fn meet(&self, plan: FaultPlan) {
        let mut state = self.state();
        let taken = std::mem::take(&mut state.taken);
        state.buckets.objects.extend(taken);
        state.matched = vec![0; plan.rules.len()];
        state.plan = plan;
        state.injected = 0;
        state.first_key = None;
    }

    /// From now on all is well, and what was taken away is back.
    pub(crate) fn heal(&self) {
        self.meet(FaultPlan::default());
    }

    /// Faults that requests met since the plan was set.
    pub(crate) fn injected(&self) -> usize {
        self.state().injected
    }
}

async fn serve(mut socket: TcpStream, state: Arc<Mutex<State>>) {
    let mut held = Vec::new();
    while let Some(request) = http::read(&mut socket, &mut held).await {
        let (answer, fault) = state.lock().unwrap().answer(&request);
        match http::send(socket, request.op, &answer, fault).await {
            Some(open) => socket = open,
            None => return,
        }
    }
}

impl State {
    fn fault(&mut self, request: &Request) -> Option<Fault> {
        self.first_key = self.first_key.take().or_else(|| request.access_key());
        let mut due = None;
        for (rule, matched) in self.plan.rules.iter().zip(&mut self.matched) {
            if rule.op != request.op || !request.key.contains(&rule.key) {
                continue;
            }
            if rule.fault == Fault::FirstKeyExpired && self.first_key != request.access_key() {
                continue;
            }
            let n = *matched;
            *matched += 1;
            let ends = rule.times.map_or(usize::MAX, |times| rule.first + times);
            if due.is_none() && (rule.first..ends).contains(&n) {
                due = Some(rule.fault);
            }
        }
        self.injected += usize::from(due.is_some());
        due
    }

    fn answer(&mut self, request: &Request) -> (Answer, Option<Fault>) {
        let fault = self.fault(request);
        let place = request.place();
        let error = |status, code, message: &str| Answer::error(status, code, message);
        let answer = match fault {
            Some(Fault::SlowDown) => error(503, "SlowDown", "Please reduce your request rate."),
            Some(Fault::Broken) => error(500, "InternalError", "We encountered an internal error."),
            Some(Fault::Denied) => error(403, "AccessDenied", "Access Denied"),
            Some(Fault::KmsDenied) => error(
                403,
                "AccessDenied",
                "User: arn:aws:iam::111122223333:role/overgrant is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:us-west-2:111122223333:key/k because no identity-based policy allows the kms:Decrypt action",
            ),
            Some(Fault::Expired) => error(400, "ExpiredToken", "The provided token has expired."),
            Some(Fault::FirstKeyExpired) => error(400, "ExpiredToken", "It has expired."),
            Some(Fault::Conflict) => error(
                409,
                "ConditionalRequestConflict",
                "The conditional request cannot succeed due to a conflicting operation against this resource.",
            ),
            // Nothing happens to what never arrived.
            Some(Fault::ResetBefore | Fault::Silence) => Answer::default(),
            Some(Fault::Overwritten) => {
                if let Some(stored) = self.buckets.objects.get_mut(&place) {
                    stored.version += 1;
                }
                self.buckets.answer(request)
            }
            Some(Fault::Deleted) => {
                if let Some(stored) = self.buckets.objects.remove(&place) {
                    self.taken.insert(place, stored);
                }
                self.buckets.answer(request)
            }
            Some(Fault::RepeatedPage) => {
                let token = request.query.get("continuation-token");
                let token = token.map_or("after:", String::as_str);
                more_at(self.buckets.answer(request), Some(token))
            }
            Some(Fault::NoToken) => more_at(self.buckets.answer(request), None),
            Some(Fault::RangeIgnored) => {
                let mut whole = request.clone();
                whole.headers.remove("range");
                self.buckets.answer(&whole)
            }
            Some(Fault::TooLong) => {
                let mut answer = self.buckets.answer(request);
                answer.body.extend_from_slice(&[0; 16]);
                answer
            }
            Some(Fault::ResetInside | Fault::Short | Fault::Stall | Fault::LostAnswer) | None => {
                self.buckets.answer(request)
            }
        };
        (answer, fault)
    }
}

/// A page that says that there is more, at `token` if at all.
fn more_at(mut page: Answer, token: Option<&str>) -> Answer {
    let mut xml = String::from_utf8(page.body).unwrap();
    if let (Some(from), Some(to)) =
        (xml.find("<NextContinuationToken>"), xml.find("</NextContinuationToken>"))
    {
        xml.replace_range(from..to + "</NextContinuationToken>".len(), "");
    }
    let token = token.map_or(String::new(), |token| {
        format!("<NextContinuationToken>{token}</NextContinuationToken>")
    });
    xml = xml.replace("<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated>");
    xml = xml.replace("</IsTruncated>", &format!("</IsTruncated>{token}"));
    page.body = xml.into_bytes();
    page
}

/// What the server itself promises, asked with the tool's own client.
mod tests {
    use overgrant::source::s3::Bucket;
    use overgrant::source::s3::output::{Only, Put};

    use super::plan::Rule;
    use super::*;

    #[test]
    fn conditional_puts() {
        let server = FaultyS3::start(1000);
        let bucket = server.block_on(Bucket::open("buck", "out", &server.options()));
        let put = |bytes: &[u8], only: &Only| {
            server.block_on(bucket.put_bytes("a key+&", bytes.to_vec(), only)).unwrap()
        };
        let at = "buck/out/a key+&";
        assert_eq!(put(b"one", &Only::IfAbsent), Put::Done);
        assert_eq!(put(b"two", &Only::IfAbsent), Put::Lost);
        let (bytes, etag) = server.block_on(bucket.get("a key+&")).unwrap().unwrap();
        assert_eq!(bytes, b"one");
        assert_eq!(put(b"three", &Only::IfUnchanged(etag.clone())), Put::Done);
        assert_eq!(put(b"four", &Only::IfUnchanged(etag)), Put::Lost);
        assert_eq!(server.objects(at).into_values().next().unwrap(), b"three");

        // A put that was done and whose answer was lost is recognised as one's own.
        server.meet(FaultPlan::new([Rule::times(Op::Put, "key", 1, Fault::LostAnswer)]));
        let (_, etag) = server.block_on(bucket.get("a key+&")).unwrap().unwrap();
        assert_eq!(put(b"five", &Only::IfUnchanged(etag)), Put::Done);
        assert_eq!(server.injected(), 1);

        server.meet(FaultPlan::new([Rule::times(Op::Put, "key", 2, Fault::SlowDown)]));
        let large: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        assert_eq!(put(&large, &Only::Always), Put::Done);
        assert_eq!(server.injected(), 2);
        assert_eq!(server.objects(at).into_values().next().unwrap(), large);
        assert_eq!(server.block_on(bucket.keys_below("")).unwrap(), ["a key+&"]);
        server.block_on(bucket.remove_object("a key+&")).unwrap();
        assert!(server.objects("buck/").is_empty());
    }

    #[test]
    fn plans_are_the_same_for_the_same_seed() {
        let keys = ["a/b/c".to_owned(), "a/d".to_owned()];
        assert_eq!(FaultPlan::from_seed(7, &keys), FaultPlan::from_seed(7, &keys));
        assert_ne!(FaultPlan::from_seed(7, &keys), FaultPlan::from_seed(8, &keys));
    }
}
