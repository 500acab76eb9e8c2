//! Objects as a trail and as Firehose leave them, made from a seed: the same bytes in every run.
//!
//! A trail's files are compact JSON on one line, of a few KB to tens of MB, gzipped at level 6. What does
//! not compress is there as it is in real ones: session tokens, keys, ids of requests and resources,
//! addresses. One account in two regions; callers are sessions of roles, each a program of one kind that
//! makes few kinds of calls, and services. Of the relevant records one third is of STS and EKS, two thirds
//! are calls by roles of the inventory.

use std::fmt::Write as _;

use super::support::{Dice, gzip};

/// Roles of the inventory: numbers below this.
pub(crate) const KNOWN_ROLES: u64 = 60;
/// All roles.
const ROLES: u64 = 640;

/// One object.
pub(crate) struct Made {
    pub(crate) key: String,
    pub(crate) gzipped: Vec<u8>,
    pub(crate) raw: usize,
}

/// A corpus and what is in it.
pub(crate) struct Corpus {
    pub(crate) name: &'static str,
    pub(crate) objects: Vec<Made>,
    pub(crate) raw: usize,
    pub(crate) records: u64,
    /// Records of which facts are made.
    pub(crate) relevant: u64,
}

impl Corpus {
    fn empty(name: &'static str) -> Self {
        Corpus { name, objects: Vec::new(), raw: 0, records: 0, relevant: 0 }
    }

    fn add(&mut self, key: String, raw: usize, gzipped: Vec<u8>) {
        self.raw += raw;
        self.objects.push(Made { key, gzipped, raw });
    }

    pub(crate) fn gzipped(&self) -> usize {
        self.objects.iter().map(|one| one.gzipped.len()).sum()
    }

    /// CloudTrail, of a hundred records so many relevant.
    pub(crate) fn trail(name: &'static str, megabytes: usize, percent: u64) -> Self {
        let mut corpus = Corpus::empty(name);
        let mut dice = Dice::new(percent + 1);
        while corpus.raw < megabytes << 20 {
            let n = corpus.objects.len();
            // Few files hold most of the bytes.
            let records = match dice.below(10) {
                0..5 => 5 + dice.below(60),
                5..9 => 100 + dice.below(900),
                _ => 2000 + dice.below(12_000),
            };
            let minute = n % 1440;
            let region = ["us-west-2", "us-east-1"][n % 2];
            let mut text = String::from("{\"Records\":[");
            for at in 0..records {
                if at > 0 {
                    text.push(',');
                }
                let relevant = dice.below(100) < percent;
                corpus.relevant += u64::from(relevant);
                let ok = record(&mut text, &mut dice, region, minute, relevant);
                debug_assert!(ok.is_ok(), "writing to a String does not fail");
            }
            text.push_str("]}");
            corpus.records += records;
            let key = format!(
                "AWSLogs/111122223333/CloudTrail/{region}/2026/06/01/111122223333_CloudTrail_{region}_20260601T{:02}{:02}Z_{n:08}.json.gz",
                minute / 60,
                minute % 60
            );
            corpus.add(key, text.len(), gzip(text.as_bytes()));
        }
        corpus
    }

    /// Audit events through CloudWatch Logs and Firehose.
    pub(crate) fn audit(name: &'static str, megabytes: usize) -> Self {
        let mut corpus = Corpus::empty(name);
        while corpus.raw < megabytes << 20 {
            let n = corpus.objects.len();
            let events = super::support::audit_events(4000, u64::try_from(n).unwrap_or(0));
            let (object, raw) = super::support::firehose(&events);
            let count = u64::try_from(events.len()).unwrap_or(0);
            corpus.records += count;
            corpus.relevant += count;
            let key = format!("eks-audit/2026/06/01/09/audit-{n:06}");
            corpus.add(key, raw, object);
        }
        corpus
    }
}

/// What is the same for all calls of one session of a role.
struct Caller {
    role: u64,
    session: u64,
    /// Key of the hour.
    key: String,
}

impl Caller {
    fn of(role: u64, session: u64, hour: usize) -> Self {
        let hour = u64::try_from(hour).unwrap_or(0);
        let key = Dice::new((role * 4 + session) * 24 + hour).key();
        Caller { role, session, key }
    }

    /// Most programs are of one kind; a role is used by one program.
    fn agent(&self) -> &'static str {
        [
            "aws-sdk-go-v2/1.30.3 os/linux lang/go#1.22.5 md/GOOS#linux md/GOARCH#amd64 api/x#1.0",
            "Boto3/1.34.144 md/Botocore#1.34.144 ua/2.0 os/linux#5.10 md/arch#x86_64 lang/python#3.11.9",
            "APN/1.0 HashiCorp/1.0 Terraform/1.9.5 (+https://www.terraform.io) terraform-provider-aws/5.64.0",
            "console.amazonaws.com",
        ][usize::try_from(self.role % 4).unwrap_or(0)]
    }
}

fn record(
    out: &mut String,
    dice: &mut Dice,
    region: &str,
    minute: usize,
    relevant: bool,
) -> std::fmt::Result {
    let of_service = relevant && dice.below(3) == 0;
    let role = if relevant && !of_service {
        dice.below(KNOWN_ROLES)
    } else {
        KNOWN_ROLES + dice.below(ROLES - KNOWN_ROLES)
    };
    let (hour, second) = (minute / 60, dice.below(60));
    let minute = minute % 60;
    let caller = Caller::of(role, dice.below(4), hour);
    let Caller { session, key, .. } = &caller;
    out.push_str(r#"{"eventVersion":"1.11","userIdentity":"#);
    if !relevant && dice.below(8) == 0 {
        let service =
            ["ec2", "autoscaling", "lambda", "config"][usize::try_from(dice.below(4)).unwrap_or(0)];
        write!(out, r#"{{"type":"AWSService","invokedBy":"{service}.amazonaws.com"}}"#)?;
    } else {
        write!(
            out,
            r#"{{"type":"AssumedRole","principalId":"AROA{role:017}:session-{session}","arn":"arn:aws:sts::111122223333:assumed-role/service-role-{role}/session-{session}","accountId":"111122223333","accessKeyId":"{key}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA{role:017}","arn":"arn:aws:iam::111122223333:role/platform/service-role-{role}","accountId":"111122223333","userName":"service-role-{role}"}},"webIdFederationData":{{}},"attributes":{{"creationDate":"2026-06-01T{hour:02}:00:00Z","mfaAuthenticated":"false"}}}}}}"#,
        )?;
    }
    let (source, name, request, answer) =
        if of_service { service_call(dice, role) } else { other_call(dice, region, role) };
    write!(
        out,
        r#","eventTime":"2026-06-01T{hour:02}:{minute:02}:{second:02}Z","eventSource":"{source}.amazonaws.com","eventName":"{name}","awsRegion":"{region}","sourceIPAddress":"10.{}.{}.{}","userAgent":"{}","requestParameters":{request},"responseElements":{answer},"#,
        dice.below(4),
        dice.below(256),
        dice.below(256),
        caller.agent(),
    )?;
    if source == "s3" {
        write!(
            out,
            r#""additionalEventData":{{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"{}","bytesTransferredOut":{}}},"#,
            dice.token(76),
            dice.below(90_000),
        )?;
    }
    write!(
        out,
        r#""requestID":"{}","eventID":"{}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{source}.{region}.amazonaws.com"}}}}"#,
        dice.uuid(),
        dice.uuid(),
    )
}

type Call = (&'static str, &'static str, String, String);

fn service_call(dice: &mut Dice, role: u64) -> Call {
    let to = dice.below(KNOWN_ROLES);
    match dice.below(5) {
        0 | 1 => (
            "sts",
            "AssumeRole",
            format!(
                r#"{{"roleArn":"arn:aws:iam::111122223333:role/platform/service-role-{to}","roleSessionName":"session-{role}","durationSeconds":3600,"tags":[{{"key":"team","value":"team-{}"}}]}}"#,
                to % 12
            ),
            credentials(dice, to, role),
        ),
        2 => (
            "sts",
            "AssumeRoleWithWebIdentity",
            format!(
                r#"{{"roleArn":"arn:aws:iam::111122223333:role/platform/service-role-{to}","roleSessionName":"web-{role}","durationSeconds":3600}}"#
            ),
            credentials(dice, to, role),
        ),
        3 => ("sts", "GetCallerIdentity", "null".to_owned(), "null".to_owned()),
        _ => ("eks", "DescribeCluster", r#"{"name":"prod"}"#.to_owned(), "null".to_owned()),
    }
}

fn credentials(dice: &mut Dice, role: u64, session: u64) -> String {
    let key = dice.key();
    let token = 700 + usize::try_from(dice.below(400)).unwrap_or(0);
    format!(
        r#"{{"credentials":{{"accessKeyId":"{key}","sessionToken":"{}","expiration":"Jun 1, 2026, 11:05:00 AM"}},"assumedRoleUser":{{"assumedRoleId":"AROA{role:017}:session-{session}","arn":"arn:aws:sts::111122223333:assumed-role/service-role-{role}/session-{session}"}}}}"#,
        dice.token(token)
    )
}

/// A role makes three kinds of calls.
fn other_call(dice: &mut Dice, region: &str, role: u64) -> Call {
    let n = dice.below(100_000);
    match (role + dice.below(3)) % 8 {
        0 => (
            "kms",
            "Decrypt",
            format!(
                r#"{{"keyId":"arn:aws:kms:{region}:111122223333:key/{}","encryptionContext":{{"aws:s3:arn":"arn:aws:s3:::data-{}/part-{n}"}},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}}"#,
                dice.uuid(),
                n % 40
            ),
            "null".to_owned(),
        ),
        1 => (
            "ec2",
            "DescribeInstances",
            format!(
                r#"{{"maxResults":1000,"instancesSet":{{"items":[{{"instanceId":"i-0{}"}},{{"instanceId":"i-0{}"}},{{"instanceId":"i-0{}"}}]}},"filterSet":{{"items":[{{"name":"tag:kubernetes.io/cluster/prod","valueSet":{{"items":[{{"value":"owned"}}]}}}}]}}}}"#,
                dice.hex(16),
                dice.hex(16),
                dice.hex(16)
            ),
            "null".to_owned(),
        ),
        2 => (
            "logs",
            "CreateLogStream",
            format!(
                r#"{{"logGroupName":"/aws/containerinsights/prod/application","logStreamName":"ip-10-0-{}-{}.{region}.compute.internal-{}"}}"#,
                n % 256,
                n % 200,
                dice.uuid()
            ),
            "null".to_owned(),
        ),
        3 => (
            "iam",
            "GetRolePolicy",
            format!(r#"{{"roleName":"r-{n}","policyName":"inline"}}"#),
            r#"{"policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"sts:AssumeRole\",\"eks:DescribeCluster\"],\"Resource\":\"*\"}]}"}"#.to_owned(),
        ),
        4 => (
            "autoscaling",
            "DescribeAutoScalingGroups",
            format!(
                r#"{{"maxRecords":100,"autoScalingGroupNames":["eks-nodes-{}-{}"]}}"#,
                n % 30,
                dice.uuid()
            ),
            "null".to_owned(),
        ),
        5 => (
            "s3",
            "GetBucketAcl",
            format!(r#"{{"bucketName":"data-{}","Host":"s3.{region}.amazonaws.com","acl":""}}"#, n % 40),
            "null".to_owned(),
        ),
        6 => (
            "ec2",
            "CreateNetworkInterface",
            format!(r#"{{"subnetId":"subnet-0{}","description":"aws-K8S-i-0{}","groupSet":{{"items":[{{"groupId":"sg-0{}"}}]}},"clientToken":"{}"}}"#, dice.hex(16), dice.hex(16), dice.hex(16), dice.uuid()),
            format!(
                r#"{{"requestId":"{}","networkInterface":{{"networkInterfaceId":"eni-0{}","subnetId":"subnet-0{}","vpcId":"vpc-0a1b2c3d4e5f60718","availabilityZone":"{region}a","ownerId":"111122223333","requesterManaged":false,"status":"pending","macAddress":"0a:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}","privateIpAddress":"10.0.{}.{}","sourceDestCheck":true,"interfaceType":"interface"}}}}"#,
                dice.uuid(),
                dice.hex(16),
                dice.hex(16),
                n % 256,
                (n / 7) % 256,
                (n / 11) % 256,
                (n / 13) % 256,
                (n / 17) % 256,
                n % 200,
                n % 250,
            ),
        ),
        _ => (
            "elasticloadbalancing",
            "DescribeTargetHealth",
            format!(
                r#"{{"targetGroupArn":"arn:aws:elasticloadbalancing:{region}:111122223333:targetgroup/k8s-shop-{}/{}"}}"#,
                n % 50,
                dice.hex(16)
            ),
            "null".to_owned(),
        ),
    }
}
