{{/* Names. At most 40 characters: KubeRay makes longer ones of it, such as <name>-head-svc. */}}
{{- define "ratchet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "ratchet.fullname" -}}
{{- $name := include "ratchet.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* Labels. Called with (list $ "component"). */}}
{{- define "ratchet.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ include "ratchet.name" $ }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "ratchet.labels" -}}
{{- $ := index . 0 -}}
{{ include "ratchet.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: ratchet
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{- with $.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "ratchet.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Commands: the one place where they stand. */}}
{{- define "ratchet.command.api" -}}["python", "-m", "ratchet.serve_api"]{{- end }}
{{- define "ratchet.command.reconciler" -}}["python", "-m", "ratchet.reconciler"]{{- end }}
{{- define "ratchet.command.migration" -}}["python", "-m", "ratchet.migrate"]{{- end }}

{{/* Secrets, by what they hold. */}}
{{- define "ratchet.secret.auth" -}}
{{- .Values.auth.existingSecret | default (printf "%s-auth" (include "ratchet.fullname" .)) -}}
{{- end }}

{{- define "ratchet.secret.keys" -}}
{{- .Values.auth.existingKeysSecret | default (printf "%s-keys" (include "ratchet.fullname" .)) -}}
{{- end }}

{{- define "ratchet.secret.ray" -}}
{{- .Values.ray.existingSecret | default (printf "%s-ray-token" (include "ratchet.fullname" .)) -}}
{{- end }}

{{- define "ratchet.secret.database" -}}
{{- if .Values.postgres.enabled -}}
{{- .Values.postgres.existingSecret | default (printf "%s-postgres" (include "ratchet.fullname" .)) -}}
{{- else -}}
{{- required "database.existingSecret is needed when postgres.enabled is false" .Values.database.existingSecret -}}
{{- end -}}
{{- end }}

{{/* Addresses. */}}
{{- define "ratchet.mlflow.url" -}}http://{{ include "ratchet.fullname" . }}-mlflow:5000/mlflow{{- end }}

{{- define "ratchet.ray.address" -}}
{{- if .Values.ray.enabled -}}
http://{{ include "ratchet.fullname" . }}-head-svc:8265
{{- else -}}
{{- required "ray.address is needed when ray.enabled is false" .Values.ray.address -}}
{{- end -}}
{{- end }}

{{- define "ratchet.storage.uri" -}}
{{- .Values.storage.uri | default "file:///var/lib/ratchet/storage" | trimSuffix "/" -}}
{{- end }}

{{- define "ratchet.storage.claim" -}}
{{- .Values.storage.volume.existingClaim | default (printf "%s-storage" (include "ratchet.fullname" .)) -}}
{{- end }}

{{/* Pod Security Standard "restricted", and a root file system that can't be written. */}}
{{- define "ratchet.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "ratchet.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* What every pod of ours has. Called with (list $ "component" $placement). No service links: Kubernetes would put
     RATCHET_PORT=tcp://… into the environment when a Service is called ratchet. */}}
{{- define "ratchet.pod" -}}
{{- $ := index . 0 -}}{{- $component := index . 1 -}}{{- $at := index . 2 -}}
serviceAccountName: {{ include "ratchet.fullname" $ }}-{{ $component }}
automountServiceAccountToken: {{ eq $component "reconciler" }}
enableServiceLinks: false
securityContext:
  {{- include "ratchet.podSecurity" $ | nindent 2 }}
{{- with $.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $at.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $at.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $at.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The environment of the control plane: settings, the database's address, credentials of the storage. */}}
{{- define "ratchet.controlEnv" -}}
envFrom:
  - configMapRef: {name: {{ include "ratchet.fullname" . }}-settings}
  {{- include "ratchet.storageEnvFrom" . | nindent 2 }}
env:
  - name: RATCHET_DATABASE_URL
    valueFrom: {secretKeyRef: {name: {{ include "ratchet.secret.database" . }}, key: url}}
{{- end }}

{{- define "ratchet.storageEnvFrom" -}}
{{- with .Values.storage.existingSecret }}
- secretRef: {name: {{ . }}}
{{- end }}
{{- if .Values.storage.env }}
- configMapRef: {name: {{ include "ratchet.fullname" . }}-storage}
{{- end }}
{{- end }}

{{/* Mounts and volumes of the control plane. */}}
{{- define "ratchet.controlMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: ray-token, mountPath: /run/secrets/ratchet/ray, readOnly: true}
- {name: keys, mountPath: /run/secrets/ratchet/keys, readOnly: true}
- {name: serving, mountPath: /run/secrets/ratchet/serving, readOnly: true}
{{- include "ratchet.storageMount" . }}
{{- end }}

{{- define "ratchet.controlVolumes" -}}
- {name: tmp, emptyDir: {sizeLimit: 2Gi}}
- {name: ray-token, secret: {secretName: {{ include "ratchet.secret.ray" . }}, defaultMode: 0440}}
{{ include "ratchet.keyVolume" (list $ "keys" (list "secret-key" "mlflow-token")) }}
{{ include "ratchet.keyVolume" (list $ "serving" (list "serving-token")) }}
{{- include "ratchet.storageVolume" . }}
{{- end }}

{{/* A volume with some of the platform's keys: no pod has one that it does not need.
     Called with (list $ "volume" (list "key" …)). */}}
{{- define "ratchet.keyVolume" -}}
- name: {{ index . 1 }}
  secret:
    secretName: {{ include "ratchet.secret.keys" (index . 0) }}
    defaultMode: 0440
    items:
      {{- range index . 2 }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}

{{- define "ratchet.storageMount" -}}
{{- if not .Values.storage.uri }}
- {name: storage, mountPath: /var/lib/ratchet/storage}
{{- end }}
{{- end }}

{{- define "ratchet.storageVolume" -}}
{{- if not .Values.storage.uri }}
- {name: storage, persistentVolumeClaim: {claimName: {{ include "ratchet.storage.claim" . }}}}
{{- end }}
{{- end }}

{{/* A value of a Secret that exists already, or a new random one: an upgrade never changes a password.
     Called with (list $ "secret" "key" "prefix of a new one"). */}}
{{- define "ratchet.keptOrRandom" -}}
{{- $ := index . 0 -}}
{{- $secret := lookup "v1" "Secret" $.Release.Namespace (index . 1) | default dict -}}
{{- $value := get (get $secret "data" | default dict) (index . 2) -}}
{{- ternary ($value | b64dec) (print (index . 3) (randAlphaNum 48)) (ne $value "") -}}
{{- end }}
