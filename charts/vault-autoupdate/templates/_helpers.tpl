{{- define "vault-autoupdate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of most objects: the release's, and the chart's unless the release is named after it. */}}
{{- define "vault-autoupdate.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "vault-autoupdate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vault-autoupdate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "vault-autoupdate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "vault-autoupdate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: vault-autoupdate
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "vault-autoupdate.serviceAccountName" -}}
{{- default (include "vault-autoupdate.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "vault-autoupdate.leaseName" -}}
{{- default (include "vault-autoupdate.fullname" .) .Values.leaderElection.leaseName }}
{{- end }}

{{- define "vault-autoupdate.image" -}}
{{- $tag := .Values.image.tag | default (ternary "" .Chart.AppVersion (ne .Values.image.digest "")) -}}
{{ .Values.image.repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* "true" if an object of an API that the cluster may not have is to be rendered. Takes root, mode, api, what. */}}
{{- define "vault-autoupdate.rendered" -}}
{{- $there := .root.Capabilities.APIVersions.Has .api }}
{{- if and (eq .mode "failIfMissing") (not $there) }}
{{- fail (printf "%s: the cluster has no %s; install the Prometheus operator, or set renderMode to skipIfMissing or alwaysRender" .what .api) }}
{{- end }}
{{- if or $there (eq .mode "alwaysRender") }}true{{ end }}
{{- end }}

{{/* What the schema cannot say in words that help. */}}
{{- define "vault-autoupdate.validate" -}}
{{- $auth := .Values.azure.auth }}
{{- $annotations := .Values.serviceAccount.annotations }}
{{- $problems := list }}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection.enabled) }}
{{- $problems = append $problems "replicas: more than one needs leaderElection.enabled=true" }}
{{- end }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- $problems = append $problems "serviceAccount.name: required when serviceAccount.create is false" }}
{{- end }}
{{- if eq $auth.mode "workloadIdentity" }}
{{- if $auth.workloadIdentity.projectedToken }}
{{- if not $auth.clientId }}
{{- $problems = append $problems "azure.auth.clientId: required by azure.auth.workloadIdentity.projectedToken" }}
{{- end }}
{{- if not $auth.tenantId }}
{{- $problems = append $problems "azure.auth.tenantId: required by azure.auth.workloadIdentity.projectedToken" }}
{{- end }}
{{- else if and .Values.serviceAccount.create (not $auth.clientId) (not (index $annotations "azure.workload.identity/client-id")) }}
{{- $problems = append $problems "azure.auth.clientId: required by azure.auth.mode=workloadIdentity: the client id of the identity that the operator uses" }}
{{- end }}
{{- else if ne $auth.mode "managedIdentity" }}
{{- if not $auth.secret.name }}
{{- $problems = append $problems (printf "azure.auth.secret.name: required by azure.auth.mode=%s: an existing Secret" $auth.mode) }}
{{- end }}
{{- if not (or $auth.clientId $auth.secret.clientIdKey) }}
{{- $problems = append $problems (printf "azure.auth.clientId (or azure.auth.secret.clientIdKey): required by azure.auth.mode=%s" $auth.mode) }}
{{- end }}
{{- if not (or $auth.tenantId $auth.secret.tenantIdKey) }}
{{- $problems = append $problems (printf "azure.auth.tenantId (or azure.auth.secret.tenantIdKey): required by azure.auth.mode=%s" $auth.mode) }}
{{- end }}
{{- end }}
{{- if and .Values.resourceCredentials.grant (eq .Values.resourceCredentials.mode "refused") }}
{{- $problems = append $problems "resourceCredentials.grant: nothing is read with resourceCredentials.mode=refused: set the mode, or grant nothing" }}
{{- end }}
{{- if and .Values.tls.caBundle.configMap .Values.tls.caBundle.secret }}
{{- $problems = append $problems "tls.caBundle: give a configMap or a secret, not both" }}
{{- end }}
{{- if and .Values.crds.enabled (not (.Files.Glob "files/crds/*.yaml")) }}
{{- $problems = append $problems "crds.enabled: this copy of the chart is without files/crds, which is a symbolic link in the repository (Flux drops those of a GitRepository): use the packaged chart, or install the resource definition yourself and set crds.enabled=false" }}
{{- end }}
{{- if $problems }}
{{- fail (printf "\n\nThe values cannot be used:\n  - %s\n" (join "\n  - " $problems)) }}
{{- end }}
{{- end }}

{{/* An environment variable from a value or, if a key is given, from the credential's Secret. */}}
{{- define "vault-autoupdate.secretEnv" -}}
{{- if .key }}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- else if .value }}
- name: {{ .name }}
  value: {{ .value | quote }}
{{- end }}
{{- end }}

{{/* The login: which credential, and the variables of azure-identity. */}}
{{- define "vault-autoupdate.authEnv" -}}
{{- $auth := .Values.azure.auth }}
{{- $secret := $auth.secret }}
- name: VAULT_AUTOUPDATE_CREDENTIAL
  value: {{ get (dict "workloadIdentity" "workload-identity" "managedIdentity" "managed-identity" "clientSecret" "client-secret" "clientCertificate" "client-certificate") $auth.mode }}
{{- if eq $auth.mode "managedIdentity" }}
{{- with $auth.clientId }}
- name: AZURE_CLIENT_ID
  value: {{ . | quote }}
{{- end }}
{{- else if eq $auth.mode "workloadIdentity" }}
{{- if $auth.workloadIdentity.projectedToken }}
- name: AZURE_CLIENT_ID
  value: {{ $auth.clientId | quote }}
- name: AZURE_TENANT_ID
  value: {{ $auth.tenantId | quote }}
- name: AZURE_FEDERATED_TOKEN_FILE
  value: /var/run/secrets/azure/tokens/azure-identity-token
{{- end }}
{{- else }}
{{- include "vault-autoupdate.secretEnv" (dict "name" "AZURE_CLIENT_ID" "value" $auth.clientId "secret" $secret.name "key" $secret.clientIdKey) }}
{{- include "vault-autoupdate.secretEnv" (dict "name" "AZURE_TENANT_ID" "value" $auth.tenantId "secret" $secret.name "key" $secret.tenantIdKey) }}
{{- if eq $auth.mode "clientSecret" }}
{{- include "vault-autoupdate.secretEnv" (dict "name" "AZURE_CLIENT_SECRET" "secret" $secret.name "key" $secret.clientSecretKey) }}
{{- else }}
- name: AZURE_CLIENT_CERTIFICATE_PATH
  value: /var/run/secrets/azure/certificate/{{ $secret.certificateKey }}
{{- include "vault-autoupdate.secretEnv" (dict "name" "AZURE_CLIENT_CERTIFICATE_PASSWORD" "secret" $secret.name "key" $secret.certificatePasswordKey) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The operator's settings. What is empty is left out: the operator has a default for everything. */}}
{{- define "vault-autoupdate.settingsEnv" -}}
{{- $v := .Values }}
{{- $settings := list
  (list "CLOUD" $v.azure.cloud)
  (list "ARM_ENDPOINT" $v.azure.armEndpoint)
  (list "ARM_AUDIENCE" $v.azure.armAudience)
  (list "AUTHORITY_HOST" $v.azure.authorityHost)
  (list "API_VERSION" $v.azure.apiVersion)
  (list "WRITE_LIMIT" $v.limits.write)
  (list "READ_LIMIT" $v.limits.read)
  (list "BUDGET_SCOPE" $v.limits.scope)
  (list "JOB_POLL_MIN" $v.polling.jobMin)
  (list "JOB_POLL_MAX" $v.polling.jobMax)
  (list "STATUS_INTERVAL" $v.polling.statusInterval)
  (list "STARTUP_SPREAD" $v.polling.startupSpread)
  (list "AGENT_INTERVAL" $v.polling.agentInterval)
  (list "RETRY_PAUSE" $v.retry.pause)
  (list "RETRY_MIN" $v.retry.min)
  (list "RETRY_MAX" $v.retry.max)
  (list "REQUEST_TIMEOUT" $v.requests.timeout)
  (list "MAX_CONNECTIONS" (int $v.requests.maxConnections))
  (list "WATCH_NAMESPACES" (join "," $v.watchNamespaces))
  (list "VAULT_SCOPES" (empty $v.vaultScopes | ternary "" (toJson $v.vaultScopes)))
  (list "RESOURCE_CREDENTIALS" $v.resourceCredentials.mode)
  (list "HEALTH_ADDRESS" (printf "%s:%d" $v.bindAddress (int $v.health.port)))
  (list "METRICS_ADDRESS" (printf "%s:%d" $v.bindAddress (int $v.metrics.port)))
  (list "LOG_LEVEL" $v.logging.level)
  (list "LOG_FORMAT" $v.logging.format)
}}
{{- if $v.leaderElection.enabled }}
{{- $settings = concat $settings (list
  (list "LEADER_ELECT" "true")
  (list "LEASE_NAMESPACE" .Release.Namespace)
  (list "LEASE_NAME" (include "vault-autoupdate.leaseName" .))
) }}
{{- end }}
{{- if not $v.metrics.perResource }}
{{- $settings = append $settings (list "RESOURCE_METRICS" "false") }}
{{- end }}
{{- if $v.metrics.tls.secret }}
{{- $settings = concat $settings (list
  (list "METRICS_CERT_FILE" "/var/run/secrets/metrics/tls/tls.crt")
  (list "METRICS_KEY_FILE" "/var/run/secrets/metrics/tls/tls.key")
) }}
{{- end }}
{{- if $v.metrics.auth.secret }}
{{- $settings = append $settings (list "METRICS_TOKEN_FILE" (printf "/var/run/secrets/metrics/auth/%s" $v.metrics.auth.key)) }}
{{- end }}
{{- range $settings }}
{{- $value := toString (last .) }}
{{- if $value }}
- name: VAULT_AUTOUPDATE_{{ first . }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Proxy and certificates, as requests and azure-identity know them. */}}
{{- define "vault-autoupdate.networkEnv" -}}
{{- with .Values.proxy }}
{{- with .https }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .http }}
- name: HTTP_PROXY
  value: {{ . | quote }}
{{- end }}
{{- if or .https .http }}
{{- /* The kubelet puts the API server's address in; 169.254.169.254 hands out managed identity tokens. */}}
- name: NO_PROXY
  value: {{ list .noProxy "localhost,127.0.0.1,169.254.169.254,.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST)" | compact | join "," | quote }}
{{- end }}
{{- end }}
{{- if or .Values.tls.caBundle.configMap .Values.tls.caBundle.secret }}
- name: REQUESTS_CA_BUNDLE
  value: /etc/vault-autoupdate/ca/ca.crt
- name: SSL_CERT_FILE
  value: /etc/vault-autoupdate/ca/ca.crt
{{- end }}
{{- end }}

{{- define "vault-autoupdate.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if and (eq .Values.azure.auth.mode "workloadIdentity") .Values.azure.auth.workloadIdentity.projectedToken }}
- name: azure-identity-token
  mountPath: /var/run/secrets/azure/tokens
  readOnly: true
{{- end }}
{{- if eq .Values.azure.auth.mode "clientCertificate" }}
- name: azure-certificate
  mountPath: /var/run/secrets/azure/certificate
  readOnly: true
{{- end }}
{{- if or .Values.tls.caBundle.configMap .Values.tls.caBundle.secret }}
- name: ca-bundle
  mountPath: /etc/vault-autoupdate/ca
  readOnly: true
{{- end }}
{{- if .Values.metrics.tls.secret }}
- name: metrics-tls
  mountPath: /var/run/secrets/metrics/tls
  readOnly: true
{{- end }}
{{- if .Values.metrics.auth.secret }}
- name: metrics-auth
  mountPath: /var/run/secrets/metrics/auth
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "vault-autoupdate.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- with .Values.azure.auth }}
{{- if and (eq .mode "workloadIdentity") .workloadIdentity.projectedToken }}
- name: azure-identity-token
  projected:
    sources:
      - serviceAccountToken:
          path: azure-identity-token
          audience: {{ .workloadIdentity.audience | quote }}
          expirationSeconds: {{ int .workloadIdentity.tokenExpirationSeconds }}
{{- end }}
{{- if eq .mode "clientCertificate" }}
- name: azure-certificate
  secret:
    secretName: {{ .secret.name }}
    defaultMode: 0440
    items:
      - key: {{ .secret.certificateKey }}
        path: {{ .secret.certificateKey }}
{{- end }}
{{- end }}
{{- with .Values.tls.caBundle }}
{{- if .configMap }}
- name: ca-bundle
  configMap:
    name: {{ .configMap }}
    items:
      - key: {{ .key }}
        path: ca.crt
{{- else if .secret }}
- name: ca-bundle
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      - key: {{ .key }}
        path: ca.crt
{{- end }}
{{- end }}
{{- with .Values.metrics.tls.secret }}
- name: metrics-tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - key: tls.crt
        path: tls.crt
      - key: tls.key
        path: tls.key
{{- end }}
{{- with .Values.metrics.auth }}
{{- if .secret }}
- name: metrics-auth
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      - key: {{ .key }}
        path: {{ .key }}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
