//! Audit events of one hour, made when they are needed: event `n` is a function of `n`.
//!
//! A large cluster: kubelets, controllers, workloads, and people and pipelines with IAM sessions.
//! Event `n` belongs to one object; its second delivery, if it has one, to the next object.

use std::fmt::Write as _;
use std::io::Write as _;

use super::dice::Dice;

/// Events of one object, as Firehose fills its 5 MB.
pub(crate) const EVENTS_PER_OBJECT: u64 = 20_000;
/// Events of one record of CloudWatch Logs.
const EVENTS_PER_MEMBER: u64 = 60;
/// Of a hundred events, how many also leave an early stage.
const EARLY_STAGES: u64 = 10;

const RESOURCES: [(&str, &str); 12] = [
    ("", "pods"),
    ("", "configmaps"),
    ("", "secrets"),
    ("", "services"),
    ("", "endpoints"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "jobs"),
    ("coordination.k8s.io", "leases"),
    ("discovery.k8s.io", "endpointslices"),
    ("networking.k8s.io", "ingresses"),
];

/// What is to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) events: u64,
    /// Of a hundred events, how many are delivered twice.
    pub(crate) duplicates: u64,
    /// Of a hundred events, how many have a namespace of their own.
    pub(crate) hostile: u64,
}

/// What an object holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Made {
    pub(crate) distinct: u64,
    pub(crate) copies: u64,
}

impl Load {
    pub(crate) fn objects(&self) -> u64 {
        self.events.div_ceil(EVENTS_PER_OBJECT)
    }

    /// Object number `object`, gzipped into `out`.
    pub(crate) fn object(&self, object: u64, out: &mut Vec<u8>) -> Made {
        out.clear();
        let mut member = Member::default();
        let mut made = Made::default();
        let last = self.objects() - 1;
        let before = if object == 0 { last } else { object - 1 };
        for n in self.range(before).filter(|n| self.is_delivered_twice(*n)) {
            member.add(self, n, false, out);
            made.copies += 1;
        }
        for n in self.range(object) {
            member.add(self, n, false, out);
            made.distinct += 1;
            if Dice::new(n ^ 0x5747).below(100) < EARLY_STAGES {
                member.add(self, n, true, out);
                made.copies += 1;
            }
        }
        member.end(out);
        made
    }

    fn range(&self, object: u64) -> std::ops::Range<u64> {
        let from = object * EVENTS_PER_OBJECT;
        from..(from + EVENTS_PER_OBJECT).min(self.events)
    }

    fn is_delivered_twice(&self, n: u64) -> bool {
        Dice::new(n ^ 0x000d_0b1e).below(100) < self.duplicates
    }
}

/// One gzip member in the making.
#[derive(Default)]
struct Member {
    events: u64,
    event: String,
    text: String,
}

impl Member {
    fn add(&mut self, load: &Load, n: u64, early: bool, out: &mut Vec<u8>) {
        if self.events == 0 {
            self.text.clear();
            self.text.push_str(r#"{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"/aws/eks/bench/cluster","logStream":"kube-apiserver-audit-0","subscriptionFilters":["f"],"logEvents":["#);
        } else {
            self.text.push(',');
        }
        self.event.clear();
        let written = write_event(&mut self.event, load, n, early);
        debug_assert!(written.is_ok(), "writing to a String does not fail");
        self.text.push_str(r#"{"id":"38"#);
        let written = write!(self.text, "{n:054}");
        debug_assert!(written.is_ok(), "writing to a String does not fail");
        self.text.push_str(r#"","timestamp":1780304400000,"message":""#);
        let mut from = 0;
        for (at, quoted) in self.event.match_indices(['"', '\\']) {
            self.text.push_str(self.event.get(from..at).unwrap_or_default());
            self.text.push('\\');
            self.text.push_str(quoted);
            from = at + 1;
        }
        self.text.push_str(self.event.get(from..).unwrap_or_default());
        self.text.push_str("\"}");
        self.events += 1;
        if self.events == EVENTS_PER_MEMBER {
            self.end(out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.events == 0 {
            return;
        }
        self.text.push_str("]}");
        self.events = 0;
        let mut gzip = flate2::write::GzEncoder::new(out, flate2::Compression::new(1));
        let written = gzip.write_all(self.text.as_bytes()).and_then(|()| gzip.finish().map(drop));
        debug_assert!(written.is_ok(), "writing to memory does not fail");
    }
}

/// Who asks, in the words of the event.
struct Who {
    user: String,
    agent: &'static str,
    reason: String,
}

fn kubelet(node: u64) -> Who {
    let name = node_name(node);
    Who {
        user: format!(
            r#""username":"system:node:{name}","uid":"aws-iam-authenticator:111122223333:AROANODEGROUP{:07}","groups":["system:authenticated","system:bootstrappers","system:nodes"],"extra":{{"accessKeyId":["ASIANODE{node:012}"],"arn":["arn:aws:sts::111122223333:assumed-role/node-group-{}/i-{node:017x}"],"canonicalArn":["arn:aws:iam::111122223333:role/node-group-{}"],"principalId":["AROANODEGROUP{:07}"],"sessionName":["i-{node:017x}"]}}"#,
            node % 8,
            node % 8,
            node % 8,
            node % 8
        ),
        agent: "kubelet/v1.33.1 (linux/amd64) kubernetes/8adc0f0",
        reason: String::new(),
    }
}

fn node_name(node: u64) -> String {
    format!("ip-10-{}-{}-{}.us-west-2.compute.internal", node >> 12, (node >> 6) & 63, node & 63)
}

fn service_account(namespace: &str, name: &str, pod: u64) -> Who {
    let uid = Dice::new(pod ^ 0x5a).next();
    Who {
        user: format!(
            r#""username":"system:serviceaccount:{namespace}:{name}","uid":"{:08x}-54e7-4f3b-9d1c-{:012x}","groups":["system:authenticated","system:serviceaccounts","system:serviceaccounts:{namespace}"],"extra":{{"authentication.kubernetes.io/credential-id":["JTI={uid:016x}-a1b2-4c3d-8e4f-{pod:012x}"],"authentication.kubernetes.io/node-name":["{}"],"authentication.kubernetes.io/pod-name":["{name}-7c9d8f6b5-{:05x}"],"authentication.kubernetes.io/pod-uid":["{uid:016x}-0000-4000-8000-{pod:012x}"]}}"#,
            uid >> 32,
            uid & 0xffff_ffff_ffff,
            node_name(pod % 4000),
            pod & 0xf_ffff
        ),
        agent: "controller/v0.0.0 (linux/amd64) kubernetes/$Format",
        reason: format!(
            r#"RBAC: allowed by ClusterRoleBinding \"{name}\" of ClusterRole \"{name}\" to ServiceAccount \"{name}/{namespace}\""#
        ),
    }
}

fn iam(role: u64, session: u64) -> Who {
    Who {
        user: format!(
            r#""username":"arn:aws:sts::111122223333:assumed-role/role-{role}/run-{session}","uid":"aws-iam-authenticator:111122223333:AROA{role:017}","groups":["system:authenticated","team-{role}"],"extra":{{"accessKeyId":["ASIA{session:08}{role:08}"],"arn":["arn:aws:sts::111122223333:assumed-role/role-{role}/run-{session}"],"canonicalArn":["arn:aws:iam::111122223333:role/role-{role}"],"principalId":["AROA{role:017}"],"sessionName":["run-{session}"]}}"#
        ),
        agent: "kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0",
        reason: format!(
            r#"RBAC: allowed by RoleBinding \"team-{role}/ns-{}\" of ClusterRole \"edit\" to Group \"team-{role}\""#,
            role % 600
        ),
    }
}

fn write_event(out: &mut String, load: &Load, n: u64, early: bool) -> std::fmt::Result {
    let mut dice = Dice::new(n);
    let mut namespace = format!("ns-{}", dice.small(600));
    let mut verb = dice.of(&["get", "list", "watch", "update", "patch"]);
    let ((group, resource), mut subresource, mut name);
    let who = match dice.below(100) {
        0..45 => {
            let node = dice.below(4000);
            (subresource, verb, (group, resource)) = match dice.below(4) {
                0 => ("", "update", ("coordination.k8s.io", "leases")),
                1 => ("status", "patch", ("", "nodes")),
                2 => ("", "get", ("", "pods")),
                _ => ("status", "patch", ("", "pods")),
            };
            if resource == "pods" {
                let pod = node * 20 + dice.below(20);
                namespace = format!("ns-{}", pod % 600);
                name = format!("web-{}-7c9d8f6b5-{pod:05x}", pod % 9);
            } else {
                name = node_name(node);
                "kube-node-lease".clone_into(&mut namespace);
            }
            kubelet(node)
        }
        45..70 => {
            let controller = dice.below(30);
            (group, resource) = resource_of(controller * 5 + dice.below(4));
            subresource = "";
            name = format!("object-{}", dice.below(200));
            service_account("kube-system", &format!("controller-{controller}"), controller)
        }
        70..90 => {
            let pod = dice.small(20_000);
            namespace = format!("ns-{}", pod % 600);
            (group, resource) = resource_of(pod + dice.below(3));
            subresource = "";
            name = format!("app-{}", pod % 1500);
            service_account(&namespace, &format!("app-{}", pod % 1500), pod)
        }
        _ => {
            let role = dice.small(300);
            namespace = format!("ns-{}", role % 600);
            (group, resource) = resource_of(dice.below(12));
            subresource = dice.of(&["", "", "", "status", "log"]);
            name = format!("object-{}", dice.small(200));
            iam(role, dice.below(40))
        }
    };
    if matches!(verb, "list" | "watch") {
        name.clear();
        subresource = "";
    }
    if load.hostile > 0 && dice.below(100) < load.hostile {
        write!(namespace, "-{n}")?;
    }
    let path = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
    let (minute, second, micros) = (dice.below(60), dice.below(60), dice.below(1_000_000));
    write!(
        out,
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{:016x}-{n:012x}","stage":"{}","requestURI":"{path}/namespaces/{namespace}/{resource}"#,
        dice.next(),
        if early { "RequestReceived" } else { "ResponseComplete" },
    )?;
    for part in [name.as_str(), subresource] {
        if !part.is_empty() {
            write!(out, "/{part}")?;
        }
    }
    write!(
        out,
        r#"","verb":"{verb}","user":{{{}}},"sourceIPs":["10.0.{}.{}"],"userAgent":"{}","objectRef":{{"resource":"{resource}","namespace":"{namespace}","name":"{name}","apiGroup":"{group}","apiVersion":"v1","subresource":"{subresource}"}},"requestReceivedTimestamp":"2026-06-01T09:{minute:02}:{second:02}.{micros:06}Z","stageTimestamp":"2026-06-01T09:{minute:02}:{second:02}.{micros:06}Z""#,
        who.user,
        dice.below(64),
        dice.below(256),
        who.agent,
    )?;
    if !early {
        let code = if dice.below(50) == 0 { 404 } else { 200 };
        write!(
            out,
            r#","responseStatus":{{"metadata":{{}},"code":{code}}},"annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"{}"}}"#,
            who.reason
        )?;
    }
    out.push('}');
    Ok(())
}

fn resource_of(n: u64) -> (&'static str, &'static str) {
    let at = usize::try_from(n).unwrap_or(0) % RESOURCES.len();
    RESOURCES.get(at).copied().unwrap_or_default()
}
