{{- /* Lets Prometheus' account find what its monitors select. */ -}}
{{- define "ferrolb.prometheusRole" }}
{{- $name := printf "%s-prometheus" (include "ferrolb.fullname" .context) }}
{{- $prometheus := .context.Values.prometheus }}
{{- if dig "rbacPrometheus" true $prometheus }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}
  namespace: {{ .context.Release.Namespace | quote }}
  labels:
    {{- include "ferrolb.labels" .context | nindent 4 }}
rules:
  - apiGroups: [""]
    resources: {{ toJson .resources }}
    verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}
  namespace: {{ .context.Release.Namespace | quote }}
  labels:
    {{- include "ferrolb.labels" .context | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ $prometheus.serviceAccount }}
    namespace: {{ $prometheus.namespace }}
{{- end }}
{{- end }}
