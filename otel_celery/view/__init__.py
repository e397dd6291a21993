"""The page of `otel-celery view`: what workers told, in memory, for one machine."""
