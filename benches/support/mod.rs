//! Input for benches, made by a small generator: the same bytes in every run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use overgrant::decode::gunzip::Limits;
use overgrant::extract::Context;
use overgrant::extract::clusters::ClusterResolver;
use overgrant::model::arn::PrincipalName;
use overgrant::model::time::{Micros, Window};

/// The cluster of all generated events.
pub(crate) const CLUSTER: &str = "arn:aws:eks:us-west-2:111122223333:cluster/bench";

/// A linear congruential generator: enough to vary sizes and names.
pub(crate) struct Dice(u64);

impl Dice {
    /// Starts from a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    /// A random UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let [a, b, c, d] = [0; 4].map(|_: u8| self.below(1 << 31));
        format!(
            "{a:08x}-{:04x}-4{:03x}-{:04x}-{c:08x}{:04x}",
            b & 0xffff,
            b >> 20,
            d & 0xffff,
            d >> 16
        )
    }

    /// So many hex digits.
    pub(crate) fn hex(&mut self, len: usize) -> String {
        (0..len).filter_map(|_| char::from_digit(u32::try_from(self.below(16)).ok()?, 16)).collect()
    }

    /// An access key of a session.
    pub(crate) fn key(&mut self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let letters = (0..16).map(|_| LETTERS[usize::try_from(self.below(32)).unwrap_or(0)]);
        std::iter::once("ASIA".to_owned())
            .chain(letters.map(|letter| char::from(letter).to_string()))
            .collect()
    }

    /// Text that does not compress, as session tokens do not.
    pub(crate) fn token(&mut self, len: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        (0..len)
            .map(|_| char::from(LETTERS[usize::try_from(self.below(64)).unwrap_or(0)]))
            .collect()
    }
}

/// What an extractor must know of the generated logs.
pub(crate) fn context() -> Arc<Context> {
    context_of(0)
}

/// The same, with so many roles in the inventory.
pub(crate) fn context_of(roles: u64) -> Arc<Context> {
    let names = (0..roles).filter_map(|role| {
        PrincipalName::from_arn(&format!("arn:aws:iam::111122223333:role/service-role-{role}"))
    });
    Arc::new(Context {
        window: Window {
            since: Micros::parse("2026-01-01T00:00:00Z").unwrap_or_default(),
            until: Micros::parse("2027-01-01T00:00:00Z").unwrap_or_default(),
        },
        relevant_ids: (0..20)
            .map(|n| format!("AROAINVENTORY{n:08}"))
            .chain((0..roles).map(|role| format!("AROA{role:017}")))
            .collect(),
        relevant_names: names.collect(),
        clusters: ClusterResolver::new(&[CLUSTER.to_owned()], &[]),
        limits: Limits::default(),
        hide_secret_names: false,
    })
}

/// A CloudTrail file of `records` records, `relevant` per cent of which matter.
pub(crate) fn cloudtrail(records: u64, relevant: u64, seed: u64) -> String {
    let mut dice = Dice::new(seed);
    let mut out = String::from(r#"{"Records":["#);
    for n in 0..records {
        if n > 0 {
            out.push(',');
        }
        let matters = dice.below(100) < relevant;
        let (source, name) = match (matters, dice.below(3)) {
            (true, 0) => ("sts", "AssumeRole"),
            (true, _) => ("sts", "GetCallerIdentity"),
            (false, 0) => ("s3", "GetObject"),
            (false, 1) => ("kms", "Decrypt"),
            (false, _) => ("ec2", "DescribeInstances"),
        };
        let role = dice.below(200);
        let (minute, second) = (dice.below(60), dice.below(60));
        let answer = if name == "AssumeRole" {
            format!(
                r#"{{"credentials":{{"accessKeyId":"ASIA{n:016}","sessionToken":"{}","expiration":"Jun 1, 2026, 10:05:00 AM"}},"assumedRoleUser":{{"assumedRoleId":"AROA{role:017}:s{n}","arn":"arn:aws:sts::111122223333:assumed-role/role-{role}/s{n}"}}}}"#,
                dice.token(800)
            )
        } else {
            "null".to_owned()
        };
        let written = write!(
            out,
            r#"{{"eventVersion":"1.08","userIdentity":{{"type":"AssumedRole","principalId":"AROA{role:017}:session-{n}","arn":"arn:aws:sts::111122223333:assumed-role/role-{role}/session-{n}","accountId":"111122223333","accessKeyId":"ASIA{:016}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA{role:017}","arn":"arn:aws:iam::111122223333:role/service/role-{role}","accountId":"111122223333","userName":"role-{role}"}},"webIdFederationData":{{}},"attributes":{{"creationDate":"2026-06-01T08:00:00Z","mfaAuthenticated":"false"}}}}}},"eventTime":"2026-06-01T09:{minute:02}:{second:02}Z","eventSource":"{source}.amazonaws.com","eventName":"{name}","awsRegion":"us-west-2","sourceIPAddress":"10.0.{}.{}","userAgent":"aws-sdk-go/1.44 (go1.20; linux; amd64)","requestParameters":{{"roleArn":"arn:aws:iam::111122223333:role/role-{role}","roleSessionName":"s{n}","policy":"{{\"Statement\":[{{\"Effect\":\"Allow\"}}]}}"}},"responseElements":{answer},"requestID":"{}","eventID":"{n:08x}-{:08x}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{source}.us-west-2.amazonaws.com"}}}}"#,
            dice.below(50),
            dice.below(256),
            dice.below(256),
            dice.token(36),
            dice.below(u64::from(u32::MAX)),
        );
        debug_assert!(written.is_ok(), "writing to a String does not fail");
    }
    out.push_str("]}");
    out
}

/// Audit events as JSON lines of a log stream, as a cluster of some size makes them: kubelets that renew
/// leases and look at pods, controllers that list and watch and patch, people and pipelines.
pub(crate) fn audit_events(events: u64, seed: u64) -> Vec<String> {
    let mut dice = Dice::new(seed);
    (0..events).map(|_| audit_event(&mut dice)).collect()
}

fn audit_event(dice: &mut Dice) -> String {
    let kind = dice.below(100);
    let who = dice.below(if kind < 75 { 150 } else { 30 });
    let namespace = format!("ns-{}", who % 12);
    let (user, agent) = match kind {
        0..45 => kubelet(who),
        45..75 => controller(who % 40),
        _ => pipeline(who),
    };
    let pod = format!("web-{}-{}-{}", dice.below(40), dice.hex(9), dice.hex(5));
    let version = dice.below(900_000_000);
    let (verb, group, resource, sub, namespace, name, query, code) = match kind {
        0..30 => (
            "update",
            "coordination.k8s.io",
            "leases",
            "",
            "kube-node-lease",
            node(who),
            String::new(),
            200,
        ),
        30..38 => ("patch", "", "pods", "status", namespace.as_str(), pod, String::new(), 200),
        38..45 => {
            let query = format!(
                "?allowWatchBookmarks=true&fieldSelector=metadata.name%3Dcfg-{who}&resourceVersion={version}&timeoutSeconds={}&watch=true",
                300 + dice.below(300)
            );
            ("watch", "", "configmaps", "", namespace.as_str(), format!("cfg-{who}"), query, 200)
        }
        45..60 => (
            "update",
            "coordination.k8s.io",
            "leases",
            "",
            "kube-system",
            format!("controller-{who}"),
            String::new(),
            200,
        ),
        60..68 => {
            let query = format!(
                "?allowWatchBookmarks=true&resourceVersion={version}&timeout=7m{}s&timeoutSeconds={}&watch=true",
                dice.below(60),
                300 + dice.below(300)
            );
            ("watch", "", "pods", "", "", String::new(), query, 200)
        }
        75..85 => (
            "list",
            "",
            "pods",
            "",
            namespace.as_str(),
            String::new(),
            "?limit=500".to_owned(),
            200,
        ),
        68..75 | 85..92 => (
            "get",
            "apps",
            "deployments",
            "",
            namespace.as_str(),
            format!("web-{}", dice.below(40)),
            String::new(),
            200,
        ),
        92..97 => (
            "patch",
            "apps",
            "deployments",
            "",
            namespace.as_str(),
            format!("web-{}", dice.below(40)),
            "?fieldManager=argocd-controller&force=true".to_owned(),
            200,
        ),
        97..99 => (
            "get",
            "",
            "secrets",
            "",
            namespace.as_str(),
            format!("token-{}", dice.below(20)),
            String::new(),
            403,
        ),
        _ => (
            "create",
            "",
            "events",
            "",
            namespace.as_str(),
            format!("{pod}.{}", dice.hex(16)),
            String::new(),
            201,
        ),
    };
    let uri = [
        if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") },
        if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") },
        format!("/{resource}"),
        if name.is_empty() || matches!(verb, "create" | "watch") {
            String::new()
        } else {
            format!("/{name}")
        },
        if sub.is_empty() { String::new() } else { format!("/{sub}") },
        query.replace('&', "\\u0026"),
    ]
    .concat();
    let member = |key: &str, value: &str| {
        if value.is_empty() { String::new() } else { format!(r#","{key}":"{value}""#) }
    };
    let (decision, reason) = if code == 403 {
        ("forbid", String::new())
    } else if kind < 45 {
        ("allow", String::new())
    } else {
        (
            "allow",
            format!(
                r#"RBAC: allowed by RoleBinding \"team-{}/{namespace}\" of ClusterRole \"edit\" to Group \"team-{}\""#,
                who % 12,
                who % 12
            ),
        )
    };
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{}","stage":"ResponseComplete","requestURI":"{uri}","verb":"{verb}","user":{user},"sourceIPs":["10.0.{}.{}"],"userAgent":"{agent}","objectRef":{{"resource":"{resource}"{}{}{},"apiVersion":"v1"{}}},"responseStatus":{{"metadata":{{}},"code":{code}}},"requestReceivedTimestamp":"2026-06-01T09:{:02}:{:02}.{:06}Z","stageTimestamp":"2026-06-01T09:10:00.{:06}Z","annotations":{{"authorization.k8s.io/decision":"{decision}","authorization.k8s.io/reason":"{reason}"}}}}"#,
        dice.uuid(),
        who % 8,
        who,
        member("namespace", namespace),
        member("name", &name),
        member("apiGroup", group),
        member("subresource", sub),
        dice.below(60),
        dice.below(60),
        dice.below(1_000_000),
        dice.below(1_000_000),
    )
}

fn node(who: u64) -> String {
    format!("ip-10-0-{}-{who}.us-west-2.compute.internal", who % 8)
}

fn kubelet(who: u64) -> (String, &'static str) {
    let node = node(who);
    let user = format!(
        r#"{{"username":"system:node:{node}","uid":"aws-iam-authenticator:111122223333:AROANODES00000000","groups":["system:bootstrappers","system:nodes","system:authenticated"],"extra":{{"accessKeyId":["{}"],"arn":["arn:aws:sts::111122223333:assumed-role/nodes/i-0{who:016x}"],"canonicalArn":["arn:aws:iam::111122223333:role/nodes"],"principalId":["AROANODES00000000"],"sessionName":["i-0{who:016x}"]}}}}"#,
        Dice::new(who).key()
    );
    (user, "kubelet/v1.33.1 (linux/amd64) kubernetes/8adc0f0")
}

fn controller(who: u64) -> (String, &'static str) {
    let mut dice = Dice::new(1000 + who);
    let user = format!(
        r#"{{"username":"system:serviceaccount:ns-{}:controller-{who}","uid":"{}","groups":["system:serviceaccounts","system:serviceaccounts:ns-{}","system:authenticated"],"extra":{{"authentication.kubernetes.io/credential-id":["JTI={}"],"authentication.kubernetes.io/node-name":["{}"],"authentication.kubernetes.io/node-uid":["{}"],"authentication.kubernetes.io/pod-name":["controller-{who}-{}-{}"],"authentication.kubernetes.io/pod-uid":["{}"]}}}}"#,
        who % 12,
        dice.uuid(),
        who % 12,
        dice.uuid(),
        node(who),
        dice.uuid(),
        dice.hex(9),
        dice.hex(5),
        dice.uuid(),
    );
    (user, "controller-manager/v0.18.2 (linux/amd64) kubernetes/$Format/leader-election")
}

fn pipeline(who: u64) -> (String, &'static str) {
    let user = format!(
        r#"{{"username":"arn:aws:sts::111122223333:assumed-role/role-{who}/ci","uid":"aws-iam-authenticator:111122223333:AROA{who:017}","groups":["system:authenticated","team-{who}"],"extra":{{"accessKeyId":["{}"],"arn":["arn:aws:sts::111122223333:assumed-role/role-{who}/ci"],"canonicalArn":["arn:aws:iam::111122223333:role/role-{who}"],"principalId":["AROA{who:017}"],"sessionName":["ci"]}}}}"#,
        Dice::new(2000 + who).key()
    );
    (user, "kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0")
}

/// The events as Firehose leaves them: gzip members back to back; and how many bytes they hold.
pub(crate) fn firehose(events: &[String]) -> (Vec<u8>, usize) {
    let (mut object, mut raw) = (Vec::new(), 0);
    for chunk in events.chunks(60) {
        let lines: Vec<String> = chunk
            .iter()
            .enumerate()
            .map(|(n, event)| {
                let message = serde_json::to_string(event).unwrap_or_default();
                format!(r#"{{"id":"{n:056}","timestamp":1780304400000,"message":{message}}}"#)
            })
            .collect();
        let text = format!(
            r#"{{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"/aws/eks/bench/cluster","logStream":"kube-apiserver-audit-0","subscriptionFilters":["f"],"logEvents":[{}]}}"#,
            lines.join(",")
        );
        raw += text.len();
        object.extend(gzip(text.as_bytes()));
    }
    (object, raw)
}

/// One gzip member at the usual level.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    let written = out.write_all(bytes);
    debug_assert!(written.is_ok(), "writing to memory does not fail");
    out.finish().unwrap_or_default()
}
