//! The AWS APIs and a Kubernetes API over one real socket, serving the inventory of the samples.
//!
//! Pages of two, a throttled call per operation where asked for, percent-encoded ARNs in paths, IAM in XML,
//! CloudTrail in its own JSON. Operations can be denied by name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use overgrant::live::{LivePlan, Reach};
use overgrant::model::arn::percent_decoded;
use overgrant::model::time::Micros;
use serde_json::{Value, json};

use super::project;

const PAGE: usize = 2;

/// How a snapshot of these clusters is asked of a stub.
pub(crate) fn live_plan(address: SocketAddr, clusters: &[&str]) -> LivePlan {
    LivePlan {
        clusters: clusters.iter().map(|name| (*name).to_owned()).collect(),
        regions: vec!["us-west-2".to_owned()],
        kubeconfig: None,
        context: None,
        concurrency: 4,
        now: || Micros::parse("2026-11-24T00:00:00Z").unwrap(),
        reach: Reach {
            endpoint: Some(format!("http://{address}")),
            credentials: Some(("AKID".to_owned(), "secret".to_owned())),
            ..Reach::default()
        },
    }
}

/// What the stub serves and refuses.
pub(crate) struct Stub {
    files: BTreeMap<String, Value>,
    denied: BTreeSet<String>,
    /// Operations that were throttled once; `None` where none is.
    throttled: Option<Mutex<BTreeSet<String>>>,
    address: Mutex<String>,
    /// Operations in the order of their calls.
    pub(crate) calls: Mutex<Vec<String>>,
    /// Access keys that asked for clusters.
    pub(crate) callers: Mutex<BTreeSet<String>>,
    /// Requests for the event history, as they came, and how many are answered before one fails.
    pub(crate) lookups: Mutex<Vec<Value>>,
    pub(crate) lookups_left: Mutex<usize>,
    /// CloudTrail records, newest first.
    history: Vec<Value>,
}

impl Stub {
    /// Serves `samples/inventory/prod` after `change`, refusing `denied`; lives as long as the runtime.
    /// With `throttles`, the first call of every operation is throttled.
    pub(crate) fn start(
        runtime: &tokio::runtime::Runtime,
        denied: &[&str],
        throttles: bool,
        change: impl FnOnce(&mut BTreeMap<String, Value>),
    ) -> (Arc<Stub>, SocketAddr) {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(project("samples/inventory/prod")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            files.insert(name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap());
        }
        change(&mut files);
        let stub = Arc::new(Stub {
            files,
            denied: denied.iter().map(|name| (*name).to_owned()).collect(),
            throttled: throttles.then(Mutex::default),
            address: Mutex::default(),
            calls: Mutex::default(),
            callers: Mutex::default(),
            lookups: Mutex::default(),
            lookups_left: Mutex::new(usize::MAX),
            history: super::history::records(),
        });
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        *stub.address.lock().unwrap() = format!("http://{address}");
        let app = Router::new()
            .route("/clusters/{name}", get(cluster))
            .route("/clusters/{name}/access-entries", get(entries))
            .route("/clusters/{name}/access-entries/{arn}", get(entry))
            .route("/clusters/{name}/access-entries/{arn}/access-policies", get(policies))
            .route("/clusters/{name}/pod-identity-associations", get(pods))
            .route("/clusters/{name}/pod-identity-associations/{id}", get(pod))
            .route("/clusters/{name}/identity-provider-configs", get(providers))
            .route("/clusters/{name}/identity-provider-configs/describe", post(provider))
            .route("/", post(query))
            .fallback(kubernetes)
            .with_state(Arc::clone(&stub));
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        (stub, address)
    }

    fn list(&self, file: &str) -> Vec<Value> {
        self.files.get(file).and_then(Value::as_array).cloned().unwrap_or_default()
    }

    /// Refuses a denied call, and the first call of every operation by throttling.
    fn refuses(&self, operation: &str) -> Option<Response> {
        self.calls.lock().unwrap().push(operation.to_owned());
        if self.denied.contains(operation) {
            let message = format!("User: x is not authorized to perform: {operation}");
            return Some(refused(StatusCode::FORBIDDEN, "AccessDeniedException", &message));
        }
        let is_first =
            |seen: &Mutex<BTreeSet<String>>| seen.lock().unwrap().insert(operation.to_owned());
        if self.throttled.as_ref().is_some_and(is_first) {
            let status = StatusCode::TOO_MANY_REQUESTS;
            return Some(refused(status, "ThrottlingException", "Rate exceeded"));
        }
        None
    }
}

fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "message": message }).to_string();
    (status, [("x-amzn-errortype", code.to_owned())], body).into_response()
}

fn answer(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

type Args = Query<BTreeMap<String, String>>;
type App = State<Arc<Stub>>;

/// One page of `all` under `name`.
fn page(all: &[Value], name: &str, args: &BTreeMap<String, String>) -> Response {
    let from: usize = args.get("nextToken").map_or(0, |token| token.parse().unwrap());
    let to = (from + PAGE).min(all.len());
    let mut body = json!({ name: &all[from..to] });
    if to < all.len() {
        body["nextToken"] = to.to_string().into();
    }
    answer(&body)
}

/// Times travel as seconds.
fn wire(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        for (key, value) in object.iter_mut() {
            let at = value.as_str().filter(|_| key.ends_with("At")).and_then(Micros::parse);
            *value = match at {
                Some(at) => json!(at.0 / 1_000_000),
                None => wire(value.take()),
            };
        }
    } else if let Some(list) = value.as_array_mut() {
        for value in list {
            *value = wire(value.take());
        }
    }
    value
}

/// The access key that signed a request.
fn key_of(headers: &HeaderMap) -> String {
    let signed = headers["authorization"].to_str().unwrap();
    let (_, rest) = signed.split_once("Credential=").unwrap();
    rest.split('/').next().unwrap().to_owned()
}

async fn cluster(State(stub): App, headers: HeaderMap, Path(name): Path<String>) -> Response {
    let key = key_of(&headers);
    stub.callers.lock().unwrap().insert(key.clone());
    if key.strip_prefix("ASIA").is_some_and(|account| account != super::history::ACCOUNT) {
        return refused(StatusCode::NOT_FOUND, "ResourceNotFoundException", "No cluster found");
    }
    if let Some(refused) = stub.refuses("DescribeCluster") {
        return refused;
    }
    let mut value = stub.files["cluster.json"].clone();
    if value["cluster"]["name"] != name.as_str() {
        return refused(StatusCode::NOT_FOUND, "ResourceNotFoundException", "No cluster found");
    }
    value["cluster"]["endpoint"] = stub.address.lock().unwrap().clone().into();
    answer(&wire(value))
}

async fn entries(State(stub): App, Query(args): Args) -> Response {
    if let Some(refused) = stub.refuses("ListAccessEntries") {
        return refused;
    }
    let all = stub.list("access-entries.json");
    let arns: Vec<Value> =
        all.iter().map(|entry| entry["accessEntry"]["principalArn"].clone()).collect();
    page(&arns, "accessEntries", &args)
}

fn entry_of(stub: &Stub, arn: &str) -> Option<Value> {
    stub.list("access-entries.json").into_iter().find(|e| e["accessEntry"]["principalArn"] == arn)
}

async fn entry(State(stub): App, Path((_, arn)): Path<(String, String)>) -> Response {
    if let Some(refused) = stub.refuses("DescribeAccessEntry") {
        return refused;
    }
    match entry_of(&stub, &arn) {
        Some(entry) => answer(&wire(json!({ "accessEntry": entry["accessEntry"] }))),
        None => refused(StatusCode::NOT_FOUND, "ResourceNotFoundException", "no such entry"),
    }
}

async fn policies(
    State(stub): App,
    Path((_, arn)): Path<(String, String)>,
    Query(args): Args,
) -> Response {
    if let Some(refused) = stub.refuses("ListAssociatedAccessPolicies") {
        return refused;
    }
    let entry = entry_of(&stub, &arn).unwrap();
    let all = wire(entry["associatedAccessPolicies"].clone());
    page(all.as_array().unwrap(), "associatedAccessPolicies", &args)
}

async fn pods(State(stub): App, Query(args): Args) -> Response {
    if let Some(refused) = stub.refuses("ListPodIdentityAssociations") {
        return refused;
    }
    let all = stub.list("pod-identity-associations.json");
    let summary = |one: &Value| json!({ "associationId": one["association"]["associationId"] });
    page(&all.iter().map(summary).collect::<Vec<_>>(), "associations", &args)
}

async fn pod(State(stub): App, Path((_, id)): Path<(String, String)>) -> Response {
    if let Some(refused) = stub.refuses("DescribePodIdentityAssociation") {
        return refused;
    }
    let all = stub.list("pod-identity-associations.json");
    let found = all.into_iter().find(|one| one["association"]["associationId"] == id).unwrap();
    answer(&wire(found))
}

async fn providers(State(stub): App, Query(args): Args) -> Response {
    if let Some(refused) = stub.refuses("ListIdentityProviderConfigs") {
        return refused;
    }
    let all = stub.list("identity-provider-configs.json");
    let name =
        |one: &Value| json!({ "type": "oidc", "name": one["oidc"]["identityProviderConfigName"] });
    page(&all.iter().map(name).collect::<Vec<_>>(), "identityProviderConfigs", &args)
}

async fn provider(State(stub): App, body: Bytes) -> Response {
    if let Some(refused) = stub.refuses("DescribeIdentityProviderConfig") {
        return refused;
    }
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let name = &asked["identityProviderConfig"]["name"];
    let all = stub.list("identity-provider-configs.json");
    let found = all.iter().find(|one| one["oidc"]["identityProviderConfigName"] == *name).unwrap();
    answer(&json!({ "identityProviderConfig": found }))
}

/// IAM's form posts and CloudTrail's JSON.
async fn query(State(stub): App, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(target) = headers.get("x-amz-target") {
        let operation = target.to_str().unwrap().rsplit('.').next().unwrap();
        return stub.refuses(operation).unwrap_or_else(|| stub.cloudtrail(operation, &body));
    }
    let text = String::from_utf8(body.to_vec()).unwrap();
    let form: BTreeMap<String, String> = text
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), percent_decoded(value)))
        .collect();
    let action = form["Action"].clone();
    if stub.refuses(&action).is_some() {
        let (status, code) = if stub.denied.contains(&action) {
            (StatusCode::FORBIDDEN, "AccessDenied")
        } else {
            (StatusCode::BAD_REQUEST, "Throttling")
        };
        return xml_error(status, code, &format!("not authorized: {action}"));
    }
    let principal = |file: &str, id: &str| {
        let name = &form[id];
        stub.list(file)
            .into_iter()
            .find(|one| one["Arn"].as_str().unwrap().rsplit('/').next() == Some(name.as_str()))
    };
    match action.as_str() {
        "GetRole" => match principal("iam-roles.json", "RoleName") {
            Some(role) => xml(&action, &format!("<Role>{}</Role>", members(&role))),
            None => xml_error(StatusCode::NOT_FOUND, "NoSuchEntity", "no such role"),
        },
        "GetUser" => match principal("iam-users.json", "UserName") {
            Some(user) => xml(&action, &format!("<User>{}</User>", members(&user))),
            None => xml_error(StatusCode::NOT_FOUND, "NoSuchEntity", "no such user"),
        },
        "ListRoles" => {
            let under = stub.list("iam-roles.json").into_iter().filter(|role| {
                role["Path"].as_str().is_some_and(|path| path.starts_with(&form["PathPrefix"]))
            });
            let roles: Vec<String> =
                under.map(|role| format!("<member>{}</member>", members(&role))).collect();
            let list = format!("<Roles>{}</Roles><IsTruncated>false</IsTruncated>", roles.concat());
            xml(&action, &list)
        }
        "GetCallerIdentity" => {
            let key = key_of(&headers);
            let account = key.strip_prefix("ASIA").unwrap_or(super::history::ACCOUNT);
            xml(&action, &format!("<Account>{account}</Account><Arn>arn:x</Arn>"))
        }
        "AssumeRole" => {
            let account = form["RoleArn"].split(':').nth(4).unwrap();
            assert_eq!(form.get("ExternalId").map(String::as_str), Some("ours"));
            xml(
                &action,
                &format!(
                    "<Credentials><AccessKeyId>ASIA{account}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2126-01-01T00:00:00Z</Expiration></Credentials>"
                ),
            )
        }
        other => panic!("{other}"),
    }
}

impl Stub {
    /// CloudTrail's JSON.
    fn cloudtrail(&self, operation: &str, body: &Bytes) -> Response {
        let asked: Value = serde_json::from_slice(body).unwrap();
        match operation {
            "DescribeTrails" => {
                let named = asked["trailNameList"].as_array();
                let mut trails = self.list("trails.json");
                trails.retain(|trail| {
                    named.is_none_or(|named| {
                        named.contains(&trail["Name"]) || named.contains(&trail["TrailARN"])
                    })
                });
                answer(&json!({ "trailList": trails }))
            }
            "ListPublicKeys" => {
                // Two pages of one key each.
                let second = asked["NextToken"] == "2";
                let name = if second { "two" } else { "one" };
                let mut page = json!({ "PublicKeyList": [
                    { "Value": "AAEC", "Fingerprint": name, "ValidityStartTime": 1_760_000_000 }
                ] });
                if !second {
                    page["NextToken"] = "2".into();
                }
                answer(&page)
            }
            "GetTrailStatus" => answer(&self.files["trail-status.json"]),
            "GetEventSelectors" => answer(&self.files["event-selectors.json"]),
            "LookupEvents" => {
                let mut left = self.lookups_left.lock().unwrap();
                if *left == 0 {
                    let code = "ExpiredTokenException";
                    return refused(StatusCode::BAD_REQUEST, code, "the token has expired");
                }
                *left -= 1;
                self.lookups.lock().unwrap().push(asked.clone());
                answer(&super::history::page(&self.history, &asked))
            }
            other => panic!("{other}"),
        }
    }
}

fn members(principal: &Value) -> String {
    principal
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) => format!("<{key}>{text}</{key}>"),
            // The trust policy travels percent-encoded.
            other => {
                let text: Vec<String> =
                    other.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
                format!("<{key}>{}</{key}>", text.concat())
            }
        })
        .collect()
}

fn xml(action: &str, result: &str) -> Response {
    let body = format!(
        r#"<{action}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><{action}Result>{result}</{action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>"#
    );
    ([("content-type", "text/xml")], body).into_response()
}

fn xml_error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = format!(
        r#"<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"#
    );
    (status, [("content-type", "text/xml")], body).into_response()
}

/// The Kubernetes API: lists in pages, the ConfigMap, discovery.
async fn kubernetes(
    State(stub): App,
    uri: axum::http::Uri,
    headers: HeaderMap,
    Query(args): Args,
) -> Response {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok());
    if !token.is_some_and(|token| token.starts_with("Bearer k8s-aws-v1.")) {
        return status(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    let path = uri.path();
    let last = path.rsplit('/').next().unwrap();
    stub.calls.lock().unwrap().push(path.to_owned());
    if stub.denied.contains(last) {
        let message = format!(r#"{last} is forbidden: User "x" cannot list resource "{last}""#);
        return status(StatusCode::FORBIDDEN, &message);
    }
    let items = stub.files["kubernetes.json"]["items"].as_array().cloned().unwrap();
    let kind = match last {
        "clusterroles" => "ClusterRole",
        "clusterrolebindings" => "ClusterRoleBinding",
        "roles" => "Role",
        "rolebindings" => "RoleBinding",
        "serviceaccounts" => "ServiceAccount",
        "namespaces" => "Namespace",
        "secrets" => {
            let accept = headers["accept"].to_str().unwrap();
            assert!(accept.contains("PartialObjectMetadata"), "data of secrets was asked for");
            "Secret"
        }
        "aws-auth" => {
            let found = items.iter().find(|item| item["metadata"]["name"] == "aws-auth");
            return found.map_or_else(|| status(StatusCode::NOT_FOUND, "not found"), answer);
        }
        _ => return discovery(&stub, path),
    };
    let of_kind: Vec<Value> = items
        .into_iter()
        .filter(|item| item["kind"] == kind)
        .map(|mut item| {
            item.as_object_mut().unwrap().remove("kind");
            item
        })
        .collect();
    let from: usize =
        args.get("continue").map_or(0, |token| token.trim_matches('=').parse().unwrap());
    // The server may give less than was asked for.
    let to = (from + 10).min(of_kind.len());
    let more = if to < of_kind.len() { format!("{to}==") } else { String::new() };
    answer(
        &json!({ "kind": format!("{kind}List"), "metadata": { "continue": more }, "items": &of_kind[from..to] }),
    )
}

fn discovery(stub: &Stub, path: &str) -> Response {
    let all = stub.list("api-resources.json");
    let version = path.trim_start_matches("/apis/").trim_start_matches("/api/");
    if path == "/apis" {
        let versions: BTreeSet<&str> = all
            .iter()
            .filter_map(|r| r["groupVersion"].as_str())
            .filter(|v| v.contains('/'))
            .collect();
        let groups: Vec<Value> = versions
            .into_iter()
            .map(|version| json!({ "name": version, "versions": [{ "groupVersion": version }] }))
            .collect();
        return answer(&json!({ "kind": "APIGroupList", "groups": groups }));
    }
    let resources: Vec<Value> = all.into_iter().filter(|r| r["groupVersion"] == version).collect();
    answer(&json!({ "kind": "APIResourceList", "groupVersion": version, "resources": resources }))
}

fn status(code: StatusCode, message: &str) -> Response {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "Forbidden", "code": code.as_u16() });
    (code, [("content-type", "application/json")], body.to_string()).into_response()
}
