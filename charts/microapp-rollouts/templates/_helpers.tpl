{{- define "microapp.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "microapp.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "microapp.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "microapp.selectorLabels" -}}
app.kubernetes.io/name: {{ include "microapp.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "microapp.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "microapp.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "microapp.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "microapp.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "microapp.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The ConfigMap of the prices, or nothing: then the built-in table is used. */}}
{{- define "microapp.pricesConfigMap" -}}
{{- if .Values.prices.existingConfigMap -}}
{{- .Values.prices.existingConfigMap -}}
{{- else if .Values.prices.models -}}
{{- printf "%s-prices" (include "microapp.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/*
What the operator may do where it watches. One list for both scopes, compared with a golden file. No Secrets, no exec, no
wildcard; nothing that it does not do: routes are never deleted by it (their owner is), nor are rollouts written, except
their status.
*/}}
{{- define "microapp.rules" -}}
- apiGroups: [microapp.dev]
  resources: [microapprollouts]
  verbs: [get, list, watch]
- apiGroups: [microapp.dev]
  resources: [microapprollouts/status]
  verbs: [get, patch, update]
# Where owner references are policed (OpenShift), whoever sets one on a child needs this on the owner.
- apiGroups: [microapp.dev]
  resources: [microapprollouts/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
