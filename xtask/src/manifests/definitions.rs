//! Definitions of kinds, for `kubectl apply` and as a template of the chart.

use ferrolb_api::{crd_yaml, crds};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::HEADER;

/// The definition that upstream left with a conversion webhook.
const CONVERTED: &str = "bgppeers.metallb.io";

/// Keeps that webhook where there is one. Ours is not needed, but server-side apply cannot take it
/// away either: the certificate authority in it belongs to the controller that wrote it, and what
/// would be left is refused. Our controller answers there.
const CONVERSION: &str = r#"
{{- $live := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "bgppeers.metallb.io" | default dict }}
{{- if eq (dig "spec" "conversion" "strategy" "None" $live) "Webhook" }}
  conversion:
    strategy: Webhook
    webhook:
      clientConfig:
        service:
          name: metallb-webhook-service
          namespace: {{ .Release.Namespace | quote }}
          path: /convert
      conversionReviewVersions: [v1, v1beta1]
{{- end }}
"#;

/// All definitions as one YAML stream.
pub(super) fn plain() -> String {
    format!("# {HEADER}\n{}", crds().iter().map(crd_yaml).collect::<Vec<_>>().join("---\n"))
}

/// All definitions as a template. They stay when the release goes, because with a definition go all
/// objects of its kind.
pub(super) fn chart() -> String {
    let documents: Vec<_> = crds().into_iter().map(document).collect();
    format!(
        "{{{{- /* {HEADER} */ -}}}}\n{{{{- if dig \"enabled\" true (.Values.crds | default dict) }}}}\n{}{{{{- end }}}}\n",
        documents.join("---\n")
    )
}

fn document(mut crd: CustomResourceDefinition) -> String {
    let annotations = crd.metadata.annotations.get_or_insert_default();
    annotations.insert("helm.sh/resource-policy".to_owned(), "keep".to_owned());
    // Braces of a description must not look like a template's.
    let text = crd_yaml(&crd).replace("{{", "{{ `{{` }}");
    if crd.metadata.name.as_deref() == Some(CONVERTED) {
        return text.replacen("\nspec:\n", &format!("\nspec:{CONVERSION}"), 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_definition_of_the_chart_goes_with_the_release() {
        let keep = chart().matches("helm.sh/resource-policy: keep\n").count();
        assert_eq!(keep, crds().len());
    }

    #[test]
    fn a_conversion_webhook_that_is_there_is_kept() {
        assert_eq!(chart().matches("path: /convert\n").count(), 1);
    }
}
