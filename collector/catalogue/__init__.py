"""Rules, alerts and dashboards, derived from the package's catalogue of names."""
