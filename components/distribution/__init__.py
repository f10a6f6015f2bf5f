"""The registry (CNCF distribution): its configuration, its storage and its tasks."""
