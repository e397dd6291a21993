"""From OTLP onwards: the Collector, what stands behind it, and how to run it all here."""
