{{- define "vault-autoupdate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimAll "-." }}
{{- end }}

{{/* The name of most objects: the release's, and the chart's unless the release is named after it. */}}
{{- define "vault-autoupdate.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimAll "-." }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimAll "-." }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimAll "-." }}
{{- end }}
{{- end }}
{{- end }}

{{/* The same for Services, which have stricter names: no periods, and a letter at the beginning. */}}
{{- define "vault-autoupdate.serviceName" -}}
{{- $name := include "vault-autoupdate.fullname" . | replace "." "-" }}
{{- regexMatch "^[a-z]" $name | ternary $name (printf "vau-%s" $name) | trunc 52 | trimAll "-" }}
{{- end }}

{{- define "vault-autoupdate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vault-autoupdate.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Maps of words put one over the other, each key once. Takes a list of maps; what is empty is left out. */}}
{{- define "vault-autoupdate.merged" -}}
{{- $merged := dict }}
{{- range $map := . }}
{{- range $key, $value := $map }}
{{- $_ := set $merged $key $value }}
{{- end }}
{{- end }}
{{- with $merged }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* The labels that all objects have. Takes the root. */}}
{{- define "vault-autoupdate.labels" -}}
{{- include "vault-autoupdate.labelsWith" (dict "root" .) }}
{{- end }}

{{/*
The labels of an object: the chart's, over them commonLabels, over them those that a value has for this object, and over
all what something looks for. Takes root, own (a map from the values) and fixed (a map).
*/}}
{{- define "vault-autoupdate.labelsWith" -}}
{{- $root := .root }}
{{- $ours := dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/part-of" "vault-autoupdate" }}
{{- $fixed := include "vault-autoupdate.selectorLabels" $root | fromYaml }}
{{- $_ := set $fixed "app.kubernetes.io/managed-by" $root.Release.Service }}
{{- include "vault-autoupdate.merged" (list $ours $root.Values.commonLabels .own $fixed .fixed) }}
{{- end }}

{{- define "vault-autoupdate.serviceAccountName" -}}
{{- default (include "vault-autoupdate.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{/* What the names of the Leases of all shards begin with. */}}
{{- define "vault-autoupdate.leaseBase" -}}
{{- $own := .Values.shard | empty | ternary (include "vault-autoupdate.fullname" .) .Chart.Name }}
{{- default $own .Values.leaderElection.leaseName }}
{{- end }}

{{- define "vault-autoupdate.leaseName" -}}
{{- include "vault-autoupdate.leaseBase" . }}{{ with .Values.shard }}-{{ . }}{{ end }}
{{- end }}

{{/* The registry of global.imageRegistry takes the place of the one in image.repository, where that names one. */}}
{{- define "vault-autoupdate.image" -}}
{{- $tag := .Values.image.tag | default (ternary "" .Chart.AppVersion (ne .Values.image.digest "")) -}}
{{- $repository := .Values.image.repository }}
{{- with .Values.global.imageRegistry }}
{{- $path := regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $repository "" }}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $path }}
{{- end }}
{{- $repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* Those of imagePullSecrets and of global.imagePullSecrets, where a name alone is usual too. */}}
{{- define "vault-autoupdate.imagePullSecrets" -}}
{{- $names := list }}
{{- range concat .Values.imagePullSecrets (.Values.global.imagePullSecrets | default list) }}
{{- $names = append $names (kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name")) }}
{{- end }}
{{- range $names | uniq }}
- name: {{ . | quote }}
{{- end }}
{{- end }}

{{/* A security context; on OpenShift without the ids, which the cluster gives. Takes root and context. */}}
{{- define "vault-autoupdate.securityContext" -}}
{{- $context := .context }}
{{- if .root.Values.openshift }}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" "supplementalGroups" }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{/* Where to listen: an IPv6 address needs brackets before a port. Takes root and port. */}}
{{- define "vault-autoupdate.address" -}}
{{- $host := .root.Values.bindAddress }}
{{- if and (contains ":" $host) (not (hasPrefix "[" $host)) }}
{{- $host = printf "[%s]" $host }}
{{- end }}
{{- printf "%s:%d" $host (int .port) }}
{{- end }}

{{/* Seconds of a duration, such as 1m30s, as a decimal number. */}}
{{- define "vault-autoupdate.seconds" -}}
{{- $units := dict "d" 86400.0 "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 0.001 "us" 0.000001 "µs" 0.000001 "ns" 0.000000001 }}
{{- $sum := 0.0 }}
{{- range regexFindAll "[0-9.]+[a-zµ]+" . -1 }}
{{- $unit := regexReplaceAll "^[0-9.]+" . "" }}
{{- $sum = addf $sum (mulf (float64 (trimSuffix $unit .)) (get $units $unit)) }}
{{- end }}
{{- $sum }}
{{- end }}

{{/* The port of a URL or host, else that of its scheme; nothing for nothing. */}}
{{- define "vault-autoupdate.portOf" -}}
{{- if . }}
{{- $port := regexFind ":[0-9]+/?$" . | trimSuffix "/" | trimPrefix ":" }}
{{- $port | default (hasPrefix "http://" . | ternary "80" "443") }}
{{- end }}
{{- end }}

{{/* The variables that the chart sets, or may set with other values, and the value to set each by. */}}
{{- define "vault-autoupdate.variables" -}}
POD_NAME: nothing, it is the pod's name
AZURE_CLIENT_ID: azure.auth.clientId
AZURE_TENANT_ID: azure.auth.tenantId
AZURE_CLIENT_SECRET: azure.auth.secret
AZURE_CLIENT_CERTIFICATE_PATH: azure.auth.secret
AZURE_CLIENT_CERTIFICATE_PASSWORD: azure.auth.secret
AZURE_FEDERATED_TOKEN_FILE: azure.auth.workloadIdentity
HTTPS_PROXY: proxy.https
HTTP_PROXY: proxy.http
NO_PROXY: proxy.noProxy
REQUESTS_CA_BUNDLE: tls.caBundle
SSL_CERT_FILE: tls.caBundle
VAULT_AUTOUPDATE_CREDENTIAL: azure.auth.mode
VAULT_AUTOUPDATE_CLOUD: azure.cloud
VAULT_AUTOUPDATE_ARM_ENDPOINT: azure.armEndpoint
VAULT_AUTOUPDATE_ARM_AUDIENCE: azure.armAudience
VAULT_AUTOUPDATE_AUTHORITY_HOST: azure.authorityHost
VAULT_AUTOUPDATE_API_VERSION: azure.apiVersion
VAULT_AUTOUPDATE_WRITE_LIMIT: limits.write
VAULT_AUTOUPDATE_READ_LIMIT: limits.read
VAULT_AUTOUPDATE_BUDGET_SCOPE: limits.scope
VAULT_AUTOUPDATE_JOB_POLL_MIN: polling.jobMin
VAULT_AUTOUPDATE_JOB_POLL_MAX: polling.jobMax
VAULT_AUTOUPDATE_STATUS_INTERVAL: polling.statusInterval
VAULT_AUTOUPDATE_STARTUP_SPREAD: polling.startupSpread
VAULT_AUTOUPDATE_AGENT_INTERVAL: polling.agentInterval
VAULT_AUTOUPDATE_ROLE_CONFIRMATION: polling.roleConfirmation
VAULT_AUTOUPDATE_REQUEST_INTERVAL: polling.requestInterval
VAULT_AUTOUPDATE_HINTS: polling.hints
VAULT_AUTOUPDATE_HINT_INTERVAL: polling.hintInterval
VAULT_AUTOUPDATE_RETRY_PAUSE: retry.pause
VAULT_AUTOUPDATE_RETRY_MIN: retry.min
VAULT_AUTOUPDATE_RETRY_MAX: retry.max
VAULT_AUTOUPDATE_REQUEST_TIMEOUT: requests.timeout
VAULT_AUTOUPDATE_MAX_CONNECTIONS: requests.maxConnections
VAULT_AUTOUPDATE_WATCH_NAMESPACES: watchNamespaces
VAULT_AUTOUPDATE_SHARD: shard
VAULT_AUTOUPDATE_POLICIES: policies.enabled
VAULT_AUTOUPDATE_VAULT_SCOPES: vaultScopes
VAULT_AUTOUPDATE_RESOURCE_CREDENTIALS: resourceCredentials.mode
VAULT_AUTOUPDATE_HEALTH_ADDRESS: bindAddress and health.port
VAULT_AUTOUPDATE_METRICS_ADDRESS: bindAddress and metrics.port
VAULT_AUTOUPDATE_LOG_LEVEL: logging.level
VAULT_AUTOUPDATE_LOG_FORMAT: logging.format
VAULT_AUTOUPDATE_LEADER_ELECT: leaderElection.enabled
VAULT_AUTOUPDATE_LEASE_NAMESPACE: nothing, it is the release's namespace
VAULT_AUTOUPDATE_LEASE_NAME: leaderElection.leaseName
VAULT_AUTOUPDATE_RESOURCE_METRICS: metrics.perResource
VAULT_AUTOUPDATE_METRICS_CERT_FILE: metrics.tls.secret
VAULT_AUTOUPDATE_METRICS_KEY_FILE: metrics.tls.secret
VAULT_AUTOUPDATE_METRICS_TOKEN_FILE: metrics.auth.secret
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
{{- range include "vault-autoupdate.extras" . | fromYamlArray }}
{{- $problems = append $problems . }}
{{- end }}
{{- range include "vault-autoupdate.monitoringProblems" . | fromYamlArray }}
{{- $problems = append $problems . }}
{{- end }}
{{- range list (list "polling.jobMin" .Values.polling.jobMin "polling.jobMax" .Values.polling.jobMax) (list "retry.min" .Values.retry.min "retry.max" .Values.retry.max) }}
{{- if gt (include "vault-autoupdate.seconds" (index . 1) | float64) (include "vault-autoupdate.seconds" (index . 3) | float64) }}
{{- $problems = append $problems (printf "%s: %s is longer than %s, which is %s" (index . 0) (index . 1) (index . 2) (index . 3)) }}
{{- end }}
{{- end }}
{{- if eq (int .Values.health.port) (int .Values.metrics.port) }}
{{- $problems = append $problems (printf "metrics.port: %d is health.port already" (int .Values.metrics.port)) }}
{{- end }}
{{- if eq (toString .Values.enabled) "false" }}
{{- $problems = append $problems "enabled: false is for the condition of a parent chart, which then leaves this chart out; the parent has no such condition" }}
{{- end }}
{{- if $problems }}
{{- fail (printf "\n\nThe values cannot be used:\n  - %s\n" (join "\n  - " $problems)) }}
{{- end }}
{{- end }}

{{/* Names in extra lists that are taken: what is there twice, Helm or the API server would lose one of, at some upgrade. */}}
{{- define "vault-autoupdate.extras" -}}
{{- $problems := list }}
{{- $variables := include "vault-autoupdate.variables" . | fromYaml }}
{{- $seen := dict }}
{{- range .Values.extraEnv }}
{{- if hasKey $variables .name }}
{{- $problems = append $problems (printf "extraEnv: %s is a variable of the chart; it is set by %s" .name (get $variables .name)) }}
{{- else if hasPrefix "VAULT_AUTOUPDATE_" .name }}
{{- $problems = append $problems (printf "extraEnv: %s: the operator has no such setting" .name) }}
{{- end }}
{{- if hasKey $seen .name }}
{{- $problems = append $problems (printf "extraEnv: %s is there twice" .name) }}
{{- end }}
{{- $_ := set $seen .name true }}
{{- end }}
{{- $seen = dict "tmp" true "azure-identity-token" true "azure-certificate" true "ca-bundle" true "metrics-tls" true "metrics-auth" true }}
{{- range .Values.extraVolumes }}
{{- if hasKey $seen .name }}
{{- $problems = append $problems (printf "extraVolumes: there is, or may be with other values, a volume %s already" .name) }}
{{- end }}
{{- $_ := set $seen .name true }}
{{- end }}
{{- $seen = dict "/tmp" true "/var/run/secrets/azure/tokens" true "/var/run/secrets/azure/certificate" true "/etc/vault-autoupdate/ca" true "/var/run/secrets/metrics/tls" true "/var/run/secrets/metrics/auth" true }}
{{- range .Values.extraVolumeMounts }}
{{- if hasKey $seen (clean .mountPath) }}
{{- $problems = append $problems (printf "extraVolumeMounts: there is, or may be with other values, something at %s already" .mountPath) }}
{{- end }}
{{- $_ := set $seen (clean .mountPath) true }}
{{- end }}
{{- $seen = dict "vault-autoupdate" true }}
{{- range .Values.extraContainers }}
{{- if hasKey $seen .name }}
{{- $problems = append $problems (printf "extraContainers: there is a container %s already" .name) }}
{{- end }}
{{- $_ := set $seen .name true }}
{{- end }}
{{- toYaml $problems }}
{{- end }}

{{/* What does not go together, or names no alert. */}}
{{- define "vault-autoupdate.monitoringProblems" -}}
{{- $problems := list }}
{{- with .Values.metrics }}
{{- if and .serviceMonitor.enabled .podMonitor.enabled }}
{{- $problems = append $problems "metrics.serviceMonitor, metrics.podMonitor: one of them: with both, each series would be there twice, and sums and rates wrong" }}
{{- end }}
{{- range $name, $monitor := dict "serviceMonitor" .serviceMonitor "podMonitor" .podMonitor }}
{{- if gt (include "vault-autoupdate.seconds" $monitor.scrapeTimeout | float64) (include "vault-autoupdate.seconds" $monitor.interval | float64) }}
{{- $problems = append $problems (printf "metrics.%s.scrapeTimeout: %s is longer than the interval, %s; Prometheus would refuse its whole configuration" $name $monitor.scrapeTimeout $monitor.interval) }}
{{- end }}
{{- end }}
{{- $alerts := list }}
{{- range ($.Files.Get "files/alerts.yaml" | fromYaml).groups }}
{{- range .rules }}
{{- with .alert }}
{{- $alerts = append $alerts . }}
{{- end }}
{{- end }}
{{- end }}
{{- range .prometheusRule.disabledAlerts }}
{{- if not (has . $alerts) }}
{{- $problems = append $problems (printf "metrics.prometheusRule.disabledAlerts: there is no alert %s; there are %s" . (join ", " $alerts)) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $problems }}
{{- end }}

{{/* An environment variable from a value or, if a key is given, from the credential's Secret. */}}
{{- define "vault-autoupdate.secretEnv" -}}
{{- if .key }}
- name: {{ .name | quote }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret | quote }}
      key: {{ .key | quote }}
{{- else if .value }}
- name: {{ .name | quote }}
  value: {{ .value | quote }}
{{- end }}
{{- end }}

{{/* The login: which credential, and the variables of azure-identity. */}}
{{- define "vault-autoupdate.authEnv" -}}
{{- $auth := .Values.azure.auth }}
{{- $secret := $auth.secret }}
- name: VAULT_AUTOUPDATE_CREDENTIAL
  value: {{ get (dict "workloadIdentity" "workload-identity" "managedIdentity" "managed-identity" "clientSecret" "client-secret" "clientCertificate" "client-certificate") $auth.mode | quote }}
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
  (list "ROLE_CONFIRMATION" $v.polling.roleConfirmation)
  (list "REQUEST_INTERVAL" $v.polling.requestInterval)
  (list "HINT_INTERVAL" $v.polling.hintInterval)
  (list "HINTS" (get (dict "true" "on" "false" "off") (toString $v.polling.hints) | default $v.polling.hints))
  (list "RETRY_PAUSE" $v.retry.pause)
  (list "RETRY_MIN" $v.retry.min)
  (list "RETRY_MAX" $v.retry.max)
  (list "REQUEST_TIMEOUT" $v.requests.timeout)
  (list "MAX_CONNECTIONS" (int $v.requests.maxConnections))
  (list "SHARD" $v.shard)
  (list "WATCH_NAMESPACES" (join "," $v.watchNamespaces))
  (list "VAULT_SCOPES" (empty $v.vaultScopes | ternary "" (toJson $v.vaultScopes)))
  (list "RESOURCE_CREDENTIALS" $v.resourceCredentials.mode)
  (list "HEALTH_ADDRESS" (include "vault-autoupdate.address" (dict "root" . "port" $v.health.port)))
  (list "METRICS_ADDRESS" (include "vault-autoupdate.address" (dict "root" . "port" $v.metrics.port)))
  (list "LOG_LEVEL" $v.logging.level)
  (list "LOG_FORMAT" $v.logging.format)
}}
{{- if $v.leaderElection.enabled }}
{{- $settings = concat $settings (list
  (list "LEADER_ELECT" "true")
  (list "LEASE_NAMESPACE" .Release.Namespace)
  (list "LEASE_NAME" (include "vault-autoupdate.leaseBase" .))
) }}
{{- end }}
{{- if $v.policies.enabled }}
{{- $settings = append $settings (list "POLICIES" "true") }}
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
  value: {{ list .noProxy "localhost,127.0.0.1,::1,169.254.169.254,.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST)" | compact | join "," | quote }}
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
    secretName: {{ .secret.name | quote }}
    defaultMode: 0440
    items:
      - key: {{ .secret.certificateKey | quote }}
        path: {{ .secret.certificateKey | quote }}
{{- end }}
{{- end }}
{{- with .Values.tls.caBundle }}
{{- if .configMap }}
- name: ca-bundle
  configMap:
    name: {{ .configMap | quote }}
    items:
      - key: {{ .key | quote }}
        path: ca.crt
{{- else if .secret }}
- name: ca-bundle
  secret:
    secretName: {{ .secret | quote }}
    defaultMode: 0440
    items:
      - key: {{ .key | quote }}
        path: ca.crt
{{- end }}
{{- end }}
{{- with .Values.metrics.tls.secret }}
- name: metrics-tls
  secret:
    secretName: {{ . | quote }}
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
    secretName: {{ .secret | quote }}
    defaultMode: 0440
    items:
      - key: {{ .key | quote }}
        path: {{ .key | quote }}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What tells the release's dashboard from those of others in the same Grafana, which takes 40 characters. */}}
{{- define "vault-autoupdate.dashboardUid" -}}
{{- printf "vau-%s" (printf "%s/%s" .Release.Namespace (include "vault-autoupdate.fullname" .) | sha256sum | trunc 12) -}}
{{- end }}
