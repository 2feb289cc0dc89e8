{{- /*
Lines about keys that are set and have no effect here, for NOTES.txt.
*/ -}}
{{- define "ferrolb.ignored" -}}
{{- $speaker := .Values.speaker }}
{{- $controller := .Values.controller }}
{{- $frrk8s := .Values.frrk8s | default dict }}
{{- if $frrk8s.enabled }}
- frrk8s.enabled: the speaker speaks BGP and BFD itself. frr-k8s and its definitions are not installed; an upgrade removes those MetalLB's chart brought.
{{- end }}
{{- if $frrk8s.external }}
- frrk8s.external: the speaker opens its own sessions and writes no FRRConfiguration. Remove the ones MetalLB's speakers left, or frr-k8s goes on announcing them: kubectl --namespace {{ $frrk8s.namespace | default .Release.Namespace }} get frrconfigurations --output name | grep /metallb- | xargs kubectl --namespace {{ $frrk8s.namespace | default .Release.Namespace }} delete
{{- end }}
{{- if $frrk8s.secretPassthrough }}
- frrk8s.secretPassthrough
{{- end }}
{{- with get .Values "frr-k8s" }}
{{- if dig "prometheus" "serviceMonitor" "enabled" false . }}
- frr-k8s.prometheus.serviceMonitor: BGP metrics are the speaker's own, named metallb_bgp_* as before.
{{- end }}
{{- if omit . "prometheus" "global" }}
- frr-k8s: there is no such subchart.
{{- end }}
{{- end }}
{{- if ($speaker.frr).enabled }}
- speaker.frr.enabled: the speaker speaks BGP and BFD itself, without FRR beside it.
{{- end }}
{{- if or ($speaker.frr).resources ($speaker.reloader).resources ($speaker.frrMetrics).resources }}
- resources of speaker.frr, speaker.reloader, speaker.frrMetrics: there are no such containers.
{{- end }}
{{- range $name, $container := $speaker.initContainers }}
{{- if ($container).resources }}
- speaker.initContainers.{{ $name }}: there is no such container.
{{- end }}
{{- end }}
{{- with $speaker.startupProbe }}
{{- if or (not (dig "enabled" true .)) (ne (int (dig "failureThreshold" 30 .)) 30) (ne (int (dig "periodSeconds" 5 .)) 5) }}
- speaker.startupProbe: it was FRR's.
{{- end }}
{{- end }}
{{- if $speaker.bgpDebounceTimeout }}
- speaker.bgpDebounceTimeout: nothing is reloaded, so nothing is held back.
{{- end }}
{{- with (.Values.prometheus).rbacProxy }}
- prometheus.rbacProxy: metrics need no proxy.
{{- end }}
{{- range $component := list "controller" "speaker" }}
{{- if get ($.Values.prometheus | default dict) (printf "%sMetricsTLSSecret" $component) }}
- prometheus.{{ $component }}MetricsTLSSecret: is tls.{{ $component }}MetricsTLSSecret now.
{{- end }}
{{- if eq (((get $.Values $component).image).repository | default "") (printf "quay.io/metallb/%s" $component) }}
- {{ $component }}.image: named MetalLB's, which does not know this chart; {{ include "ferrolb.image" (dict "context" $ "component" $component) }} is used. Name a mirror of your own if you have one.
{{- end }}
{{- end }}
{{- if or $controller.tlsMinVersion $controller.tlsCipherSuites }}
- controller.tlsMinVersion, controller.tlsCipherSuites: are tls.minVersion and tls.cipherSuites now.
{{- end }}
{{- end }}
