{{- /* Made by `cargo xtask manifests` from crates/api; edit that instead. */ -}}
{{- define "ferrolb.rules.controller.cluster" }}
  # which Services ask for an address, which they hold, and how one looks now before it is given up
  - apiGroups: [""]
    resources: [services]
    verbs: [get, list, watch]
  # writes the address a Service was given, and the annotation that names its pool
  - apiGroups: [""]
    resources: [services/status]
    verbs: [patch]
  # pools can be kept for namespaces with a label
  - apiGroups: [""]
    resources: [namespaces]
    verbs: [list, watch]
  # addresses of nodes are not given away, and peers are checked against the nodes they select
  - apiGroups: [""]
    resources: [nodes]
    verbs: [list, watch]
  # says on the Service why it got its address, or why not
  - apiGroups: [""]
    resources: [events]
    verbs: [create, patch]
  # asks who wants to read the metrics
  - apiGroups: [authentication.k8s.io]
    resources: [tokenreviews]
    verbs: [create]
  # asks whether they may
  - apiGroups: [authorization.k8s.io]
    resources: [subjectaccessreviews]
    verbs: [create]
  # puts its certificate authority there, and again when it is lost, for instance by a new installation over the old one
  - apiGroups: [admissionregistration.k8s.io]
    resources: [validatingwebhookconfigurations]
    resourceNames: [metallb-webhook-configuration]
    verbs: [get, list, watch, patch]
  # puts its certificate authority there, where MetalLB has left a conversion by webhook
  - apiGroups: [apiextensions.k8s.io]
    resources: [customresourcedefinitions]
    resourceNames: [bgppeers.metallb.io]
    verbs: [get, list, watch, patch]
{{- end }}
{{- define "ferrolb.rules.controller.own" }}
  # the configuration
  - apiGroups: [metallb.io]
    resources: [ipaddresspools, l2advertisements, bgpadvertisements, bgppeers, bfdprofiles, communities]
    verbs: [list, watch]
  # how a pool looks now before its status is written
  - apiGroups: [metallb.io]
    resources: [ipaddresspools]
    verbs: [get]
  # how many addresses of a pool are free and given
  - apiGroups: [metallb.io]
    resources: [ipaddresspools/status]
    verbs: [patch]
  # tells on a Service whether anybody announces it
  - apiGroups: [metallb.io]
    resources: [servicel2statuses, servicebgpstatuses]
    verbs: [list, watch]
  # its report on whether the configuration is valid
  - apiGroups: [metallb.io]
    resources: [configurationstates]
    verbs: [get, list, watch, create, patch]
  # the content of that report
  - apiGroups: [metallb.io]
    resources: [configurationstates/status]
    verbs: [patch]
  # the Lease by which one of several controllers leads
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [create]
  # keeps that Lease
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [metallb-controller]
    verbs: [get, update]
  # makes the Secret the speakers share, and the one of its certificates where it is missing
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create]
{{- if include "ferrolb.memberlist" . }}
  # looks whether that Secret exists; it is never changed
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [{{ include "ferrolb.memberlistSecret" . }}]
    verbs: [get]
{{- end }}
  # its certificates, made again where somebody deletes them, renewed before they end
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [metallb-webhook-cert]
    verbs: [get, list, watch, update]
  # tells whoever left the configuration of version 0.12 there how to convert it; asked once, without pools
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames: [config]
    verbs: [get]
{{- if include "ferrolb.memberlist" . }}
  # its own Deployment, named as the owner of that Secret
  - apiGroups: [apps]
    resources: [deployments]
    resourceNames: [{{ include "ferrolb.fullname" . }}-controller]
    verbs: [get]
{{- end }}
  # its own Pod, which its report goes with
  - apiGroups: [""]
    resources: [pods]
    verbs: [get]
{{- end }}
{{- define "ferrolb.rules.speaker.cluster" }}
  # which addresses there are to announce, and which nodes may
  - apiGroups: [""]
    resources: [services, nodes, namespaces]
    verbs: [list, watch]
  # a node without a usable endpoint does not announce
  - apiGroups: [discovery.k8s.io]
    resources: [endpointslices]
    verbs: [list, watch]
  # says on the Service who announces it, or why nobody does
  - apiGroups: [""]
    resources: [events]
    verbs: [create, patch]
  # asks who wants to read the metrics
  - apiGroups: [authentication.k8s.io]
    resources: [tokenreviews]
    verbs: [create]
  # asks whether they may
  - apiGroups: [authorization.k8s.io]
    resources: [subjectaccessreviews]
    verbs: [create]
{{- end }}
{{- define "ferrolb.rules.speaker.own" }}
  # the configuration
  - apiGroups: [metallb.io]
    resources: [ipaddresspools, l2advertisements, bgpadvertisements, bgppeers, bfdprofiles, communities]
    verbs: [list, watch]
  # its reports on what it announces
  - apiGroups: [metallb.io]
    resources: [servicel2statuses, servicebgpstatuses]
    verbs: [list, watch, create, patch, delete]
  # the content of those reports
  - apiGroups: [metallb.io]
    resources: [servicel2statuses/status, servicebgpstatuses/status]
    verbs: [patch]
  # its report on whether the configuration is valid on this node
  - apiGroups: [metallb.io]
    resources: [configurationstates]
    verbs: [get, list, watch, create, patch]
  # the content of that report
  - apiGroups: [metallb.io]
    resources: [configurationstates/status]
    verbs: [patch]
  # its reports on BGP sessions
  - apiGroups: [ferrolb.io]
    resources: [bgpsessions]
    verbs: [list, watch, create, patch, delete]
  # the content of those reports
  - apiGroups: [ferrolb.io]
    resources: [bgpsessions/status]
    verbs: [patch]
  # its own Pod, and where the other speakers are
  - apiGroups: [""]
    resources: [pods]
    verbs: [list, watch]
  # passwords of BGP sessions
  - apiGroups: [""]
    resources: [secrets]
    {{- with .Values.speaker.bgpSecretNames }}
    resourceNames: {{ toJson . }}
    {{- end }}
    verbs: [list, watch]
{{- end }}
{{- define "ferrolb.rules.speaker.nodeLeases" }}
  # which nodes live, where speakers cannot hear each other
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [list, watch]
{{- end }}
