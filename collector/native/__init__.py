"""The stack of docker-compose.yml as local processes, where there is no Docker."""
