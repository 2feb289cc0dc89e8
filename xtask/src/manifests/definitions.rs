//! Definitions of kinds, for `kubectl apply` and as a template of the chart.

use ferrolb_api::{crd_yaml, crds};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::HEADER;

/// Stands for the namespace until the text is a template.
const NAMESPACE: &str = "namespace-of-the-release";

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
    let conversion = crd.spec.conversion.as_mut().and_then(|way| way.webhook.as_mut());
    let client = conversion.and_then(|webhook| webhook.client_config.as_mut());
    if let Some(service) = client.and_then(|client| client.service.as_mut()) {
        NAMESPACE.clone_into(&mut service.namespace);
    }
    // Braces of a description must not look like a template's.
    let text = crd_yaml(&crd).replace("{{", "{{ `{{` }}");
    text.replace(NAMESPACE, "{{ .Release.Namespace }}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_definition_of_the_chart_goes_with_the_release() {
        let template = chart();
        let keep = template.matches("helm.sh/resource-policy: keep\n").count();
        assert_eq!(keep, crds().len());
        assert!(!template.contains(NAMESPACE));
    }
}
