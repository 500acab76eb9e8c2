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

/// Audit events as JSON lines of a log stream.
pub(crate) fn audit_events(events: u64, seed: u64) -> Vec<String> {
    let mut dice = Dice::new(seed);
    (0..events)
        .map(|_| {
            let (user, namespace, verb) = (dice.below(30), dice.below(12), dice.below(4));
            let verb = ["get", "list", "watch", "patch"][usize::try_from(verb).unwrap_or(0)];
            format!(
                r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{}","stage":"ResponseComplete","requestURI":"/apis/apps/v1/namespaces/ns-{namespace}/deployments?limit=500","verb":"{verb}","user":{{"username":"arn:aws:sts::111122223333:assumed-role/role-{user}/ci","uid":"aws-iam-authenticator:111122223333:AROA{user:017}","groups":["system:authenticated","team-{user}"],"extra":{{"accessKeyId":["ASIA{user:016}"],"arn":["arn:aws:sts::111122223333:assumed-role/role-{user}/ci"],"canonicalArn":["arn:aws:iam::111122223333:role/role-{user}"],"principalId":["AROA{user:017}"],"sessionName":["ci"]}}}},"sourceIPs":["10.0.0.{}"],"userAgent":"kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0","objectRef":{{"resource":"deployments","namespace":"ns-{namespace}","name":"web-{}","apiGroup":"apps","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestReceivedTimestamp":"2026-06-01T09:{:02}:{:02}.{:06}Z","stageTimestamp":"2026-06-01T09:10:00.{:06}Z","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by RoleBinding \"team-{user}/ns-{namespace}\" of ClusterRole \"edit\" to Group \"team-{user}\""}}}}"#,
                dice.uuid(),
                dice.below(256),
                dice.below(40),
                dice.below(60),
                dice.below(60),
                dice.below(1_000_000),
                dice.below(1_000_000),
            )
        })
        .collect()
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
