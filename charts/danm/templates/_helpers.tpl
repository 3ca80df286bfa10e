{{- /* Written by `python -m chart`: change build-support/chart instead. */}}

{{- /* The reference of an image: of the chart's values, and of one image's. */}}
{{- define "danm.image" -}}
{{- $values := index . 0 -}}
{{- $image := index . 1 -}}
{{- $name := $image.repository -}}
{{- with $values.global.imageRegistry }}{{ $name = printf "%s/%s" . $name }}{{ end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest | quote -}}
{{- else -}}
{{- printf "%s:%s" $name $image.tag | quote -}}
{{- end -}}
{{- end }}
