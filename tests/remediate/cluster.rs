//! A recorded cluster that commands can be applied to, and a judge of what it allows that shares
//! nothing with the tool.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

/// The files of an inventory that commands change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cluster {
    /// By principal: username, groups, type, policies (namespaces, null for the cluster).
    pub(crate) entries: BTreeMap<String, Value>,
    /// `kind/namespace/name`, without what an API server adds.
    pub(crate) objects: BTreeMap<String, Value>,
    /// `ns/sa` to role.
    pub(crate) pods: BTreeMap<String, String>,
}

fn sorted(value: &Value) -> Value {
    let mut list: Vec<String> =
        value.as_array().into_iter().flatten().map(|v| v.as_str().unwrap().to_owned()).collect();
    list.sort();
    json!(list)
}

impl Cluster {
    pub(crate) fn read(folder: &Path) -> Self {
        let json = |name: &str| -> Value {
            serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
        };
        let entries = json("access-entries.json")
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                let entry = &one["accessEntry"];
                let policies: BTreeMap<String, Value> = one["associatedAccessPolicies"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|policy| {
                        let scope = &policy["accessScope"];
                        let namespaces = if scope["type"] == "cluster" {
                            Value::Null
                        } else {
                            sorted(&scope["namespaces"])
                        };
                        (policy["policyArn"].as_str().unwrap().to_owned(), namespaces)
                    })
                    .collect();
                let value = json!({
                    "username": entry["username"],
                    "groups": sorted(&entry["kubernetesGroups"]),
                    "type": entry["type"],
                    "policies": policies,
                });
                (entry["principalArn"].as_str().unwrap().to_owned(), value)
            })
            .collect();
        let mut objects = BTreeMap::new();
        for item in json("kubernetes.json")["items"].as_array().unwrap() {
            let (key, object) = plain(item);
            objects.insert(key, object);
        }
        let pods = json("pod-identity-associations.json")
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                let of = |key: &str| one["association"][key].as_str().unwrap().to_owned();
                (format!("{}/{}", of("namespace"), of("serviceAccount")), of("roleArn"))
            })
            .collect();
        Cluster { entries, objects, pods }
    }

    /// Applies one recorded call; `folder` is where it was made.
    pub(crate) fn call(&mut self, folder: &Path, words: &[String]) {
        let option = |name: &str| {
            let at = words.iter().position(|word| word == name)?;
            words.get(at + 1).cloned()
        };
        let words_of: Vec<&str> = words.iter().map(String::as_str).collect();
        match words_of.as_slice() {
            ["aws", "eks", call, ..] => {
                assert_eq!(option("--cluster-name").as_deref(), Some("prod"));
                assert_eq!(option("--region").as_deref(), Some("us-west-2"));
                self.eks(call, &option);
            }
            ["kubectl", "--context", context, rest @ ..] => {
                assert_eq!(*context, "arn:aws:eks:us-west-2:111122223333:cluster/prod");
                self.kubectl(folder, rest);
            }
            other => panic!("{other:?}"),
        }
    }

    fn eks(&mut self, call: &str, option: &dyn Fn(&str) -> Option<String>) {
        let principal = option("--principal-arn").unwrap_or_default();
        let list = |name: &str| -> Value {
            option(name).map_or(json!([]), |text| sorted(&serde_json::from_str(&text).unwrap()))
        };
        match call {
            "create-access-entry" => {
                let name = principal.rsplit('/').next().unwrap();
                let default = if principal.contains(":user/") {
                    principal.clone()
                } else {
                    format!("arn:aws:sts::111122223333:assumed-role/{name}/{{{{SessionName}}}}")
                };
                let entry = json!({
                    "username": option("--username").unwrap_or(default),
                    "groups": list("--kubernetes-groups"),
                    "type": option("--type").unwrap_or("STANDARD".to_owned()),
                    "policies": {},
                });
                assert!(self.entries.insert(principal, entry).is_none(), "it was there");
            }
            "delete-access-entry" => {
                self.entries.remove(&principal).expect("an entry to delete");
            }
            "update-access-entry" => {
                let entry = self.entries.get_mut(&principal).expect("an entry to change");
                entry["groups"] = list("--kubernetes-groups");
            }
            "associate-access-policy" => {
                let scope: Value =
                    serde_json::from_str(&option("--access-scope").unwrap()).unwrap();
                let namespaces = if scope["type"] == "cluster" {
                    Value::Null
                } else {
                    sorted(&scope["namespaces"])
                };
                let entry = self.entries.get_mut(&principal).expect("an entry");
                entry["policies"][option("--policy-arn").unwrap()] = namespaces;
            }
            "disassociate-access-policy" => {
                let entry = self.entries.get_mut(&principal).expect("an entry");
                let policies = entry["policies"].as_object_mut().unwrap();
                policies.remove(&option("--policy-arn").unwrap()).expect("a policy to take away");
            }
            "list-pod-identity-associations" => {}
            "delete-pod-identity-association" => {
                // The fake tells the account as its id.
                let account = option("--association-id").unwrap();
                self.pods.remove(&account).expect("an association to delete");
            }
            "create-pod-identity-association" => {
                let of = |name| option(name).unwrap();
                let account = format!("{}/{}", of("--namespace"), of("--service-account"));
                self.pods.insert(account, of("--role-arn"));
            }
            other => panic!("{other}"),
        }
    }

    fn kubectl(&mut self, folder: &Path, words: &[&str]) {
        match words {
            ["apply" | "replace", "-f", file] => {
                for object in documents(&folder.join(file)) {
                    let (key, object) = plain(&object);
                    assert!(words[0] == "apply" || self.objects.contains_key(&key), "{key}");
                    self.objects.insert(key, object);
                }
            }
            ["delete", "--ignore-not-found", "-f", file] => {
                for object in documents(&folder.join(file)) {
                    self.objects.remove(&plain(&object).0);
                }
            }
            ["delete", "rolebinding", "-n", namespace, "--", name] => {
                let key = format!("RoleBinding/{namespace}/{name}");
                self.objects.remove(&key).expect("a binding to delete");
            }
            ["delete", "clusterrolebinding", "--", name] => {
                let key = format!("ClusterRoleBinding//{name}");
                self.objects.remove(&key).expect("a binding to delete");
            }
            ["patch", "--type=merge", "-p", patch, kind, rest @ ..] => {
                let (kind, namespace) = match (*kind, rest) {
                    ("rolebinding", ["-n", namespace, ..]) => ("RoleBinding", *namespace),
                    _ => ("ClusterRoleBinding", ""),
                };
                let key = format!("{kind}/{namespace}/{}", rest.last().unwrap());
                let patch: Value = serde_json::from_str(patch).unwrap();
                let object = self.objects.get_mut(&key).expect("a binding to patch");
                object["subjects"] = patch["subjects"].clone();
            }
            other => panic!("{other:?}"),
        }
    }

    /// May the principal (or ServiceAccount) do it, by policies, groups and bindings?
    pub(crate) fn allows(&self, who: &Who<'_>, asked: &Asked<'_>) -> bool {
        let mut groups: Vec<String> = who.groups.iter().map(|g| (*g).to_owned()).collect();
        if let Some(entry) = self.entries.get(who.principal) {
            for (policy, namespaces) in entry["policies"].as_object().unwrap() {
                let here = namespaces.is_null()
                    || namespaces.as_array().unwrap().iter().any(|n| n == asked.namespace);
                let name = policy.rsplit('/').next().unwrap();
                let rules = policy_rules(name);
                if here && rules.as_array().unwrap().iter().any(|rule| covers(rule, asked)) {
                    return true;
                }
            }
            let carried = entry["groups"].as_array().unwrap();
            groups.extend(carried.iter().map(|group| group.as_str().unwrap().to_owned()));
        } else if let Some(row) = self.row(who.principal) {
            groups.extend(row);
        }
        if groups.iter().any(|group| group == "system:masters") {
            return true;
        }
        self.objects.iter().any(|(key, object)| {
            let Some((kind, place)) = key.split_once('/') else { return false };
            if !kind.ends_with("RoleBinding") {
                return false;
            }
            let namespace = place.split('/').next().unwrap_or_default();
            let named = object["subjects"].as_array().into_iter().flatten().any(|subject| {
                let name = subject["name"].as_str().unwrap_or_default();
                match subject["kind"].as_str() {
                    Some("Group") => groups.iter().any(|group| group == name),
                    Some("User") => name == who.username,
                    _ => {
                        let ns = subject["namespace"].as_str().unwrap_or(namespace);
                        who.username == format!("system:serviceaccount:{ns}:{name}")
                    }
                }
            });
            let here = kind == "ClusterRoleBinding" || namespace == asked.namespace;
            let role = &object["roleRef"];
            let role_key = if role["kind"] == "ClusterRole" {
                format!("ClusterRole//{}", role["name"].as_str().unwrap())
            } else {
                format!("Role/{namespace}/{}", role["name"].as_str().unwrap())
            };
            let rules = self.objects.get(&role_key).map(|role| role["rules"].clone());
            named
                && here
                && rules.is_some_and(|rules| {
                    rules.as_array().into_iter().flatten().any(|rule| covers(rule, asked))
                })
        })
    }

    /// Groups of a row of aws-auth.
    fn row(&self, principal: &str) -> Option<Vec<String>> {
        let data = &self.objects.get("ConfigMap/kube-system/aws-auth")?["data"];
        for key in ["mapRoles", "mapUsers"] {
            let rows: Value = serde_yaml_ng::from_str(data[key].as_str().unwrap_or("[]")).unwrap();
            for row in rows.as_array().into_iter().flatten() {
                let arn = row["rolearn"].as_str().or_else(|| row["userarn"].as_str());
                if arn == Some(principal) {
                    let groups = row["groups"].as_array().into_iter().flatten();
                    return Some(groups.map(|g| g.as_str().unwrap().to_owned()).collect());
                }
            }
        }
        None
    }
}

/// Whose rights count.
pub(crate) struct Who<'a> {
    pub(crate) principal: &'a str,
    pub(crate) username: &'a str,
    /// Beside those of its mapping.
    pub(crate) groups: &'a [&'a str],
}

/// A request.
pub(crate) struct Asked<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    /// With subresource.
    pub(crate) resource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) path: &'a str,
}

fn policy_rules(name: &str) -> Value {
    let table: Value =
        serde_json::from_str(include_str!("../../src/rbac/access-policies.json")).unwrap();
    let policies = table["policies"].as_array().unwrap();
    let found = policies.iter().find(|policy| policy["name"] == name).unwrap();
    found["rules"].clone()
}

fn covers(rule: &Value, asked: &Asked<'_>) -> bool {
    let has = |key: &str, wanted: &str| {
        let list = rule[key].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).any(|item| item == "*" || item == wanted)
    };
    if !has("verbs", asked.verb) {
        return false;
    }
    if !asked.path.is_empty() {
        let urls = rule["nonResourceURLs"].as_array().into_iter().flatten();
        return urls.filter_map(Value::as_str).any(|url| match url.strip_suffix('*') {
            Some(prefix) => asked.path.starts_with(prefix),
            None => url == asked.path,
        });
    }
    let names = rule["resourceNames"].as_array().map(Vec::as_slice).unwrap_or_default();
    has("apiGroups", asked.group)
        && has("resources", asked.resource)
        && (names.is_empty() || names.iter().any(|name| name == asked.name))
}

/// The documents of a file of YAML.
fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.split("---\n").map(|document| serde_yaml_ng::from_str(document).unwrap()).collect()
}

/// Key and what matters of an object.
fn plain(object: &Value) -> (String, Value) {
    let of = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    let kind = object["kind"].as_str().unwrap();
    let key = format!("{kind}/{}/{}", of("namespace"), of("name"));
    let mut kept = json!({});
    for part in ["rules", "roleRef", "subjects", "data"] {
        if !object[part].is_null() {
            kept[part] = object[part].clone();
        }
    }
    if let Some(subjects) = kept["subjects"].as_array_mut() {
        for subject in subjects.iter_mut() {
            let subject = subject.as_object_mut().unwrap();
            if subject.get("apiGroup").is_some_and(|group| group == "") {
                subject.remove("apiGroup");
            }
        }
        subjects.sort_by_key(Value::to_string);
    }
    if kind == "ConfigMap" && of("name") == "aws-auth" {
        // Compared as what it means, not as how it is laid out.
        let data = kept["data"].as_object_mut().unwrap();
        for text in data.values_mut() {
            let value: Value = serde_yaml_ng::from_str(text.as_str().unwrap()).unwrap();
            *text = Value::String(serde_yaml_ng::to_string(&value).unwrap());
        }
    }
    (key, kept)
}
