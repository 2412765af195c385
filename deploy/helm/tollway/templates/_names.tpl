{{/* Names and blocks that several objects share. */}}

{{- define "tollway.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "tollway.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "tollway.labels" -}}
{{ include "tollway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "tollway.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end }}

{{- define "tollway.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "tollway.name" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{/* "true" where this release runs the server itself. */}}
{{- define "tollway.bundlesPostgres" -}}
{{- if not (or .Values.database.host .Values.database.url.secret) }}true{{ end -}}
{{- end }}

{{- define "tollway.bundlesValkey" -}}
{{- if not (or .Values.redis.host .Values.redis.url.secret) }}true{{ end -}}
{{- end }}

{{/* How many gateways there are at least: the part of each limit that one takes while Redis is away. */}}
{{- define "tollway.replicas" -}}
{{- if .Values.autoscaling.enabled }}{{ .Values.autoscaling.minReplicas }}{{ else }}{{ .Values.replicas }}{{ end -}}
{{- end }}

{{/* No gateway, migration or bundled server has more rights than it needs. */}}
{{- define "tollway.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "tollway.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tollway.databaseEnvironment" -}}
{{- $database := .Values.database }}
{{- if $database.url.secret }}
- name: DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ $database.url.secret }}, key: {{ $database.url.key | quote }}}}
{{- else }}
- {name: DATABASE_HOST, value: {{ $database.host | default (printf "%s-postgres" (include "tollway.name" .)) | quote }}}
- {name: DATABASE_PORT, value: {{ $database.port | quote }}}
- {name: DATABASE_NAME, value: {{ $database.name | quote }}}
- {name: DATABASE_USERNAME, value: {{ $database.user | quote }}}
- name: DATABASE_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $database.password.secret }}, key: {{ $database.password.key | quote }}}}
{{- end }}
{{- end }}

{{- define "tollway.redisEnvironment" -}}
{{- $redis := .Values.redis }}
{{- if $redis.url.secret }}
- name: REDIS_URL
  valueFrom: {secretKeyRef: {name: {{ $redis.url.secret }}, key: {{ $redis.url.key | quote }}}}
{{- else }}
- {name: REDIS_HOST, value: {{ $redis.host | default (printf "%s-valkey" (include "tollway.name" .)) | quote }}}
- {name: REDIS_PORT, value: {{ $redis.port | quote }}}
- {name: REDIS_SSL, value: {{ $redis.tls | quote }}}
{{- if $redis.password.secret }}
- name: REDIS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $redis.password.secret }}, key: {{ $redis.password.key | quote }}}}
{{- end }}
{{- end }}
{{- end }}

{{- define "tollway.keyEnvironment" -}}
{{- $secret := .Values.secrets.gateway }}
- name: LITELLM_MASTER_KEY
  valueFrom: {secretKeyRef: {name: {{ $secret.name }}, key: {{ $secret.masterKey | quote }}}}
- name: LITELLM_SALT_KEY
  valueFrom: {secretKeyRef: {name: {{ $secret.name }}, key: {{ $secret.saltKey | quote }}}}
{{- end }}
