/// The fields of a pod spec (PodSpec of Kubernetes core/v1), each with the JSON type of its value.
pub const FIELDS: &[(&str, &str)] = &[
    ("activeDeadlineSeconds", "integer"),
    ("affinity", "object"),
    ("automountServiceAccountToken", "boolean"),
    ("containers", "array"),
    ("dnsConfig", "object"),
    ("dnsPolicy", "string"),
    ("enableServiceLinks", "boolean"),
    ("ephemeralContainers", "array"),
    ("evictionResponders", "array"),
    ("hostAliases", "array"),
    ("hostIPC", "boolean"),
    ("hostNetwork", "boolean"),
    ("hostPID", "boolean"),
    ("hostUsers", "boolean"),
    ("hostname", "string"),
    ("hostnameOverride", "string"),
    ("imagePullSecrets", "array"),
    ("initContainers", "array"),
    ("nodeName", "string"),
    ("nodeSelector", "object"),
    ("os", "object"),
    ("overhead", "object"),
    ("preemptionPolicy", "string"),
    ("priority", "integer"),
    ("priorityClassName", "string"),
    ("readinessGates", "array"),
    ("resourceClaims", "array"),
    ("resources", "object"),
    ("restartPolicy", "string"),
    ("runtimeClassName", "string"),
    ("schedulerName", "string"),
    ("schedulingGates", "array"),
    ("schedulingGroup", "object"),
    ("securityContext", "object"),
    ("serviceAccount", "string"),
    ("serviceAccountName", "string"),
    ("setHostnameAsFQDN", "boolean"),
    ("shareProcessNamespace", "boolean"),
    ("subdomain", "string"),
    ("terminationGracePeriodSeconds", "integer"),
    ("tolerations", "array"),
    ("topologySpreadConstraints", "array"),
    ("volumes", "array"),
];

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodSpec;
    use serde::{Deserialize, Deserializer, de::Visitor, forward_to_deserialize_any};

    use super::*;

    /// Gives up with the names of the fields that a type asks for.
    struct Names;

    impl<'de> Deserializer<'de> for Names {
        type Error = serde::de::value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom("no struct"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom(fields.join(" ")))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    /// Of the version of Kubernetes that this was built for; others have fewer.
    fn names() -> Vec<String> {
        let names = PodSpec::deserialize(Names).unwrap_err().to_string();
        names.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn k59_every_field_of_a_pod_spec_is_there() {
        assert!(FIELDS.is_sorted());
        for name in names() {
            assert!(FIELDS.iter().any(|(known, _)| *known == name), "{name}");
        }
    }

    #[test]
    fn the_types_are_those_of_the_schema() {
        let names = names();
        for (name, kind) in FIELDS.iter().filter(|(name, _)| names.iter().any(|known| known == name)) {
            for (other, value) in [
                ("integer", serde_json::json!(1)),
                ("boolean", serde_json::json!(true)),
                ("string", serde_json::json!("x")),
                ("array", serde_json::json!([])),
            ] {
                let spec = serde_json::json!({"containers": [], (*name): value});
                assert_eq!(
                    serde_json::from_value::<PodSpec>(spec).is_ok(),
                    other == *kind,
                    "{name} as {other}"
                );
            }
        }
    }
}
