//! What the Kubernetes API holds: roles, bindings, ServiceAccounts, namespaces, aws-auth, and which
//! resources there are.
//!
//! Input: the cluster's endpoint and a token, or a kubeconfig. Output: one `List` as `kubectl` prints
//! it, and the resources of discovery. Without all four kinds of RBAC there is no list: a binding
//! whose role could not be read would look dangling. Secrets are read as metadata only, never their
//! data. Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/>.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::Client;
use kube::config::{AuthInfo, Config, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::LivePlan;
use super::eks::Described;
use super::token;
use crate::model::inventory::Hole;
use crate::model::needs::rule;

const PAGE: usize = 500;
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_mins(1);
const CORE: &str = "/api/v1";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const ACCOUNT_OF_TOKEN: &str = "kubernetes.io/service-account.name";
/// Holds a copy of the whole object, and with it what must not be read.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) objects: Option<Value>,
    pub(super) api_resources: Option<Value>,
    pub(super) holes: Vec<Hole>,
    pub(super) counts: Vec<(&'static str, usize)>,
}

impl Read {
    /// The API server cannot be asked.
    pub(super) fn unreachable(why: &str) -> Self {
        let mut read = Read::default();
        read.hole("kubernetes.json", why.to_owned());
        read.hole("api-resources.json", why.to_owned());
        read
    }

    fn hole(&mut self, what: &str, why: String) {
        self.holes.push(Hole { what: what.to_owned(), why });
    }
}

/// Prepares a client; nothing is sent yet.
pub(super) async fn connect(
    plan: &LivePlan,
    config: &SdkConfig,
    cluster: &Described,
) -> Result<Client, String> {
    let mut kube = match &plan.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|error| error.to_string())?;
            let options =
                KubeConfigOptions { context: plan.context.clone(), ..KubeConfigOptions::default() };
            Config::from_custom_kubeconfig(file, &options)
                .await
                .map_err(|error| error.to_string())?
        }
        None => own_config(plan, config, cluster).await?,
    };
    kube.connect_timeout = Some(CONNECT);
    kube.read_timeout = Some(ANSWER);
    let client = Client::try_from(kube).map_err(|error| words_of(&error))?;
    if plan.kubeconfig.is_some() {
        is_this_cluster(&client, cluster).await?;
    }
    Ok(client)
}

/// A context may lead anywhere; the issuer of ServiceAccount tokens tells clusters apart, where the
/// server says it. Source: <https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery>.
async fn is_this_cluster(client: &Client, cluster: &Described) -> Result<(), String> {
    let said = get(client, "/.well-known/openid-configuration", None).await;
    let issuer = said.ok().and_then(|said| Some(said.get("issuer")?.as_str()?.to_owned()));
    match issuer {
        Some(issuer) if !cluster.issuer.is_empty() && issuer != cluster.issuer => Err(format!(
            "the kubeconfig reaches another cluster: its issuer is {issuer}, not {}",
            cluster.issuer
        )),
        _ => Ok(()),
    }
}

async fn own_config(
    plan: &LivePlan,
    config: &SdkConfig,
    cluster: &Described,
) -> Result<Config, String> {
    let url = cluster.endpoint.parse().map_err(|_| "the cluster has no endpoint".to_owned())?;
    let mut kube = Config::new(url);
    if !cluster.certificate_authority.is_empty() {
        let pem = BASE64_STANDARD.decode(&cluster.certificate_authority);
        let pem =
            pem.map_err(|_| "the cluster's certificate authority does not read".to_owned())?;
        kube.root_cert = Some(certificates(&String::from_utf8_lossy(&pem)));
    }
    let provider = config.credentials_provider().ok_or("there are no AWS credentials")?;
    let credentials = provider.provide_credentials().await.map_err(|error| error.to_string())?;
    let token = token::bearer(&credentials, &cluster.region, &cluster.name, (plan.now)())
        .map_err(|error| error.to_string())?;
    let auth = serde_json::from_value::<AuthInfo>(json!({ "token": token }));
    kube.auth_info = auth.map_err(|error| error.to_string())?;
    Ok(kube)
}

/// The DER of every certificate of a PEM file.
fn certificates(pem: &str) -> Vec<Vec<u8>> {
    let bodies = pem.split("-----BEGIN CERTIFICATE-----").skip(1);
    bodies
        .filter_map(|rest| {
            let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
            let packed: String = body.split_whitespace().collect();
            BASE64_STANDARD.decode(packed).ok()
        })
        .collect()
}

/// Reads everything.
pub(super) async fn read(client: &Client) -> Read {
    let mut read = Read::default();
    let mut items = Vec::new();
    let mut rbac_is_whole = true;
    for (kind, path, what) in [
        ("ClusterRole", format!("{RBAC}/clusterroles"), "cluster roles"),
        ("ClusterRoleBinding", format!("{RBAC}/clusterrolebindings"), "cluster role bindings"),
        ("Role", format!("{RBAC}/roles"), "roles"),
        ("RoleBinding", format!("{RBAC}/rolebindings"), "role bindings"),
    ] {
        match list(client, &path, "", None).await {
            Ok(found) => {
                read.counts.push((what, found.len()));
                items.extend(found.into_iter().map(|item| as_printed(item, kind)));
            }
            // Not an answer of the API server: nobody else will be reached either.
            Err(why) if why.code == 0 => return Read::unreachable(&why.words),
            Err(why) => {
                rbac_is_whole = false;
                read.hole("kubernetes.json", format!("list {what}: {}", why.told("list", &path)));
            }
        }
    }
    for (kind, path, what) in [
        ("ServiceAccount", "/api/v1/serviceaccounts", "service accounts"),
        ("Namespace", "/api/v1/namespaces", "namespaces"),
    ] {
        match list(client, path, "", None).await {
            Ok(found) => {
                read.counts.push((what, found.len()));
                items.extend(found.into_iter().map(|item| as_printed(item, kind)));
            }
            Err(why) => read.hole(what, format!("list {what}: {}", why.told("list", path))),
        }
    }
    match get(client, "/api/v1/namespaces/kube-system/configmaps/aws-auth", None).await {
        Ok(found) => items.push(as_printed(found, "ConfigMap")),
        Err(Refusal { code: 404, .. }) => {}
        Err(why) => {
            let why = why.told("get", "configmaps");
            read.hole("kube-system/aws-auth", format!("get the ConfigMap: {why}"));
        }
    }
    let only_tokens = "&fieldSelector=type%3Dkubernetes.io%2Fservice-account-token";
    match list(client, "/api/v1/secrets", only_tokens, Some(METADATA_ONLY)).await {
        Ok(found) => {
            read.counts.push(("token secrets", found.len()));
            items.extend(found.iter().map(token_secret));
        }
        Err(why) => {
            let why = why.told("list", "secrets");
            read.hole("ServiceAccount token secrets", format!("list secrets: {why}"));
        }
    }
    if rbac_is_whole {
        items.sort_by_cached_key(key_of);
        read.objects = Some(json!({ "apiVersion": "v1", "kind": "List", "items": items }));
    }
    discover(client, &mut read).await;
    read
}

fn key_of(item: &Value) -> (String, String, String) {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let metadata = item.get("metadata");
    let of = |key: &str| text(metadata.and_then(|metadata| metadata.get(key)));
    (text(item.get("kind")), of("namespace"), of("name"))
}

/// An item of a list carries no kind; `kubectl` prints it. What the server keeps for itself goes.
fn as_printed(mut item: Value, kind: &str) -> Value {
    if let Some(metadata) = item.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    if let Some(object) = item.as_object_mut() {
        object.insert("kind".to_owned(), Value::String(kind.to_owned()));
    }
    item
}

/// Name, age and whose token it is; nothing else of a Secret is kept.
fn token_secret(item: &Value) -> Value {
    let metadata = item.get("metadata").unwrap_or(&Value::Null);
    let account = metadata.get("annotations").and_then(|all| all.get(ACCOUNT_OF_TOKEN));
    let mut annotations = serde_json::Map::new();
    if let Some(account) = account {
        annotations.insert(ACCOUNT_OF_TOKEN.to_owned(), account.clone());
    }
    json!({
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": metadata.get("name"),
            "namespace": metadata.get("namespace"),
            "creationTimestamp": metadata.get("creationTimestamp"),
            "annotations": annotations,
        },
    })
}

/// Every resource of every version of every group, subresources among them.
async fn discover(client: &Client, read: &mut Read) {
    let mut versions = vec![CORE.to_owned()];
    match get(client, "/apis", None).await {
        Ok(groups) => {
            let groups =
                groups.get("groups").and_then(Value::as_array).cloned().unwrap_or_default();
            let listed = groups.iter().filter_map(|group| group.get("versions")?.as_array());
            let names =
                listed.flatten().filter_map(|version| version.get("groupVersion")?.as_str());
            versions.extend(names.map(|name| format!("/apis/{name}")));
        }
        Err(why) => {
            read.hole("api-resources.json", format!("get /apis: {}", why.told("get", "/apis")));
            return;
        }
    }
    let mut all: BTreeMap<(String, String), Value> = BTreeMap::new();
    for path in versions {
        let answer = match get(client, &path, None).await {
            Ok(answer) => answer,
            Err(why) => {
                if path == CORE {
                    let why = why.told("get", "/api/*");
                    read.hole("api-resources.json", format!("get {path}: {why}"));
                    return;
                }
                // An aggregated API that is down costs its own resources and no others.
                let why = why.told("get", "/apis/*");
                read.hole(&format!("api-resources.json: {path}"), why);
                continue;
            }
        };
        let version = answer.get("groupVersion").cloned().unwrap_or(Value::Null);
        let group =
            version.as_str().and_then(|v| v.rsplit_once('/')).map_or("", |(group, _)| group);
        for resource in answer.get("resources").and_then(Value::as_array).into_iter().flatten() {
            let name = resource.get("name").and_then(Value::as_str).unwrap_or_default();
            let printed = json!({
                "groupVersion": version,
                "name": name,
                "namespaced": resource.get("namespaced"),
                "kind": resource.get("kind"),
                "verbs": resource.get("verbs"),
            });
            all.entry((group.to_owned(), name.to_owned())).or_insert(printed);
        }
    }
    read.counts.push(("API resources", all.len()));
    read.api_resources = Some(Value::Array(all.into_values().collect()));
}

/// A request that the API server did not answer with what was asked for.
struct Refusal {
    /// HTTP status; 0 where nothing answered.
    code: u16,
    words: String,
}

impl Refusal {
    /// What was said; where it was forbidden, with the rule that allows it. `resource` is the last part
    /// of a list's path, or a path of discovery.
    fn told(self, verb: &str, resource: &str) -> String {
        if self.code != 403 {
            return self.words;
        }
        let name =
            if verb == "list" { resource.rsplit('/').next().unwrap_or(resource) } else { resource };
        format!("{}; add to a ClusterRole {}", self.words, rule(verb, name))
    }
}

/// All pages of a list.
async fn list(
    client: &Client,
    path: &str,
    selector: &str,
    accept: Option<&str>,
) -> Result<Vec<Value>, Refusal> {
    let mut items = Vec::new();
    let mut more = String::new();
    loop {
        let page = format!("{path}?limit={PAGE}{selector}{more}");
        let answer = get(client, &page, accept).await?;
        let Some(found) = answer.get("items").and_then(Value::as_array) else {
            return Err(Refusal { code: 200, words: "the answer is no list".to_owned() });
        };
        items.extend(found.iter().cloned());
        let next = answer.get("metadata").and_then(|metadata| metadata.get("continue"));
        match next.and_then(Value::as_str) {
            Some(next) if !next.is_empty() => more = format!("&continue={}", encoded(next)),
            _ => return Ok(items),
        }
    }
}

async fn get(client: &Client, path: &str, accept: Option<&str>) -> Result<Value, Refusal> {
    let request = http::Request::get(path).header("accept", accept.unwrap_or("application/json"));
    let refuse = |code, words| Refusal { code, words };
    let request = request.body(Vec::new()).map_err(|error| refuse(0, error.to_string()))?;
    client.request::<Value>(request).await.map_err(|error| match &error {
        kube::Error::Api(status) => {
            let what = match status.code {
                401 => "the API server does not know this identity: ",
                403 => "forbidden: ",
                _ => "",
            };
            refuse(status.code, format!("{what}{}", status.message))
        }
        other => refuse(0, words_of(other)),
    })
}

/// The error and what it came from, in one line.
fn words_of(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words.push_str(": ");
            words.push_str(&cause_words);
        }
        source = cause.source();
    }
    words
}

/// A token of a query: everything but letters and digits percent-encoded.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBhjCCASygAwIBAgIURpW7SDy6w7VTDQfIkjn/WR2sdnkwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjUyMzI4MjNaGA8yMTI2MTEwMTIzMjgy
M1owDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDC1
HgtFKCq/tiLwOkeQ8Z9J5ffGmKP9i7DLxvd3pjGkwWWsOLKxRm6O/O6oH/HWcUIw
LvLFsUmCVLD2TBW5Jw+jZDBiMB0GA1UdDgQWBBTTrgxbBsiAZkK3nBYqaYJqVBqO
9DAfBgNVHSMEGDAWgBTTrgxbBsiAZkK3nBYqaYJqVBqO9DAPBgNVHRMBAf8EBTAD
AQH/MA8GA1UdEQQIMAaHBH8AAAEwCgYIKoZIzj0EAwIDSAAwRQIgGf1BXyhSGHFj
xYmw7W3dELmrZR5SYVDDqOKIFlXNR/MCIQCXz4m2dUo3eRYaagNfapJ1tQWiYk7V
2GkaoAODQLJi2Q==
-----END CERTIFICATE-----
";

    #[tokio::test]
    async fn a_cluster_with_its_own_authority_is_reached_by_tls() {
        let der = certificates(CERTIFICATE);
        assert_eq!(der.len(), 1);
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", socket.local_addr().unwrap());
        drop(socket);
        let mut config = Config::new(url.parse().unwrap());
        config.root_cert = Some(der);
        config.connect_timeout = Some(Duration::from_secs(1));
        let client = Client::try_from(config).unwrap();
        let read = read(&client).await;
        assert!(read.objects.is_none() && read.api_resources.is_none());
        let why = &read.holes[0].why;
        assert!(why.contains("refused"), "{why}");
    }

    #[test]
    fn objects_are_printed_without_what_must_not_leave() {
        let item = json!({"metadata": {"name": "a", "managedFields": [1],
            "annotations": {LAST_APPLIED: "{\"data\":\"x\"}", "k": "v"}}});
        let printed = as_printed(item, "Role");
        assert_eq!(
            printed,
            json!({"kind": "Role", "metadata": {"name": "a", "annotations": {"k": "v"}}})
        );
        let secret = token_secret(&json!({"metadata": {"name": "t", "namespace": "n",
            "annotations": {ACCOUNT_OF_TOKEN: "sa", LAST_APPLIED: "secret"}}, "data": {"token": "x"}}));
        let text = secret.to_string();
        assert!(text.contains("\"sa\"") && !text.contains("secret\"}") && !text.contains("\"x\""));
        assert_eq!(encoded("a+/=-9"), "a%2B%2F%3D%2D9");
        assert_eq!(
            certificates("-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n"),
            [[0, 1, 2]]
        );
    }
}
