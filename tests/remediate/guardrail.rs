//! An evaluator of IAM of its own: may whoever holds these policies make this call on access entries?

use serde_json::Value;

/// A call's action, resource and condition keys.
struct Call {
    action: String,
    resource: String,
    keys: Vec<(String, Vec<String>)>,
}

fn of(words: &[String]) -> Option<Call> {
    let option = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1).cloned()
    };
    let list = |text: Option<String>| {
        let list: Value = serde_json::from_str(&text?).unwrap();
        let texts = list.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned());
        Some(texts.collect::<Vec<_>>())
    };
    let action = match words.get(2)?.as_str() {
        "create-access-entry" => "CreateAccessEntry",
        "update-access-entry" => "UpdateAccessEntry",
        "delete-access-entry" => "DeleteAccessEntry",
        "associate-access-policy" => "AssociateAccessPolicy",
        "disassociate-access-policy" => "DisassociateAccessPolicy",
        _ => return None,
    };
    let principal = option("--principal-arn").unwrap();
    let (region, cluster) = (option("--region").unwrap(), option("--cluster-name").unwrap());
    let account = "111122223333";
    let mut keys = vec![("eks:principalArn".to_owned(), vec![principal.clone()])];
    let mut key = |name: &str, values: Option<Vec<String>>| {
        keys.extend(values.map(|values| (name.to_owned(), values)));
    };
    key("eks:policyArn", option("--policy-arn").map(|one| vec![one]));
    if let Some(scope) = option("--access-scope") {
        let scope: Value = serde_json::from_str(&scope).unwrap();
        key("eks:accessScope", Some(vec![scope["type"].as_str().unwrap().to_owned()]));
        key("eks:namespaces", list(scope.get("namespaces").map(Value::to_string)));
    }
    let resource = if action == "CreateAccessEntry" {
        key("eks:username", option("--username").map(|one| vec![one]));
        key("eks:accessEntryType", option("--type").map(|one| vec![one]));
        let groups = list(option("--kubernetes-groups"));
        key("eks:kubernetesGroups", groups.filter(|groups| !groups.is_empty()));
        format!("arn:aws:eks:{region}:{account}:cluster/{cluster}")
    } else {
        let parts: Vec<&str> = principal.split(':').collect();
        let kind = parts[5].split('/').next().unwrap();
        let name = principal.rsplit('/').next().unwrap();
        format!(
            "arn:aws:eks:{region}:{account}:access-entry/{cluster}/{kind}/{}/{name}/0-1",
            parts[4]
        )
    };
    Some(Call { action: format!("eks:{action}"), resource, keys })
}

/// `None` for a call that is not on access entries.
pub(crate) fn allows(policies: &[Value], words: &[String]) -> Option<bool> {
    let call = of(words)?;
    let statements = policies.iter().flat_map(|policy| policy["Statement"].as_array().unwrap());
    Some(statements.into_iter().any(|statement| {
        let pattern = statement["Resource"].as_str().unwrap();
        statement["Effect"] == "Allow"
            && statement["Action"] == call.action.as_str()
            && overgrant::rbac::glob_match(pattern, &call.resource)
            && conditions(&statement["Condition"], &call)
    }))
}

fn conditions(conditions: &Value, call: &Call) -> bool {
    conditions.as_object().unwrap().iter().all(|(operator, keys)| {
        keys.as_object().unwrap().iter().all(|(key, wanted)| {
            let wanted: Vec<String> = match wanted {
                Value::Array(list) => list.iter().map(|one| one.as_str().unwrap()).collect(),
                one => vec![one.as_str().unwrap()],
            }
            .into_iter()
            .map(|text: &str| text.replace("${$}", "$"))
            .collect();
            let found = call.keys.iter().find(|(name, _)| name == key).map(|(_, values)| values);
            let all = |values: &Vec<String>| values.iter().all(|value| wanted.contains(value));
            match operator.as_str() {
                "StringEquals" => found.is_some_and(all),
                "StringEqualsIfExists" | "ForAllValues:StringEquals" => found.is_none_or(all),
                "Null" => found.is_none().to_string() == wanted[0],
                other => panic!("{other}"),
            }
        })
    })
}
