{{- /* Written by `python -m chart`: change build-support/chart instead. */}}

{{- /* The reference of an image: of the chart's values, one image's, and its version here. */}}
{{- define "danm.image" -}}
{{- $values := index . 0 -}}
{{- $image := index . 1 -}}
{{- $name := $image.repository -}}
{{- with $values.global.imageRegistry }}{{ $name = printf "%s/%s" . $name }}{{ end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest | quote -}}
{{- else -}}
{{- $tag := $image.tag | default $values.global.imageTag | default (index . 2) -}}
{{- printf "%s:%s" $name $tag | quote -}}
{{- end -}}
{{- end }}
