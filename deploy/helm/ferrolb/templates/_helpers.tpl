{{- /*
Names and labels. They are those of MetalLB's chart for every release name and override, because the selectors of a
Deployment and a DaemonSet can never be changed: `metallb` stands where one would expect this chart's own name.

Values may be those of an older chart (`helm upgrade --reuse-values`), so a key of values.yaml may be missing.
*/ -}}

{{- define "ferrolb.name" -}}
{{- .Values.nameOverride | default "metallb" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "ferrolb.fullname" -}}
{{- $name := .Values.nameOverride | default "metallb" }}
{{- $own := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- .Values.fullnameOverride | default $own | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "ferrolb.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ferrolb.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ferrolb.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "ferrolb.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* The account of a component; takes the context and the component's name. */ -}}
{{- define "ferrolb.account" -}}
{{- $account := (get .context.Values .component).serviceAccount | default dict }}
{{- $made := printf "%s-%s" (include "ferrolb.fullname" .context) .component }}
{{- $account.name | default (ternary $made "default" (dig "create" true $account)) }}
{{- end }}

{{- define "ferrolb.memberlistSecret" -}}
{{- .Values.speaker.secretName | default (printf "%s-memberlist" (include "ferrolb.fullname" .)) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Not empty where speakers watch each other. */ -}}
{{- define "ferrolb.memberlist" -}}
{{- if and .Values.speaker.enabled (dig "enabled" true (.Values.speaker.memberlist | default dict)) }}true{{ end }}
{{- end }}

{{- /* Not empty where the controller is asked before a resource is written. */ -}}
{{- define "ferrolb.webhooks" -}}
{{- if ne (.Values.controller.webhookMode | default "enabled") "disabled" }}true{{ end }}
{{- end }}

{{- define "ferrolb.metricsPort" -}}
{{- (.Values.prometheus).metricsPort | default 9120 }}
{{- end }}

{{- define "ferrolb.healthPort" -}}
{{- (.livenessProbe).port | default 17472 }}
{{- end }}

{{- /*
The image of a component. Values that were kept may name MetalLB's image; its tag goes with it.
*/ -}}
{{- define "ferrolb.image" -}}
{{- $image := (get .context.Values .component).image | default dict }}
{{- $ours := "ghcr.io/ferrolb/ferrolb" }}
{{- $repository := $image.repository | default $ours }}
{{- $tag := $image.tag | default .context.Chart.AppVersion }}
{{- if eq $repository (printf "quay.io/metallb/%s" .component) }}
{{- $repository = $ours }}
{{- $tag = .context.Chart.AppVersion }}
{{- end }}
{{- printf "%s:%s" $repository $tag }}
{{- end }}

{{- /* Flags both components have. */ -}}
{{- define "ferrolb.commonArgs" -}}
{{- $component := get .context.Values .component }}
- --port={{ include "ferrolb.metricsPort" .context }}
- --health-probe-port={{ include "ferrolb.healthPort" $component }}
{{- with $component.logLevel }}
- --log-level={{ . }}
{{- end }}
{{- with .context.Values.loadBalancerClass }}
- --lb-class={{ . }}
{{- end }}
{{- with (.context.Values.tls).minVersion }}
- --tls-min-version={{ . }}
{{- end }}
{{- with (.context.Values.tls).cipherSuites }}
- --tls-cipher-suites={{ . }}
{{- end }}
{{- with (.context.Values.tls).curvePreferences }}
- --tls-curve-preferences={{ . }}
{{- end }}
{{- if get (.context.Values.tls | default dict) (printf "%sMetricsTLSSecret" .component) }}
- --metrics-cert-dir=/etc/metrics
{{- end }}
{{- end }}

{{- /* The probes of a component; takes its values and the address to ask at, if not the Pod's. */ -}}
{{- define "ferrolb.probes" -}}
{{- $port := include "ferrolb.healthPort" .values }}
{{- $host := .host }}
{{- range $kind, $path := dict "livenessProbe" "/healthz" "readinessProbe" "/readyz" }}
{{- $probe := get $.values $kind | default dict }}
{{- if dig "enabled" true $probe }}
{{ $kind }}:
  httpGet:
    {{- with $host }}
    host: {{ . }}
    {{- end }}
    path: {{ $path }}
    port: {{ $probe.port | default $port }}
  initialDelaySeconds: {{ dig "initialDelaySeconds" 10 $probe }}
  periodSeconds: {{ dig "periodSeconds" 10 $probe }}
  timeoutSeconds: {{ dig "timeoutSeconds" 1 $probe }}
  successThreshold: {{ dig "successThreshold" 1 $probe }}
  failureThreshold: {{ dig "failureThreshold" 3 $probe }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Annotations of a component's Pods, if there are any. */ -}}
{{- define "ferrolb.podAnnotations" -}}
{{- if (.context.Values.prometheus).scrapeAnnotations }}
prometheus.io/scrape: "true"
prometheus.io/scheme: https
prometheus.io/port: {{ include "ferrolb.metricsPort" .context | quote }}
{{- end }}
{{- with (get .context.Values .component).podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Where a Pod goes: fields of a Pod's spec that both components take from their values. */ -}}
{{- define "ferrolb.placement" -}}
nodeSelector:
  kubernetes.io/os: linux
  {{- with .nodeSelector }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{- /* A scrape interval: Prometheus wants a unit, MetalLB's schema wanted a number. */ -}}
{{- define "ferrolb.interval" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ int64 . }}s{{ end }}
{{- end }}
